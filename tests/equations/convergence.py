"""How fast a sampler's error falls with the number of network calls, where the score is exact.

    python -m tests.equations.convergence OUT.png

draws the figure. The network is a mixture's own score, so all the error is the sampler's. The
run goes from one noise level to another above 0: every step is the sampler's regular one, on a
smooth path, and the sampler's order is the slope of log error against log calls.
"""

from __future__ import annotations

import math
import sys
from functools import cache

import torch
from torch import Tensor

from sdlearn.equations import mixtures, schedules, trajectories
from sdlearn.equations.schedules import NoiseSchedule, SamplingSchedule

SIGMA_MAX, SIGMA_MIN = 10.0, 0.05
STEPS = (40, 80, 160, 320)

# What is drawn and tested: title -> sampler, its options, the order of its error.
#
# UniPC is a predictor and a corrector, and the corrector adds one to the order of the
# predictor (2302.04867, theorem 3.1). So the UniPC of second order is the one whose predictor
# has order 1; what tools call order 2, their default, falls with the third power. (That holds
# down to errors of 1e-6: the whole loop's last step looks back less, and in the limit of very
# many steps its small error, of second order, is all that remains.)
#
# LMS of order 4 starts with an Euler step, then orders 2 and 3: one step each, but they leave
# an error of second order, so that its slope is not a clean -4. Order 2 is clean.
SETTINGS: dict[str, tuple[str, dict[str, int], int]] = {
    "Euler": ("euler", {}, 1),
    "DDIM": ("ddim", {}, 1),
    "Heun": ("heun", {}, 2),
    "DPM2": ("dpm2", {}, 2),
    "PLMS": ("plms", {}, 2),
    "LMS, order 2": ("lms", {"order": 2}, 2),
    "DPM++ 2M": ("dpmpp_2m", {}, 2),
    "UniPC, order 1": ("unipc", {"order": 1}, 2),
    "UniPC, order 2": ("unipc", {"order": 2}, 3),
}


def stations(steps: int) -> SamplingSchedule:
    """Sigmas that shrink by the same factor at each step; the last one is the arrival."""
    sigmas = schedules.exponential_sigmas(steps + 1, SIGMA_MIN, SIGMA_MAX)
    alpha_bars = 1 / (1 + sigmas**2)
    return SamplingSchedule(torch.zeros(steps), alpha_bars, NoiseSchedule.scaled_linear())


def world() -> mixtures.Mixture:
    """Three groups, wide enough that their score is smooth at the last level as well."""
    return mixtures.three_groups()


@cache
def start(count: int = 64) -> Tensor:
    """Noisy points of the world at the first level, shape [count, 2], float64."""
    generator = torch.Generator().manual_seed(0)
    points, _ = world().sample(count, generator)
    noise = torch.randn(points.shape, generator=generator, dtype=torch.float64)
    return (points + SIGMA_MAX * noise) / (1 + SIGMA_MAX**2) ** 0.5


def run(sampler: str, steps: int, **options: int) -> tuple[Tensor, int]:
    """Where the run ends, and how often it asked the network."""
    mixture, calls = world(), 0
    for step in trajectories.trajectory(
        lambda xt, t, alpha_bar: mixture.eps(xt, alpha_bar),
        start(),
        stations(steps),
        sampler,
        **options,
    ):
        calls += step.calls
    return step.x_next, calls


@cache
def truth(steps: int = 2000) -> Tensor:
    """Where the exact paths end, by a method that none of ours shares code with.

    Runge and Kutta's, of fourth order, on ``d x_sigma / d log(sigma) = sigma * eps``.
    """
    mixture = world()

    def slope(x_sigma: Tensor, log_sigma: float) -> Tensor:
        sigma = math.exp(log_sigma)
        scale = (1 + sigma**2) ** 0.5
        return sigma * mixture.eps(x_sigma / scale, 1 / scale**2)

    x, at = start() * (1 + SIGMA_MAX**2) ** 0.5, math.log(SIGMA_MAX)
    h = (math.log(SIGMA_MIN) - at) / steps
    for _ in range(steps):
        k1 = slope(x, at)
        k2 = slope(x + h / 2 * k1, at + h / 2)
        k3 = slope(x + h / 2 * k2, at + h / 2)
        k4 = slope(x + h * k3, at + h)
        x, at = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), at + h
    return x / (1 + SIGMA_MIN**2) ** 0.5


def errors_by_calls(
    sampler: str, steps: tuple[int, ...] = STEPS, **options: int
) -> tuple[list[int], list[float]]:
    """Network calls, and the root mean square error of the points where the run ends."""
    calls, errors = [], []
    for count in steps:
        end, asked = run(sampler, count, **options)
        calls.append(asked)
        errors.append(float((end - truth()).square().mean().sqrt()))
    return calls, errors


def slope(calls: list[int], errors: list[float]) -> float:
    """The slope of the best straight line through log error against log calls."""
    x = torch.tensor(calls, dtype=torch.float64).log()
    y = torch.tensor(errors, dtype=torch.float64).log()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / x.square().sum())


def figure():
    """Error against network calls for every setting, a measured slope in each label."""
    import matplotlib.pyplot as plt

    from sdlearn.views import style

    style.use()
    drawing, axes = plt.subplots(figsize=(style.WIDTH, 5.5), layout="constrained")
    for index, (title, (sampler, options, _)) in enumerate(SETTINGS.items()):
        calls, errors = errors_by_calls(sampler, **options)
        axes.loglog(
            calls,
            errors,
            marker="osD^vX"[index % 6],
            linewidth=7 if title == "Euler" else None,  # DDIM's line lies on it
            color=style.CYCLE[index % len(style.CYCLE)],
            linestyle=style.DASHES[index // len(style.CYCLE)],
            label=f"{title}: slope {slope(calls, errors):.2f}",
        )
    axes.set_xlabel("network calls")
    axes.set_ylabel("error of the end point (root mean square)")
    axes.set_title("How fast the error falls, with an exact score")
    axes.set_xticks([*STEPS, 2 * STEPS[-1]], map(str, [*STEPS, 2 * STEPS[-1]]))
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), handlelength=4)
    return drawing


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.equations.convergence OUT.png")
    figure().savefig(sys.argv[1])
