"""Where a sampler stops on its way from noise to picture."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from sdlearn.equations import _checks

SPACINGS = ("leading", "linspace", "trailing")

Spacing = Literal["leading", "linspace", "trailing"]


def timestep_spacing(
    steps: int,
    train_steps: int = 1000,
    spacing: Spacing = "leading",
    *,
    steps_offset: int = 0,
    drop_last: bool = False,
    rounded: bool = True,
) -> Tensor:
    """The timesteps of a run, from noisy to clean (arXiv:2305.08891, table 2).

    Args:
        steps: How many timesteps.
        train_steps: T, the number of timesteps of the training.
        spacing: ``leading`` counts in whole strides from 0 (and so never begins at T - 1),
            ``trailing`` counts back from T - 1, ``linspace`` spans 0 to T - 1.
        steps_offset: Added to every ``leading`` timestep; Stable Diffusion uses 1.
        drop_last: Space one more timestep and leave out the cleanest, as DPM-Solver and
            UniPC do: their last step jumps to the picture. No effect on ``trailing``.
        rounded: Whether ``linspace`` gives whole timesteps; Euler and Heun use the fractions.

    Returns:
        Timesteps in falling order, shape [steps], float64.
    """
    _checks.whole("train_steps", train_steps)
    _checks.choice("spacing", spacing, SPACINGS)
    dropped = int(bool(drop_last) and spacing != "trailing")
    _checks.whole("steps", steps, high=train_steps - dropped)
    _checks.whole("steps_offset", steps_offset, low=0, high=train_steps - 1)
    count = steps + dropped
    if spacing == "linspace":
        stride = (train_steps - 1) / max(count - 1, 1)
        timesteps = torch.arange(count, dtype=torch.float64) * stride  # halves fall as in numpy
        timesteps = timesteps.round() if rounded else timesteps.clamp(max=train_steps - 1)
    elif spacing == "leading":
        stride = train_steps // count
        timesteps = torch.arange(count, dtype=torch.float64) * stride + steps_offset
    else:
        stride = train_steps - (train_steps - train_steps / steps)  # to the bit as numpy.arange's
        timesteps = (train_steps - stride * torch.arange(steps, dtype=torch.float64)).round() - 1
        timesteps = timesteps.flip(0)
    if timesteps[-1] > train_steps - 1:
        raise ValueError(
            f"steps_offset={steps_offset} pushes the first timestep to {timesteps[-1]:g}, beyond "
            f"the training's last, {train_steps - 1}. Use a smaller steps_offset or fewer steps."
        )
    return timesteps.flip(0)[:steps]


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Sigmas that crowd near the clean end (EDM, arXiv:2206.00364, eq. 5), shape [steps]."""
    _check_sigma_span(steps, sigma_min, sigma_max)
    _checks.number("rho", rho, low=0.0, open_low=True)
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    start, end = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return (start + ramp * (end - start)) ** rho  # eq. 5


def exponential_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Sigmas that shrink by the same factor at every step, shape [steps]."""
    _check_sigma_span(steps, sigma_min, sigma_max)
    ends = math.log(sigma_max), math.log(sigma_min)
    return torch.linspace(*ends, steps, dtype=torch.float64).exp()


def flow_times(steps: int, shift: float = 1.0, *, first: float = 1.0, last: float = 1e-3) -> Tensor:
    """Times of a rectified flow, from noise (1) to picture (0), shape [steps + 1].

    Stable Diffusion 3 (arXiv:2403.03206, eq. 23): ``shift`` above 1 spends more of the steps
    where the picture is still noise, as large pictures need.
    """
    _checks.whole("steps", steps)
    _checks.number("shift", shift, low=0.0, open_low=True)
    _checks.number("first", first, low=0.0, high=1.0, open_low=True)
    _checks.number("last", last, low=0.0, high=first, open_low=True)
    times = torch.linspace(first, last, steps, dtype=torch.float64)
    times = shift * times / (1 - times + shift * times)  # SD 3, eq. 23; exactly 1 at 1
    return torch.cat([times, times.new_zeros(1)])


def _check_sigma_span(steps: int, sigma_min: float, sigma_max: float) -> None:
    _checks.whole("steps", steps)
    _checks.number("sigma_min", sigma_min, low=0.0, open_low=True)
    _checks.number("sigma_max", sigma_max, low=0.0, open_low=True)
    if sigma_max < sigma_min:
        raise ValueError(
            f"sigma_max must not be below sigma_min, got {sigma_max:g} and {sigma_min:g}."
        )
