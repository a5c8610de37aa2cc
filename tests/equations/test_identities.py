"""Samplers that are each other, and what every sampler must get right."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sdlearn.equations import (
    noising,
    predictions,
    samplers,
)
from sdlearn.equations.schedules import NoiseSchedule, betas_from_alpha_bars
from tests.equations.samples import (
    EPS,
    NOISE,
    OTHER,
    XT,
    close,
    falling,
    few,
    normal,
    sigma,
    walk,
)


@few
@given(falling())
def test_ddim_with_eta_1_is_ddpm(pair: tuple[float, float]) -> None:
    ddim = samplers.ddim_step(XT, EPS, *pair, 1.0, NOISE)
    close(ddim, samplers.ddpm_step(XT, EPS, *pair, NOISE), 1e-11)


def test_ddim_with_eta_1_is_ddpm_on_every_adjacent_step_of_stable_diffusion() -> None:
    alpha_bars = [1.0, *NoiseSchedule.scaled_linear().alpha_bars.tolist()]
    for t in range(1, 1001, 37):
        pair = alpha_bars[t], alpha_bars[t - 1]
        ddim = samplers.ddim_step(XT, EPS, *pair, 1.0, NOISE)
        close(ddim, samplers.ddpm_step(XT, EPS, *pair, NOISE))


@pytest.mark.parametrize("steps", [1, 2, 10, 100])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ddim", {"eta": 1.0}), ("ddpm", {})),
        (("ddim", {}), ("euler", {})),
        (("ddpm", {}), ("euler_ancestral", {})),
        (("euler", {}), ("lms", {"order": 1})),
        (("euler_ancestral", {"eta": 0.0}), ("euler", {})),
    ],
    ids=lambda row: row[0],
)
def test_whole_runs_are_the_same(one: tuple, other: tuple, steps: int) -> None:
    plan = NoiseSchedule.scaled_linear().spaced(steps, "trailing")
    for a, b in zip(walk(one[0], plan, **one[1]), walk(other[0], plan, **other[1]), strict=True):
        close(a, b, 1e-11)


def in_sigma_space(step, alpha_bar: float, alpha_bar_next: float, *more: object) -> Tensor:
    x = noising.to_sigma_space(XT, alpha_bar)
    x = step(x, EPS, sigma(alpha_bar), sigma(alpha_bar_next), *more)
    return noising.from_sigma_space(x, sigma(alpha_bar_next))


@few
@given(falling())
def test_euler_in_sigma_space_is_ddim(pair: tuple[float, float]) -> None:
    close(in_sigma_space(samplers.euler_step, *pair), samplers.ddim_step(XT, EPS, *pair), 1e-11)


@few
@given(falling())
def test_euler_ancestral_is_ddpm_in_sigma_space(pair: tuple[float, float]) -> None:
    ancestral = in_sigma_space(samplers.euler_ancestral_step, *pair, NOISE)
    close(ancestral, samplers.ddpm_step(XT, EPS, *pair, NOISE), 1e-11)


@few
@given(falling(), st.floats(0, 1))
def test_euler_ancestral_with_eta_is_ddim_with_eta(pair: tuple[float, float], eta: float) -> None:
    ancestral = in_sigma_space(samplers.euler_ancestral_step, *pair, NOISE, eta)
    close(ancestral, samplers.ddim_step(XT, EPS, *pair, eta, NOISE), 1e-11)


@few
@given(falling())
def test_first_steps_of_multistep_samplers_are_ddim(pair: tuple[float, float]) -> None:
    ddim, x0_hat = samplers.ddim_step(XT, EPS, *pair), predictions.x0_from_eps(XT, EPS, pair[0])
    close(samplers.transfer(XT, EPS, *pair), ddim, 1e-11)
    close(samplers.plms_step(XT, EPS, *pair)[0], ddim, 1e-11)
    close(samplers.dpmpp_2m_step(XT, x0_hat, *pair)[0], ddim, 1e-11)
    for order in (1, 2, 3):
        close(samplers.unipc_step(XT, x0_hat, *pair, order=order)[0], ddim, 1e-11)
    lms = in_sigma_space(lambda *a: samplers.lms_step(*a)[0], *pair)
    close(lms, ddim, 1e-11)


def test_unipc_predicts_like_dpmpp_2m_from_the_corrected_sample() -> None:
    a, b, c = 0.1, 0.3, 0.6
    _, history = samplers.unipc_step(XT, EPS, a, b)
    x_next, corrected = samplers.unipc_step(NOISE, OTHER, b, c, history)
    _, past = samplers.dpmpp_2m_step(XT, EPS, a, b)
    close(x_next, samplers.dpmpp_2m_step(corrected.xt, OTHER, b, c, past)[0])
    assert float((corrected.xt - NOISE).abs().max()) > 0.01  # it did correct


@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc_has_nothing_to_correct_where_x0_never_changes(order: int) -> None:
    xt, history, x0_hat = XT, None, OTHER
    for now, nxt in ((0.01, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 0.9)):
        exact = samplers.ddim_step(xt, predictions.eps_from_x0(xt, x0_hat, now), now, nxt)
        xt, history = samplers.unipc_step(xt, x0_hat, now, nxt, history, order=order)
        close(xt, exact, 1e-11)


def test_heun_and_dpm2_are_euler_where_the_slope_never_changes() -> None:
    euler = samplers.euler_step(XT, EPS, 5.0, 2.0)
    close(samplers.heun_step(XT, EPS, EPS, 5.0, 2.0), euler)
    close(samplers.dpm2_step(XT, EPS, 5.0, 2.0), euler)
    middle, sigma_mid = samplers.dpm2_midpoint(XT, EPS, 5.0, 2.0)
    assert sigma_mid == pytest.approx(math.sqrt(10))
    close(middle, samplers.euler_step(XT, EPS, 5.0, sigma_mid))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_lms_integrates_polynomials_exactly(order: int) -> None:
    """Slopes that are a polynomial of degree order - 1 in sigma leave no error at all."""
    slope = lambda s: XT * s ** (order - 1) + (EPS if order > 1 else 0)  # noqa: E731
    integral = lambda s: XT * s**order / order + (EPS * s if order > 1 else 0)  # noqa: E731
    sigmas, history = [9.0, 7.5, 5.0, 4.0, 1.5], ()
    for now in sigmas[:-2]:
        _, history = samplers.lms_step(XT, slope(now), now, 1.0, history, order=order)
    now, nxt = sigmas[-2:]
    x_next, history = samplers.lms_step(XT, slope(now), now, nxt, history, order=order)
    assert len(history) == order
    close(x_next, XT + integral(nxt) - integral(now), 1e-11)


def test_plms_weights_add_up_to_one_and_extrapolate_evenly_spaced_slopes() -> None:
    """Adams and Bashforth's weights give the mean slope over the next step, for any cubic."""
    for order in (1, 2, 3, 4):
        slopes = [normal(9) * (-k) ** (order - 1) for k in range(order)]  # at 0, -1, -2, -3
        blend, history = samplers.plms_blend(slopes[0], tuple(slopes[1:]))
        close(blend, normal(9) / order)  # the integral of s**(order-1) from 0 to 1
        assert len(history) == order


@pytest.mark.parametrize("h", [1e-2, 1e-3])
def test_sde_step_is_a_ddpm_step_to_first_order(h: float) -> None:
    """SDE-DPM-Solver++ and DDPM solve the same equation: they differ by h squared."""
    now = 0.4
    nxt = 1 / (1 + sigma(now) ** 2 * math.exp(-2 * h))  # log(1 / sigma) grows by h
    x0_hat, zero = predictions.x0_from_eps(XT, EPS, now), torch.zeros_like(XT)
    mean, _ = samplers.dpmpp_2m_sde_step(XT, x0_hat, now, nxt, zero)
    ddpm_mean, variance = noising.posterior(x0_hat, XT, now, nxt)
    assert float((mean - ddpm_mean).abs().max()) < 20 * h**2
    assert float((ddpm_mean - XT).abs().max()) > 0.5 * h  # while the step itself is of size h
    noisy, _ = samplers.dpmpp_2m_sde_step(XT, x0_hat, now, nxt, NOISE)
    sde_variance = float(((noisy - mean) / NOISE).square().mean())
    assert sde_variance == pytest.approx(float(variance), rel=4 * h)


def test_sde_step_keeps_the_variance_of_the_marginal() -> None:
    """If x0 is known, xt ~ q(xt | x0) must become x_next ~ q(x_next | x0): exactly."""
    for now, nxt in ((0.01, 0.5), (0.3, 0.35), (0.5, 0.999)):
        zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        for step in (
            lambda x, x0, n, a=now, b=nxt: samplers.dpmpp_2m_sde_step(x, x0, a, b, n)[0],
            lambda x, x0, n, a=now, b=nxt: samplers.ddpm_step(x, x, a, b, n, x0_hat=x0),
        ):
            keep, pull, fresh = step(one, zero, zero), step(zero, one, zero), step(zero, zero, one)
            close(keep**2 * (1 - now) + fresh**2, one * (1 - nxt))
            close(keep * math.sqrt(now) + pull, one * math.sqrt(nxt))


@few
@given(falling())
def test_ddim_undoes_its_inversion(pair: tuple[float, float]) -> None:
    noisier, cleaner = pair
    up = samplers.ddim_inversion_step(XT, EPS, cleaner, noisier)
    close(samplers.ddim_step(up, EPS, noisier, cleaner), XT, 1e-10)
    close(samplers.transfer(up, EPS, noisier, cleaner), XT, 1e-10)


def test_ddim_reaches_the_picture_from_anywhere_if_eps_is_true() -> None:
    xt = noising.add_noise(OTHER, EPS, 0.01)
    close(samplers.ddim_step(xt, EPS, 0.01, 1.0), OTHER)
    close(samplers.ddim_step(xt, EPS, 0.01, 0.5), noising.add_noise(OTHER, EPS, 0.5))


def test_flow_euler_reaches_the_picture_in_one_step_if_the_velocity_is_true() -> None:
    x_flow = predictions.flow_sample(OTHER, EPS, 0.8)
    velocity = predictions.flow_velocity(OTHER, EPS)
    close(samplers.flow_euler_step(x_flow, velocity, 0.8, 0.0), OTHER)
    half = predictions.flow_sample(OTHER, EPS, 0.4)
    close(samplers.flow_euler_step(x_flow, velocity, 0.8, 0.4), half)


def test_lcm_answers_with_the_sample_itself_at_timestep_0() -> None:
    close(samplers.lcm_step(XT, OTHER, 0, 1.0), XT)
    close(samplers.lcm_step(XT, OTHER, 999, 1.0), OTHER, 1e-3)  # and far away with x0_hat
    again = samplers.lcm_step(XT, OTHER, 500, 0.3, NOISE)
    close(again, noising.add_noise(samplers.lcm_step(XT, OTHER, 500, 1.0), NOISE, 0.3))


def test_where_nothing_is_left_is_the_last_timestep() -> None:
    """A schedule with zero terminal SNR: its last sigma is infinite, and it may stand last only."""
    schedule = NoiseSchedule.scaled_linear(250).with_zero_terminal_snr()
    sigmas = torch.tensor([1.0, math.inf], dtype=torch.float64)
    assert schedule.t_at(sigmas)[1] == 249 and 0 < schedule.t_at(sigmas)[0] < 249
    with pytest.raises(ValueError, match="Only the last alpha_bar may be 0"):
        betas_from_alpha_bars(torch.tensor([0.5, 0.0, 0.0], dtype=torch.float64))
