"""Samplers as pure steps: from a noisy sample and a prediction to a less noisy sample.

A step draws no random numbers (noise comes in as an argument), asks no network and remembers
nothing: a multistep sampler takes its history as an argument and returns the longer one. The
loops that put steps in a row are in `sdlearn.equations.trajectories`.

Two families. Steps that name ``alpha_bar`` work on ``xt``, the sample as the network sees it.
Steps that name ``sigma`` work on ``x_sigma = xt / sqrt(alpha_bar)``, where the step is a
plain Euler step along a curve; `noising.to_sigma_space` leads from one to the other.
"""

from sdlearn.equations.samplers.ancestral import ddim_inversion_step, ddim_step, ddpm_step
from sdlearn.equations.samplers.dpm import dpmpp_2m_sde_step, dpmpp_2m_step
from sdlearn.equations.samplers.few_steps import flow_euler_step, lcm_step
from sdlearn.equations.samplers.multistep import (
    LMS_ORDER,
    Past,
    lms_step,
    plms_blend,
    plms_step,
    transfer,
)
from sdlearn.equations.samplers.sigma_space import (
    dpm2_midpoint,
    dpm2_step,
    euler_ancestral_step,
    euler_step,
    heun_step,
)
from sdlearn.equations.samplers.unipc import UniPCHistory, unipc_step

__all__ = [
    "LMS_ORDER",
    "Past",
    "UniPCHistory",
    "ddim_inversion_step",
    "ddim_step",
    "ddpm_step",
    "dpm2_midpoint",
    "dpm2_step",
    "dpmpp_2m_sde_step",
    "dpmpp_2m_step",
    "euler_ancestral_step",
    "euler_step",
    "flow_euler_step",
    "heun_step",
    "lcm_step",
    "lms_step",
    "plms_blend",
    "plms_step",
    "transfer",
    "unipc_step",
]
