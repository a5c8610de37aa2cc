"""A run, packed for a page: pictures as one long WebP, latents and maps as bytes.

One blob holds everything; a header says in JSON what lies where. Nothing in it is text of the
prompt but the header, and the page writes that as text, never as HTML.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sdlearn.trace import Trace
from sdlearn.views.runs import evenly, nearest, one_of_a_batch

DECODED = ("x0", "xt")
LATENTS = ("xt", "x0", "eps_cond", "eps_uncond", "eps")
LONGEST = 16_383
"""WebP's longest side, in pixels."""


class Blob:
    """Bytes one after the other, and where each began."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.length = 0

    def add(self, data: bytes) -> list[int]:
        """Put something in; return where it lies: offset and length."""
        place = [self.length, len(data)]
        self.parts.append(data)
        self.length += len(data)
        return place

    def bytes(self) -> bytes:
        """All of it."""
        return b"".join(self.parts)


def pack(
    trace: Trace, blob: Blob, *, frames: int = 32, side: int = 192, also: str = ""
) -> dict[str, Any]:
    """Put a run into a blob, and return its header.

    Args:
        trace: The run of one picture.
        blob: Where the bytes go.
        frames: At most so many steps, evenly chosen, the first and the last among them.
        side: The longest side of its pictures in the page, in pixels.
        also: A word or a phrase whose maps are wanted beside those of the prompt's single words.
    """
    one_of_a_batch(trace)
    if not trace.steps:
        raise ValueError("The run was stopped before its first step: there is nothing to explore.")
    if "latents" not in trace.recorded:
        raise ValueError(
            "This run kept no latents, so there are no steps to look at. Generate again with "
            '"latents" in record=.'
        )
    steps = [trace.steps[i] for i in evenly(len(trace), frames)]
    header: dict[str, Any] = {
        "prompt": trace.prompts[0],
        "negative": "".join(trace.negative_prompts[:1]),
        "total": len(trace),
        "steps": [_facts(step) for step in steps],
        "latent": list(trace.latent.shape[1:]),
    }
    header["pictures"] = {name: _sprite(steps, name, blob, side) for name in DECODED}
    header["latents"] = {
        name: _latents([getattr(step, name) for step in steps], blob)
        for name in LATENTS
        if all(getattr(step, name) is not None for step in steps)
    }
    matrix = trace.preview_matrix
    header["matrix"] = None if matrix is None else matrix.tolist()
    header["words"] = _words(trace, [step.index for step in steps], blob, also)
    return header


def _facts(step: Any) -> dict[str, Any]:
    alpha_bar = step.alpha_bar
    return {
        "index": step.index,
        "t": float(step.t),
        "alpha_bar": alpha_bar,
        "sigma": None if math.isinf(step.sigma) else step.sigma,
        "snr": None if alpha_bar == 1 else alpha_bar / (1 - alpha_bar),
        "guidance": float(step.guidance_scale),
    }


def _sprite(steps: Sequence[Any], name: str, blob: Blob, side: int) -> dict[str, Any]:
    """All steps' pictures side by side: decoded where the model is at hand, previews elsewhere."""
    try:
        pictures, decoded = [step.image(name) for step in steps], True
    except ValueError:  # a trace that was loaded without its model
        pictures, decoded = [step.preview(name) for step in steps], False
    side = min(side, LONGEST // len(pictures))
    width, height = pictures[0].size
    scale = min(1.0, side / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet = Image.new("RGB", (size[0] * len(pictures), size[1]))
    for place, picture in enumerate(pictures):
        sheet.paste(picture.resize(size, Image.Resampling.LANCZOS), (place * size[0], 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=70 if name == "x0" else 45, method=6)
    return {"at": blob.add(buffer.getvalue()), "size": list(size), "decoded": decoded}


def _latents(tensors: Sequence[Tensor], blob: Blob) -> dict[str, Any]:
    """Latents in 256 levels each, between the least and the greatest of their step."""
    lows, highs, levels = [], [], []
    for tensor in tensors:
        values = tensor[0].detach().float().cpu()
        low, high = float(values.min()), float(values.max())
        lows.append(round(low, 5))
        highs.append(round(high, 5))
        levels.append(_bytes((values - low) / (high - low) if high > low else values * 0))
    return {"at": blob.add(b"".join(levels)), "low": lows, "high": highs}


def _words(trace: Trace, shown: Sequence[int], blob: Blob, also: str = "") -> list[dict[str, Any]]:
    """Each word's maps: of every step (over all layers), and of every layer (over all steps)."""
    if "attention" not in trace.recorded or not trace.attention.is_read:
        return []
    attention, found = trace.attention, []
    seen = [word.text for word in attention.words.items if word.positions]  # others were cut off
    unique: dict[str, str] = {}  # capitals or not, it is one word to the tokenizer
    for text in [*seen, *filter(None, [also])]:
        unique.setdefault(text.lower(), text)
    for word in unique.values():
        maps = attention[word]
        steps = [maps.at(step=nearest(attention.steps, i)).mean().values for i in shown]
        layers = [maps.layer(layer.name).mean().values for layer in maps.layers]
        grid = max((tuple(m.shape) for m in [*steps, *layers]), key=math.prod)
        steps, layers = ([_on(m, grid) for m in kind] for kind in (steps, layers))
        peak = max(float(m.max()) for m in [*steps, *layers]) or 1.0
        found.append(
            {
                "text": word,
                "grid": list(grid),
                "peak": peak,
                "layers": [layer.name for layer in maps.layers],
                "steps_at": blob.add(b"".join(_bytes(m / peak) for m in steps)),
                "layers_at": blob.add(b"".join(_bytes(m / peak) for m in layers)),
            }
        )
    return found


def _on(values: Tensor, grid: tuple[int, int]) -> Tensor:
    if tuple(values.shape) == grid:
        return values
    wide = torch.nn.functional.interpolate(values[None, None].float(), size=grid, mode="bilinear")
    return wide[0, 0]


def _bytes(values: Tensor) -> bytes:
    """Numbers from 0 to 1 as bytes."""
    return np.asarray((values.float() * 255).round().clamp(0, 255).cpu(), dtype=np.uint8).tobytes()
