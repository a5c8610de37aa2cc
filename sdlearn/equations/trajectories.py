"""Whole trajectories: a sampler's steps in a row, from noise to a sample, one record each.

Each loop below is a sampler as its paper tells it, in about ten lines: where it asks the
network, what it remembers, when it draws noise. The network is any function
``predict(xt, t, alpha_bar)``; it is always shown ``xt``, scaled as DDPM scales it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sdlearn.equations import _checks, noising, predictions, samplers
from sdlearn.equations.schedules import SamplingSchedule

Predict = Callable[[Tensor, float, float], Tensor]
"""``predict(xt, t, alpha_bar)``: a network looks at t, an exact mixture at alpha_bar."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a trajectory, as it happened.

    Attributes:
        index: 0 for the noisiest.
        t: The training timestep that the network was told.
        alpha_bar: Noise level of xt.
        alpha_bar_next: Noise level of x_next.
        xt: The noisy sample at the beginning of the step.
        eps: The noise found in it.
        x0: The picture's estimate.
        x_next: The sample at the end.
        calls: How often the network was asked.
    """

    index: int
    t: float
    alpha_bar: float
    alpha_bar_next: float
    xt: Tensor
    eps: Tensor
    x0: Tensor
    x_next: Tensor
    calls: int

    @property
    def sigma(self) -> float:
        """Noise per unit of picture at the beginning of the step."""
        return ((1 - self.alpha_bar) / self.alpha_bar) ** 0.5

    @property
    def sigma_next(self) -> float:
        """Noise per unit of picture at its end."""
        return ((1 - self.alpha_bar_next) / self.alpha_bar_next) ** 0.5


@dataclass
class _Run:
    """What every loop needs: the network, the stations, and a source of noise."""

    predict: Predict
    schedule: SamplingSchedule
    kind: str
    clip: float | None
    generator: torch.Generator | None

    def __iter__(self) -> Iterator[tuple[int, float, float, float]]:
        """Index, timestep, and the two noise levels of each step."""
        levels = self.schedule.alpha_bars.tolist()
        yield from zip(
            range(len(self.schedule)),
            self.schedule.timesteps.tolist(),
            levels[:-1],
            levels[1:],
            strict=True,
        )

    def ask(self, xt: Tensor, t: float, alpha_bar: float) -> tuple[Tensor, Tensor]:
        """The network's answer as picture and noise."""
        return self.halves(xt, self.predict(xt, t, alpha_bar), alpha_bar)

    def halves(self, xt: Tensor, answer: Tensor, alpha_bar: float) -> tuple[Tensor, Tensor]:
        """Picture and noise of xt, from an answer."""
        x0, eps = predictions.x0_and_eps(xt, answer, alpha_bar, self.kind)
        return (x0, eps) if self.clip is None else (predictions.clip(x0, self.clip), eps)

    def draw(self, xt: Tensor) -> Tensor:
        """Fresh noise of the shape of xt."""
        return torch.randn(xt.shape, generator=self.generator, dtype=xt.dtype).to(xt.device)

    def t_at(self, sigma: float) -> float:
        """The timestep of a noise level between two stations."""
        return float(self.schedule.noise_schedule.t_at(torch.tensor(sigma, dtype=torch.float64)))


def _ddpm(run: _Run, xt: Tensor, variance: str = "small") -> Iterator[Step]:
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        last = i == len(run.schedule) - 1
        noise = None if last else run.draw(xt)
        x_next = samplers.ddpm_step(xt, eps, now, nxt, noise, variance=variance, x0_hat=x0)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def _ddim(run: _Run, xt: Tensor, eta: float = 0.0) -> Iterator[Step]:
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        noise = run.draw(xt) if eta > 0 else None
        x_next = samplers.ddim_step(xt, eps, now, nxt, eta, noise, x0_hat=x0)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def _euler(run: _Run, xt: Tensor) -> Iterator[Step]:
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        x_sigma = samplers.euler_step(_up(xt, now), eps, _sigma(now), _sigma(nxt))
        x_next = noising.from_sigma_space(x_sigma, _sigma(nxt))
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def _euler_ancestral(run: _Run, xt: Tensor, eta: float = 1.0) -> Iterator[Step]:
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        x_sigma = samplers.euler_ancestral_step(
            _up(xt, now), eps, _sigma(now), _sigma(nxt), run.draw(xt), eta
        )
        x_next = noising.from_sigma_space(x_sigma, _sigma(nxt))
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def _heun(run: _Run, xt: Tensor) -> Iterator[Step]:
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        start, sigma, sigma_next = _up(xt, now), _sigma(now), _sigma(nxt)
        x_sigma, calls = samplers.euler_step(start, eps, sigma, sigma_next), 1
        if sigma_next > 0:  # at 0 there is no noise to ask about: the step stays Euler's
            there = noising.from_sigma_space(x_sigma, sigma_next)
            t_there = run.schedule.timesteps[i + 1].item() if i + 1 < len(run.schedule) else 0.0
            _, eps_there = run.ask(there, t_there, nxt)
            x_sigma, calls = samplers.heun_step(start, eps, eps_there, sigma, sigma_next), 2
        x_next = noising.from_sigma_space(x_sigma, sigma_next)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, calls)
        xt = x_next


def _dpm2(run: _Run, xt: Tensor) -> Iterator[Step]:
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        start, sigma, sigma_next = _up(xt, now), _sigma(now), _sigma(nxt)
        x_sigma, calls = samplers.euler_step(start, eps, sigma, sigma_next), 1
        if sigma_next > 0:
            middle, sigma_mid = samplers.dpm2_midpoint(start, eps, sigma, sigma_next)
            there = noising.from_sigma_space(middle, sigma_mid)
            _, eps_mid = run.ask(there, run.t_at(sigma_mid), 1 / (1 + sigma_mid**2))
            x_sigma, calls = samplers.dpm2_step(start, eps_mid, sigma, sigma_next), 2
        x_next = noising.from_sigma_space(x_sigma, sigma_next)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, calls)
        xt = x_next


def _lms(run: _Run, xt: Tensor, order: int = samplers.LMS_ORDER) -> Iterator[Step]:
    history: tuple = ()
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        x_sigma, history = samplers.lms_step(
            _up(xt, now), eps, _sigma(now), _sigma(nxt), history, order=order
        )
        x_next = noising.from_sigma_space(x_sigma, _sigma(nxt))
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def _plms(run: _Run, xt: Tensor) -> Iterator[Step]:
    history: tuple = ()
    for i, t, now, nxt in run:
        answer = run.predict(xt, t, now)
        blend, history = samplers.plms_blend(answer, history)  # as the network said it: eps or v
        calls = 1
        if i == 0 and len(run.schedule) > 1:  # nothing to blend yet: look ahead, take the mean
            _, eps = run.halves(xt, blend, now)
            ahead = samplers.transfer(xt, eps, now, nxt)
            answer_there = run.predict(ahead, run.schedule.timesteps[1].item(), nxt)
            blend, calls = (answer + answer_there) / 2, 2
        x0, eps = run.halves(xt, blend, now)
        x_next = samplers.transfer(xt, eps, now, nxt)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, calls)
        xt = x_next


def _dpmpp_2m(run: _Run, xt: Tensor) -> Iterator[Step]:
    history: tuple = ()
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        x_next, history = samplers.dpmpp_2m_step(xt, x0, now, nxt, history)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def _dpmpp_2m_sde(run: _Run, xt: Tensor) -> Iterator[Step]:
    history: tuple = ()
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        x_next, history = samplers.dpmpp_2m_sde_step(xt, x0, now, nxt, run.draw(xt), history)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def _unipc(run: _Run, xt: Tensor, order: int = 2) -> Iterator[Step]:
    history = None
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        reach = min(order, len(run.schedule) - i)  # near the end look back less, for stability
        x_next, history = samplers.unipc_step(xt, x0, now, nxt, history, order=reach)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def _lcm(run: _Run, xt: Tensor, timestep_scaling: float = 10.0) -> Iterator[Step]:
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        noise = run.draw(xt) if i < len(run.schedule) - 1 else None
        x_next = samplers.lcm_step(xt, x0, t, nxt, noise, timestep_scaling=timestep_scaling)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


@dataclass(frozen=True)
class Sampler:
    """A line of the table of samplers.

    Attributes:
        loop: Its loop, above.
        order: How the error falls once steps are short: with their number to this power; None
            if it draws noise, where no single path is being followed. (LMS falls a little more
            slowly: its first steps have no history to look back on.)
        draws: Whether it draws fresh noise on the way.
        options: What `trajectory` may be given for it.
        tool_names: What common tools call it.
        paper: Where it comes from.
    """

    loop: Callable[..., Iterator[Step]]
    order: int | None
    draws: bool
    options: tuple[str, ...]
    tool_names: tuple[str, ...]
    paper: str


SAMPLERS = {
    "ddpm": Sampler(_ddpm, None, True, ("variance",), ("DDPM",), "2006.11239"),
    "ddim": Sampler(_ddim, 1, False, ("eta",), ("DDIM",), "2010.02502"),
    "euler": Sampler(_euler, 1, False, (), ("Euler",), "2206.00364"),
    "euler_ancestral": Sampler(_euler_ancestral, None, True, ("eta",), ("Euler a",), "2011.13456"),
    "heun": Sampler(_heun, 2, False, (), ("Heun",), "2206.00364"),
    "dpm2": Sampler(_dpm2, 2, False, (), ("DPM2",), "2206.00927"),
    "lms": Sampler(_lms, 4, False, ("order",), ("LMS",), "2206.00364"),
    "plms": Sampler(_plms, 2, False, (), ("PLMS", "PNDM"), "2202.09778"),
    "dpmpp_2m": Sampler(_dpmpp_2m, 2, False, (), ("DPM++ 2M",), "2211.01095"),
    "dpmpp_2m_sde": Sampler(_dpmpp_2m_sde, None, True, (), ("DPM++ 2M SDE",), "2211.01095"),
    "unipc": Sampler(_unipc, 3, False, ("order",), ("UniPC",), "2302.04867"),
    "lcm": Sampler(_lcm, None, True, ("timestep_scaling",), ("LCM",), "2310.04378"),
}


def trajectory(
    predict: Predict,
    xt: Tensor,
    schedule: SamplingSchedule,
    sampler: str = "ddim",
    *,
    kind: str = "eps",
    clip: float | None = None,
    generator: torch.Generator | None = None,
    **options: float | int | str,
) -> Iterator[Step]:
    """Walk from noise to a sample, yielding every step; stop whenever you like.

    Args:
        predict: ``predict(xt, t, alpha_bar)``, the network or a mixture's exact answer.
        xt: The noise to begin with, any shape.
        schedule: The stations, for example ``NoiseSchedule.scaled_linear().spaced(25)``.
        sampler: A name of `SAMPLERS`.
        kind: What `predict` answers: ``eps``, ``x0``, ``v``, ``score`` or ``flow``.
        clip: Cut the picture's estimate off at this value; None leaves it.
        generator: Where fresh noise comes from, for samplers that draw it.
        **options: The sampler's own settings, such as ``eta`` for DDIM.
    """
    row = SAMPLERS[_checks.choice("sampler", sampler, SAMPLERS)]
    if not callable(predict):
        raise TypeError(
            f"predict must be a function of (xt, t, alpha_bar), got {type(predict).__name__}."
        )
    _checks.sample("xt", xt)
    if clip is not None:
        _checks.number("clip", clip, low=0.0, open_low=True)
    _checks.choice("kind", kind, predictions.PREDICTIONS)
    if not isinstance(schedule, SamplingSchedule):
        raise TypeError(
            f"schedule must be a SamplingSchedule, got {type(schedule).__name__}. Make one with "
            "NoiseSchedule.scaled_linear().spaced(steps)."
        )
    for option in options:
        if option not in row.options:
            allowed = f"only {', '.join(row.options)}" if row.options else "no options"
            raise TypeError(f"{option} is no option of {sampler!r}, which takes {allowed}.")
    eta = _checks.number("eta", options.get("eta", 0.0), low=0.0)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {type(generator).__name__}.")
    if (row.draws or eta > 0) and generator is None:
        raise ValueError(
            f"generator is missing: {sampler!r} draws fresh noise at every step. Pass "
            "generator=torch.Generator().manual_seed(0), so that the run can be repeated."
        )
    return row.loop(_Run(predict, schedule, kind, clip, generator), xt, **options)


def _sigma(alpha_bar: float) -> float:
    return ((1 - alpha_bar) / alpha_bar) ** 0.5


def _up(xt: Tensor, alpha_bar: float) -> Tensor:
    return noising.to_sigma_space(xt, alpha_bar)
