"""The door of every formula: what came in, what is allowed, what to do.

A formula that is fed nonsense answers with nonsense, and a picture full of NaN teaches
nothing. So each public function checks its arguments here first, and the message names
the argument. The checks cost about a microsecond each: they look at numbers, shapes and
dtypes, never at every element of a sample.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

Coefficient = float | Tensor
"""A number that multiplies a sample: a float, or a tensor with one number per sample."""


def sample(name: str, value: object) -> Tensor:
    """Return `value` if it is a floating-point tensor, or say why it can't be a sample."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{name} must be a torch tensor, got {type(value).__name__}. "
            f"Convert it first, for example with torch.tensor({name}, dtype=torch.float32)."
        )
    if not value.is_floating_point():
        raise TypeError(
            f"{name} must hold floating-point numbers, got dtype {value.dtype}. "
            f"Use {name}.float(), and for a picture scale 0..255 to -1..1 as well."
        )
    return value


def like(name: str, value: object, other_name: str, other: Tensor) -> Tensor:
    """Return `value` if it is a sample of the same shape as `other`."""
    value = sample(name, value)
    if value.shape != other.shape:
        raise ValueError(
            f"{name} must have the shape of {other_name}, {tuple(other.shape)}, "
            f"got {tuple(value.shape)}."
        )
    return value


def coefficient(
    name: str,
    value: object,
    against: Tensor | None = None,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    why: str = "",
) -> Coefficient:
    """Return `value` ready to multiply the sample `against`.

    A single number comes back as a float (arithmetic on it is exact in float64 and costs
    nothing); one number per sample, shape ``[batch]``, comes back as ``[batch, 1, 1, ...]`` in
    the sample's dtype. That takes float32 or more: in half precision ``1 - alpha_bar`` is lost.

    Args:
        name: The argument's name, for the message.
        value: A number, a 0-d tensor, or a tensor that has one number for each sample.
        against: The sample that it will multiply.
        low: The smallest value allowed.
        high: The largest value allowed.
        open_low: Whether `low` itself is forbidden.
        why: A sentence for the message: what goes wrong at `low`.
    """
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, Tensor):
        if value.dtype == torch.bool or value.is_complex():
            raise TypeError(f"{name} must be a real number, got a tensor of dtype {value.dtype}.")
        if value.ndim > 0:
            if value.numel() == 0:
                raise ValueError(f"{name} must hold a number for each sample, but it is empty.")
            _check_range(name, float(value.min()), low, high, open_low, why)
            _check_range(name, float(value.max()), low, high, open_low, why)
            return _expand(name, value, against)
        value = value.item()
    elif isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"{name} must be a number or a tensor, got {type(value).__name__} ({value!r:.60})."
        )
    value = float(value)
    _check_range(name, value, low, high, open_low, why)
    return value


def number(
    name: str,
    value: object,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
) -> float:
    """Return `value` if it is one number, for settings that a whole batch shares."""
    value = coefficient(name, value, low=low, high=high, open_low=open_low)
    if isinstance(value, Tensor):
        raise ValueError(
            f"{name} must be one number for the whole batch, got shape {tuple(value.shape)}."
        )
    return value


def alpha_bar(
    value: object, against: Tensor, name: str = "alpha_bar", *, positive: bool = False
) -> Coefficient:
    """Return an alpha_bar: a number in [0, 1], or in (0, 1] where a formula divides by it."""
    why = (
        "At 0 nothing of the picture is left: eps can't tell x0, and sigma is infinite. Begin a "
        "little later, or let the network predict v or x0 and step with DDIM."
    )
    return coefficient(
        name, value, against, low=0.0, high=1.0, open_low=positive, why=why if positive else ""
    )


def sigma(value: object, against: Tensor, name: str = "sigma") -> Coefficient:
    """Return a sigma: a number that is 0 or above."""
    return coefficient(name, value, against, low=0.0)


def places(name: str, value: object) -> Tensor:
    """Return `value`, one number or many, as a float64 tensor: places on an axis."""
    if isinstance(value, Tensor):
        real = value.dtype != torch.bool and not value.is_complex()
    else:
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real:
        raise TypeError(f"{name} must be a number or a tensor, got {type(value).__name__}.")
    return torch.as_tensor(value, dtype=torch.float64)


def whole(name: str, value: object, *, low: int = 1, high: int | None = None) -> int:
    """Return `value` if it is a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, got {type(value).__name__} ({value!r}).")
    if value < low or (high is not None and value > high):
        allowed = f"{low} or more" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be {allowed}, got {value}.")
    return int(value)


def choice(name: str, value: object, allowed: Collection[str]) -> str:
    """Return `value` if it is one of the names in `allowed`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {_listed(allowed)}, got {value!r}.")
    if value not in allowed:
        near = difflib.get_close_matches(value, list(allowed), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name} must be one of {_listed(allowed)}, got {value!r}.{hint}")
    return value


def sequence(name: str, value: object) -> Sequence:
    """Return `value` if it is a tuple or a list."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(
            f"{name} must be a tuple or a list: (), or what the last step returned, "
            f"got {type(value).__name__}."
        )
    return value


def vector(name: str, value: object, *, length: int | None = None) -> Tensor:
    """Return `value` if it is a non-empty, finite, 1-D tensor of floating-point numbers."""
    value = sample(name, value)
    if value.ndim != 1 or len(value) == 0:
        raise ValueError(
            f"{name} must be a 1-D tensor that is not empty, got {tuple(value.shape)}."
        )
    if length is not None and len(value) != length:
        raise ValueError(f"{name} must hold {length} numbers, got {len(value)}.")
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name} must be finite, but it holds NaN or infinity.")
    return value


def sqrt(value: Coefficient) -> Coefficient:
    """Square root of a float or of a tensor, so that formulas read the same for both."""
    return math.sqrt(value) if isinstance(value, float) else value.sqrt()


def log(value: Coefficient) -> Coefficient:
    """Natural logarithm of a float or a tensor; minus infinity at 0."""
    if isinstance(value, float):
        return math.log(value) if value > 0 else -math.inf
    return value.log()


def expm1(value: Coefficient) -> Coefficient:
    """``exp(value) - 1`` of a float or a tensor, exact near 0."""
    return math.expm1(value) if isinstance(value, float) else value.expm1()


def everywhere(condition: bool | Tensor) -> bool:
    """Whether a comparison of coefficients holds for every sample."""
    return bool(condition.all()) if isinstance(condition, Tensor) else condition


def shown(value: Coefficient) -> str:
    """A coefficient in a message: the number, or the span of a batch."""
    if isinstance(value, Tensor):
        return f"{float(value.min()):g} to {float(value.max()):g}"
    return f"{value:g}"


def _check_range(
    name: str, value: float, low: float, high: float, open_low: bool, why: str
) -> None:
    if math.isnan(value):
        raise ValueError(f"{name} must be a number, got NaN. Look at the step that made it.")
    if low <= value <= high and not (open_low and value == low) and math.isfinite(value):
        return
    if math.isinf(low) and math.isinf(high):
        allowed = "finite"
    elif math.isinf(high):
        allowed = f"finite and {'above' if open_low else 'at least'} {low:g}"
    else:
        allowed = f"between {low:g}{' (excluded)' if open_low else ''} and {high:g}"
    raise ValueError(f"{name} must be {allowed}, got {value:g}. {why}".rstrip())


def _expand(name: str, value: Tensor, against: Tensor | None) -> Tensor:
    if against is None:
        return value
    if against.dtype.itemsize < 4:
        raise TypeError(
            f"{name} holds a number for each sample, and the samples are {against.dtype}, in "
            "which 1 - alpha_bar is rounded away. Use .float() on the samples, or one number."
        )
    value = value.to(device=against.device, dtype=against.dtype)
    fits = value.ndim <= against.ndim and all(
        ours in (1, theirs) for ours, theirs in zip(value.shape, against.shape, strict=False)
    )
    if not fits:
        raise ValueError(
            f"{name} must be one number, or one for each sample of a batch: its shape "
            f"{tuple(value.shape)} doesn't fit the sample's, {tuple(against.shape)}."
        )
    return value.reshape(value.shape + (1,) * (against.ndim - value.ndim))


def _listed(allowed: Collection[str]) -> str:
    return ", ".join(repr(name) for name in allowed)
