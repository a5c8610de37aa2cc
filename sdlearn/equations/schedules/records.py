"""The two records: a training's noise schedule, and the stations of one run through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from sdlearn.equations import _checks
from sdlearn.equations.schedules import betas as formulas
from sdlearn.equations.schedules.spacing import (
    Spacing,
    exponential_sigmas,
    karras_sigmas,
    timestep_spacing,
)

SIGMA_SPACINGS = ("default", "karras", "exponential")
FINALS = ("clean", "first")

SigmaSpacing = Literal["default", "karras", "exponential"]
Final = Literal["clean", "first"]


@dataclass(frozen=True, eq=False)
class SamplingSchedule:
    """The stations of one run: ``steps`` noise levels to ask at, and the one to arrive at.

    Attributes:
        timesteps: What the network is told, shape [steps]; falling.
        alpha_bars: Of every station and of the last arrival, shape [steps + 1]; rising.
        noise_schedule: The training's schedule that the timesteps refer to.
    """

    timesteps: Tensor
    alpha_bars: Tensor
    noise_schedule: NoiseSchedule = field(repr=False)

    def __repr__(self) -> str:
        """How many stations, from where to where."""
        first, last = self.timesteps[0].item(), self.timesteps[-1].item()
        levels = f"{self.alpha_bars[0].item():.3g} to {self.alpha_bars[-1].item():.3g}"
        return (
            f"SamplingSchedule({len(self)} steps, timesteps {first:g} to {last:g}, "
            f"alpha_bars {levels})"
        )

    def __post_init__(self) -> None:
        """Refuse stations that don't lead from noise to picture."""
        _checks.vector("timesteps", self.timesteps)
        _checks.vector("alpha_bars", self.alpha_bars, length=len(self.timesteps) + 1)
        if bool((self.timesteps.diff() > 0).any()):
            raise ValueError(
                "timesteps must fall from station to station (less and less noise), "
                f"got {self.timesteps.tolist()!s:.80}. Is the schedule reversed?"
            )
        if not (float(self.alpha_bars.min()) >= 0 and float(self.alpha_bars.max()) <= 1):
            raise ValueError("alpha_bars must lie between 0 and 1.")
        if bool((self.alpha_bars.diff() < 0).any()):
            raise ValueError(
                "alpha_bars must rise from station to station (less and less noise), "
                f"got {self.alpha_bars.tolist()!s:.80}. Is the schedule reversed?"
            )

    @cached_property
    def sigmas(self) -> Tensor:
        """Sigma at every station and at the arrival, shape [steps + 1]."""
        return ((1 - self.alpha_bars) / self.alpha_bars).sqrt()

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio at every station and at the arrival, shape [steps + 1]."""
        return self.alpha_bars / (1 - self.alpha_bars)

    def __len__(self) -> int:
        """The number of steps."""
        return len(self.timesteps)


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The training's noise schedule: one beta for each timestep, and all that follows from it.

    Attributes:
        betas: Shape [T].
        name: For legends and error messages.
    """

    betas: Tensor
    name: str = "custom"

    def __repr__(self) -> str:
        """Its name, and from where to where it goes."""
        first, last = self.betas[0].item(), self.betas[-1].item()
        return (
            f"NoiseSchedule({self.name!r}, {len(self.betas)} timesteps, "
            f"betas {first:.3g} to {last:.3g})"
        )

    def __post_init__(self) -> None:
        """Refuse betas that are no variances, and keep a copy of one's own."""
        object.__setattr__(self, "betas", formulas.check_betas(self.betas).clone())

    @classmethod
    def linear(cls, steps: int = 1000, start: float = 1e-4, end: float = 0.02) -> NoiseSchedule:
        """DDPM's schedule."""
        return cls(formulas.linear_betas(steps, start, end), "linear")

    @classmethod
    def scaled_linear(
        cls, steps: int = 1000, start: float = 0.00085, end: float = 0.012
    ) -> NoiseSchedule:
        """Stable Diffusion's schedule."""
        return cls(formulas.scaled_linear_betas(steps, start, end), "scaled-linear")

    @classmethod
    def cosine(cls, steps: int = 1000) -> NoiseSchedule:
        """Improved DDPM's schedule."""
        return cls(formulas.cosine_betas(steps), "cosine")

    @classmethod
    def sigmoid(cls, steps: int = 1000) -> NoiseSchedule:
        """GeoDiff's schedule."""
        return cls(formulas.sigmoid_betas(steps), "sigmoid")

    def with_zero_terminal_snr(self) -> NoiseSchedule:
        """The same schedule, bent so that its last step leaves nothing of the picture."""
        return NoiseSchedule(
            formulas.zero_terminal_snr(self.betas), f"{self.name}, zero terminal SNR"
        )

    @property
    def alphas(self) -> Tensor:
        """``1 - beta``, shape [T]."""
        return 1 - self.betas

    @cached_property
    def alpha_bars(self) -> Tensor:
        """What is left of the picture's variance, shape [T]."""
        return formulas.alpha_bars_from_betas(self.betas)

    @cached_property
    def sigmas(self) -> Tensor:
        """Noise per unit of picture, shape [T]."""
        return ((1 - self.alpha_bars) / self.alpha_bars).sqrt()

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio, shape [T]."""
        return self.alpha_bars / (1 - self.alpha_bars)

    @property
    def log_snr(self) -> Tensor:
        """Its logarithm, shape [T]."""
        return self.snr.log()

    def __len__(self) -> int:
        """T, the number of timesteps."""
        return len(self.betas)

    def sigma_at(self, t: Tensor | float) -> Tensor:
        """Sigma at any timesteps, fractions too: a straight line between neighbours."""
        t = _checks.places("t", t)
        if not bool(((t >= 0) & (t <= len(self) - 1)).all()):
            raise ValueError(f"t must lie between 0 and {len(self) - 1}, got {t.tolist()!s:.60}.")
        if bool(self.sigmas.isinf().any()) and bool((t > len(self) - 2).any()):
            raise ValueError(
                "sigma is infinite at the last timestep of this schedule (zero terminal SNR). Use "
                'whole timesteps with the default sigmas: spaced(steps, "trailing").'
            )
        low = t.floor().long().clamp(max=max(len(self) - 2, 0))
        high = (low + 1).clamp(max=len(self) - 1)
        return torch.lerp(self.sigmas[low], self.sigmas[high], (t - low).to(self.sigmas.dtype))

    def t_at(self, sigma: Tensor | float) -> Tensor:
        """The timestep at which the training saw this sigma, a straight line in log sigma."""
        sigma = _checks.places("sigma", sigma)
        if not bool((sigma >= 0).all()):
            raise ValueError(f"sigma must be at least 0, got {sigma.tolist()!s:.60}.")
        logs = self.sigmas.clamp(min=1e-10).log()
        log = sigma.to(logs.dtype).clamp(min=1e-10).log()
        high = torch.searchsorted(logs, log).clamp(1, len(self) - 1)
        share = (log - logs[high - 1]) / (logs[high] - logs[high - 1])
        share = torch.where(log == logs[high], 1.0, share)  # where both are infinite, too
        return high - 1 + share.clamp(0, 1)

    def spaced(
        self,
        steps: int,
        spacing: Spacing = "leading",
        *,
        steps_offset: int = 0,
        sigmas: SigmaSpacing = "default",
        final: Final = "clean",
        drop_last: bool = False,
        rounded: bool = True,
    ) -> SamplingSchedule:
        """Choose the stations of a run.

        Args:
            steps: How many times the sampler steps.
            spacing: See `timestep_spacing`.
            steps_offset: See `timestep_spacing`.
            sigmas: ``default`` takes the sigmas of the chosen timesteps; ``karras`` and
                ``exponential`` space the sigmas instead, between the same ends.
            final: Where the run arrives: ``clean`` is alpha_bar = 1; ``first`` is the least
                noisy level of the training, as Stable Diffusion's DDIM and PNDM do.
            drop_last: See `timestep_spacing`.
            rounded: See `timestep_spacing`.
        """
        _checks.choice("sigmas", sigmas, SIGMA_SPACINGS)
        _checks.choice("final", final, FINALS)
        timesteps = timestep_spacing(
            steps,
            len(self),
            spacing,
            steps_offset=steps_offset,
            drop_last=drop_last,
            rounded=rounded,
        )
        if sigmas == "default":
            whole = bool((timesteps == timesteps.round()).all())
            if whole:  # no detour over sigma: exact, and right where sigma is infinite
                alpha_bars = self.alpha_bars[timesteps.long()]
            else:
                alpha_bars = 1 / (1 + self.sigma_at(timesteps) ** 2)
            return self._arriving(timesteps, alpha_bars, final)
        ends = self.sigma_at(timesteps[[-1, 0]]).tolist()
        spacer = karras_sigmas if sigmas == "karras" else exponential_sigmas
        return self.from_sigmas(spacer(steps, *ends), final=final)

    def from_sigmas(self, sigmas: Tensor, *, final: Final = "clean") -> SamplingSchedule:
        """A run through sigmas of one's own, shape [steps], falling; timesteps follow."""
        sigmas = _checks.vector("sigmas", sigmas)
        _checks.choice("final", final, FINALS)
        if not bool((sigmas > 0).all()) or bool((sigmas.diff() >= 0).any()):
            raise ValueError(
                "sigmas must fall from step to step and stay above 0 (the arrival is added), "
                f"got {sigmas.tolist()!s:.80}."
            )
        return self._arriving(self.t_at(sigmas), 1 / (1 + sigmas**2), final)

    def _arriving(self, timesteps: Tensor, alpha_bars: Tensor, final: Final) -> SamplingSchedule:
        last = alpha_bars.new_ones(1) if final == "clean" else self.alpha_bars[:1].to(alpha_bars)
        return SamplingSchedule(timesteps, torch.cat([alpha_bars, last]), self)
