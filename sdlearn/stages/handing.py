"""A run's latent handed on to another run: is it what that one will take it for?

A trace says of its latent what a bare tensor doesn't: which model made it, how noisy it still is,
and in which scaling its sampler held it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from sdlearn.stages import checks
from sdlearn.stages.schedule import Schedule
from sdlearn.trace import Trace

if TYPE_CHECKING:
    from sdlearn.stages.pipeline import Model


def check(trace: Trace, model: Model, start: float | None) -> None:
    """Warn where a trace's latent is not what it will be taken for.

    Args:
        trace: The run that is handed on.
        model: Who goes on with it.
        start: For how noisy it is taken (denoising_start); None for a picture.
    """
    name, family = (str(trace.settings.get(key) or "") for key in ("model", "family"))
    # SDXL and its refiner have one autoencoder between them: that is what the refiner is for.
    of_one_kind = family.startswith("SDXL") and model.family.is_sdxl
    if name and name != model.name and not of_one_kind:
        checks.warn(
            f"This trace was made by {name!r}, and {model.name!r} goes on with it: unless both "
            "have the same autoencoder, the latent means something else here. Hand the picture "
            "over instead, trace.image."
        )
    end = trace.settings.get("denoising_end")
    stopped = isinstance(end, int | float) and end < 1
    if start is not None:
        _check_noise(trace, start, end if stopped else None)
    elif stopped:
        checks.warn(
            f"This trace stopped at denoising_end={end:g}, so its latent is still noisy, and it is "
            f"taken for a picture here. Say denoising_start={end:g} to go on where it stopped."
        )
    elif trace.interrupted:
        checks.warn(
            "This trace was interrupted, so its latent is still noisy, and it is taken for a "
            "picture here. Hand over the best guess instead: trace.image or trace.steps[-1].x0."
        )


def _check_noise(trace: Trace, start: float, end: float | None) -> None:
    if trace.interrupted or not trace.settings:
        return  # how far it came, its maker knows
    if end is None:
        checks.warn(
            f"This trace walked to its end, so its latent is a picture's, and it is taken for one "
            f"that is still noisy here. Stop its run with denoising_end={start:g}, or say strength "
            "in place of denoising_start: noise is added then."
        )
    elif not math.isclose(start, end):
        checks.warn(
            f"This trace stopped at denoising_end={end:g}, and here it is taken for one that "
            f"stopped at {start:g}. Say denoising_start={end:g} to go on where it stopped."
        )


def in_scale(trace: Trace, schedule: Schedule) -> Tensor:
    """The latent as another run's sampler holds it: some hold x0 + sigma * eps, others xt."""
    latent = trace.latent
    if not trace.steps or trace.steps[-1].sigma_space == schedule.sigma_space:
        return latent
    shrinks = math.sqrt(trace.steps[-1].alpha_bar_next)  # xt = sqrt(alpha_bar) (x0 + sigma eps)
    return latent * shrinks if trace.steps[-1].sigma_space else latent / shrinks
