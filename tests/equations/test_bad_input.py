"""Wrong calls, and what they must be told: the name of the argument that was wrong."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from sdlearn.equations import (
    guidance,
    mixtures,
    noising,
    predictions,
    samplers,
    schedules,
    trajectories,
)
from sdlearn.equations.mixtures import Mixture
from sdlearn.equations.samplers import Past
from sdlearn.equations.schedules import NoiseSchedule, SamplingSchedule

NAN, INF = float("nan"), float("inf")

X = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(2, 3, 4)
OTHER = torch.zeros(2, 3, 5, dtype=torch.float64)  # another shape
WHOLE = torch.ones(2, 3, 4, dtype=torch.long)
PLAN = NoiseSchedule.scaled_linear().spaced(4)
POINTS = torch.zeros(5, 2, dtype=torch.float64)
GROUPS = mixtures.three_groups()
SEED = torch.Generator().manual_seed(0)


def each(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def walk(*, xt=X, plan=PLAN, sampler="ddim", predict=None, **options: object) -> None:
    predict = (lambda xt, t, alpha_bar: xt) if predict is None else predict
    for _ in trajectories.trajectory(predict, xt, plan, sampler, **options):
        pass


def mixture(**changes: object) -> Mixture:
    parts = {
        "means": torch.zeros(3, 2),
        "stds": torch.ones(3),
        "weights": torch.ones(3) / 3,
        "labels": torch.tensor([0, 1, 2]),
    }
    return Mixture(**(parts | changes))


# id -> the argument that the message must name, and the call
WRONG: dict[str, tuple[str, Callable[[], object]]] = {
    # --- what is no sample
    "sample is a list": ("x0", lambda: noising.add_noise([1.0], X, 0.5)),
    "sample is None": ("xt", lambda: samplers.ddim_step(None, X, 0.5, 0.6)),
    "sample is a number": ("xt", lambda: predictions.x0_from_eps(1.0, X, 0.5)),
    "sample is numpy": ("xt", lambda: samplers.ddpm_step(X.numpy(), X, 0.5, 0.6)),
    "sample holds integers": ("x0", lambda: noising.add_noise(WHOLE, X, 0.5)),
    "sample holds booleans": ("xt", lambda: noising.to_sigma_space(WHOLE.bool(), 0.5)),
    "sample is complex": ("x_sigma", lambda: noising.from_sigma_space(X + 0j, 0.5)),
    "eps holds integers": ("eps", lambda: samplers.ddim_step(X, WHOLE, 0.5, 0.6)),
    "noise holds integers": ("noise", lambda: samplers.ddpm_step(X, X, 0.5, 0.6, WHOLE)),
    "eps is None": ("eps", lambda: samplers.euler_step(X, None, 2.0, 1.0)),
    # --- shapes that don't fit
    "eps of another shape": ("eps", lambda: noising.add_noise(X, OTHER, 0.5)),
    "eps that would broadcast": ("eps", lambda: noising.add_noise(X, X[:1], 0.5)),
    "xt of another shape": ("xt", lambda: noising.posterior(X, OTHER, 0.5, 0.6)),
    "x0 of another shape": ("x0", lambda: predictions.eps_from_x0(X, OTHER, 0.5)),
    "v of another shape": ("v", lambda: predictions.x0_from_v(X, OTHER, 0.5)),
    "flow velocity of another shape": ("eps", lambda: predictions.flow_velocity(X, OTHER)),
    "x0_hat of another shape": ("x0_hat", lambda: samplers.dpmpp_2m_step(X, OTHER, 0.5, 0.6)),
    "known x0_hat of another shape": (
        "x0_hat",
        lambda: samplers.ddim_step(X, X, 0.5, 0.6, x0_hat=OTHER),
    ),
    "noise of another shape": ("noise", lambda: samplers.ddim_step(X, X, 0.5, 0.6, 1.0, OTHER)),
    "sde noise of another shape": (
        "noise",
        lambda: samplers.dpmpp_2m_sde_step(X, X, 0.5, 0.6, OTHER),
    ),
    "eps_there of another shape": ("eps_there", lambda: samplers.heun_step(X, X, OTHER, 2.0, 1.0)),
    "eps_mid of another shape": ("eps_mid", lambda: samplers.dpm2_step(X, OTHER, 2.0, 1.0)),
    "velocity of another shape": (
        "velocity",
        lambda: samplers.flow_euler_step(X, OTHER, 0.5, 0.4),
    ),
    "eps_cond of another shape": (
        "eps_cond",
        lambda: guidance.classifier_free_guidance(X, OTHER, 7.5),
    ),
    "gradient of another shape": (
        "classifier_gradient",
        lambda: guidance.classifier_guidance(X, OTHER, 0.5),
    ),
    "negative prompt of another shape": (
        "eps_cond",
        lambda: guidance.negative_prompt_guidance(X, OTHER, 7.5),
    ),
    "alpha_bar for another batch": (
        "alpha_bar",
        lambda: noising.add_noise(X, X, each(0.1, 0.2, 0.3)),
    ),
    "alpha_bar with too many dimensions": (
        "alpha_bar",
        lambda: noising.add_noise(X, X, torch.full((2, 1, 1, 1), 0.5)),
    ),
    "alpha_bar empty": ("alpha_bar", lambda: noising.add_noise(X, X, torch.zeros(0))),
    # --- noise levels
    "alpha_bar above 1": ("alpha_bar", lambda: noising.add_noise(X, X, 1.01)),
    "alpha_bar below 0": ("alpha_bar", lambda: noising.add_noise(X, X, -0.01)),
    "alpha_bar is a timestep": ("alpha_bar", lambda: noising.add_noise(X, X, 500)),
    "alpha_bar NaN": ("alpha_bar", lambda: noising.add_noise(X, X, NAN)),
    "alpha_bar infinite": ("alpha_bar", lambda: noising.add_noise(X, X, INF)),
    "one alpha_bar NaN": ("alpha_bar", lambda: noising.add_noise(X, X, each(0.5, NAN))),
    "one alpha_bar above 1": ("alpha_bar", lambda: noising.add_noise(X, X, each(0.5, 1.5))),
    "alpha_bar is text": ("alpha_bar", lambda: noising.add_noise(X, X, "0.5")),
    "alpha_bar is True": ("alpha_bar", lambda: noising.add_noise(X, X, True)),
    "alpha_bar is a boolean tensor": (
        "alpha_bar",
        lambda: noising.add_noise(X, X, torch.tensor([True, False])),
    ),
    "alpha_bar is None": ("alpha_bar", lambda: predictions.x0_from_eps(X, X, None)),
    "alpha_bar is a list": ("alpha_bar", lambda: noising.add_noise(X, X, [0.5, 0.5])),
    "alpha_bar complex": ("alpha_bar", lambda: noising.add_noise(X, X, 0.5 + 0j)),
    "eps at alpha_bar 0": ("alpha_bar", lambda: predictions.x0_from_eps(X, X, 0.0)),
    "x0 at alpha_bar 1": ("alpha_bar", lambda: predictions.eps_from_x0(X, X, 1.0)),
    "score at alpha_bar 1": ("alpha_bar", lambda: predictions.score_from_eps(X, 1.0)),
    "sigma space at alpha_bar 0": ("alpha_bar", lambda: noising.to_sigma_space(X, 0)),
    "a step from a clean sample": ("alpha_bar", lambda: samplers.ddim_step(X, X, 1.0, 1.0)),
    "levels swapped in ddim": ("alpha_bar_next", lambda: samplers.ddim_step(X, X, 0.6, 0.5)),
    "levels swapped in ddpm": ("alpha_bar_next", lambda: samplers.ddpm_step(X, X, 0.6, 0.5)),
    "levels swapped for one sample": (
        "alpha_bar_next",
        lambda: samplers.ddim_step(X, X, each(0.5, 0.6), each(0.6, 0.5)),
    ),
    "levels swapped in plms": ("alpha_bar_next", lambda: samplers.plms_step(X, X, 0.6, 0.5)),
    "levels swapped in dpmpp": ("alpha_bar_next", lambda: samplers.dpmpp_2m_step(X, X, 0.6, 0.5)),
    "levels swapped in unipc": ("alpha_bar_next", lambda: samplers.unipc_step(X, X, 0.6, 0.5)),
    "levels swapped in inversion": (
        "alpha_bar_noisier",
        lambda: samplers.ddim_inversion_step(X, X, 0.5, 0.6),
    ),
    "levels swapped in the chain": (
        "alpha_bar_from",
        lambda: noising.add_noise_between(X, X, 0.5, 0.6),
    ),
    "levels swapped in the posterior": (
        "alpha_bar_next",
        lambda: noising.posterior(X, X, 0.6, 0.5),
    ),
    "unipc without a step": ("alpha_bar_next", lambda: samplers.unipc_step(X, X, 0.5, 0.5)),
    "unipc with a level per sample": (
        "alpha_bar",
        lambda: samplers.unipc_step(X, X, each(0.4, 0.5), each(0.6, 0.7)),
    ),
    "dpmpp arrives for half of the batch": (
        "alpha_bar_next",
        lambda: samplers.dpmpp_2m_step(X, X, each(0.4, 0.5), each(0.6, 1.0)),
    ),
    "sigma negative": ("sigma", lambda: samplers.euler_step(X, X, -1.0, 0.5)),
    "sigma_next negative": ("sigma_next", lambda: samplers.heun_step(X, X, X, 1.0, -0.5)),
    "sigma NaN": ("sigma", lambda: noising.from_sigma_space(X, NAN)),
    "sigma infinite": ("sigma", lambda: samplers.dpm2_midpoint(X, X, INF, 1.0)),
    "sigmas swapped in an ancestral step": (
        "sigma_next",
        lambda: samplers.euler_ancestral_step(X, X, 1.0, 2.0, X),
    ),
    "an ancestral step from sigma 0": (
        "sigma",
        lambda: samplers.euler_ancestral_step(X, X, 0.0, 0.0, X),
    ),
    "sigmas swapped for one sample": (
        "sigma_next",
        lambda: samplers.euler_ancestral_step(X, X, each(1, 3), each(2, 2), X),
    ),
    "sigma per sample in lms": ("sigma", lambda: samplers.lms_step(X, X, each(2, 3), 1.0)),
    "sigma negative in a conversion": ("sigma", lambda: schedules.alpha_bar_from_sigma(-1)),
    "alpha_bar above 1 in a conversion": ("alpha_bar", lambda: schedules.snr(1.5)),
    "alpha_bar text in a conversion": ("alpha_bar", lambda: schedules.sigma_from_alpha_bar("0")),
    "flow_time above 1": ("flow_time", lambda: predictions.flow_sample(X, X, 1.5)),
    "flow_time is a timestep": ("flow_time", lambda: predictions.x0_from_flow(X, X, 500)),
    "flow_time_next below 0": (
        "flow_time_next",
        lambda: samplers.flow_euler_step(X, X, 0.5, -0.1),
    ),
    "flow_time NaN": ("flow_time", lambda: predictions.alpha_bar_from_flow_time(NAN)),
    # --- settings of steps
    "eta negative": ("eta", lambda: samplers.ddim_step(X, X, 0.5, 0.6, -0.1)),
    "eta too large": ("eta", lambda: samplers.ddim_step(X, X, 0.5, 0.6, 5.0, X)),
    "eta per sample": ("eta", lambda: samplers.ddim_step(X, X, 0.5, 0.6, each(0.0, 1.0), X)),
    "eta above 1 in an ancestral step": (
        "eta",
        lambda: samplers.euler_ancestral_step(X, X, 2.0, 1.0, X, 1.1),
    ),
    "eta without noise": ("noise", lambda: samplers.ddim_step(X, X, 0.5, 0.6, 1.0)),
    "ancestral without noise": (
        "noise",
        lambda: samplers.euler_ancestral_step(X, X, 2.0, 1.0, None),
    ),
    "variance unknown": (
        "variance",
        lambda: samplers.ddpm_step(X, X, 0.5, 0.6, X, variance="larger"),
    ),
    "variance is a number": ("variance", lambda: samplers.ddpm_step(X, X, 0.5, 0.6, variance=1)),
    "lms order 5": ("order", lambda: samplers.lms_step(X, X, 2.0, 1.0, order=5)),
    "lms order 0": ("order", lambda: samplers.lms_step(X, X, 2.0, 1.0, order=0)),
    "lms order 1.5": ("order", lambda: samplers.lms_step(X, X, 2.0, 1.0, order=1.5)),
    "unipc order 4": ("order", lambda: samplers.unipc_step(X, X, 0.5, 0.6, order=4)),
    "lcm t negative": ("t", lambda: samplers.lcm_step(X, X, -1, 0.5)),
    "lcm t per sample": ("t", lambda: samplers.lcm_step(X, X, each(1, 2), 0.5)),
    "lcm scaling 0": (
        "timestep_scaling",
        lambda: samplers.lcm_step(X, X, 1, 0.5, timestep_scaling=0),
    ),
    # --- histories
    "lms history of tensors": ("history", lambda: samplers.lms_step(X, X, 2.0, 1.0, (X,))),
    "lms history is a tensor": ("history", lambda: samplers.lms_step(X, X, 2.0, 1.0, X)),
    "lms history is None": ("history", lambda: samplers.lms_step(X, X, 2.0, 1.0, None)),
    "lms history of the same sigma": (
        "history",
        lambda: samplers.lms_step(X, X, 2.0, 1.0, (Past(X, 2.0),)),
    ),
    "lms history of another shape": (
        "history",
        lambda: samplers.lms_step(X, X, 2.0, 1.0, (Past(OTHER, 3.0),)),
    ),
    "dpmpp history of another sampler": (
        "history",
        lambda: samplers.dpmpp_2m_step(X, X, 0.5, 0.6, (X, X)),
    ),
    "dpmpp history of a cleaner level": (
        "history",
        lambda: samplers.dpmpp_2m_step(X, X, 0.5, 0.6, (Past(X, 3.0),)),
    ),
    "sde history is a number": (
        "history",
        lambda: samplers.dpmpp_2m_sde_step(X, X, 0.5, 0.6, X, 5),
    ),
    "plms history of another shape": (
        "history",
        lambda: samplers.plms_step(X, X, 0.5, 0.6, (OTHER,)),
    ),
    "plms history of numbers": ("history", lambda: samplers.plms_step(X, X, 0.5, 0.6, (1.0,))),
    "plms history is None": ("history", lambda: samplers.plms_blend(X, None)),
    "unipc history of another sampler": (
        "history",
        lambda: samplers.unipc_step(X, X, 0.5, 0.6, (Past(X, 1.0),)),
    ),
    "unipc history of a cleaner level": (
        "history",
        lambda: samplers.unipc_step(X, X, 0.1, 0.2, samplers.unipc_step(X, X, 0.5, 0.6)[1]),
    ),
    # --- predictions and guidance
    "kind unknown": ("kind", lambda: predictions.x0_and_eps(X, X, 0.5, "epsilon")),
    "source unknown": (
        "source",
        lambda: predictions.convert(X, X, 0.5, source="velocity", target="x0"),
    ),
    "target unknown": ("target", lambda: predictions.convert(X, X, 0.5, source="x0", target="x")),
    "limit 0": ("limit", lambda: predictions.clip(X, 0)),
    "limit NaN": ("limit", lambda: predictions.clip(X, NAN)),
    "quantile 99.5": ("quantile", lambda: predictions.dynamic_threshold(X, 99.5)),
    "largest below the limit": ("largest", lambda: predictions.dynamic_threshold(X, largest=0.5)),
    "no batch to threshold": ("x0_hat", lambda: predictions.dynamic_threshold(X[0, 0])),
    "guidance_scale NaN": (
        "guidance_scale",
        lambda: guidance.classifier_free_guidance(X, X, NAN),
    ),
    "guidance_scale is text": (
        "guidance_scale",
        lambda: guidance.classifier_free_guidance(X, X, "7.5"),
    ),
    "scale infinite": ("scale", lambda: guidance.classifier_guidance(X, X, 0.5, INF)),
    "w is None": ("w", lambda: guidance.guidance_scale_from_paper(None)),
    "rescale above 1": ("rescale", lambda: guidance.rescale_guidance(X, X, 7.0)),
    "no batch to rescale": ("eps", lambda: guidance.rescale_guidance(X[0, 0], X[0, 0], 0.7)),
    # --- schedules
    "no steps in a schedule": ("steps", lambda: NoiseSchedule.linear(0)),
    "steps is a float": ("steps", lambda: NoiseSchedule.cosine(10.0)),
    "start above end": ("end", lambda: NoiseSchedule.linear(10, 0.02, 0.01)),
    "start negative": ("start", lambda: NoiseSchedule.scaled_linear(10, -0.1, 0.1)),
    "end above 1": ("end", lambda: schedules.sigmoid_betas(9, 0, 2)),
    "cosine offset negative": ("offset", lambda: schedules.cosine_betas(10, offset=-1)),
    "betas are a list": ("betas", lambda: NoiseSchedule([0.1, 0.2])),
    "betas above 1": ("betas", lambda: NoiseSchedule(each(0.1, 1.2))),
    "betas NaN": ("betas", lambda: NoiseSchedule(each(0.1, NAN))),
    "betas empty": ("betas", lambda: NoiseSchedule(torch.zeros(0))),
    "betas in two dimensions": (
        "betas",
        lambda: schedules.alpha_bars_from_betas(torch.zeros(2, 2)),
    ),
    "betas hold integers": ("betas", lambda: NoiseSchedule(torch.tensor([0, 1]))),
    "one beta can't end at zero SNR": ("betas", lambda: schedules.zero_terminal_snr(each(0.1))),
    "alpha_bars reversed": ("alpha_bars", lambda: schedules.betas_from_alpha_bars(each(0.1, 0.9))),
    "alpha_bars above 1": ("alpha_bars", lambda: schedules.betas_from_alpha_bars(each(1.1, 0.9))),
    "no steps in a run": ("steps", lambda: PLAN.noise_schedule.spaced(0)),
    "negative steps": ("steps", lambda: PLAN.noise_schedule.spaced(-5)),
    "more steps than timesteps": ("steps", lambda: PLAN.noise_schedule.spaced(1001)),
    "one more step than timesteps": (
        "steps",
        lambda: PLAN.noise_schedule.spaced(1000, drop_last=True),
    ),
    "steps is True": ("steps", lambda: schedules.timestep_spacing(True)),
    "spacing unknown": ("spacing", lambda: PLAN.noise_schedule.spaced(5, "leadin")),
    "spacing is a number": ("spacing", lambda: schedules.timestep_spacing(5, 1000, 3)),
    "steps_offset negative": (
        "steps_offset",
        lambda: schedules.timestep_spacing(5, steps_offset=-1),
    ),
    "steps_offset too large": (
        "steps_offset",
        lambda: schedules.timestep_spacing(1000, steps_offset=1),
    ),
    "train_steps 0": ("train_steps", lambda: schedules.timestep_spacing(1, 0)),
    "sigmas unknown": ("sigmas", lambda: PLAN.noise_schedule.spaced(5, sigmas="carras")),
    "final unknown": ("final", lambda: PLAN.noise_schedule.spaced(5, final="zero")),
    "sigmas rise": ("sigmas", lambda: PLAN.noise_schedule.from_sigmas(each(1, 2))),
    "sigmas reach 0": ("sigmas", lambda: PLAN.noise_schedule.from_sigmas(each(1, 0))),
    "sigmas are a list": ("sigmas", lambda: PLAN.noise_schedule.from_sigmas([2.0, 1.0])),
    "t beyond the training": ("t", lambda: PLAN.noise_schedule.sigma_at(each(1000))),
    "t NaN": ("t", lambda: PLAN.noise_schedule.sigma_at(each(NAN))),
    "t is text": ("t", lambda: PLAN.noise_schedule.sigma_at("noon")),
    "sigma is a bool": ("sigma", lambda: PLAN.noise_schedule.t_at(True)),
    "betas of integers": ("dtype", lambda: schedules.linear_betas(dtype=torch.int64)),
    "each its own level in half precision": (
        "alpha_bar",
        lambda: noising.add_noise(torch.zeros(2, 3).half(), torch.zeros(2, 3).half(), each(0.5)),
    ),
    "clip where no picture is used": (
        "clip",
        lambda: trajectories.trajectory(lambda x, t, a: x, X, PLAN, "euler", clip=1.0),
    ),
    "a score blended over levels": (
        "kind",
        lambda: trajectories.trajectory(lambda x, t, a: x, X, PLAN, "plms", kind="score"),
    ),
    "sigma of a schedule that ends in nothing": (
        "sigma",
        lambda: PLAN.noise_schedule.with_zero_terminal_snr().spaced(
            7, sigmas="karras", spacing="trailing"
        ),
    ),
    "one number a sample has no contrast": (
        "eps",
        lambda: guidance.rescale_guidance(torch.zeros(3, 1), torch.zeros(3, 1), 0.7),
    ),
    "a name where groups have none": ("label", lambda: mixtures.ring().given("cats")),
    "sigma negative to t": ("sigma", lambda: PLAN.noise_schedule.t_at(each(-1))),
    "sigma_min 0": ("sigma_min", lambda: schedules.karras_sigmas(5, 0, 10)),
    "sigma_max below sigma_min": ("sigma_max", lambda: schedules.exponential_sigmas(5, 10, 1)),
    "rho negative": ("rho", lambda: schedules.karras_sigmas(5, 1, 10, rho=-7)),
    "shift 0": ("shift", lambda: schedules.flow_times(5, 0)),
    "last after first": ("last", lambda: schedules.flow_times(5, first=0.5, last=0.6)),
    "flow_times without steps": ("steps", lambda: schedules.flow_times(0)),
    "stations too few": (
        "alpha_bars",
        lambda: SamplingSchedule(each(9, 5), each(0.1, 0.5), PLAN.noise_schedule),
    ),
    "timesteps reversed": (
        "timesteps",
        lambda: SamplingSchedule(each(5, 9), each(0.1, 0.5, 1), PLAN.noise_schedule),
    ),
    "stations reversed": (
        "alpha_bars",
        lambda: SamplingSchedule(each(9, 5), each(1.0, 0.5, 0.1), PLAN.noise_schedule),
    ),
    "stations above 1": (
        "alpha_bars",
        lambda: SamplingSchedule(each(9, 5), each(0.1, 0.5, 1.5), PLAN.noise_schedule),
    ),
    "stations without timesteps": (
        "timesteps",
        lambda: SamplingSchedule([9, 5], each(0.1, 0.5, 1), PLAN.noise_schedule),
    ),
    # --- whole runs
    "sampler unknown": ("sampler", lambda: walk(sampler="dimm")),
    "predict is no function": ("predict", lambda: walk(predict=X)),
    "plan is a number of steps": ("schedule", lambda: walk(plan=50)),
    "plan is the training's": ("schedule", lambda: walk(plan=NoiseSchedule.linear())),
    "start is no sample": ("xt", lambda: walk(xt=0)),
    "kind of the network unknown": ("kind", lambda: walk(kind="noise")),
    "option of another sampler": ("order", lambda: walk(order=2)),
    "option of no sampler": ("steps", lambda: walk(sampler="euler", steps=2)),
    "no generator": ("generator", lambda: walk(sampler="ddpm")),
    "no generator for eta": ("generator", lambda: walk(eta=0.5)),
    "generator is a seed": ("generator", lambda: walk(sampler="ddpm", generator=0)),
    "eta is text": ("eta", lambda: walk(eta="1")),
    "clip negative": ("clip", lambda: walk(clip=-1)),
    "clip is True": ("clip", lambda: walk(clip=True)),
    "variance of a run unknown": (
        "variance",
        lambda: walk(sampler="ddpm", generator=SEED, variance="big"),
    ),
    "network answers in another shape": ("eps", lambda: walk(predict=lambda *_: OTHER)),
    "network answers nothing": ("eps", lambda: walk(predict=lambda *_: None)),
    # --- mixtures
    "means are a list": ("means", lambda: mixture(means=[[0.0, 0.0]])),
    "means in one dimension": ("means", lambda: mixture(means=torch.zeros(3))),
    "means NaN": ("means", lambda: mixture(means=torch.full((3, 2), NAN))),
    "stds too few": ("stds", lambda: mixture(stds=torch.ones(2))),
    "stds negative": ("stds", lambda: mixture(stds=-torch.ones(3))),
    "weights don't add up": ("weights", lambda: mixture(weights=torch.ones(3))),
    "weights negative": ("weights", lambda: mixture(weights=torch.tensor([1.0, 1.0, -1.0]))),
    "labels too few": ("labels", lambda: mixture(labels=torch.tensor([0, 1]))),
    "labels negative": ("labels", lambda: mixture(labels=torch.tensor([0, 1, -1]))),
    "labels are a list": ("labels", lambda: mixture(labels=[0, 1, 2])),
    "labels are floats": ("labels", lambda: mixture(labels=torch.zeros(3))),
    "names too few": ("names", lambda: mixture(names=("a", "b"))),
    "label unknown": ("label", lambda: GROUPS.given("cat")),
    "label out of range": ("label", lambda: GROUPS.given(3)),
    "label is True": ("label", lambda: GROUPS.given(True)),
    "label is a float": ("label", lambda: GROUPS.given(1.0)),
    "points of three numbers": ("xt", lambda: GROUPS.score(torch.zeros(5, 3), 0.5)),
    "a point without dimensions": ("xt", lambda: GROUPS.density(torch.tensor(0.5))),
    "points hold integers": ("xt", lambda: GROUPS.eps(POINTS.long(), 0.5)),
    "alpha_bar of a mixture above 1": ("alpha_bar", lambda: GROUPS.x0(POINTS, 1.5)),
    "alpha_bar for other points": ("alpha_bar", lambda: GROUPS.x0(POINTS, each(0.1, 0.2, 0.3))),
    "eps of clean points": ("alpha_bar", lambda: predictions.score_from_eps(POINTS, 1.0)),
    "density of points without width": (
        "alpha_bar",
        lambda: mixture(stds=torch.zeros(3)).density(POINTS, 1.0),
    ),
    "no samples": ("count", lambda: GROUPS.sample(0, SEED)),
    "sampled with a seed": ("generator", lambda: GROUPS.sample(5, 0)),
    "named shape unknown": ("name", lambda: mixtures.named("moon")),
    "std 0 in a named shape": ("std", lambda: mixtures.ring(std=0)),
    "radius negative": ("radius", lambda: mixtures.three_groups(radius=-1)),
    "ring of none": ("count", lambda: mixtures.ring(0)),
    "distance negative": ("distance", lambda: mixtures.two_peaks(-1)),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_is_told_which_argument_was_wrong(case: str) -> None:
    argument, call = WRONG[case]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    message = str(caught.value)
    assert re.search(rf"(?<!\w){argument}(?!\w)", message), message
    assert message.endswith((".", "?")) and "\n" not in message


def test_the_list_is_long_enough() -> None:
    assert len(WRONG) >= 80


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda: PLAN.noise_schedule.spaced(5, "trailling"), "trailing"),
        (lambda: PLAN.noise_schedule.spaced(5, sigmas="Karras"), "karras"),
        (lambda: walk(sampler="dpm_2m"), "dpmpp_2m"),
        (lambda: walk(sampler="unipcc"), "unipc"),
        (lambda: GROUPS.given("dog"), "dogs"),
        (lambda: mixtures.named("spirals"), "spiral"),
        (lambda: walk(kind="epsi"), "eps"),
    ],
)
def test_near_misses_are_recognised(call: Callable[[], object], meant: str) -> None:
    with pytest.raises(ValueError, match=rf"Did you mean '{meant}'\?"):
        call()


@pytest.mark.parametrize("sampler", ["ddpm", "euler_ancestral", "dpmpp_2m_sde", "lcm"])
def test_mistakes_are_found_before_the_network_is_asked(sampler: str) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the network was asked")

    with pytest.raises(ValueError, match="generator"):
        trajectories.trajectory(never, X, PLAN, sampler)


# Calls at the edge of what is allowed.
RIGHT: dict[str, Callable[[], object]] = {
    "t as a plain number": lambda: PLAN.noise_schedule.sigma_at(5),
    "t as whole numbers": lambda: PLAN.noise_schedule.sigma_at(torch.tensor([5, 7])),
    "a numpy number": lambda: noising.add_noise(X, X, np.float32(0.5)),
    "a numpy 0-d array": lambda: noising.add_noise(X, X, np.array(0.5)),
    "alpha_bar 0": lambda: noising.add_noise(X, X, 0),
    "alpha_bar 1": lambda: noising.add_noise(X, X, 1),
    "alpha_bar a whole 0-d tensor": lambda: noising.add_noise(X, X, torch.tensor(1)),
    "alpha_bar a numpy number": lambda: noising.add_noise(X, X, each(0.5).numpy()[0]),
    "alpha_bar one number in a tensor": lambda: noising.add_noise(X, X, each(0.5)),
    "v at alpha_bar 0": lambda: predictions.x0_from_v(X, X, 0.0),
    "v at alpha_bar 1": lambda: predictions.eps_from_v(X, X, 1.0),
    "a known x0_hat at alpha_bar 0": lambda: samplers.ddim_step(X, X, 0.0, 0.1, x0_hat=X),
    "ddpm at alpha_bar 0": lambda: samplers.ddpm_step(X, X, 0.0, 0.1, X, x0_hat=X),
    "arrive at the picture": lambda: samplers.ddim_step(X, X, 0.5, 1.0, 1.0, X),
    "arrive with dpmpp": lambda: samplers.dpmpp_2m_step(X, X, 0.5, 1.0)[0],
    "the whole batch arrives": lambda: samplers.dpmpp_2m_step(X, X, each(0.4, 0.5), each(1, 1))[0],
    "arrive with unipc": lambda: samplers.unipc_step(X, X, 0.5, 1.0)[0],
    "stay where one is": lambda: samplers.ddim_step(X, X, 0.5, 0.5),
    "dpmpp stays where it is": lambda: samplers.dpmpp_2m_step(X, X, 0.5, 0.5, (Past(X, -1.0),))[0],
    "euler to a noisier level": lambda: samplers.euler_step(X, X, 1.0, 2.0),
    "euler from sigma 0": lambda: samplers.euler_step(X, X, 0.0, 1.0),
    "ancestral arrives": lambda: samplers.euler_ancestral_step(X, X, 1.0, 0.0, X),
    "history as a list": lambda: samplers.lms_step(X, X, 2.0, 1.0, [Past(X, 3.0)])[0],
    "guidance below 0": lambda: guidance.classifier_free_guidance(X, X, -1.0),
    "guidance per sample": lambda: guidance.classifier_free_guidance(X, X, each(1.0, 7.5)),
    "lcm on its last step": lambda: samplers.lcm_step(X, X, 19, 1.0),
    "every timestep": lambda: schedules.timestep_spacing(1000),
    "a single step": lambda: schedules.timestep_spacing(1, spacing="trailing"),
    "one sigma": lambda: schedules.karras_sigmas(1, 1, 1),
    "a shift below 1": lambda: schedules.flow_times(5, 0.2),
    "float32 levels beyond rounding": lambda: samplers.ddim_step(
        X.float(), X.float(), each(1e-7, 1e-5), each(2e-7, 0.9999999), 1.0, X.float()
    ),
    "one point": lambda: GROUPS.score(POINTS[0], 0.5),
    "one sample": lambda: GROUPS.sample(1, SEED)[0],
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_right_call_is_let_through(case: str) -> None:
    assert bool(torch.isfinite(RIGHT[case]()).all())


@pytest.mark.parametrize("shift", [0.2, 0.3, 0.7, 1.0, 1.5, 3.0, 6.0])
def test_flow_times_may_be_stepped_along(shift: float) -> None:
    times = schedules.flow_times(7, shift).tolist()
    for now, following in itertools.pairwise(times):
        samplers.flow_euler_step(X, X, now, following)  # 1.0000000000000002 would be refused
