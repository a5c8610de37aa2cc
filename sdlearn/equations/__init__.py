"""The mathematics of diffusion: one function is one formula of one paper.

Everything here is pure: numbers and tensors in, tensors out. No network, no hidden
random numbers, no state. The symbols are those of the whole course:

- ``x0``, ``xt``, ``x_next``: the clean, the noisy and the next (less noisy) sample
- ``eps``, ``v``: noise and velocity; ``x0_hat``: the estimate of the clean sample
- ``beta``, ``alpha`` (``1 - beta``), ``alpha_bar`` (the product of the alphas so far)
- ``sigma``: ``sqrt((1 - alpha_bar) / alpha_bar)``, and nothing else
- ``x_sigma``: the sample without DDPM's shrinking, ``xt / sqrt(alpha_bar) = x0 + sigma * eps``

Read in this order: `schedules`, `noising`, `predictions`, `samplers`, `trajectories`,
`guidance`, `mixtures`.
"""

from sdlearn.equations import (
    guidance,
    mixtures,
    noising,
    predictions,
    samplers,
    schedules,
    trajectories,
)

__all__ = [
    "guidance",
    "mixtures",
    "noising",
    "predictions",
    "samplers",
    "schedules",
    "trajectories",
]
