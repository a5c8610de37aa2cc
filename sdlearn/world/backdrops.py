"""A place, drawn in a style, at a size: kept once drawn."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from .canvas import edges
from .palette import PAPER, SILENT
from .places import TONES, VARIANTS, draw_place

GRID = 64  # a pixel-art picture has this many pixels on a side
NIGHT_GLASS = (13, 9, 30)  # what neon glows on
_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 - 0.47


def samples_per_pixel(size: int) -> int:
    """How finely a picture is painted before it is shrunk: small pictures need more."""
    return 4 if size < 96 else 3 if size < 224 else 2


def blow_up(small: np.ndarray, size: int) -> np.ndarray:
    """Enlarges [GRID, GRID, ...] to [size, size, ...] by repeating pixels."""
    at = (np.arange(size) * len(small)) // size
    return small[at][:, at]


def _drawn(place: str, style: str, variant: int, size: int) -> np.ndarray:
    pen, number = draw_place(place, variant)
    fine = samples_per_pixel(size)
    canvas = Image.new("L", (size * fine, size * fine))
    pen.paint(canvas, number, size * fine)
    draw = {"flat": _flat, "line drawing": _lines, "pixel art": _pixels, "neon": _neon}[style]
    return (draw(canvas, place, size, fine) + 0.5).astype(np.uint8)


_kept = lru_cache(maxsize=5 * 4 * VARIANTS)(_drawn)  # all of one size: 12 MB at 128, 47 MB at 256


def backdrop(place: str, style: str, variant: int, mirror: bool, size: int) -> np.ndarray:
    """Returns the empty place [size, size, 3], float32 from 0 to 255."""
    # Larger pictures are few: do not fill the memory with their backdrops.
    picture = (_kept if size <= 256 else _drawn)(place, style, variant, size)
    return (picture[:, ::-1] if mirror else picture).astype(np.float32)


def _painted(canvas: Image.Image, colours: np.ndarray, fine: int) -> np.ndarray:
    """Looks colours [n, 3] up in the index map and shrinks the picture: [h, w, 3]."""
    picture = canvas.copy()
    picture.putpalette(colours.astype(np.uint8).ravel().tolist())
    return np.asarray(picture.convert("RGB").reduce(fine), dtype=np.float32)


def _flat(canvas: Image.Image, place: str, size: int, fine: int) -> np.ndarray:
    tones = TONES[place].values()
    top = _painted(canvas, np.array([t.top for t in tones]), fine)
    bottom = _painted(canvas, np.array([t.bottom for t in tones]), fine)
    down = np.linspace(0, 1, len(top), dtype=np.float32)[:, None, None]
    picture = top + (bottom - top) * down
    # A breath of light from the upper left, and softly blurred edges: the subject is what is sharp.
    soft = Image.fromarray(picture.astype(np.uint8)).filter(ImageFilter.GaussianBlur(size / 200))
    across = np.linspace(1, -1, len(top), dtype=np.float32)[None, :, None]
    return np.clip(np.asarray(soft, dtype=np.float32) * (1 + 0.02 * across), 0, 255)


def _line_groups(canvas: Image.Image, place: str) -> np.ndarray:
    tones = TONES[place].values()
    table = [i if t.neon or i == 0 else SILENT for i, t in enumerate(tones)]
    return np.asarray(canvas.point(table + [0] * (256 - len(table))))


def _ink(canvas: Image.Image, place: str, size: int, fine: int, weight: float) -> np.ndarray:
    """How much ink is on each pixel [size, size, 1], 0 to 1."""
    width = max(1, round(weight * size * fine / 128))
    line = edges(_line_groups(canvas, place), SILENT, width)
    shrunk = Image.fromarray(line.astype(np.uint8) * 255).reduce(fine)
    return np.asarray(shrunk, dtype=np.float32)[..., None] / 255


@lru_cache(maxsize=4)
def paper_grain(size: int) -> np.ndarray:
    """The faint, cloudy texture of paper and of watercolour on it [size, size, 1], around 0."""
    rng = np.random.Generator(np.random.PCG64(5))
    coarse = Image.fromarray((rng.random((14, 14)) * 255).astype(np.uint8))
    cloudy = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)
    return (cloudy / 255 - 0.5)[..., None]


def _lines(canvas: Image.Image, place: str, size: int, fine: int) -> np.ndarray:
    paper = np.array(PAPER, dtype=np.float32)
    wash = {"at night": 0.62, "in the snow": 0.6}.get(place, 0.46)
    picture = paper + (_flat(canvas, place, size, fine) - paper) * wash
    picture *= 1 + 0.025 * paper_grain(size)
    ink = _ink(canvas, place, size, fine, 0.8) * 0.5
    return np.clip(picture + (np.array((92, 92, 122), dtype=np.float32) - picture) * ink, 0, 255)


def _pixels(canvas: Image.Image, place: str, size: int, fine: int) -> np.ndarray:
    small = canvas.resize((GRID, GRID), Image.Resampling.NEAREST)
    picture = _flat(small, place, GRID, 1)
    step = 255 / 17
    dither = np.tile(_BAYER, (GRID // 4, GRID // 4))[..., None]
    limited = np.clip(np.round(picture / step + dither * 0.22) * step, 0, 255)
    return blow_up(limited, size)


def _neon(canvas: Image.Image, place: str, size: int, fine: int) -> np.ndarray:
    tones = list(TONES[place].values())
    line = _painted(canvas, np.array([t.neon or (0, 0, 0) for t in tones]), fine)
    line *= _ink(canvas, place, size, fine, 1.0) * 0.8
    glass = np.array(NIGHT_GLASS, dtype=np.float32)
    tint = _flat(canvas, place, size, fine) * 0.085
    halo = Image.fromarray(np.clip(line, 0, 255).astype(np.uint8))
    halo = np.asarray(halo.filter(ImageFilter.GaussianBlur(size / 40)), dtype=np.float32)
    return np.clip(glass + tint + line * 0.8 + halo * 0.9, 0, 255)
