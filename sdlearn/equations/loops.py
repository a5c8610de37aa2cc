"""The samplers' loops: each as its paper tells it, in about ten lines.

Where it asks the network, what it remembers, when it draws noise. The steps themselves are in
`sdlearn.equations.samplers`; `sdlearn.equations.trajectories` is the door.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sdlearn.equations import noising, predictions, samplers, schedules
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

    def __repr__(self) -> str:
        """Which step it is, and between which noise levels."""
        return (
            f"Step({self.index}: t {self.t:g}, alpha_bar {self.alpha_bar:.4g} to "
            f"{self.alpha_bar_next:.4g}, xt {list(self.xt.shape)})"
        )

    @property
    def sigma(self) -> float:
        """Noise per unit of picture at the beginning of the step."""
        return schedules.sigma_from_alpha_bar(self.alpha_bar)

    @property
    def sigma_next(self) -> float:
        """Noise per unit of picture at its end."""
        return schedules.sigma_from_alpha_bar(self.alpha_bar_next)


@dataclass
class Run:
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

    def timesteps_between(self) -> list[float]:
        """The timesteps half-way, in log sigma, from each station to the next."""
        sigmas = self.schedule.sigmas
        return self.schedule.noise_schedule.t_at((sigmas[:-1] * sigmas[1:]).sqrt()).tolist()


def ddpm(run: Run, xt: Tensor, variance: str = "small") -> Iterator[Step]:
    """Ask, take the posterior's mean, add fresh noise; the last step adds none."""
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        last = i == len(run.schedule) - 1
        noise = None if last else run.draw(xt)
        x_next = samplers.ddpm_step(xt, eps, now, nxt, noise, variance=variance, x0_hat=x0)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def ddim(run: Run, xt: Tensor, eta: float = 0.0) -> Iterator[Step]:
    """Ask, keep a part of the noise that was found; eta above 0 adds fresh noise."""
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        noise = run.draw(xt) if eta > 0 else None
        x_next = samplers.ddim_step(xt, eps, now, nxt, eta, noise, x0_hat=x0)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def euler(run: Run, xt: Tensor) -> Iterator[Step]:
    """Ask for the slope, and follow it in a straight line."""
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        x_sigma = samplers.euler_step(_up(xt, now), eps, _sigma(now), _sigma(nxt))
        x_next = noising.from_sigma_space(x_sigma, _sigma(nxt))
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def euler_ancestral(run: Run, xt: Tensor, eta: float = 1.0) -> Iterator[Step]:
    """Step below the next level, and climb up to it with fresh noise."""
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        x_sigma = samplers.euler_ancestral_step(
            _up(xt, now), eps, _sigma(now), _sigma(nxt), run.draw(xt), eta
        )
        x_next = noising.from_sigma_space(x_sigma, _sigma(nxt))
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def heun(run: Run, xt: Tensor) -> Iterator[Step]:
    """Try the step, ask again where it ends, and take the mean of both slopes."""
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


def dpm2(run: Run, xt: Tensor) -> Iterator[Step]:
    """Go half the way (in log sigma), ask there, and take that slope for the whole way."""
    between = run.timesteps_between()
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        start, sigma, sigma_next = _up(xt, now), _sigma(now), _sigma(nxt)
        x_sigma, calls = samplers.euler_step(start, eps, sigma, sigma_next), 1
        if sigma_next > 0:
            middle, sigma_mid = samplers.dpm2_midpoint(start, eps, sigma, sigma_next)
            there = noising.from_sigma_space(middle, sigma_mid)
            _, eps_mid = run.ask(there, between[i], 1 / (1 + sigma_mid**2))
            x_sigma, calls = samplers.dpm2_step(start, eps_mid, sigma, sigma_next), 2
        x_next = noising.from_sigma_space(x_sigma, sigma_next)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, calls)
        xt = x_next


def lms(run: Run, xt: Tensor, order: int = samplers.LMS_ORDER) -> Iterator[Step]:
    """Integrate a polynomial through the last slopes."""
    history: tuple = ()
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        x_sigma, history = samplers.lms_step(
            _up(xt, now), eps, _sigma(now), _sigma(nxt), history, order=order
        )
        x_next = noising.from_sigma_space(x_sigma, _sigma(nxt))
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def plms(run: Run, xt: Tensor) -> Iterator[Step]:
    """Blend the last four answers, and carry the sample on as DDIM does."""
    history: tuple = ()
    for i, t, now, nxt in run:
        answer = run.predict(xt, t, now)
        blend, history = samplers.plms_blend(answer, history)  # raw, as the network said it
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


def dpmpp_2m(run: Run, xt: Tensor) -> Iterator[Step]:
    """Extend the last two estimates of the picture to the middle of the step."""
    history: tuple = ()
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        x_next, history = samplers.dpmpp_2m_step(xt, x0, now, nxt, history)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def dpmpp_2m_sde(run: Run, xt: Tensor) -> Iterator[Step]:
    """The same, with fresh noise at each step."""
    history: tuple = ()
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        x_next, history = samplers.dpmpp_2m_sde_step(xt, x0, now, nxt, run.draw(xt), history)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def unipc(run: Run, xt: Tensor, order: int = 2) -> Iterator[Step]:
    """Correct the sample with what was learned at it, then predict the next one."""
    history = None
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        reach = min(order, len(run.schedule) - i)  # near the end look back less, for stability
        x_next, history = samplers.unipc_step(xt, x0, now, nxt, history, order=reach)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def lcm(run: Run, xt: Tensor, timestep_scaling: float = 10.0) -> Iterator[Step]:
    """Jump to the picture, and throw it back to the next noise level."""
    for i, t, now, nxt in run:
        x0, eps = run.ask(xt, t, now)
        noise = run.draw(xt) if i < len(run.schedule) - 1 else None
        x_next = samplers.lcm_step(xt, x0, t, nxt, noise, timestep_scaling=timestep_scaling)
        yield Step(i, t, now, nxt, xt, eps, x0, x_next, 1)
        xt = x_next


def _sigma(alpha_bar: float) -> float:
    return schedules.sigma_from_alpha_bar(alpha_bar)


def _up(xt: Tensor, alpha_bar: float) -> Tensor:
    return noising.to_sigma_space(xt, alpha_bar)
