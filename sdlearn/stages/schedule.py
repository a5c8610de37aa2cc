"""The stations of a run: when the network is asked, how noisy the sample is then, what follows.

diffusers' schedulers count calls of the network: Heun's list has every station but the first
twice. A `Schedule` counts steps, and knows which calls belong to each.
"""

from __future__ import annotations

import copy
import html
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from sdlearn.equations import schedules
from sdlearn.stages import samplers

PREDICTIONS = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
"""diffusers' names of what a network answers, and ours."""


@dataclass(frozen=True)
class Call:
    """One question to the network.

    Attributes:
        place: Its index in the scheduler's list of timesteps.
        alpha_bar: How much of the picture's variance the sample holds then.
    """

    place: int
    alpha_bar: float


@dataclass(frozen=True, eq=False)
class Schedule:
    """A sampler's way from noise to picture.

    Attributes:
        name: The sampler.
        scheduler: The diffusers scheduler that walks it. It remembers where it is: every run
            walks a fresh copy (`fresh`).
        steps: How many steps were asked for.
        begin: The scheduler's place where this run begins; above 0 in image-to-image.
        end: The place before which it ends; the list's length, unless another model goes on.
    """

    name: str
    scheduler: Any
    steps: int
    begin: int = 0
    end: int | None = None

    viewer: ClassVar[Callable[..., Any] | None] = None

    @classmethod
    def of(cls, sampler: Any, config: dict[str, Any], steps: int, **settings: Any) -> Schedule:
        """Build the sampler's schedule for a number of steps."""
        name, scheduler = samplers.build(sampler, config, **settings)
        longest = scheduler.config.num_train_timesteps
        if steps > longest:
            raise ValueError(
                f"steps must be at most {longest}, the number of noise levels that the model "
                f"was trained on, got {steps}."
            )
        own = scheduler.config.get("original_inference_steps")
        if own is not None and steps > own:
            raise ValueError(
                f"{name} walks {own} timesteps that it was distilled for, or fewer: steps must be "
                f"at most {own}, got {steps}. (original_inference_steps={steps} makes them more.)"
            )
        scheduler.set_timesteps(steps)
        told = scheduler.timesteps
        if bool((told < 0).any()) or (steps > 1 and bool((told == told[0]).all())):
            spacing = scheduler.config.get("timestep_spacing")
            raise ValueError(
                f"{steps} steps of {name} can't be spaced so ({spacing}): diffusers makes a "
                "station too many of them, or all alike. Ask for a few more or fewer, or for "
                "another timestep_spacing."
            )
        first = float(told.max())
        if first >= longest and getattr(scheduler, "sigmas", None) is None:  # an offset on top
            raise ValueError(
                f"{steps} steps of {name} would begin at timestep {first:g}, and the model knows "
                f"0 to {longest - 1}: its settings shift them all up (steps_offset). Ask for "
                f"{steps - 1} steps at most."
            )
        return cls(name, scheduler, steps)

    def fresh(self, device: torch.device) -> Any:
        """A scheduler of one's own that stands at the beginning."""
        scheduler = copy.deepcopy(self.scheduler)
        scheduler.set_timesteps(self.steps, device=device)  # forgets where it was
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(self.begin)
        return scheduler

    def from_strength(self, strength: float) -> Schedule:
        """The last part of the way: ``strength`` of the steps, as image-to-image walks it."""
        kept = min(int(self.steps * strength), self.steps)
        if kept < 1:
            raise ValueError(
                f"strength={strength:g} of {self.steps} steps leaves none. Ask for at least "
                f"{math.ceil(10_000 / self.steps) / 10_000:g}, or for more steps."
            )
        return Schedule(self.name, self.scheduler, self.steps, (self.steps - kept) * self.order)

    def between(self, start: float | None, end: float | None) -> Schedule:
        """The part for a base model (up to ``end``) or its refiner (from ``start`` on).

        Both are shares of the noise's way from 1000 down to 0, as in diffusers.
        """
        timesteps, longest = self.scheduler.timesteps, self.scheduler.config.num_train_timesteps
        first, last = self.begin, self.end
        if start is not None:
            left = int((timesteps < round(longest - start * longest)).sum())
            if self.order == 2 and left % 2 == 0:  # never between the two calls of a step
                left += 1
            first = len(timesteps) - left
        if end is not None:
            last = first + int((timesteps[first:] >= round(longest - end * longest)).sum())
        if first >= len(timesteps) or (last is not None and last <= first):
            raise ValueError(
                f"denoising_start={start} and denoising_end={end} leave none of the {self.steps} "
                "steps. Both are shares of the way, 0 < start < end < 1."
            )
        return Schedule(self.name, self.scheduler, self.steps, first, last)

    @property
    def order(self) -> int:
        """How often the sampler asks the network in a step."""
        return self.scheduler.order

    @cached_property
    def calls(self) -> tuple[tuple[Call, ...], ...]:
        """For each step, its calls of the network."""
        count = len(self.scheduler.timesteps)
        calls = tuple(Call(i, level) for i, level in enumerate(self._all_levels[:count]))
        calls = calls[self.begin : self.end]
        if self.name == "plms":  # takes its first step anew after a look ahead
            return (calls[:2], *((call,) for call in calls[2:]))
        return tuple(calls[i : i + self.order] for i in range(0, len(calls), self.order))

    @cached_property
    def timesteps(self) -> Tensor:
        """What the network is told at each step, shape [steps]."""
        return torch.stack([self.scheduler.timesteps[c[0].place].cpu() for c in self.calls])

    @cached_property
    def alpha_bars(self) -> Tensor:
        """What is left of the picture's variance at every station, and at the arrival."""
        levels = [group[0].alpha_bar for group in self.calls]
        return torch.tensor([*levels, float(self.arrivals[-1])], dtype=torch.float64)

    @cached_property
    def arrivals(self) -> Tensor:
        """What is left of the picture's variance after each step, shape [steps].

        The next station, but for a DDIM or PLMS whose stations are not evenly spaced (linspace,
        and trailing where the steps don't divide the 1000): diffusers' always go to
        ``t - 1000 // steps``, wherever the network is asked next. And a PLMS that begins in the
        middle (image-to-image) takes its first step twice, and arrives where its second call
        stands.
        """
        levels = [self._arrival(group[-1].place) for group in self.calls]
        return torch.tensor(levels, dtype=torch.float64)

    @property
    def sigmas(self) -> Tensor:
        """Noise per unit of picture at every station and at the arrival, shape [steps + 1]."""
        return schedules.sigma_from_alpha_bar(self.alpha_bars)

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio at every station and at the arrival, shape [steps + 1]."""
        return self.alpha_bars / (1 - self.alpha_bars)

    @property
    def prediction(self) -> str:
        """What the sampler takes the network's answer for: "eps", "v" or "x0"."""
        return PREDICTIONS[self.scheduler.config.prediction_type]

    @property
    def sigma_space(self) -> bool:
        """Whether the sampler holds its sample in sigma space."""
        return float(self.scheduler.init_noise_sigma) != 1.0

    def plot(self, **options: Any) -> Any:
        """The stations as a figure; `sdlearn.views.stations` draws it."""
        if Schedule.viewer is None:
            raise RuntimeError("Nothing here draws: sdlearn.views.stations(schedule) does.")
        return Schedule.viewer(self, **options)

    def __len__(self) -> int:
        """The number of steps that this run takes."""
        return len(self.calls)

    def __repr__(self) -> str:
        """Name, steps, from where to where."""
        sigmas = self.sigmas
        return (
            f"Schedule({self.name}, {len(self)} steps, "
            f"t {float(self.timesteps[0]):g} to {float(self.timesteps[-1]):g}, "
            f"sigma {float(sigmas[0]):.3g} to {float(sigmas[-1]):.3g})"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{i}</td><td>{float(t):g}</td><td>{float(bar):.4f}</td>"
            f"<td>{float(sigma):.3f}</td></tr>"
            for i, (t, bar, sigma) in enumerate(
                zip(self.timesteps, self.alpha_bars, self.sigmas, strict=False)
            )
        )
        return (
            f"<p><b>{html.escape(self.name)}</b>, {len(self)} steps</p><table><thead><tr>"
            "<th>step</th><th>t</th><th>alpha_bar</th><th>sigma</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )

    @cached_property
    def _all_levels(self) -> list[float]:
        """alpha_bar at every place of the scheduler's list, and where it arrives."""
        sigmas = getattr(self.scheduler, "sigmas", None)
        if sigmas is None:
            bars = self.scheduler.alphas_cumprod.double()
            return [*bars[self.scheduler.timesteps.cpu().long()].tolist(), self._first_level()]
        sigmas = sigmas.double().clone()
        between = getattr(self.scheduler, "sigmas_interpol", None)
        if between is not None:  # DPM2's second call of a step stands between two stations
            sigmas[1:-1:2] = between.double()[1:-1:2]
        return (1 / (1 + sigmas**2)).tolist()

    def _first_level(self) -> float:
        """Where a sampler without sigmas arrives: some stop at the first noise level."""
        if self.name == "lcm":
            return 1.0
        return float(getattr(self.scheduler, "final_alpha_cumprod", 1.0))

    def _arrival(self, place: int) -> float:
        """Where the scheduler's step from one of its places leads."""
        if self.name not in ("ddim", "plms"):
            return self._all_levels[place + 1]
        if self.name == "plms" and place == self.begin + 1:  # where its look ahead was
            return self._all_levels[place]
        width = self.scheduler.config.num_train_timesteps // self.steps
        t = int(self.scheduler.timesteps[place]) - width  # their schedulers' own rule
        return float(self.scheduler.alphas_cumprod[t]) if t >= 0 else self._first_level()
