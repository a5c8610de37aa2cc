"""The training's choice, one beta for each timestep, and all that follows from it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sdlearn.equations import _checks

# --- betas: the training's choice, each of shape [steps] -------------------------------------


def linear_betas(
    steps: int = 1000,
    start: float = 1e-4,
    end: float = 0.02,
    *,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Betas on a straight line (DDPM, arXiv:2006.11239, section 4)."""
    _checks.whole("steps", steps)
    _check_betas_between(start, end, dtype)
    return torch.linspace(start, end, steps, dtype=dtype)


def scaled_linear_betas(
    steps: int = 1000,
    start: float = 0.00085,
    end: float = 0.012,
    *,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Betas whose square roots lie on a straight line (Stable Diffusion, arXiv:2112.10752)."""
    _checks.whole("steps", steps)
    _check_betas_between(start, end, dtype)
    return torch.linspace(math.sqrt(start), math.sqrt(end), steps, dtype=dtype) ** 2


def cosine_betas(
    steps: int = 1000,
    *,
    offset: float = 0.008,
    largest: float = 0.999,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Betas that make alpha_bar a squared cosine (Improved DDPM, arXiv:2102.09672, eq. 17)."""
    _checks.whole("steps", steps)
    _checks.number("offset", offset, low=0.0)
    _checks.number("largest", largest, low=0.0, high=1.0, open_low=True)
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    alpha_bar = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2  # eq. 17
    betas = 1 - alpha_bar[1:] / alpha_bar[:-1]
    return betas.clamp(max=largest).to(dtype)  # the last beta would be 1: nothing left


def sigmoid_betas(
    steps: int = 1000,
    start: float = 1e-4,
    end: float = 0.02,
    *,
    width: float = 6.0,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Betas that rise along a sigmoid from -width to width (GeoDiff, arXiv:2203.02923)."""
    _checks.whole("steps", steps)
    _check_betas_between(start, end, dtype)
    _checks.number("width", width, low=0.0, open_low=True)
    ramp = torch.linspace(-width, width, steps, dtype=dtype)
    return torch.sigmoid(ramp) * (end - start) + start


# --- from betas to everything else -----------------------------------------------------------


def alpha_bars_from_betas(betas: Tensor) -> Tensor:
    """How much of the picture's variance is left after each step, shape [steps]."""
    return torch.cumprod(1 - check_betas(betas), dim=0)  # DDPM, eq. 4


def betas_from_alpha_bars(alpha_bars: Tensor) -> Tensor:
    """The betas that multiply up to these alpha_bars, shape [steps]."""
    alpha_bars = _check_alpha_bars("alpha_bars", alpha_bars)
    if bool((alpha_bars[:-1] == 0).any()):
        raise ValueError("Only the last alpha_bar may be 0: where nothing is left, nothing can go.")
    before = torch.cat([alpha_bars.new_ones(1), alpha_bars[:-1]])
    return 1 - alpha_bars / before


def sigma_from_alpha_bar(alpha_bar: _checks.Coefficient) -> _checks.Coefficient:
    """Noise per unit of picture: infinite where no picture is left (EDM's sigma, 2206.00364)."""
    alpha_bar = _checks.coefficient("alpha_bar", alpha_bar, low=0.0, high=1.0)
    if isinstance(alpha_bar, float):
        return math.sqrt((1 - alpha_bar) / alpha_bar) if alpha_bar else math.inf
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def alpha_bar_from_sigma(sigma: _checks.Coefficient) -> _checks.Coefficient:
    """The inverse of `sigma_from_alpha_bar`."""
    sigma = _checks.coefficient("sigma", sigma, low=0.0)
    return 1 / (1 + sigma**2)


def snr(alpha_bar: _checks.Coefficient) -> _checks.Coefficient:
    """Signal-to-noise ratio, ``1 / sigma**2`` (VDM, arXiv:2107.00630, section 3.1)."""
    alpha_bar = _checks.coefficient("alpha_bar", alpha_bar, low=0.0, high=1.0)
    if isinstance(alpha_bar, float):
        return alpha_bar / (1 - alpha_bar) if alpha_bar < 1 else math.inf
    return alpha_bar / (1 - alpha_bar)


def log_snr(alpha_bar: _checks.Coefficient) -> _checks.Coefficient:
    """Logarithm of the signal-to-noise ratio; DPM-Solver's lambda is half of it."""
    ratio = snr(alpha_bar)
    if isinstance(ratio, float):
        return math.inf if math.isinf(ratio) else _checks.log(ratio)
    return ratio.log()


def zero_terminal_snr(betas: Tensor) -> Tensor:
    """Bend a schedule so that its last step leaves nothing of the picture.

    "Common Diffusion Noise Schedules and Sample Steps are Flawed" (arXiv:2305.08891,
    algorithm 1): shift ``sqrt(alpha_bar)`` so that it ends at 0, then stretch it so that it
    begins where it began.
    """
    root = alpha_bars_from_betas(betas).sqrt()
    if len(root) < 2:
        raise ValueError("betas must hold at least 2 steps: one can't both begin and end.")
    root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
    root[-1] = 0.0  # exactly, whatever the rounding
    return betas_from_alpha_bars(root**2)


# --- checks ----------------------------------------------------------------------------------


def check_betas(betas: object) -> Tensor:
    """Return `betas` if they are variances, or say why they are none."""
    betas = _checks.vector("betas", betas)
    if not (float(betas.min()) >= 0 and float(betas.max()) <= 1):
        raise ValueError(
            "betas must lie between 0 and 1 (each is the variance of the noise of one step), "
            f"got {float(betas.min()):g} to {float(betas.max()):g}."
        )
    return betas


def _check_betas_between(start: float, end: float, dtype: torch.dtype) -> None:
    _checks.number("start", start, low=0.0, high=1.0)
    _checks.number("end", end, low=0.0, high=1.0)
    if not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point dtype: betas are fractions, got {dtype}.")
    if end < start:
        raise ValueError(
            f"end must not be below start: noise grows with t, got start={start:g}, end={end:g}."
        )


def _check_alpha_bars(name: str, alpha_bars: object) -> Tensor:
    alpha_bars = _checks.vector(name, alpha_bars)
    if not (float(alpha_bars.min()) >= 0 and float(alpha_bars.max()) <= 1):
        raise ValueError(f"{name} must lie between 0 and 1.")
    if bool((alpha_bars.diff() > 0).any()):
        raise ValueError(f"{name} must fall with t (ever less of the picture). Is it reversed?")
    return alpha_bars
