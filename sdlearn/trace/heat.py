"""Numbers as colours, and as light on a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

from sdlearn.trace import grids
from sdlearn.trace.whole import is_whole

# From dark blue over wine and orange to pale yellow. Lightness rises all the way, so that the
# order survives print in grey and every kind of colour blindness.
TABLE = np.array(
    [
        [12, 10, 38],
        [44, 17, 90],
        [90, 24, 110],
        [138, 38, 103],
        [186, 56, 84],
        [223, 86, 56],
        [244, 132, 32],
        [250, 186, 56],
        [252, 243, 172],
    ],
    dtype=np.float32,
)

DIM = 0.30
"""How bright a picture stays where no heat falls on it."""


def colours(values: np.ndarray) -> np.ndarray:
    """Returns numbers from 0 to 1, [h, w], as colours, uint8 [h, w, 3]."""
    places = np.clip(values, 0, 1) * (len(TABLE) - 1)
    known = np.arange(len(TABLE))
    channels = [np.interp(places, known, TABLE[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def overlay(
    values: Tensor,
    picture: Image.Image,
    alpha: float,
    size: int | tuple[int, int] | None,
) -> Image.Image:
    """Returns a darkened picture, lit and coloured where values (0 to 1, [rows, columns]) are high.

    Where nothing looks, the picture is dim; where most looks, it is at its full brightness below
    a film of colour. So the thing that is looked at stays visible.
    """
    if not isinstance(picture, Image.Image):
        raise TypeError(
            f"image must be a Pillow picture, such as trace.image, got {type(picture).__name__}."
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be from 0 (no colour) to 1 (colour alone), got {alpha}.")
    grids.same_shape("image", picture.size, (values.shape[1], values.shape[0]))
    width, height = picture.size if size is None else sides(size, picture.size)
    picture = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    heat = grids.enlarged(values, (height, width)).cpu().numpy()[..., None]
    film = alpha * heat**0.7
    lit = np.asarray(picture, dtype=np.float32) * (DIM + (1 - DIM) * heat)
    mixed = lit * (1 - film) + colours(heat[..., 0]) * film
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def sides(size: int | tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """Returns (width, height) for a longer side in pixels, or for a pair, checked."""
    pair = size if isinstance(size, (tuple, list)) else None
    numbers = pair if pair is not None else (size,)
    whole = all(is_whole(n) and 1 <= n <= 8192 for n in numbers)
    if not whole or len(numbers) > 2 or (pair is not None and len(pair) != 2):
        raise ValueError(
            "size must be the longer side in pixels, or (width, height), from 1 to 8192; "
            f"got {size!r}."
        )
    if pair is not None:
        return int(pair[0]), int(pair[1])
    scale = size / max(shape)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
