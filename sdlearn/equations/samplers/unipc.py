"""UniPC: predict the next sample, and correct the last one with what was learned there."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sdlearn.equations import _checks
from sdlearn.equations._checks import expm1, sqrt
from sdlearn.equations.samplers.dpm import _arrives, _clock, _lam
from sdlearn.equations.samplers.multistep import Past, _remembered


class UniPCHistory(NamedTuple):
    """What a UniPC step hands to the next one."""

    xt: Tensor
    """The (corrected) sample that the step began with."""
    alpha_bar: float
    past: tuple[Past, ...]
    """Estimates of the picture, newest first, each with its log(1 / sigma)."""
    order: int


def unipc_step(
    xt: Tensor,
    x0_hat: Tensor,
    alpha_bar: float,
    alpha_bar_next: float,
    history: UniPCHistory | None = None,
    *,
    order: int = 2,
) -> tuple[Tensor, UniPCHistory]:
    """One step of UniPC, variant B2 on the picture's estimate (arXiv:2302.04867).

    The estimate `x0_hat` was made for the sample that the last step only predicted; it first
    corrects that sample (UniC), at no extra network call, and then predicts on (UniP).

    Args:
        xt: The noisy sample that the last step predicted.
        x0_hat: The picture's estimate for it, of the same shape.
        alpha_bar: Noise level of xt.
        alpha_bar_next: Noise level to arrive at; at 1 the step is x0_hat itself.
        history: What the last step returned; None at the start.
        order: How many estimates the prediction uses at most, 1 to 3.

    Returns:
        x_next, and the history for the next step.
    """
    _checks.whole("order", order, high=3)
    now, nxt, lam = _clock(xt, x0_hat, alpha_bar, alpha_bar_next)
    if not (isinstance(now, float) and isinstance(nxt, float)):
        raise ValueError("alpha_bar and alpha_bar_next must each be one number for UniPC.")
    if now == nxt:
        raise ValueError(f"alpha_bar_next must be above alpha_bar, both are {now:g}.")
    past: tuple[Past, ...] = ()
    if history is not None:
        if not isinstance(history, UniPCHistory):
            raise TypeError(
                f"history must be what the last step returned, got {type(history).__name__}."
            )
        _checks.like("history", history.xt, "xt", xt)
        if not history.alpha_bar < now:
            raise ValueError("history must be of a noisier level than alpha_bar. Start a new one.")
        past = tuple(_remembered(history.past, xt))
        nodes = past[: history.order]
        xt = _unite(history.xt, nodes, history.alpha_bar, now, corrected_by=x0_hat)
    past = (Past(x0_hat, lam), *past)[:3]
    order = min(order, len(past))
    x_next = _unite(xt, past[:order], now, nxt, corrected_by=None)
    return x_next, UniPCHistory(xt, now, past, order)


def _unite(
    xt: Tensor,
    past: tuple[Past, ...],
    alpha_bar: float,
    alpha_bar_next: float,
    *,
    corrected_by: Tensor | None,
) -> Tensor:
    """The formula that predictor and corrector share (2302.04867, eq. 3 and 8).

    Args:
        xt: Where the step begins.
        past: Estimates at its beginning (first) and before.
        alpha_bar: Noise level at its beginning.
        alpha_bar_next: Noise level at its end.
        corrected_by: The estimate at its end, if that is known already.
    """
    newest = past[0]
    if _arrives(alpha_bar_next):
        return newest.prediction
    h = _lam(alpha_bar_next) - newest.level
    shrink = sqrt((1 - alpha_bar_next) / (1 - alpha_bar))
    scale = sqrt(alpha_bar_next) * expm1(-h)  # B2(h) = exp(h) - 1, with h counted downwards
    x_next = shrink * xt - scale * newest.prediction
    ratios = [(p.level - newest.level) / h for p in past[1:]]
    slopes = [(p.prediction - newest.prediction) / r for p, r in zip(past[1:], ratios, strict=True)]
    if corrected_by is not None:
        ratios.append(1.0)
        slopes.append(corrected_by - newest.prediction)
    for weight, slope in zip(_weights(ratios, h), slopes, strict=True):
        x_next = x_next - scale * weight * slope
    return x_next


def _weights(ratios: list[float], h: float) -> list[float]:
    """Solve for the weights that make the step exact for polynomials (2302.04867, theorem 3.1).

    One unknown takes 1/2, which keeps the order and needs no h (appendix of the paper).
    """
    if len(ratios) <= 1:
        return [0.5] * len(ratios)
    matrix, targets = [], []
    phi, factorial = expm1(-h) / -h - 1, 1.0
    for power in range(len(ratios)):
        matrix.append([r**power for r in ratios])
        targets.append(phi * factorial / expm1(-h))
        factorial *= power + 2
        phi = phi / -h - 1 / factorial
    solve = torch.linalg.solve
    return solve(
        torch.tensor(matrix, dtype=torch.float64), torch.tensor(targets, dtype=torch.float64)
    ).tolist()
