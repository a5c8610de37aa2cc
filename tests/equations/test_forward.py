"""The forward process and its schedules: step by step is the closed form."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sdlearn.equations import (
    noising,
    schedules,
)
from sdlearn.equations.schedules import NoiseSchedule
from tests.equations.samples import (
    EPS,
    NOISE,
    OTHER,
    XT,
    close,
    falling,
    few,
    levels,
    sigma,
)


def test_noise_step_by_step_is_the_closed_form() -> None:
    """The chain is linear: what it makes of x0, and of each noise, gives mean and variance."""
    schedule = NoiseSchedule.scaled_linear(200)
    levels = [1.0, *schedule.alpha_bars.tolist()]
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    mean, variance = one, zero
    for t in range(1, 201):
        pair = levels[t - 1], levels[t]
        mean = noising.add_noise_between(mean, zero, *pair)
        kept = noising.add_noise_between(one, zero, *pair) ** 2
        variance = variance * kept + noising.add_noise_between(zero, one, *pair) ** 2
        close(mean, noising.add_noise(one, zero, levels[t]))
        close(variance, noising.add_noise(zero, one, levels[t]) ** 2)


def test_noised_samples_have_the_closed_form_s_distribution() -> None:
    """20,000 walks, step by step; bounds of five standard errors."""
    count, generator = 20_000, torch.Generator().manual_seed(0)
    levels = [1.0, *NoiseSchedule.linear(50, 1e-3, 0.1).alpha_bars.tolist()]
    x = torch.full((count,), 2.0, dtype=torch.float64)
    for before, after in itertools.pairwise(levels):
        noise = torch.randn(count, generator=generator, dtype=torch.float64)
        x = noising.add_noise_between(x, noise, before, after)
    variance = 1 - levels[-1]
    mean_bound = 5 * math.sqrt(variance / count)
    assert float(x.mean()) == pytest.approx(2 * math.sqrt(levels[-1]), abs=mean_bound)
    assert float(x.var()) == pytest.approx(variance, rel=5 * math.sqrt(2 / count))
    assert abs(2 * levels[-1] - 2 * math.sqrt(levels[-1])) > 3 * mean_bound  # a wrong sqrt shows
    # the whole shape, by the largest gap between the distributions (Kolmogorov and Smirnov)
    z = ((x - 2 * math.sqrt(levels[-1])) / math.sqrt(variance)).sort().values
    gap = (torch.special.ndtr(z) - (torch.arange(count) + 0.5) / count).abs().max()
    assert float(gap) < 2.0 / math.sqrt(count)


@few
@given(st.lists(levels, min_size=3, max_size=3, unique=True))
def test_two_jumps_are_one(three: list[float]) -> None:
    high, middle, low = sorted(three, reverse=True)
    zero = torch.zeros_like(XT)
    twice = noising.add_noise_between(
        noising.add_noise_between(XT, zero, high, middle), zero, middle, low
    )
    close(twice, noising.add_noise_between(XT, zero, high, low))
    first = noising.add_noise_between(
        noising.add_noise_between(zero, EPS, high, middle), zero, middle, low
    )
    second = noising.add_noise_between(zero, EPS, middle, low)
    both = noising.add_noise_between(zero, EPS, high, low)
    torch.testing.assert_close(first**2 + second**2, both**2, rtol=1e-9, atol=1e-9)


@few
@given(levels)
def test_from_a_clean_sample_both_jumps_are_the_same(alpha_bar: float) -> None:
    jump = noising.add_noise(XT, EPS, alpha_bar)
    close(noising.add_noise_between(XT, EPS, 1.0, alpha_bar), jump)


@few
@given(falling())
def test_posterior_is_bayes_rule(pair: tuple[float, float]) -> None:
    """q(x_next | xt, x0) q(xt | x0) = q(xt | x_next) q(x_next | x0), as logs of densities."""
    now, nxt = pair

    def log_normal(x: Tensor, mean: Tensor, variance: float) -> Tensor:
        return -((x - mean) ** 2) / (2 * variance) - math.log(2 * math.pi * variance) / 2

    x_next, x0, xt = NOISE, OTHER, XT
    mean, variance = noising.posterior(x0, xt, now, nxt)
    left = log_normal(x_next, mean, variance) + log_normal(xt, math.sqrt(now) * x0, 1 - now)
    right = log_normal(xt, math.sqrt(now / nxt) * x_next, 1 - now / nxt)
    right = right + log_normal(x_next, math.sqrt(nxt) * x0, 1 - nxt)
    torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-8)


@few
@given(levels)
def test_sigma_space_and_back(alpha_bar: float) -> None:
    there = noising.to_sigma_space(XT, alpha_bar)
    close(noising.from_sigma_space(there, sigma(alpha_bar)), XT)
    noisy = noising.to_sigma_space(noising.add_noise(OTHER, EPS, alpha_bar), alpha_bar)
    close(noisy, OTHER + sigma(alpha_bar) * EPS)


# --- schedules -------------------------------------------------------------------------------


@few
@given(levels)
def test_measures_of_noise_are_one(alpha_bar: float) -> None:
    s = schedules.sigma_from_alpha_bar(alpha_bar)
    assert schedules.alpha_bar_from_sigma(s) == pytest.approx(alpha_bar, rel=1e-12)
    assert schedules.snr(alpha_bar) == pytest.approx(1 / s**2, rel=1e-9)
    assert schedules.log_snr(alpha_bar) == pytest.approx(-2 * math.log(s), rel=1e-6, abs=1e-9)


def test_measures_of_noise_at_their_ends() -> None:
    assert schedules.sigma_from_alpha_bar(0.0) == math.inf
    assert schedules.sigma_from_alpha_bar(1.0) == 0 == schedules.snr(0.0)
    assert schedules.snr(1.0) == math.inf == schedules.log_snr(1.0) == -schedules.log_snr(0.0)


@pytest.mark.parametrize("make", ["linear", "scaled_linear", "cosine", "sigmoid"])
def test_a_noise_schedule_holds_together(make: str) -> None:
    schedule = getattr(NoiseSchedule, make)()
    assert len(schedule) == 1000 and schedule.betas.dtype == torch.float64
    close(schedules.betas_from_alpha_bars(schedule.alpha_bars), schedule.betas, 1e-10)
    close(1 / (1 + schedule.sigmas**2), schedule.alpha_bars)
    close(schedule.snr.log(), schedule.log_snr)
    assert bool((schedule.alpha_bars.diff() < 0).all()) and bool((schedule.sigmas.diff() > 0).all())
    t = torch.tensor([0.0, 0.25, 500.5, 999.0], dtype=torch.float64)
    at = schedule.sigma_at(t)
    assert at[0] == schedule.sigmas[0] and at[-1] == schedule.sigmas[-1]
    assert float(at[2]) == pytest.approx(float(schedule.sigmas[500:502].mean()))
    whole = torch.arange(1000, dtype=torch.float64)
    close(schedule.t_at(schedule.sigma_at(whole)), whole, 1e-9)


def test_zero_terminal_snr_begins_where_it_began() -> None:
    before = NoiseSchedule.scaled_linear()
    after = before.with_zero_terminal_snr()
    assert after.alpha_bars[-1] == 0 and "zero" in after.name
    assert float(after.alpha_bars[0]) == pytest.approx(float(before.alpha_bars[0]), rel=1e-12)
    assert bool((after.alpha_bars[1:] < before.alpha_bars[1:]).all())


@pytest.mark.parametrize("steps", [2, 10, 50])
@pytest.mark.parametrize("spacer", [schedules.karras_sigmas, schedules.exponential_sigmas])
def test_sigmas_begin_and_end_where_asked(spacer, steps: int) -> None:
    sigmas = spacer(steps, 0.03, 14.6)
    assert sigmas.shape == (steps,) and bool((sigmas.diff() < 0).all())
    assert sigmas[[0, -1]].tolist() == pytest.approx([14.6, 0.03], rel=1e-12)
    if spacer is schedules.exponential_sigmas:
        close(
            sigmas[1:] / sigmas[:-1],
            torch.full((steps - 1,), 0.03 / 14.6).double() ** (1 / (steps - 1)),
            1e-7,
        )
    else:  # Karras: evenly spaced once the rho-th root is taken
        gaps = (sigmas ** (1 / 7)).diff()
        close(gaps, gaps.mean().expand(steps - 1), 1e-10)


@few
@given(st.integers(1, 60), st.floats(0.2, 8))
def test_flow_times_fall_from_noise_to_picture(steps: int, shift: float) -> None:
    times = schedules.flow_times(steps, shift)
    assert times.shape == (steps + 1,) and times[0] == 1 and times[-1] == 0
    assert bool((times.diff() < 0).all())
    # the shift moves the signal-to-noise ratio by its square, everywhere (SD 3, eq. 23)
    plain = schedules.flow_times(steps, 1.0)[:-1]
    ratio = (times[:-1] / (1 - times[:-1])) / (plain / (1 - plain))
    assert torch.allclose(ratio[1:], torch.full_like(ratio[1:], shift), rtol=1e-9)
