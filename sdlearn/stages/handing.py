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


def check(trace: Trace, model: Model, going_on: bool) -> None:
    """Warn where a trace's latent is not what it will be taken for.

    Args:
        trace: The run that is handed on.
        model: Who goes on with it.
        going_on: Whether it is taken for half-way noisy (denoising_start), or for a picture.
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
    if going_on:
        return
    end = trace.settings.get("denoising_end")
    if isinstance(end, int | float) and end < 1:
        checks.warn(
            f"This trace stopped at denoising_end={end:g}, so its latent is still noisy, and it is "
            f"taken for a picture here. Say denoising_start={end:g} to go on where it stopped."
        )
    elif trace.interrupted:
        checks.warn(
            "This trace was interrupted, so its latent is still noisy, and it is taken for a "
            "picture here. Hand over the best guess instead: trace.image or trace.steps[-1].x0."
        )


def in_scale(trace: Trace, schedule: Schedule) -> Tensor:
    """The latent as another run's sampler holds it: some hold x0 + sigma * eps, others xt."""
    latent = trace.latent
    if not trace.steps or trace.steps[-1].sigma_space == schedule.sigma_space:
        return latent
    shrinks = math.sqrt(trace.steps[-1].alpha_bar_next)  # xt = sqrt(alpha_bar) (x0 + sigma eps)
    return latent * shrinks if trace.steps[-1].sigma_space else latent / shrinks
