"""Whole runs side by side with diffusers: every sampler x prediction x schedule x spacing."""

from __future__ import annotations

import itertools
from functools import cache

import diffusers
import pytest
import torch
from torch import Tensor

from sdlearn.equations import predictions, samplers, schedules, trajectories
from sdlearn.equations.schedules import NoiseSchedule, SamplingSchedule
from tests.equations.diffusers_runs import (
    BETAS,
    COUNTERPARTS,
    KINDS,
    SHAPE,
    cases,
    drawing,
    make_double,
    make_scheduler,
    network,
    run_diffusers,
    run_ours,
    stations,
    strided,
    strided_cases,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*__array_:DeprecationWarning")  # diffusers' own

SINGLE, DOUBLE = 1e-5, 1e-10  # of the sample's largest value
STEPS = (10, 25, 50)

# Heun on the cosine schedule with x0: sigma begins at 20,000, where a step moves the sample by
# 20,000 times eps, and eps = (x_sigma - x0) / sigma. That eats four of float64's sixteen
# digits, and the slope at the other end multiplies what is left of the error.
HEUN_COSINE_X0 = 1e-9


def is_heun_cosine_x0(case: tuple[str, ...]) -> bool:
    return case[:3] == ("heun", "x0", "cosine")


def distance(a: list[Tensor], b: list[Tensor]) -> float:
    """The largest relative difference, over all steps of two runs."""
    return max(
        float((x.double() - y.double()).abs().max() / y.double().abs().max())
        for x, y in zip(a, b, strict=True)
    )


def assert_single(ours: list[Tensor], theirs: list[Tensor], exact: list[Tensor]) -> None:
    """Two float32 runs agree, or the distance is float32's own: both miss the float64 run.

    Where sigma begins at 20,000 (the cosine schedule in sigma space), float32 holds no five
    digits of the sample: there diffusers is further from the exact run than the bound, and what
    can be asked of us is to be about as near to it.
    """
    apart = distance(ours, theirs)
    if apart > SINGLE:
        theirs_off, ours_off = distance(theirs, exact), distance(ours, exact)
        assert ours_off <= max(SINGLE, 4 * theirs_off), (
            f"float32 runs are {apart:.1e} apart; from the float64 run ours is {ours_off:.1e} off "
            f"and diffusers' {theirs_off:.1e}"
        )


@cache
def start() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@cache
def noises() -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(SHAPE, generator=generator, dtype=torch.float64) for _ in range(50)]


def name_of(case: tuple[str, ...]) -> str:
    return "-".join(case).replace(" ", "_")


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("case", cases(), ids=name_of)
def test_a_whole_run_agrees(case: tuple[str, str, str, str, str], steps: int) -> None:
    name, kind, *rest = case
    scheduler, plan = make_scheduler(*case, steps), stations(name, *rest, steps)
    compared = slice(None)
    if name.startswith("ddpm") and "trailing" in case:
        compared = slice(-1)  # see test_ddpm_trailing_ends_with_noise_in_diffusers
    exact = run_ours(name, plan, kind, start(), noises())[compared]
    ours = run_ours(name, plan, kind, start().float(), noises())[compared]
    theirs = run_diffusers(name, scheduler, plan, start().float(), noises())[compared]
    assert ours[0].dtype == torch.float32 and exact[0].dtype == torch.float64
    assert_single(ours, theirs, exact)
    if COUNTERPARTS[name].double:
        scheduler = make_scheduler(*case, steps)
        make_double(name, scheduler, plan)
        theirs = run_diffusers(name, scheduler, plan, start(), noises())[compared]
        assert theirs[0].dtype == torch.float64
        assert distance(exact, theirs) < (HEUN_COSINE_X0 if is_heun_cosine_x0(case) else DOUBLE)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("case", strided_cases(), ids=name_of)
def test_steps_that_stride_past_linspace_stations_agree(
    case: tuple[str, str, str], steps: int
) -> None:
    name, kind, betas = case

    def scheduler_for(dtype: torch.dtype):
        scheduler = make_scheduler(name, kind, betas, "linspace", "default", steps)
        if dtype == torch.float64:
            make_double(name, scheduler)
        return scheduler

    def both(dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
        xt = start().to(dtype)
        ours = strided(name, scheduler_for(torch.float64), kind, xt, noises())
        theirs = run_calls(name, scheduler_for(dtype), xt)
        assert ours[0].dtype == theirs[0].dtype == dtype
        return ours, theirs

    exact, theirs = both(torch.float64)
    assert distance(exact, theirs) < DOUBLE
    assert_single(*both(torch.float32), exact)


def run_calls(name: str, scheduler, xt: Tensor) -> list[Tensor]:
    """The samples of a diffusers run that is not in sigma space, call by call."""
    samples = [xt]
    with drawing(noises()):
        for t in scheduler.timesteps.tolist():  # LCM turns to float32 if given a tensor
            answer = network(samples[-1], t)
            options = dict(COUNTERPARTS[name].step) if name in COUNTERPARTS else {}
            samples.append(scheduler.step(answer, t, samples[-1], **options).prev_sample)
    return samples[1:]


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("betas", BETAS)
def test_ddpm_trailing_ends_with_noise_in_diffusers(betas: str, variance: str) -> None:
    """Algorithm 2 of the paper adds none on the very last step; diffusers asks whether t > 0.

    With trailing spacing the last t isn't 0, and the noise of one step stays in the picture:
    all of beta with the large variance, and with the small one, which is 0 there, next to nothing
    (diffusers keeps variances from falling below 1e-20).
    """
    name, steps = {"small": "ddpm", "large": "ddpm large"}[variance], 10
    rest = (betas, "trailing", "default")
    scheduler, plan = make_scheduler(name, "eps", *rest, steps), stations(name, *rest, steps)
    make_double(name, scheduler, plan)
    *_, ours = run_ours(name, plan, "eps", start(), noises())
    *_, theirs = run_diffusers(name, scheduler, plan, start(), noises())
    beta = 1 - plan.alpha_bars[-2]  # of a step that arrives at alpha_bar = 1
    left = noises()[steps - 1] * (beta.sqrt() if variance == "large" else 1e-10)
    scale = float(theirs.abs().max())
    assert float((theirs - ours - left).abs().max()) < 1e-12 * scale
    assert (float((theirs - ours).abs().max()) > 1e-6 * scale) == (variance == "large")


# --- samplers whose stations are their own ---------------------------------------------------


def one_of_ours(plan: SamplingSchedule, sampler: str, kind: str, xt: Tensor) -> list[Tensor]:
    with drawing(noises()):
        steps = trajectories.trajectory(
            lambda xt, t, alpha_bar: network(xt, t),
            xt,
            plan,
            sampler,
            kind=kind,
            generator=torch.Generator(),
        )
        return [step.x_next for step in steps]


@pytest.mark.parametrize("steps", (1, 4, *STEPS))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("betas", BETAS)
def test_lcm_agrees(betas: str, kind: str, steps: int) -> None:
    def scheduler_for():
        scheduler = diffusers.LCMScheduler(**BETAS[betas], prediction_type=KINDS[kind])
        scheduler.set_timesteps(steps)
        return scheduler

    scheduler = scheduler_for()
    alpha_bars = scheduler.alphas_cumprod.double()
    schedule = NoiseSchedule(schedules.betas_from_alpha_bars(alpha_bars))
    # LCM thins out the 50 timesteps of its distillation; the arrival is the picture itself.
    levels = torch.cat([schedule.alpha_bars[scheduler.timesteps], torch.ones(1).double()])
    plan = SamplingSchedule(scheduler.timesteps.double(), levels, schedule)
    exact = one_of_ours(plan, "lcm", kind, start())
    ours = one_of_ours(plan, "lcm", kind, start().float())
    assert_single(ours, run_calls("lcm", scheduler, start().float()), exact)
    scheduler = scheduler_for()
    make_double("lcm", scheduler)
    assert distance(exact, run_calls("lcm", scheduler, start())) < DOUBLE


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_matching_euler_agrees(shift: float, steps: int) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(steps)
    # diffusers shifts the smallest time twice: when it is made, and again as the end of a run.
    last = shift * 1e-3 / (1 + (shift - 1) * 1e-3)
    times = schedules.flow_times(steps, shift, last=last)
    torch.testing.assert_close(times.float(), scheduler.sigmas, rtol=2e-6, atol=0)
    samples = {}
    for dtype in (torch.float32, torch.float64):
        xt, run = start().to(dtype), []
        for now, nxt in itertools.pairwise(times.tolist()):
            xt = samplers.flow_euler_step(xt, network(xt, 1000 * now), now, nxt)
            run.append(xt)
        samples[dtype] = run
    theirs, xt = [], start().float()
    for t, now in zip(scheduler.timesteps, times.tolist(), strict=False):
        xt = scheduler.step(network(xt, 1000 * now), t, xt).prev_sample
        theirs.append(xt)
    assert_single(samples[torch.float32], theirs, samples[torch.float64])


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("betas", BETAS)
def test_ddim_inversion_agrees(betas: str, spacing: str, kind: str, steps: int) -> None:
    def scheduler_for(dtype: torch.dtype):
        scheduler = diffusers.DDIMInverseScheduler(
            **BETAS[betas],
            prediction_type=KINDS[kind],
            timestep_spacing=spacing,
            clip_sample=False,
            set_alpha_to_one=False,  # or the first x would be called clean: no eps to tell
        )
        scheduler.set_timesteps(steps)
        scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(dtype)
        scheduler.initial_alpha_cumprod = scheduler.initial_alpha_cumprod.to(dtype)
        return scheduler

    def ours(dtype: torch.dtype) -> list[Tensor]:
        # diffusers names a step by the level where it arrives: told t, it comes from
        # t - T // steps, or from the first level where that is below 0.
        scheduler, xt, run = scheduler_for(torch.float64), start().to(dtype), []
        for t in scheduler.timesteps.tolist():
            below = max(t - 1000 // steps, 0)
            now, noisier = scheduler.alphas_cumprod[[below, t]].tolist()
            _, eps = predictions.x0_and_eps(xt, network(xt, t), now, kind)
            xt = samplers.ddim_inversion_step(xt, eps, now, noisier)
            run.append(xt)
        return run

    exact = ours(torch.float64)
    theirs = run_calls("inversion", scheduler_for(torch.float32), start().float())
    assert_single(ours(torch.float32), theirs, exact)
    theirs = run_calls("inversion", scheduler_for(torch.float64), start())
    assert distance(exact, theirs) < DOUBLE


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("betas", ["linear", "scaled_linear"])
def test_runs_from_pure_noise_agree(betas: str, steps: int) -> None:
    """Zero terminal SNR: the first level is alpha_bar = 0, which only v (or x0) survives."""

    def scheduler_for():
        scheduler = diffusers.DDIMScheduler(
            **BETAS[betas],
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            prediction_type="v_prediction",
            clip_sample=False,
        )
        scheduler.set_timesteps(steps)
        return scheduler

    scheduler = scheduler_for()
    alpha_bars = scheduler.alphas_cumprod.double()
    plan = NoiseSchedule(schedules.betas_from_alpha_bars(alpha_bars)).spaced(steps, "trailing")
    assert plan.alpha_bars[0] == 0
    exact = one_of_ours(plan, "ddim", "v", start())
    ours = one_of_ours(plan, "ddim", "v", start().float())
    assert_single(ours, run_calls("ddim", scheduler, start().float()), exact)
    scheduler = scheduler_for()
    make_double("ddim", scheduler)
    assert distance(exact, run_calls("ddim", scheduler, start())) < DOUBLE
