"""DPM-Solver++(2M), deterministic and stochastic.

Its clock is ``lam = log(1 / sigma)``, half the log signal-to-noise ratio: in that time the
picture's estimate changes smoothly, and a straight line through the last two is enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from sdlearn.equations import _checks, noising
from sdlearn.equations._checks import Coefficient, expm1, log, sqrt
from sdlearn.equations.samplers.multistep import Past, _remembered


def dpmpp_2m_step(
    xt: Tensor,
    x0_hat: Tensor,
    alpha_bar: Coefficient,
    alpha_bar_next: Coefficient,
    history: Sequence[Past] = (),
) -> tuple[Tensor, tuple[Past, ...]]:
    """One step of DPM-Solver++(2M) (arXiv:2211.01095, algorithm 2).

    Args:
        xt: The noisy sample.
        x0_hat: The picture's estimate, of the same shape.
        alpha_bar: Noise level of xt.
        alpha_bar_next: Noise level to arrive at; at 1 the step is x0_hat itself.
        history: What the last step returned; empty for a first-order step (DDIM).

    Returns:
        x_next, and the history for the next step.
    """
    now, nxt, lam = _clock(xt, x0_hat, alpha_bar, alpha_bar_next)
    if _arrives(nxt):  # h is infinite: all that is left is the estimate
        return x0_hat, (Past(x0_hat, lam),)
    h = _lam(nxt) - lam
    blend = _extrapolate(x0_hat, lam, h, _remembered(history, xt))
    x_next = sqrt((1 - nxt) / (1 - now)) * xt - sqrt(nxt) * expm1(-h) * blend  # algorithm 2
    return x_next, (Past(x0_hat, lam),)


def dpmpp_2m_sde_step(
    xt: Tensor,
    x0_hat: Tensor,
    alpha_bar: Coefficient,
    alpha_bar_next: Coefficient,
    noise: Tensor,
    history: Sequence[Past] = (),
) -> tuple[Tensor, tuple[Past, ...]]:
    """The same with fresh noise at each step: SDE-DPM-Solver++(2M) (arXiv:2211.01095).

    Args:
        xt: The noisy sample.
        x0_hat: The picture's estimate, of the same shape.
        alpha_bar: Noise level of xt.
        alpha_bar_next: Noise level to arrive at; at 1 the step is x0_hat itself.
        noise: Fresh standard normal noise.
        history: What the last step returned; empty for a first-order step.

    Returns:
        x_next, and the history for the next step.
    """
    now, nxt, lam = _clock(xt, x0_hat, alpha_bar, alpha_bar_next)
    _checks.like("noise", noise, "xt", xt)
    if _arrives(nxt):
        return x0_hat, (Past(x0_hat, lam),)
    h = _lam(nxt) - lam
    blend = _extrapolate(x0_hat, lam, h, _remembered(history, xt))
    keep = sqrt((1 - nxt) / (1 - now)) * (expm1(-h) + 1)
    noise_std = sqrt(1 - nxt) * sqrt(-expm1(-2 * h))
    x_next = keep * xt - sqrt(nxt) * expm1(-2 * h) * blend + noise_std * noise
    return x_next, (Past(x0_hat, lam),)


def _extrapolate(
    x0_hat: Tensor, lam: Coefficient, h: Coefficient, history: Sequence[Past]
) -> Tensor:
    """The estimate half a step ahead, on the line through this one and the last one."""
    if not history:
        return x0_hat
    h_before = lam - history[0].level  # r in the paper is h_before / h
    if not _checks.everywhere(h_before > 0):
        raise ValueError("history must be of a noisier level than alpha_bar. Start a new history.")
    return x0_hat + (x0_hat - history[0].prediction) * (h / (2 * h_before))  # algorithm 2


def _clock(
    xt: Tensor, x0_hat: Tensor, alpha_bar: Coefficient, alpha_bar_next: Coefficient
) -> tuple[Coefficient, Coefficient, Coefficient]:
    _checks.like("x0_hat", x0_hat, "xt", _checks.sample("xt", xt))
    now, nxt = noising.falling_noise(alpha_bar, alpha_bar_next, xt, positive=True)
    return now, nxt, _lam(now)


def _lam(alpha_bar: Coefficient) -> Coefficient:
    return (log(alpha_bar) - log(1 - alpha_bar)) / 2  # log(1 / sigma)


def _arrives(alpha_bar_next: Coefficient) -> bool:
    if isinstance(alpha_bar_next, float):
        return math.isclose(alpha_bar_next, 1.0, rel_tol=0, abs_tol=0)
    clean = alpha_bar_next == 1
    if bool(clean.any()) and not bool(clean.all()):
        raise ValueError(
            "alpha_bar_next is 1 for some samples of the batch and not for others. "
            "Step them apart: the last step has another formula."
        )
    return bool(clean.all())
