"""The forward process: what noise does to a picture. Nothing here is learned."""

from __future__ import annotations

from torch import Tensor

from sdlearn.equations import _checks
from sdlearn.equations._checks import Coefficient, sqrt


def add_noise(x0: Tensor, eps: Tensor, alpha_bar: Coefficient) -> Tensor:
    """Jump from the clean sample straight to any noise level: a draw of q(x_t | x_0).

    Args:
        x0: The clean sample, any shape; a batch in the first dimension.
        eps: Standard normal noise of the same shape.
        alpha_bar: How much of the picture's variance is left: a number, or one per sample.

    Returns:
        xt, of the same shape.
    """
    _checks.like("eps", eps, "x0", _checks.sample("x0", x0))
    alpha_bar = _checks.alpha_bar(alpha_bar, x0)
    return sqrt(alpha_bar) * x0 + sqrt(1 - alpha_bar) * eps  # DDPM (2006.11239), eq. 4


def add_noise_between(
    xs: Tensor, eps: Tensor, alpha_bar_from: Coefficient, alpha_bar: Coefficient
) -> Tensor:
    """From a noisy sample to a noisier one: a draw of q(x_t | x_s), s before t.

    With neighbouring timesteps this is one step of the Markov chain, and
    ``alpha_bar / alpha_bar_from`` is that step's ``alpha``.
    """
    _checks.like("eps", eps, "xs", _checks.sample("xs", xs))
    alpha_bar_from = _checks.alpha_bar(alpha_bar_from, xs, "alpha_bar_from", positive=True)
    alpha_bar = _checks.alpha_bar(alpha_bar, xs)
    if not _checks.everywhere(alpha_bar <= alpha_bar_from):
        raise ValueError(
            f"alpha_bar must not be above alpha_bar_from ({_checks.shown(alpha_bar)} > "
            f"{_checks.shown(alpha_bar_from)}): noise is only ever added. Are the two swapped?"
        )
    alpha = alpha_bar / alpha_bar_from
    return sqrt(alpha) * xs + sqrt(1 - alpha) * eps  # DDPM, eq. 2


def posterior(
    x0: Tensor, xt: Tensor, alpha_bar: Coefficient, alpha_bar_next: Coefficient
) -> tuple[Tensor, Coefficient]:
    """Where the sample was one step before, if one knew the picture: q(x_{t-1} | x_t, x_0).

    Args:
        x0: The clean sample.
        xt: The noisy sample, of the same shape.
        alpha_bar: Noise level of xt.
        alpha_bar_next: Noise level one step nearer to the picture.

    Returns:
        Mean (shape of x0) and variance (a number, or one per sample) of a normal distribution.
    """
    _checks.like("xt", xt, "x0", _checks.sample("x0", x0))
    alpha_bar, alpha_bar_next = falling_noise(alpha_bar, alpha_bar_next, x0)
    alpha = alpha_bar / alpha_bar_next
    beta = 1 - alpha
    noise = 1 - alpha_bar
    mean = (sqrt(alpha_bar_next) * beta / noise) * x0  # DDPM, eq. 7
    mean = mean + (sqrt(alpha) * (1 - alpha_bar_next) / noise) * xt
    return mean, (1 - alpha_bar_next) / noise * beta  # DDPM, eq. 7


def to_sigma_space(xt: Tensor, alpha_bar: Coefficient) -> Tensor:
    """Undo DDPM's shrinking: ``x_sigma = x0 + sigma * eps`` (EDM, 2206.00364, section 3)."""
    xt = _checks.sample("xt", xt)
    return xt / sqrt(_checks.alpha_bar(alpha_bar, xt, positive=True))


def from_sigma_space(x_sigma: Tensor, sigma: Coefficient) -> Tensor:
    """Shrink again, to the variance on which the network was trained; the inverse."""
    x_sigma = _checks.sample("x_sigma", x_sigma)
    return x_sigma / sqrt(1 + _checks.sigma(sigma, x_sigma) ** 2)


def falling_noise(
    alpha_bar: Coefficient,
    alpha_bar_next: Coefficient,
    against: Tensor,
    *,
    positive: bool = False,
) -> tuple[Coefficient, Coefficient]:
    """Check the two noise levels of a step that leads from noise towards the picture."""
    alpha_bar = _checks.alpha_bar(alpha_bar, against, positive=positive)
    alpha_bar_next = _checks.alpha_bar(alpha_bar_next, against, "alpha_bar_next", positive=True)
    if not _checks.everywhere(alpha_bar <= alpha_bar_next):
        raise ValueError(
            f"alpha_bar_next must not be below alpha_bar ({_checks.shown(alpha_bar_next)} < "
            f"{_checks.shown(alpha_bar)}): this step removes noise. Are the two swapped, or is "
            "the schedule reversed?"
        )
    if not _checks.everywhere(alpha_bar < 1):
        raise ValueError("alpha_bar is 1: the sample is clean already, there is no step to take.")
    return alpha_bar, alpha_bar_next
