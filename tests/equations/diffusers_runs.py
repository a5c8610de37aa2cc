"""Whole runs of diffusers' schedulers, and of ours through the same stations.

The network is a smooth function of (xt, t): what it predicts makes no sense, which is the
point, since agreement must not hang on a well-behaved model.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from unittest import mock

import diffusers
import torch
from torch import Tensor

from sdlearn.equations import predictions, samplers, schedules, trajectories
from sdlearn.equations.schedules import NoiseSchedule, SamplingSchedule

SHAPE = (2, 4, 4, 6)

KINDS = {"eps": "epsilon", "v": "v_prediction", "x0": "sample"}

BETAS = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    },
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}


def network(xt: Tensor, t: float) -> Tensor:
    """A smooth stand-in for a network."""
    return 0.4 * xt + 0.3 * torch.sin(2 * xt + t / 300)


@dataclass(frozen=True)
class Counterpart:
    """A sampler of ours beside the scheduler of diffusers that it must agree with.

    Attributes:
        scheduler: The class's name in diffusers.
        kinds: The predictions that diffusers supports for it.
        spaced: How our stations are spaced to match (arguments of `NoiseSchedule.spaced`).
        config: Arguments of the diffusers class.
        options: Arguments of our `trajectory`.
        step: Arguments of the diffusers class's `step`.
        sigmas: The sigma spacings that diffusers supports for it.
        double: Whether diffusers computes in float64 when given float64.
        in_sigma_space: Whether diffusers' samples live in sigma space.
    """

    scheduler: str
    kinds: tuple[str, ...] = ("eps", "v", "x0")
    spaced: tuple[tuple[str, object], ...] = ()
    config: tuple[tuple[str, object], ...] = ()
    options: tuple[tuple[str, object], ...] = ()
    step: tuple[tuple[str, object], ...] = ()
    sigmas: tuple[str, ...] = ("default",)
    double: bool = False
    in_sigma_space: bool = False


ALL_SIGMAS = ("default", "karras", "exponential")
FRACTIONS = (("rounded", False),)
DROP_LAST = (("drop_last", True),)
UNCLIPPED = (("clip_sample", False),)

COUNTERPARTS = {
    "ddim": Counterpart("DDIMScheduler", config=UNCLIPPED, double=True),
    "ddim eta=0.5": Counterpart(
        "DDIMScheduler",
        config=UNCLIPPED,
        options=(("eta", 0.5),),
        step=(("eta", 0.5),),
        double=True,
    ),
    "ddim from the first level": Counterpart(
        "DDIMScheduler",
        config=(*UNCLIPPED, ("set_alpha_to_one", False)),
        spaced=(("final", "first"),),
        double=True,
    ),
    "ddim clipped": Counterpart(
        "DDIMScheduler",
        config=(("clip_sample", True), ("clip_sample_range", 1.5)),
        options=(("clip", 1.5),),
        double=True,
    ),
    "ddpm": Counterpart("DDPMScheduler", config=UNCLIPPED, double=True),
    "ddpm large": Counterpart(
        "DDPMScheduler",
        config=(*UNCLIPPED, ("variance_type", "fixed_large")),
        options=(("variance", "large"),),
        double=True,
    ),
    "euler": Counterpart(
        "EulerDiscreteScheduler", spaced=FRACTIONS, sigmas=ALL_SIGMAS, in_sigma_space=True
    ),
    "euler_ancestral": Counterpart(
        "EulerAncestralDiscreteScheduler",
        kinds=("eps", "v"),
        spaced=FRACTIONS,
        in_sigma_space=True,
    ),
    "heun": Counterpart(
        "HeunDiscreteScheduler",
        spaced=FRACTIONS,
        sigmas=ALL_SIGMAS,
        double=True,
        in_sigma_space=True,
    ),
    "dpm2": Counterpart(
        "KDPM2DiscreteScheduler",
        kinds=("eps", "v"),
        spaced=FRACTIONS,
        sigmas=ALL_SIGMAS,
        double=True,
        in_sigma_space=True,
    ),
    "lms": Counterpart(
        "LMSDiscreteScheduler",
        spaced=FRACTIONS,
        sigmas=ALL_SIGMAS,
        double=True,
        in_sigma_space=True,
    ),
    "plms": Counterpart(
        "PNDMScheduler",
        kinds=("eps", "v"),
        config=(("skip_prk_steps", True),),
        double=True,
        spaced=(("final", "first"),),
    ),
    "dpmpp_2m": Counterpart("DPMSolverMultistepScheduler", spaced=DROP_LAST, sigmas=ALL_SIGMAS),
    "dpmpp_2m arriving early": Counterpart(
        "DPMSolverMultistepScheduler",
        config=(("final_sigmas_type", "sigma_min"), ("lower_order_final", False)),
        spaced=(*DROP_LAST, ("final", "first")),
    ),
    "dpmpp_2m_sde": Counterpart(
        "DPMSolverMultistepScheduler",
        config=(("algorithm_type", "sde-dpmsolver++"),),
        spaced=DROP_LAST,
        sigmas=ALL_SIGMAS,
    ),
    "unipc": Counterpart(
        "UniPCMultistepScheduler", spaced=DROP_LAST, sigmas=ALL_SIGMAS, double=True
    ),
    "unipc order 3": Counterpart(
        "UniPCMultistepScheduler",
        config=(("solver_order", 3),),
        options=(("order", 3),),
        spaced=DROP_LAST,
        double=True,
    ),
}


STRIDING = ("DDIMScheduler", "PNDMScheduler")
"""These step T // steps timesteps down, wherever the next station is: with linspace spacing no
row of stations describes that, so `strided` takes such runs apart, step by step."""


def cases() -> list[tuple[str, str, str, str, str]]:
    """Every sampler x prediction x schedule x spacing x sigma spacing that diffusers takes."""
    return [
        (name, kind, betas, spacing, sigmas)
        for name, counterpart in COUNTERPARTS.items()
        for kind in counterpart.kinds
        for betas in BETAS
        for spacing in schedules.SPACINGS
        for sigmas in counterpart.sigmas
        if sigmas == "default" or spacing == "linspace"  # sigmas of their own override spacing
        if not (counterpart.scheduler in STRIDING and spacing == "linspace")
    ]


def strided_cases() -> list[tuple[str, str, str]]:
    """The cases that `cases` leaves out: sampler x prediction x schedule, spaced by linspace."""
    return [
        (name, kind, betas)
        for name, counterpart in COUNTERPARTS.items()
        for kind in counterpart.kinds
        for betas in BETAS
        if counterpart.scheduler in STRIDING
    ]


def make_scheduler(name: str, kind: str, betas: str, spacing: str, sigmas: str, steps: int):
    """The diffusers scheduler of a case, ready to step.

    Its timesteps hang neither on the prediction nor on the dtype, and are slow to make: they are
    made once, and each run gets a copy.
    """
    scheduler = copy.deepcopy(_scheduler(name, betas, spacing, sigmas, steps))
    scheduler.register_to_config(prediction_type=KINDS[kind])
    return scheduler


@cache
def _scheduler(name: str, betas: str, spacing: str, sigmas: str, steps: int):
    row = COUNTERPARTS[name]
    config = dict(row.config, **BETAS[betas], num_train_timesteps=1000, timestep_spacing=spacing)
    if sigmas != "default":
        config[f"use_{sigmas}_sigmas"] = True
    scheduler = getattr(diffusers, row.scheduler)(**config)
    scheduler.set_timesteps(steps)
    return scheduler


@cache
def stations(name: str, betas: str, spacing: str, sigmas: str, steps: int) -> SamplingSchedule:
    """Our stations for a case.

    They start from diffusers' own alpha_bars, which are rounded to float32: whether ours are the
    same before rounding is another test's business.
    """
    row = COUNTERPARTS[name]
    alpha_bars = _scheduler(name, betas, spacing, sigmas, steps).alphas_cumprod.double()
    noise_schedule = NoiseSchedule(schedules.betas_from_alpha_bars(alpha_bars), betas)
    plan = noise_schedule.spaced(steps, spacing, **dict(row.spaced))
    if sigmas == "default":
        return plan
    whole = row.scheduler in ("DPMSolverMultistepScheduler", "UniPCMultistepScheduler")
    ends = noise_schedule.sigmas[[0, -1]] if whole else plan.sigmas[[-2, 0]]
    spacer = getattr(schedules, f"{sigmas}_sigmas")
    return noise_schedule.from_sigmas(spacer(steps, *ends.tolist()))


def make_double(name: str, scheduler, plan: SamplingSchedule | None = None) -> None:
    """Give a scheduler that computes in whatever dtype it is given our levels in float64."""
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    if hasattr(scheduler, "final_alpha_cumprod"):
        clean = scheduler.final_alpha_cumprod == 1
        scheduler.final_alpha_cumprod = (
            torch.tensor(1.0).double() if clean else scheduler.alphas_cumprod[0]
        )
    if plan is None:
        return
    sigmas = plan.sigmas
    if name == "heun":
        sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    if name == "dpm2":
        middle = sigmas.log().lerp(sigmas.roll(1).log(), 0.5).exp()
        scheduler.sigmas_interpol = torch.cat(
            [middle[:1], middle[1:].repeat_interleave(2), middle[-1:]]
        )
        sigmas = torch.cat([sigmas[:1], sigmas[1:].repeat_interleave(2), sigmas[-1:]])
    if hasattr(scheduler, "sigmas"):
        scheduler.sigmas = sigmas


def told(name: str, plan: SamplingSchedule) -> list[float]:
    """The timesteps of ours that the network is told, call by call.

    diffusers rounds some of them (Karras and exponential sigmas lie between timesteps); told the
    same, the two runs differ by their formulas alone.
    """
    timesteps = plan.timesteps
    if name == "heun":
        timesteps = torch.cat([timesteps[:1], timesteps[1:].repeat_interleave(2)])
    if name == "plms":
        timesteps = torch.cat([timesteps[:2], timesteps[1:]])
    if name == "dpm2":
        middle = plan.noise_schedule.t_at((plan.sigmas[:-2] * plan.sigmas[1:-1]).sqrt())
        pairs = torch.stack([middle, timesteps[1:]], -1).flatten()
        timesteps = torch.cat([timesteps[:1], pairs])
    return timesteps.tolist()


def run_diffusers(
    name: str, scheduler, plan: SamplingSchedule, xt: Tensor, noise: Iterable[Tensor]
) -> list[Tensor]:
    """The samples of diffusers' run at the end of each step, scaled as the network sees them."""
    row = COUNTERPARTS[name]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)  # timesteps may be equal once rounded: count, don't search
    samples, step = [xt], dict(row.step)
    if row.in_sigma_space:
        samples = [xt * (1 + plan.sigmas[0].item() ** 2) ** 0.5]
    with drawing(noise), remembering_integrals(scheduler):
        for t, t_told in zip(scheduler.timesteps, told(name, plan), strict=True):
            answer = network(scheduler.scale_model_input(samples[-1], t), t_told)
            samples.append(scheduler.step(answer, t, samples[-1], **step).prev_sample)
    del samples[0]
    if name in ("heun", "dpm2"):  # two calls a step, but for the last
        samples = [*samples[1::2], samples[-1]]
    if name == "plms":  # two calls in the first step
        samples = samples[1:]
    if row.in_sigma_space:
        sigmas = plan.sigmas[1:].tolist()
        samples = [x / (1 + sigma**2) ** 0.5 for x, sigma in zip(samples, sigmas, strict=True)]
    return samples


def run_ours(
    name: str, plan: SamplingSchedule, kind: str, xt: Tensor, noise: Iterable[Tensor]
) -> list[Tensor]:
    """The samples of our run at the end of each step."""
    with drawing(noise):
        steps = trajectories.trajectory(
            lambda xt, t, alpha_bar: network(xt, t),
            xt,
            plan,
            name.split()[0],
            kind=kind,
            generator=torch.Generator(),
            **dict(COUNTERPARTS[name].options),
        )
        return [step.x_next for step in steps]


def strided(name: str, scheduler, kind: str, xt: Tensor, noise: Iterable[Tensor]) -> list[Tensor]:
    """Our steps between diffusers' levels, T // steps timesteps apart, call by call."""
    stride = 1000 // scheduler.num_inference_steps
    options = dict(COUNTERPARTS[name].options)
    clip, eta = options.get("clip"), options.get("eta", 0.0)
    samples, history, source = [xt], (), iter(noise)

    def level(t: int) -> float:
        return (scheduler.alphas_cumprod[t] if t >= 0 else scheduler.final_alpha_cumprod).item()

    for call, t in enumerate(scheduler.timesteps.tolist()):
        xt, answer = samples[-1], network(samples[-1], t)
        if name == "plms" and call == 1:  # the step from the start once more, with the mean slope
            xt, t_from, t_to = samples[0], t + stride, t
            blend = (answer + history[0]) / 2
        else:
            t_from, t_to = t, t - stride
            if name == "plms":
                blend, history = samplers.plms_blend(answer, history)
        if name == "plms":
            _, eps = predictions.x0_and_eps(xt, blend, level(t_from), kind)
            samples.append(samplers.transfer(xt, eps, level(t_from), level(t_to)))
            continue
        x0, eps = predictions.x0_and_eps(xt, answer, level(t_from), kind)
        x0 = x0 if clip is None else predictions.clip(x0, clip)
        fresh = next(source).to(xt.dtype) if eta else None
        samples.append(
            samplers.ddim_step(xt, eps, level(t_from), level(t_to), eta, fresh, x0_hat=x0)
        )
    return samples[1:]


@contextlib.contextmanager
def drawing(noise: Iterable[Tensor]) -> Iterator[None]:
    """Let both sides, in either dtype, draw the very same noise."""
    source = iter(noise)
    with mock.patch.object(torch, "randn", lambda *a, dtype, **k: next(source).to(dtype)):
        yield


@contextlib.contextmanager
def remembering_integrals(scheduler) -> Iterator[None]:
    """Let diffusers' LMS, which integrates numerically, do so once for the same sigmas."""
    if not hasattr(scheduler, "get_lms_coefficient"):
        yield
        return
    integrate, sigmas = scheduler.get_lms_coefficient, tuple(scheduler.sigmas.tolist())

    def remembered(*arguments: int) -> float:
        key = (sigmas, *arguments)
        if key not in _INTEGRALS:
            _INTEGRALS[key] = integrate(*arguments)
        return _INTEGRALS[key]

    with mock.patch.object(scheduler, "get_lms_coefficient", remembered):
        yield


_INTEGRALS: dict[tuple, float] = {}
