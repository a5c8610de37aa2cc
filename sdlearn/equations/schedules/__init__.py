"""Noise schedules: how fast a picture drowns in noise, and where a sampler stops on the way.

A *noise schedule* belongs to the training: one ``beta`` for each of the T timesteps. A
*sampling schedule* belongs to a run: the few timesteps at which the network is asked. Both
are frozen records; nothing here knows any network or picture.
"""

from sdlearn.equations.schedules.betas import (
    alpha_bar_from_sigma,
    alpha_bars_from_betas,
    betas_from_alpha_bars,
    cosine_betas,
    linear_betas,
    log_snr,
    scaled_linear_betas,
    sigma_from_alpha_bar,
    sigmoid_betas,
    snr,
    zero_terminal_snr,
)
from sdlearn.equations.schedules.records import (
    FINALS,
    SIGMA_SPACINGS,
    NoiseSchedule,
    SamplingSchedule,
)
from sdlearn.equations.schedules.spacing import (
    SPACINGS,
    exponential_sigmas,
    flow_times,
    karras_sigmas,
    timestep_spacing,
)

__all__ = [
    "FINALS",
    "SIGMA_SPACINGS",
    "SPACINGS",
    "NoiseSchedule",
    "SamplingSchedule",
    "alpha_bar_from_sigma",
    "alpha_bars_from_betas",
    "betas_from_alpha_bars",
    "cosine_betas",
    "exponential_sigmas",
    "flow_times",
    "karras_sigmas",
    "linear_betas",
    "log_snr",
    "scaled_linear_betas",
    "sigma_from_alpha_bar",
    "sigmoid_betas",
    "snr",
    "timestep_spacing",
    "zero_terminal_snr",
]
