"""50 steps of each sampler here, against diffusers' scheduler for the same step.

The network's answer is a tensor that stays the same: only a step's own arithmetic is timed.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from functools import partial

import diffusers
import torch
from torch import Tensor

from sdlearn.equations import samplers, schedules, trajectories
from sdlearn.equations.schedules import NoiseSchedule
from tests.bench.timing import Row, in_pairs

STEPS = 50
SHAPE = (1, 4, 64, 64)
TITLE = f"{STEPS} steps of each sampler, latent 4x64x64, float32, against diffusers' schedulers"

Draw = Callable[[], Tensor]
Loop = Callable[[Tensor, Tensor, Draw], Tensor]
"""From the start and the network's answer, with a source of noise, to the end."""

Levels = list[tuple[float, float]]

PLAN = NoiseSchedule.scaled_linear().spaced(STEPS, "leading", steps_offset=1)
LEVELS: Levels = list(itertools.pairwise(PLAN.alpha_bars.tolist()))
SIGMAS: Levels = list(itertools.pairwise(PLAN.sigmas.tolist()))
FLOW: Levels = list(itertools.pairwise(schedules.flow_times(STEPS).tolist()))


def walk(step: Callable[..., Tensor], levels: Levels, *, noisy: bool = False) -> Loop:
    """Steps that remember nothing."""

    def loop(x: Tensor, answer: Tensor, draw: Draw) -> Tensor:
        for now, nxt in levels:
            x = step(x, answer, now, nxt, noise=draw()) if noisy else step(x, answer, now, nxt)
        return x

    return loop


def remember(step: Callable[..., tuple], levels: Levels, *, noisy: bool = False) -> Loop:
    """Steps that hand on their history."""

    def loop(x: Tensor, answer: Tensor, draw: Draw) -> Tensor:
        options: dict[str, object] = {}
        for now, nxt in levels:
            if noisy:
                options["noise"] = draw()
            x, options["history"] = step(x, answer, now, nxt, **options)
        return x

    return loop


def heun(x: Tensor, eps: Tensor, draw: Draw) -> Tensor:
    for now, nxt in SIGMAS[:-1]:
        samplers.euler_step(x, eps, now, nxt)  # where the network is asked again
        x = samplers.heun_step(x, eps, eps, now, nxt)
    return samplers.euler_step(x, eps, *SIGMAS[-1])


def dpm2(x: Tensor, eps: Tensor, draw: Draw) -> Tensor:
    for now, nxt in SIGMAS[:-1]:
        samplers.dpm2_midpoint(x, eps, now, nxt)  # where the network is asked again
        x = samplers.dpm2_step(x, eps, now, nxt)
    return samplers.euler_step(x, eps, *SIGMAS[-1])


def lcm(x: Tensor, x0: Tensor, draw: Draw) -> Tensor:
    for t, (_, nxt) in zip(PLAN.timesteps.tolist(), LEVELS, strict=True):
        x = samplers.lcm_step(x, x0, t, nxt, draw() if nxt < 1 else None)
    return x


SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
UNCLIPPED = {**SD, "clip_sample": False}
X0 = {**SD, "prediction_type": "sample"}

# Our loop, diffusers' scheduler, and its settings.
PAIRS: dict[str, tuple[Loop, str, dict[str, object]]] = {
    "ddpm": (walk(samplers.ddpm_step, LEVELS, noisy=True), "DDPMScheduler", UNCLIPPED),
    "ddim": (walk(samplers.ddim_step, LEVELS), "DDIMScheduler", UNCLIPPED),
    "ddim, eta=1": (
        walk(partial(samplers.ddim_step, eta=1.0), LEVELS, noisy=True),
        "DDIMScheduler",
        UNCLIPPED,
    ),
    "ddim inversion": (
        walk(samplers.ddim_inversion_step, [(nxt, now) for now, nxt in reversed(LEVELS)]),
        "DDIMInverseScheduler",
        UNCLIPPED,
    ),
    "euler": (walk(samplers.euler_step, SIGMAS), "EulerDiscreteScheduler", SD),
    "euler_ancestral": (
        walk(samplers.euler_ancestral_step, SIGMAS, noisy=True),
        "EulerAncestralDiscreteScheduler",
        SD,
    ),
    "heun": (heun, "HeunDiscreteScheduler", SD),
    "dpm2": (dpm2, "KDPM2DiscreteScheduler", SD),
    "lms": (remember(samplers.lms_step, SIGMAS), "LMSDiscreteScheduler", SD),
    "plms": (
        remember(samplers.plms_step, LEVELS),
        "PNDMScheduler",
        {**SD, "skip_prk_steps": True},
    ),
    "dpmpp_2m": (remember(samplers.dpmpp_2m_step, LEVELS), "DPMSolverMultistepScheduler", X0),
    "dpmpp_2m_sde": (
        remember(samplers.dpmpp_2m_sde_step, LEVELS, noisy=True),
        "DPMSolverMultistepScheduler",
        {**X0, "algorithm_type": "sde-dpmsolver++"},
    ),
    "unipc": (remember(samplers.unipc_step, LEVELS), "UniPCMultistepScheduler", X0),
    "lcm": (lcm, "LCMScheduler", X0),
    "flow euler": (walk(samplers.flow_euler_step, FLOW), "FlowMatchEulerDiscreteScheduler", {}),
}


def diffusers_run(scheduler, x: Tensor, answer: Tensor, whole: bool, options: dict) -> None:
    """All calls of a scheduler whose timesteps are set; with `whole`, scaled for the network."""
    for t in scheduler.timesteps:
        if whole:
            scheduler.scale_model_input(x, t)
        x = scheduler.step(answer, t, x, return_dict=False, **options)[0]


def our_run(name: str, kind: str, xt: Tensor, answer: Tensor, generator: torch.Generator) -> None:
    """The whole loop, with a record of every step."""
    for _ in trajectories.trajectory(
        lambda xt, t, alpha_bar: answer, xt, PLAN, name, kind=kind, generator=generator
    ):
        pass


def rows(pairs: int) -> Iterator[Row]:
    """For each sampler its steps alone; then, without a goal, what our whole loop costs."""
    generator = torch.Generator().manual_seed(0)
    xt, answer = (torch.randn(SHAPE, generator=generator) for _ in range(2))

    def draw() -> Tensor:
        return torch.randn(SHAPE, generator=generator)

    for name, (loop, scheduler_name, config) in PAIRS.items():
        scheduler = getattr(diffusers, scheduler_name)(**config)
        scheduler.set_timesteps(STEPS)
        scheduler.is_scale_input_called = True  # or some would log a warning at every step
        options: dict[str, object] = {"eta": 1.0} if "eta" in name else {}
        if "generator" in scheduler.step.__code__.co_varnames:
            options["generator"] = generator

        def theirs(
            whole: bool, scheduler=scheduler, options=options
        ) -> Callable[[], Callable[[], None]]:
            fresh = copy.deepcopy
            return lambda: partial(diffusers_run, fresh(scheduler), xt, answer, whole, options)

        yield in_pairs(name, partial(loop, xt, answer, draw), theirs(False), pairs=pairs)
        if name in trajectories.SAMPLERS:
            ours = partial(our_run, name, "x0" if config is X0 else "eps", xt, answer, generator)
            title = "  its whole loop, with records"
            yield in_pairs(title, ours, theirs(True), pairs=pairs, goal=None)
