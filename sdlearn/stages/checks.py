"""Arguments of a run, checked at the door: what came, what is allowed, what to do."""

from __future__ import annotations

import difflib
import math
import numbers
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sdlearn.trace.silence import is_silent

# What other tools call it, and what it is here.
ELSEWHERE = {
    "num_inference_steps": "steps",
    "generator": "seed",
    "scheduler": "sampler",
    "num_images_per_prompt": "seed=[0, 1, 2], a picture for each seed",
    "latents": "latent",
    "cfg_scale": "guidance_scale",
    "cfg": "guidance_scale",
    "callback_on_step_end": "on_step (to watch) or intervene (to change)",
    "output_type": "nothing: a trace has .image and .latent",
    "image": "the first argument of image_to_image and inpaint",
    "mask_image": "the second argument of inpaint",
    "prompt_embeds": "a Prompt: model.encode(...).with_embeddings(...)",
    "negative_prompt_embeds": "negative_prompt=, which takes a Prompt too",
    "cross_attention_kwargs": "intervene",
    "callback": "on_step (to watch) or intervene (to change)",
    "crops_coords_top_left": "crop",
    "negative_crops_coords_top_left": "negative_crop",
}

_STATIONS = (
    "A run's stations come from steps, the sampler and its settings: "
    'sampler=model.schedule(25, "euler", timestep_spacing="trailing").scheduler'
)
# What has no name of its own here, and what to do for it.
INSTEAD = {
    "clip_skip": "Read the prompt without the encoders' last layers: model.encode(prompt, skip=1), "
    "and give that for the prompt",
    "timesteps": _STATIONS,
    "sigmas": _STATIONS,
    "timestep_spacing": _STATIONS,
}

MOST_STEPS_ASKED = 10_000


def unknown(name: str, allowed: Iterable[str]) -> TypeError:
    """The error for an argument that does not exist, naming the one that was meant."""
    allowed = list(allowed)
    if name in ELSEWHERE:
        return TypeError(f"{name} is called {ELSEWHERE[name]} here.")
    if name in INSTEAD:
        return TypeError(f"There is no argument {name} here. {INSTEAD[name]}.")
    near = difflib.get_close_matches(name, allowed, n=2)
    hint = f" Did you mean {' or '.join(near)}?" if near else f" There are: {', '.join(allowed)}."
    return TypeError(f"There is no argument {name}.{hint}")


_heard: ContextVar[list[str] | None] = ContextVar("what a run had to say", default=None)


@contextmanager
def listening() -> Iterator[list[str]]:
    """Take down what is warned of meanwhile, for the trace; it is shown all the same."""
    heard: list[str] = []
    before = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(before)


def warn(message: str) -> None:
    """A warning that shows the caller's own line, from however deep in the stages it comes."""
    heard = _heard.get()
    if heard is not None:
        heard.append(message)
    if is_silent():
        return
    level, frame = 2, sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("sdlearn."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """A whole number within its bounds."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r:.60}.")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be {bounds}, got {value}.")
    return int(value)


def number(name: str, value: Any, least: float, most: float = math.inf, why: str = "") -> float:
    """A finite number within its bounds."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r:.60}.")
    if not math.isfinite(value) or not least <= value <= most:
        bounds = f"at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise ValueError(f"{name} must be {bounds}, got {value}.{why and ' '}{why}")
    return float(value)


def side(name: str, value: Any, factor: int) -> int:
    """A picture's side: a multiple of what a latent's place stands for."""
    value = whole(name, value, factor)
    if value % factor:
        below = value // factor * factor
        raise ValueError(
            f"{name} must be a multiple of {factor} (a latent's place stands for {factor} x "
            f"{factor} pixels), got {value}. {below} or {below + factor} will do."
        )
    return value


def seeds(value: Any) -> int | list[int]:
    """A seed, or one for each picture; None draws one."""
    if value is None:
        return int(torch.randint(2**31 - 1, ()).item())
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        values = [whole("seed", one, 0, 2**63 - 1) for one in value]
        if not values:
            raise ValueError("seed is an empty list. Give a seed for each picture, or one for all.")
        return values
    return whole("seed", value, 0, 2**63 - 1)


def pair(name: str, value: Any, least: int = 0) -> tuple[int, int]:
    """Two whole numbers: (height, width) or (top, left)."""
    if not isinstance(value, Sequence) or len(value) != 2:
        raise TypeError(f"{name} must be two whole numbers, vertical first, got {value!r:.60}.")
    return whole(name, value[0], least), whole(name, value[1], least)


def pictures(value: Any) -> list[Image.Image]:
    """A picture or several, all of one size."""
    several = value if isinstance(value, list | tuple) else [value]
    for one in several:
        if not isinstance(one, Image.Image):
            raise TypeError(
                f"picture must be a PIL picture (or a list of them), got {type(one).__name__}. "
                "PIL.Image.open(path) reads one from a file."
            )
    if not several:
        raise ValueError("picture is an empty list.")
    if len({one.size for one in several}) > 1:
        raise ValueError("The pictures must be of one size: picture.resize((width, height)).")
    return list(several)


def mask(value: Any, height: int, width: int) -> Tensor:
    """A mask as [1, 1, height, width]: 1 where something new is to be drawn, 0 elsewhere."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    elif isinstance(value, Image.Image) and value.mode in ("F", "I"):
        value = np.asarray(value)  # numbers, and no greys
    if isinstance(value, Image.Image):
        values = np.asarray(value.convert("L"), dtype=np.float32) / 255.0
    elif isinstance(value, np.ndarray):
        grey = value.dtype == np.uint8 and value.size and value.max() > 1  # a picture's numbers
        values = value.astype(np.float32) / (255.0 if grey else 1.0)
    else:
        raise TypeError(
            "mask must be a picture (white where something new is to be drawn), or an array of "
            f"[height, width] with ones there, got {type(value).__name__}."
        )
    if values.shape != (height, width):
        raise ValueError(
            f"mask is {' x '.join(map(str, values.shape))}, the picture is {height} x {width} "
            "(height x width): they must be of one size."
        )
    if not np.isfinite(values).all():
        raise ValueError("mask holds numbers that are none (NaN or infinite).")
    chosen = torch.from_numpy((values >= 0.5).astype(np.float32))[None, None]
    if not bool(chosen.any()):
        raise ValueError("mask is empty: no place is marked where something new is to be drawn.")
    return chosen
