"""A small vector pen, and the index map that its shapes are painted into.

A drawing is a list of shapes, each a closed polygon with the *name* of a tone ("body", "belly",
"gold"), not a colour. Painting puts a number for (part of the scene, tone) into every pixel of one
greyscale canvas. That index map is the whole trick of this package: a style only has to look the
numbers up in its own palette, ink outlines are where neighbouring numbers differ (so hidden lines
vanish by themselves), and masks are "which pixels belong to that part".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]


@lru_cache(maxsize=256)
def _spline(count: int, closed: bool, per: int) -> np.ndarray:
    """The matrix [count * per, count] that turns control points into a Catmull-Rom curve."""
    s = np.arange(per)[:, None] / per
    basis = 0.5 * np.hstack(
        [-s + 2 * s**2 - s**3, 2 - 5 * s**2 + 3 * s**3, s + 4 * s**2 - 3 * s**3, s**3 - s**2]
    )
    segments = count if closed else count - 1
    out = np.zeros((segments * per + (not closed), count))
    for i in range(segments):
        for j in range(4):
            k = i + j - 1
            k = k % count if closed else min(max(k, 0), count - 1)
            out[i * per : (i + 1) * per, k] += basis[:, j]
    if not closed:
        out[-1, -1] = 1.0
    return out


def smooth(points: Sequence[Point], closed: bool = True, per: int = 6) -> np.ndarray:
    """Returns a smooth curve [n, 2] that passes through ``points``."""
    return _spline(len(points), closed, per) @ np.asarray(points, dtype=np.float64)


_ANGLES = np.arange(28) * (2 * pi / 28)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


class Pen:
    """Collects shapes in local coordinates: x to the right, y down, a subject in [-1, 1]."""

    def __init__(self) -> None:
        self.tones: list[str] = []
        self.outlines: list[np.ndarray] = []

    def polygon(self, tone: str, points: Sequence[Point] | np.ndarray) -> None:
        """Adds a polygon with sharp corners."""
        self.tones.append(tone)
        self.outlines.append(np.asarray(points, dtype=np.float64))

    def blob(self, tone: str, points: Sequence[Point], mirror: bool = False) -> None:
        """Adds a smooth closed shape through ``points``; ``mirror`` adds its mirror image too."""
        curve = smooth(points)
        self.polygon(tone, curve)
        if mirror:
            self.polygon(tone, curve * (-1, 1))

    def oval(
        self, tone: str, x: float, y: float, rx: float, ry: float | None = None,
        turn: float = 0.0, mirror: bool = False,
    ) -> None:  # fmt: skip
        """Adds an ellipse around (x, y), turned clockwise by ``turn`` radians."""
        curve = _CIRCLE * (rx, rx if ry is None else ry)
        if turn:
            c, s = cos(turn), sin(turn)
            curve = curve @ np.array([[c, s], [-s, c]])
        curve = curve + np.array((x, y))
        self.polygon(tone, curve)
        if mirror:
            self.polygon(tone, curve * (-1, 1))

    def stroke(
        self, tone: str, points: Sequence[Point], width: float, tip: float | None = None,
        mirror: bool = False,
    ) -> None:  # fmt: skip
        """Adds a smooth line with round ends, from ``width`` to ``tip`` wide."""
        line = smooth(points, closed=False, per=5)
        ahead = np.empty_like(line)
        ahead[1:-1] = line[2:] - line[:-2]
        ahead[0], ahead[-1] = line[1] - line[0], line[-1] - line[-2]
        ahead /= np.sqrt((ahead**2).sum(1, keepdims=True)) + 1e-9
        half = 0.5 * np.linspace(width, width if tip is None else tip, len(line))[:, None]
        side = ahead[:, ::-1] * (-1, 1) * half
        cap_end = line[-1] + half[-1] * (ahead[-1] * 0.9)
        cap_start = line[0] - half[0] * (ahead[0] * 0.9)
        curve = np.vstack([line + side, cap_end[None], (line - side)[::-1], cap_start[None]])
        self.polygon(tone, curve)
        if mirror:
            self.polygon(tone, curve * (-1, 1))

    def box(self, tone: str, x0: float, y0: float, x1: float, y1: float, r: float = 0.0) -> None:
        """Adds a rectangle with corners rounded by ``r``."""
        if r <= 0:
            self.polygon(tone, [(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
            return
        corners = [(x1 - r, y1 - r), (x0 + r, y1 - r), (x0 + r, y0 + r), (x1 - r, y0 + r)]
        arcs = [_CIRCLE[7 * i : 7 * i + 8] if i < 3 else _CIRCLE[[*range(21, 28), 0]]
                for i in range(4)]  # fmt: skip
        self.polygon(tone, np.vstack([a * r + c for a, c in zip(arcs, corners, strict=True)]))

    def moved(self, matrix: np.ndarray, shift: Point) -> Pen:
        """Returns a new pen whose shapes went through ``points @ matrix.T + shift``."""
        out = Pen()
        if self.outlines:
            lengths = [len(o) for o in self.outlines]
            everything = np.vstack(self.outlines) @ matrix.T + shift
            out.tones = list(self.tones)
            out.outlines = np.split(everything, np.cumsum(lengths)[:-1])
        return out

    def paint(
        self, canvas: Image.Image, numbers: dict[str, int], scale: float, skip: str | None = None
    ) -> None:
        """Paints the shapes, in order, into a greyscale canvas; tone ``skip`` is left out."""
        if not self.outlines:
            return
        draw = ImageDraw.Draw(canvas).polygon
        # Pillow's pixel centres lie on whole numbers; rounding keeps the last bit of a cosine,
        # which differs between machines, out of the picture.
        flat = np.round(np.vstack(self.outlines) * scale - 0.5, 2).ravel().tolist()
        start = 0
        for tone, outline in zip(self.tones, self.outlines, strict=True):
            end = start + 2 * len(outline)
            if tone != skip:
                draw(flat[start:end], fill=numbers[tone])
            start = end


def edges(index: np.ndarray, silent: int, width: int) -> np.ndarray:
    """Finds where neighbouring numbers differ, and thickens that to about ``width`` pixels.

    Args:
        index: Group numbers [h, w], uint8.
        silent: Groups with a number of at least this have no outline of their own.
        width: Thickness of the line in pixels of ``index``.
    """
    loud = index < silent
    out = np.zeros(index.shape, dtype=bool)
    out[1:] = (index[1:] != index[:-1]) & loud[1:] & loud[:-1]
    across = (index[:, 1:] != index[:, :-1]) & loud[:, 1:] & loud[:, :-1]
    out[:, 1:] |= across
    grown = 1
    while grown < width:  # a line w wide, grown by d each way, is w + 2 d wide
        step = max(1, min(grown, (width - grown) // 2))
        thick = out.copy()
        thick[step:] |= out[:-step]
        thick[:-step] |= out[step:]
        wide = thick.copy()
        wide[:, step:] |= thick[:, :-step]
        wide[:, :-step] |= thick[:, step:]
        out = wide
        grown += 2 * step
    return out
