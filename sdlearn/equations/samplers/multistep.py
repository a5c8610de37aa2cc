"""Linear multistep samplers: one network call a step, and a memory of the earlier calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from sdlearn.equations import _checks, noising
from sdlearn.equations._checks import Coefficient, sqrt


class Past(NamedTuple):
    """What a multistep sampler remembers of an earlier call: the answer and where it was."""

    prediction: Tensor
    level: float
    """Noise level of that call, in the measure of the sampler: sigma, or log(1 / sigma)."""


LMS_ORDER = 4


def lms_step(
    x_sigma: Tensor,
    eps: Tensor,
    sigma: float,
    sigma_next: float,
    history: Sequence[Past] = (),
    *,
    order: int = LMS_ORDER,
) -> tuple[Tensor, tuple[Past, ...]]:
    """Adams-Bashforth: draw a polynomial through the last slopes and integrate it.

    The classical linear multistep method, on sigmas that need not be evenly spaced, as the
    k-diffusion library uses it under the name LMS.

    Args:
        x_sigma: The noisy sample in sigma space.
        eps: The predicted noise, of the same shape.
        sigma: Its noise level.
        sigma_next: The level to arrive at.
        history: What the last step returned; empty at the start.
        order: How many slopes at most, 1 to 4; 1 is Euler.

    Returns:
        x_next in sigma space, and the history for the next step, newest first.
    """
    _checks.like("eps", eps, "x_sigma", _checks.sample("x_sigma", x_sigma))
    sigma = _checks.number("sigma", sigma, low=0.0)
    sigma_next = _checks.number("sigma_next", sigma_next, low=0.0)
    order = _checks.whole("order", order, high=LMS_ORDER)
    history = (Past(eps, sigma), *_remembered(history, x_sigma))[:order]
    nodes = [past.level for past in history]
    if len(set(nodes)) < len(nodes):
        raise ValueError(f"history holds the same sigma twice ({nodes}). Start a new history.")
    x_next = x_sigma
    for past in history:
        weight = _integral_of_lagrange(past.level, nodes, sigma, sigma_next)
        x_next = x_next + weight * past.prediction
    return x_next, history


# PNDM (2202.09778): weights of the last noise estimates, newest first (eq. 9 is the last).
ADAMS_BASHFORTH = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


def plms_step(
    xt: Tensor,
    eps: Tensor,
    alpha_bar: Coefficient,
    alpha_bar_next: Coefficient,
    history: Sequence[Tensor] = (),
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """PNDM without its Runge-Kutta start, which tools call PLMS (arXiv:2202.09778).

    The noise is blended from the last four estimates, as if they were evenly spaced; then a
    DDIM step carries the sample on. Stable Diffusion's first sampler.

    Args:
        xt: The noisy sample.
        eps: The predicted noise, of the same shape.
        alpha_bar: Noise level of xt.
        alpha_bar_next: Noise level to arrive at.
        history: What the last step returned; empty at the start.

    Returns:
        x_next, and the history for the next step, newest first.
    """
    _checks.like("eps", eps, "xt", _checks.sample("xt", xt))
    blend, history = plms_blend(eps, history)
    return transfer(xt, blend, alpha_bar, alpha_bar_next), history


def plms_blend(
    prediction: Tensor, history: Sequence[Tensor] = ()
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Blend the last four answers, as Adams and Bashforth weigh evenly spaced slopes.

    The weights add up to 1, so a network that predicts v may be blended in v as well.

    Returns:
        The blend, and the history for the next step, newest first.
    """
    _checks.sample("prediction", prediction)
    history = (prediction, *_checks.sequence("history", history))[:4]
    for past in history:
        _checks.like("history", past, "prediction", prediction)
    weights = ADAMS_BASHFORTH[len(history)]
    return sum(weight * past for weight, past in zip(weights, history, strict=True)), history


def transfer(
    xt: Tensor, eps: Tensor, alpha_bar: Coefficient, alpha_bar_next: Coefficient
) -> Tensor:
    """PNDM's transfer: DDIM's step, written without a detour over x0 (2202.09778, eq. 11)."""
    _checks.like("eps", eps, "xt", _checks.sample("xt", xt))
    now, nxt = noising.falling_noise(alpha_bar, alpha_bar_next, xt, positive=True)
    gap = (nxt - now) / (now * sqrt(1 - nxt) + sqrt(now * (1 - now) * nxt))
    return sqrt(nxt / now) * xt - gap * eps


def _integral_of_lagrange(at: float, nodes: list[float], start: float, end: float) -> float:
    """Integrate, from start to end, the polynomial that is 1 at `at` and 0 at other nodes.

    Gauss's rule with two points is exact for cubics, and four nodes make no more than that.
    """
    middle, half = (start + end) / 2, (end - start) / 2
    total = 0.0
    for point in (middle - half / 3**0.5, middle + half / 3**0.5):
        value = 1.0
        for node in nodes:
            if node != at:
                value *= (point - node) / (at - node)
        total += value
    return total * half


def _remembered(history: Sequence[Past], like: Tensor) -> Sequence[Past]:
    for past in _checks.sequence("history", history):
        if not isinstance(past, Past):
            raise TypeError(
                f"history must hold what the last step returned, got {type(past).__name__}."
            )
        _checks.like("history", past.prediction, "the sample", like)
    return history
