"""Samples, noise levels and comparisons that several of these tests need."""

from __future__ import annotations

import math

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from sdlearn.equations import (
    mixtures,
    schedules,
    trajectories,
)

SHAPE = (3, 2, 4, 5)

levels = st.floats(1e-4, 0.9999)


@st.composite
def falling(draw: st.DrawFn) -> tuple[float, float]:
    """Two noise levels of a step: alpha_bar, and an alpha_bar_next that is above it."""
    now = draw(st.floats(1e-4, 0.999))
    return now, now + (1 - now) * draw(st.floats(0.001, 0.999))


few = settings(max_examples=40)


def normal(seed: int, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


XT, EPS, NOISE, OTHER = (normal(seed) for seed in range(4))


def close(a: Tensor, b: Tensor, tolerance: float = 1e-12) -> None:
    """Equal, but for the last digits of float64, seen from the largest number."""
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(b.abs().max()))


def sigma(alpha_bar: float) -> float:
    return math.sqrt((1 - alpha_bar) / alpha_bar)


def walk(sampler: str, plan: schedules.SamplingSchedule, **options: object) -> list[Tensor]:
    """The samples of a run over an exact mixture."""
    mixture = mixtures.three_groups()
    run = trajectories.trajectory(
        lambda xt, t, alpha_bar: mixture.eps(xt, alpha_bar),
        normal(5, (16, 2)),
        plan,
        sampler,
        generator=torch.Generator().manual_seed(3),
        **options,
    )
    return [step.x_next for step in run]
