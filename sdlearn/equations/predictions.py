"""What a network may be asked to predict, and how to turn one answer into another.

The noise, the picture, the velocity between them, the score: at a known noise level all say
the same, since ``xt = sqrt(alpha_bar) * x0 + sqrt(1 - alpha_bar) * eps`` ties them together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sdlearn.equations import _checks
from sdlearn.equations._checks import Coefficient, sqrt

PREDICTIONS = ("eps", "x0", "v", "score", "flow")


def x0_from_eps(xt: Tensor, eps: Tensor, alpha_bar: Coefficient) -> Tensor:
    """The picture that this noise would leave (undefined at alpha_bar = 0)."""
    alpha_bar = _pair(xt, "eps", eps, alpha_bar, positive=True)
    return (xt - sqrt(1 - alpha_bar) * eps) / sqrt(alpha_bar)  # DDPM (2006.11239), eq. 15


def eps_from_x0(xt: Tensor, x0: Tensor, alpha_bar: Coefficient) -> Tensor:
    """The noise that lies between this picture and xt (undefined at alpha_bar = 1)."""
    alpha_bar = _not_clean(_pair(xt, "x0", x0, alpha_bar))
    return (xt - sqrt(alpha_bar) * x0) / sqrt(1 - alpha_bar)  # the same, solved for eps


def x0_from_v(xt: Tensor, v: Tensor, alpha_bar: Coefficient) -> Tensor:
    """The picture from the velocity; works at every noise level, pure noise included."""
    alpha_bar = _pair(xt, "v", v, alpha_bar)
    return sqrt(alpha_bar) * xt - sqrt(1 - alpha_bar) * v  # 2202.00512, appendix D


def eps_from_v(xt: Tensor, v: Tensor, alpha_bar: Coefficient) -> Tensor:
    """The noise from the velocity."""
    alpha_bar = _pair(xt, "v", v, alpha_bar)
    return sqrt(1 - alpha_bar) * xt + sqrt(alpha_bar) * v  # 2202.00512, appendix D


def v_from_x0_and_eps(x0: Tensor, eps: Tensor, alpha_bar: Coefficient) -> Tensor:
    """The velocity: how xt moves as the mixing angle turns from picture to noise."""
    alpha_bar = _pair(x0, "eps", eps, alpha_bar, sample="x0")
    return sqrt(alpha_bar) * eps - sqrt(1 - alpha_bar) * x0  # 2202.00512, section 4


def v_from_eps(xt: Tensor, eps: Tensor, alpha_bar: Coefficient) -> Tensor:
    """The velocity from the noise (undefined at alpha_bar = 0)."""
    return v_from_x0_and_eps(x0_from_eps(xt, eps, alpha_bar), eps, alpha_bar)


def v_from_x0(xt: Tensor, x0: Tensor, alpha_bar: Coefficient) -> Tensor:
    """The velocity from the picture (undefined at alpha_bar = 1)."""
    return v_from_x0_and_eps(x0, eps_from_x0(xt, x0, alpha_bar), alpha_bar)


def score_from_eps(eps: Tensor, alpha_bar: Coefficient) -> Tensor:
    """The direction in which xt becomes more likely: the gradient of log p(xt)."""
    alpha_bar = _not_clean(_checks.alpha_bar(alpha_bar, _checks.sample("eps", eps)))
    return -eps / sqrt(1 - alpha_bar)  # Score SDE (2011.13456), section 3


def eps_from_score(score: Tensor, alpha_bar: Coefficient) -> Tensor:
    """The noise from the score."""
    alpha_bar = _checks.alpha_bar(alpha_bar, _checks.sample("score", score))
    return -sqrt(1 - alpha_bar) * score


# --- rectified flow: a straight line from picture (time 0) to noise (time 1) -----------------


def flow_sample(x0: Tensor, eps: Tensor, flow_time: Coefficient) -> Tensor:
    """The point of the straight line at this time."""
    flow_time = _flow_pair(x0, "eps", eps, flow_time, sample="x0")
    return (1 - flow_time) * x0 + flow_time * eps  # Rectified Flow (2209.03003), eq. 1


def flow_velocity(x0: Tensor, eps: Tensor) -> Tensor:
    """The velocity along the line: the same at every time."""
    _checks.like("eps", eps, "x0", _checks.sample("x0", x0))
    return eps - x0


def x0_from_flow(x_flow: Tensor, velocity: Tensor, flow_time: Coefficient) -> Tensor:
    """Follow the velocity back to the picture's end of the line."""
    flow_time = _flow_pair(x_flow, "velocity", velocity, flow_time)
    return x_flow - flow_time * velocity


def eps_from_flow(x_flow: Tensor, velocity: Tensor, flow_time: Coefficient) -> Tensor:
    """Follow the velocity on to the noise's end of the line."""
    flow_time = _flow_pair(x_flow, "velocity", velocity, flow_time)
    return x_flow + (1 - flow_time) * velocity


def flow_time_from_alpha_bar(alpha_bar: Coefficient) -> Coefficient:
    """The time of the straight line that has this signal-to-noise ratio."""
    alpha_bar = _checks.coefficient("alpha_bar", alpha_bar, low=0.0, high=1.0)
    return sqrt(1 - alpha_bar) / (sqrt(alpha_bar) + sqrt(1 - alpha_bar))


def alpha_bar_from_flow_time(flow_time: Coefficient) -> Coefficient:
    """The alpha_bar that has the signal-to-noise ratio of this time."""
    flow_time = _checks.coefficient("flow_time", flow_time, low=0.0, high=1.0)
    return (1 - flow_time) ** 2 / ((1 - flow_time) ** 2 + flow_time**2)


# --- any into any ----------------------------------------------------------------------------


def x0_and_eps(
    xt: Tensor, prediction: Tensor, alpha_bar: Coefficient, kind: str = "eps"
) -> tuple[Tensor, Tensor]:
    """Both halves of xt, picture and noise, from whatever the network predicts.

    Args:
        xt: The noisy sample.
        prediction: The network's answer, of the same shape.
        alpha_bar: The noise level.
        kind: What the answer is: ``eps``, ``x0``, ``v``, ``score``, or ``flow``: the velocity
            ``eps - x0`` of the straight line.
    """
    _checks.choice("kind", kind, PREDICTIONS)
    if kind == "score":
        prediction, kind = eps_from_score(prediction, alpha_bar), "eps"
    if kind == "eps":
        return x0_from_eps(xt, prediction, alpha_bar), prediction
    if kind == "x0":
        return prediction, eps_from_x0(xt, prediction, alpha_bar)
    if kind == "v":
        return x0_from_v(xt, prediction, alpha_bar), eps_from_v(xt, prediction, alpha_bar)
    alpha_bar = _pair(xt, "prediction", prediction, alpha_bar)
    length = sqrt(alpha_bar) + sqrt(1 - alpha_bar)  # xt / length lies on the straight line
    x0 = (xt - sqrt(1 - alpha_bar) * prediction) / length
    return x0, x0 + prediction


def convert(
    xt: Tensor, prediction: Tensor, alpha_bar: Coefficient, *, source: str, target: str
) -> Tensor:
    """Say the same in other words: turn a prediction of one kind into another kind.

    Args:
        xt: The noisy sample.
        prediction: Shape of xt.
        alpha_bar: The noise level.
        source: The kind that came, see `x0_and_eps`.
        target: The kind wanted.
    """
    _checks.choice("source", source, PREDICTIONS)
    _checks.choice("target", target, PREDICTIONS)
    if source == target:
        return prediction
    x0, eps = x0_and_eps(xt, prediction, alpha_bar, source)
    if target == "x0":
        return x0
    if target == "eps":
        return eps
    if target == "v":
        return v_from_x0_and_eps(x0, eps, alpha_bar)
    if target == "score":
        return score_from_eps(eps, alpha_bar)
    return flow_velocity(x0, eps)


# --- keeping the picture's estimate in its range ---------------------------------------------


def clip(x0_hat: Tensor, limit: float = 1.0) -> Tensor:
    """Cut the estimate off at -limit and limit, the range of pictures."""
    limit = _checks.number("limit", limit, low=0.0, open_low=True)
    return _checks.sample("x0_hat", x0_hat).clamp(-limit, limit)


def dynamic_threshold(
    x0_hat: Tensor, quantile: float = 0.995, limit: float = 1.0, largest: float | None = None
) -> Tensor:
    """Shrink an over-saturated estimate instead of cutting it (Imagen, 2205.11487, sec. 2.3).

    Args:
        x0_hat: The estimate, shape [batch, ...].
        quantile: The share of values that shall fit without being cut.
        limit: The range of pictures; estimates inside it stay as they are.
        largest: At most this much is shrunk, the rest is cut; None for no bound.
    """
    x0_hat = _checks.sample("x0_hat", x0_hat)
    if x0_hat.ndim < 2:
        raise ValueError(f"x0_hat must be a batch, [batch, ...], got {tuple(x0_hat.shape)}.")
    quantile = _checks.number("quantile", quantile, low=0.0, high=1.0)
    limit = _checks.number("limit", limit, low=0.0, open_low=True)
    if largest is not None:
        largest = _checks.number("largest", largest, low=limit)
    flat = x0_hat.flatten(1).float() if x0_hat.itemsize < 4 else x0_hat.flatten(1)
    reach = torch.quantile(flat.abs(), quantile, dim=1).clamp(min=limit, max=largest)
    reach = reach.to(x0_hat.dtype).reshape(-1, *[1] * (x0_hat.ndim - 1))  # one per picture
    return x0_hat.clamp(-reach, reach) * (limit / reach)


def _pair(
    xt: Tensor,
    name: str,
    prediction: Tensor,
    alpha_bar: Coefficient,
    *,
    positive: bool = False,
    sample: str = "xt",
) -> Coefficient:
    _checks.like(name, prediction, sample, _checks.sample(sample, xt))
    return _checks.alpha_bar(alpha_bar, xt, positive=positive)


def _flow_pair(
    x_flow: Tensor, name: str, other: Tensor, flow_time: Coefficient, sample: str = "x_flow"
) -> Coefficient:
    _checks.like(name, other, sample, _checks.sample(sample, x_flow))
    return _checks.coefficient("flow_time", flow_time, x_flow, low=0.0, high=1.0)


def _not_clean(alpha_bar: Coefficient) -> Coefficient:
    if not _checks.everywhere(alpha_bar < 1):
        raise ValueError("alpha_bar is 1: a clean sample holds no noise to tell eps from.")
    return alpha_bar
