"""Samplers in sigma space, where ``x_sigma = x0 + sigma * eps``.

There the deterministic path obeys ``d x_sigma / d sigma = eps`` (EDM, arXiv:2206.00364, eq. 1
and 3): the predicted noise is the slope of the curve, and a sampler is any solver for such
curves.
"""

from __future__ import annotations

from torch import Tensor

from sdlearn.equations import _checks
from sdlearn.equations._checks import Coefficient, sqrt


def euler_step(x_sigma: Tensor, eps: Tensor, sigma: Coefficient, sigma_next: Coefficient) -> Tensor:
    """Follow the slope in a straight line: DDIM with eta = 0, seen from sigma space.

    Args:
        x_sigma: The noisy sample in sigma space.
        eps: The predicted noise, of the same shape.
        sigma: Its noise level.
        sigma_next: The level to arrive at; 0 is the clean sample. May also be noisier.
    """
    sigma, sigma_next = _levels(x_sigma, eps, sigma, sigma_next)
    return x_sigma + (sigma_next - sigma) * eps  # EDM, algorithm 1, line 5


def euler_ancestral_step(
    x_sigma: Tensor,
    eps: Tensor,
    sigma: Coefficient,
    sigma_next: Coefficient,
    noise: Tensor,
    eta: float = 1.0,
) -> Tensor:
    """Step further down than asked, then add fresh noise (2011.13456, appendix F, eq. 47).

    Args:
        x_sigma: The noisy sample in sigma space.
        eps: The predicted noise, of the same shape.
        sigma: Its noise level, above 0.
        sigma_next: The level to arrive at, not above sigma.
        noise: Fresh standard normal noise.
        eta: 1 is DDPM's share of fresh noise, 0 is the plain Euler step.
    """
    sigma, sigma_next = _levels(x_sigma, eps, sigma, sigma_next, falling=True)
    _checks.like("noise", noise, "x_sigma", x_sigma)
    eta = _checks.number("eta", eta, low=0.0, high=1.0)
    noise_std = eta * sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2)
    sigma_down = sqrt(sigma_next**2 - noise_std**2)  # the two variances make up sigma_next's
    return x_sigma + (sigma_down - sigma) * eps + noise_std * noise


def heun_step(
    x_sigma: Tensor,
    eps: Tensor,
    eps_there: Tensor,
    sigma: Coefficient,
    sigma_next: Coefficient,
) -> Tensor:
    """Take the mean of the slopes at both ends: second order, two network calls.

    Args:
        x_sigma: The noisy sample in sigma space.
        eps: The noise predicted for it.
        eps_there: The noise predicted for ``euler_step(x_sigma, eps, sigma, sigma_next)``.
        sigma: Its noise level.
        sigma_next: The level to arrive at, above 0 (at 0 nothing is left to predict).
    """
    sigma, sigma_next = _levels(x_sigma, eps, sigma, sigma_next)
    _checks.like("eps_there", eps_there, "x_sigma", x_sigma)
    return x_sigma + (sigma_next - sigma) * (eps + eps_there) / 2  # EDM, algorithm 1, line 8


def dpm2_midpoint(
    x_sigma: Tensor, eps: Tensor, sigma: Coefficient, sigma_next: Coefficient
) -> tuple[Tensor, Coefficient]:
    """The first half of a DPM2 step: an Euler step to the middle, measured in log sigma.

    Returns:
        The sample there and its sigma, the geometric mean of the two ends.
    """
    sigma, sigma_next = _levels(x_sigma, eps, sigma, sigma_next)
    sigma_mid = sqrt(sigma * sigma_next)  # DPM-Solver (2206.00927), algorithm 1, r = 1/2
    return x_sigma + (sigma_mid - sigma) * eps, sigma_mid


def dpm2_step(
    x_sigma: Tensor, eps_mid: Tensor, sigma: Coefficient, sigma_next: Coefficient
) -> Tensor:
    """The second half: the whole way from the start, with the slope found in the middle.

    Args:
        x_sigma: The sample where the step began (not the one in the middle).
        eps_mid: The noise predicted for `dpm2_midpoint`.
        sigma: Noise level of x_sigma.
        sigma_next: The level to arrive at.
    """
    sigma, sigma_next = _levels(x_sigma, eps_mid, sigma, sigma_next, name="eps_mid")
    return x_sigma + (sigma_next - sigma) * eps_mid


def _levels(
    x_sigma: Tensor,
    eps: Tensor,
    sigma: Coefficient,
    sigma_next: Coefficient,
    *,
    name: str = "eps",
    falling: bool = False,
) -> tuple[Coefficient, Coefficient]:
    _checks.like(name, eps, "x_sigma", _checks.sample("x_sigma", x_sigma))
    sigma = _checks.sigma(sigma, x_sigma)
    sigma_next = _checks.sigma(sigma_next, x_sigma, "sigma_next")
    if falling and not _checks.everywhere((sigma_next <= sigma) & (sigma > 0)):
        raise ValueError(
            f"sigma_next must not be above sigma, and sigma not 0 ({_checks.shown(sigma_next)} "
            f"and {_checks.shown(sigma)}): an ancestral step removes noise. Are the two swapped?"
        )
    return sigma, sigma_next
