"""Whole trajectories: a sampler's steps in a row, from noise to a sample, one record each.

The network is any function ``predict(xt, t, alpha_bar)``; it is always shown ``xt``, scaled as
DDPM scales it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sdlearn.equations import _checks, loops, predictions
from sdlearn.equations.loops import Predict, Step
from sdlearn.equations.schedules import SamplingSchedule

__all__ = ["SAMPLERS", "Predict", "Sampler", "Step", "trajectory"]


@dataclass(frozen=True)
class Sampler:
    """A line of the table of samplers.

    Attributes:
        loop: Its loop.
        order: How the error falls once steps are short: with their number to this power; None
            if it draws noise, where no single path is being followed. (LMS falls a little more
            slowly: its first steps have no history to look back on.)
        draws: Whether it draws fresh noise on the way.
        takes_x0: Whether its step is built from the picture's estimate, which may be clipped.
        options: What `trajectory` may be given for it.
        tool_names: What common tools call it.
        paper: Where it comes from; empty for a method that is older than diffusion models.
    """

    loop: Callable[..., Iterator[Step]]
    order: int | None
    draws: bool
    takes_x0: bool
    options: tuple[str, ...]
    tool_names: tuple[str, ...]
    paper: str


SAMPLERS = {
    "ddpm": Sampler(loops.ddpm, None, True, True, ("variance",), ("DDPM",), "2006.11239"),
    "ddim": Sampler(loops.ddim, 1, False, True, ("eta",), ("DDIM",), "2010.02502"),
    "euler": Sampler(loops.euler, 1, False, False, (), ("Euler",), "2206.00364"),
    "euler_ancestral": Sampler(
        loops.euler_ancestral, None, True, False, ("eta",), ("Euler a",), "2011.13456"
    ),
    "heun": Sampler(loops.heun, 2, False, False, (), ("Heun",), "2206.00364"),
    "dpm2": Sampler(loops.dpm2, 2, False, False, (), ("DPM2",), "2206.00927"),
    "lms": Sampler(loops.lms, 4, False, False, ("order",), ("LMS",), ""),
    "plms": Sampler(loops.plms, 2, False, False, (), ("PLMS", "PNDM"), "2202.09778"),
    "dpmpp_2m": Sampler(loops.dpmpp_2m, 2, False, True, (), ("DPM++ 2M",), "2211.01095"),
    "dpmpp_2m_sde": Sampler(
        loops.dpmpp_2m_sde, None, True, True, (), ("DPM++ 2M SDE",), "2211.01095"
    ),
    "unipc": Sampler(loops.unipc, 3, False, True, ("order",), ("UniPC",), "2302.04867"),
    "lcm": Sampler(loops.lcm, None, True, True, ("timestep_scaling",), ("LCM",), "2310.04378"),
}


def trajectory(
    predict: Predict,
    xt: Tensor,
    schedule: SamplingSchedule,
    sampler: str = "ddim",
    *,
    kind: str = "eps",
    clip: float | None = None,
    generator: torch.Generator | None = None,
    **options: float | int | str,
) -> Iterator[Step]:
    """Walk from noise to a sample, yielding every step; stop whenever you like.

    Args:
        predict: ``predict(xt, t, alpha_bar)``, the network or a mixture's exact answer.
        xt: The noise to begin with, any shape.
        schedule: The stations, for example ``NoiseSchedule.scaled_linear().spaced(25)``.
        sampler: A name of `SAMPLERS`.
        kind: What `predict` answers: ``eps``, ``x0``, ``v``, ``score`` or ``flow``. (PLMS blends
            answers as they are, as diffusers does: it takes ``eps`` and ``v`` alone.)
        clip: Cut the picture's estimate off at this value; None leaves it. Only for samplers
            whose step is built from that estimate (`Sampler.takes_x0`).
        generator: Where fresh noise comes from, for samplers that draw it.
        **options: The sampler's own settings, such as ``eta`` for DDIM.
    """
    row = SAMPLERS[_checks.choice("sampler", sampler, SAMPLERS)]
    if not callable(predict):
        raise TypeError(
            f"predict must be a function of (xt, t, alpha_bar), got {type(predict).__name__}."
        )
    _checks.sample("xt", xt)
    if clip is not None:
        _checks.number("clip", clip, low=0.0, open_low=True)
        if not row.takes_x0:
            able = ", ".join(name for name, other in SAMPLERS.items() if other.takes_x0)
            raise ValueError(
                f"clip has no hold on {sampler!r}: its step is built from eps, not from the "
                f"picture's estimate. Use one of {able}, or leave clip=None."
            )
    _checks.choice("kind", kind, predictions.PREDICTIONS)
    if sampler == "plms" and kind not in ("eps", "v"):
        raise ValueError(
            f"kind={kind!r} can't be blended over noise levels as 'plms' does. Convert the answer "
            "in predict: predictions.convert(xt, answer, alpha_bar, source=..., target='eps')."
        )
    if not isinstance(schedule, SamplingSchedule):
        raise TypeError(
            f"schedule must be a SamplingSchedule, got {type(schedule).__name__}. Make one with "
            "NoiseSchedule.scaled_linear().spaced(steps)."
        )
    for option in options:
        if option not in row.options:
            allowed = f"only {', '.join(row.options)}" if row.options else "no options"
            raise TypeError(f"{option} is no option of {sampler!r}, which takes {allowed}.")
    eta = _checks.number("eta", options.get("eta", 0.0), low=0.0)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {type(generator).__name__}.")
    if (row.draws or eta > 0) and generator is None:
        raise ValueError(
            f"generator is missing: {sampler!r} draws fresh noise at every step. Pass "
            "generator=torch.Generator().manual_seed(0), so that the run can be repeated."
        )
    return row.loop(loops.Run(predict, schedule, kind, clip, generator), xt, **options)
