"""Schedules, spacings, thresholding and rescaled guidance, side by side with diffusers."""

from __future__ import annotations

import diffusers
import pytest
import torch
from diffusers.guiders.guider_utils import rescale_noise_cfg
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from sdlearn.equations import guidance, predictions, schedules
from sdlearn.equations.schedules import NoiseSchedule
from tests.equations.diffusers_runs import (
    BETAS,
    COUNTERPARTS,
)
from tests.equations.samples import normal

pytestmark = pytest.mark.filterwarnings("ignore:.*__array_:DeprecationWarning")  # diffusers' own


SCHEDULES = {
    "linear": (NoiseSchedule.linear, BETAS["linear"]),
    "scaled_linear": (NoiseSchedule.scaled_linear, BETAS["scaled_linear"]),
    "cosine": (NoiseSchedule.cosine, BETAS["cosine"]),
    "sigmoid": (NoiseSchedule.sigmoid, {**BETAS["linear"], "beta_schedule": "sigmoid"}),
}


@pytest.mark.parametrize("train_steps", [100, 1000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_noise_schedules_agree(name: str, train_steps: int) -> None:
    make, config = SCHEDULES[name]
    theirs = diffusers.DDPMScheduler(**config, num_train_timesteps=train_steps)
    ours = make(train_steps)
    # theirs is in float32: 1 - beta is rounded, most of all where beta is 0.999 (cosine)
    torch.testing.assert_close(ours.betas.float(), theirs.betas, rtol=2e-6, atol=1e-8)
    torch.testing.assert_close(ours.alpha_bars.float(), theirs.alphas_cumprod, rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "sigmoid"])
def test_zero_terminal_snr_agrees(name: str) -> None:
    make, config = SCHEDULES[name]
    theirs = diffusers.DDPMScheduler(**config, rescale_betas_zero_snr=True)
    ours = make().with_zero_terminal_snr()
    torch.testing.assert_close(ours.alpha_bars.float(), theirs.alphas_cumprod, rtol=2e-4, atol=1e-7)
    assert ours.alpha_bars[-1] == 0 and ours.betas[-1] == 1
    # the same formula on the same numbers, in float64: no float32 in the way
    exact = rescale_zero_terminal_snr(make().betas)
    torch.testing.assert_close(ours.betas, exact, rtol=1e-10, atol=1e-14)


SPACED = {  # one for each scheduler class
    row.scheduler: {key: value for key, value in row.spaced if key != "final"}
    for row in COUNTERPARTS.values()
}


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("spacing", schedules.SPACINGS)
@pytest.mark.parametrize("scheduler", SPACED)
def test_timesteps_are_the_same(scheduler: str, spacing: str, offset: int) -> None:
    config = {"timestep_spacing": spacing, "steps_offset": offset}
    if scheduler == "PNDMScheduler":
        config["skip_prk_steps"] = True
    theirs = getattr(diffusers, scheduler)(**config)
    for steps in (1, 2, 3, 7, 10, 25, 26, 27, 48, 50, 99, 100):
        theirs.set_timesteps(steps)
        said = theirs.timesteps.double()
        if scheduler in ("HeunDiscreteScheduler", "KDPM2DiscreteScheduler"):
            said = torch.cat([said[:1], said[2::2]])  # two calls a step, but for the last
        if scheduler == "PNDMScheduler" and steps > 1:
            said = torch.cat([said[:1], said[2:]])  # two calls in the first step
        ours = schedules.timestep_spacing(
            steps, 1000, spacing, steps_offset=offset, **SPACED[scheduler]
        )
        if SPACED[scheduler].get("rounded") is False:
            ours = ours.float().double()  # diffusers keeps the fractions in float32
        assert torch.equal(ours, said), steps


@pytest.mark.parametrize("spacing", schedules.SPACINGS)
def test_timesteps_are_the_same_for_every_number_of_steps(spacing: str) -> None:
    """Halves are rounded the same way; only where diffusers makes one too many we don't."""
    theirs, compared = diffusers.DDIMScheduler(timestep_spacing=spacing), 0
    for steps in range(1, 1001):
        theirs.set_timesteps(steps)
        if len(theirs.timesteps) == steps:  # 61 steps, trailing: 62, the last one is -1
            ours = schedules.timestep_spacing(steps, 1000, spacing)
            assert torch.equal(ours, theirs.timesteps.double()), steps
            compared += 1
    assert compared == (938 if spacing == "trailing" else 1000)


@pytest.mark.parametrize("sigmas", ["karras", "exponential"])
@pytest.mark.parametrize("steps", [10, 25, 50])
def test_sigmas_of_their_own_agree(sigmas: str, steps: int) -> None:
    theirs = diffusers.EulerDiscreteScheduler(
        **BETAS["scaled_linear"], **{f"use_{sigmas}_sigmas": True}
    )
    theirs.set_timesteps(steps)
    ours = NoiseSchedule.scaled_linear().spaced(steps, "linspace", sigmas=sigmas, rounded=False)
    torch.testing.assert_close(ours.sigmas.float(), theirs.sigmas, rtol=2e-5, atol=0)
    torch.testing.assert_close(ours.timesteps.float(), theirs.timesteps, rtol=1e-3, atol=0.02)


# --- guidance and thresholding ---------------------------------------------------------------


@pytest.mark.parametrize("rescale", [0.0, 0.3, 0.7, 1.0])
def test_guidance_rescale_agrees(rescale: float) -> None:
    eps, eps_cond = normal(7) * 3 + 0.1, normal(8)
    ours = guidance.rescale_guidance(eps, eps_cond, rescale)
    torch.testing.assert_close(
        ours, rescale_noise_cfg(eps, eps_cond, rescale), rtol=1e-14, atol=1e-14
    )


def test_an_estimate_without_contrast_stays_what_it_is() -> None:
    flat, other = torch.zeros(2, 3), torch.tensor([[1.0, 2, 3], [0, 0, 0]])
    for rescale in (0.0, 0.7, 1.0):
        assert torch.equal(guidance.rescale_guidance(flat, other, rescale), flat)
        assert torch.equal(guidance.rescale_guidance(flat, flat, rescale), flat)


@pytest.mark.parametrize("largest", [1.0, 2.0, 10.0])
@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.995])
def test_dynamic_threshold_agrees(quantile: float, largest: float) -> None:
    scheduler = diffusers.DDPMScheduler(
        thresholding=True, dynamic_thresholding_ratio=quantile, sample_max_value=largest
    )
    for scale in (0.2, 1.0, 4.0):  # inside the range, at its edge, far outside
        x0_hat = scale * normal(1)
        ours = predictions.dynamic_threshold(x0_hat, quantile, largest=largest)
        theirs = scheduler._threshold_sample(x0_hat)
        torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-14)
