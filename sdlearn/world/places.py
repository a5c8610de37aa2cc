"""The five places: what is behind the subjects, in every style.

A place is a short list of shapes with named tones, like a subject. Each tone has a colour at the
top and one at the bottom of the picture (a gentle gradient), and a colour for its neon line.
Backdrops come in a fixed number of variants, which are kept once drawn: a picture in the training
loop then costs only its subjects.
"""

from __future__ import annotations

from math import pi, sin
from typing import NamedTuple

import numpy as np

from .canvas import Pen
from .palette import RGB

VARIANTS = 12  # of each place; mirroring doubles them


class Tone(NamedTuple):
    """How one part of a backdrop is coloured; ``neon=None`` means that it has no outline."""

    top: RGB
    bottom: RGB
    neon: RGB | None = None


TONES: dict[str, dict[str, Tone]] = {
    "in the sky": {
        "air": Tone((104, 178, 244), (206, 236, 254)),
        "glow": Tone((255, 240, 190), (255, 240, 190), (96, 78, 36)),
        "sun": Tone((255, 232, 150), (255, 232, 150), (255, 210, 90)),
        "far": Tone((196, 226, 252), (224, 242, 255)),
        "cloud": Tone((252, 254, 255), (240, 248, 255), (90, 140, 230)),
        "ink": Tone((96, 140, 196), (96, 140, 196)),
    },
    "on the grass": {
        "air": Tone((206, 238, 246), (246, 248, 226)),
        "cloud": Tone((255, 255, 255), (250, 252, 252), (70, 110, 150)),
        "hill": Tone((176, 222, 150), (176, 222, 150), (50, 130, 70)),
        "ground": Tone((184, 226, 130), (120, 194, 92), (60, 170, 70)),
        "tuft": Tone((104, 178, 84), (92, 164, 76), (80, 210, 80)),
        "bloom": Tone((255, 252, 246), (255, 250, 244)),
    },
    "on the sand": {
        "air": Tone((190, 232, 240), (254, 236, 210)),
        "sun": Tone((255, 244, 204), (255, 244, 204), (220, 150, 60)),
        "sea": Tone((92, 196, 206), (112, 208, 210), (40, 130, 150)),
        "foam": Tone((236, 252, 250), (236, 252, 250)),
        "ground": Tone((250, 230, 186), (236, 206, 150), (200, 150, 70)),
        "dune": Tone((240, 214, 164), (226, 194, 138), (180, 130, 60)),
        "shell": Tone((255, 240, 226), (252, 226, 212), (230, 160, 120)),
        "ink": Tone((206, 170, 118), (206, 170, 118)),
    },
    "in the snow": {
        "air": Tone((176, 196, 226), (220, 226, 242)),
        "peak": Tone((158, 176, 212), (190, 204, 232), (80, 100, 160)),
        "cap": Tone((244, 248, 255), (238, 244, 254), (170, 200, 240)),
        "hill": Tone((206, 216, 238), (206, 216, 238), (90, 120, 170)),
        "ground": Tone((236, 242, 252), (214, 226, 244), (120, 170, 220)),
        "drift": Tone((222, 232, 248), (204, 218, 240), (100, 140, 190)),
        "flake": Tone((255, 255, 255), (250, 252, 255), (190, 230, 255)),
    },
    "at night": {
        "air": Tone((26, 30, 78), (74, 66, 130)),
        "glow": Tone((66, 70, 126), (66, 70, 126), (36, 40, 96)),
        "moon": Tone((255, 246, 206), (255, 246, 206), (250, 230, 140)),
        "spark": Tone((255, 250, 222), (236, 232, 255), (220, 200, 255)),
        "hill": Tone((58, 58, 120), (58, 58, 120), (80, 60, 150)),
        "ground": Tone((92, 98, 158), (56, 68, 122), (100, 80, 190)),
        "tuft": Tone((104, 114, 172), (94, 104, 162), (110, 90, 200)),
    },
}


class _Dice:
    """Even random numbers, one call each: ``d(0.2, 0.8)``."""

    def __init__(self, place: str, variant: int) -> None:
        entropy = [list(TONES).index(place), variant, 11]
        self._rng = np.random.Generator(np.random.PCG64(entropy))

    def __call__(self, low: float, high: float) -> float:
        return low + (high - low) * float(self._rng.random())


def _ridge(pen: Pen, tone: str, y: float, rise: float, waves: float, phase: float) -> None:
    """Ground up to a softly waving skyline."""
    xs = [i / 24 for i in range(25)]
    line = [(x, y - rise * sin(2 * pi * waves * x + phase)) for x in xs]
    pen.polygon(tone, [(-0.1, 1.1), (-0.1, line[0][1]), *line, (1.1, line[-1][1]), (1.1, 1.1)])


def _cloud(pen: Pen, tone: str, x: float, y: float, w: float) -> None:
    for dx, dy, r in ((-0.34, 0.02, 0.15), (-0.14, -0.06, 0.21), (0.12, -0.04, 0.2),
                      (0.34, 0.03, 0.14)):  # fmt: skip
        pen.oval(tone, x + dx * w, y + dy * w, r * w)
    pen.oval(tone, x, y + 0.1 * w, 0.5 * w, 0.1 * w)


def _tuft(pen: Pen, tone: str, x: float, y: float, h: float) -> None:
    blades = ((-0.34, 0), (-0.6, -0.8), (-0.16, -0.36), (0.02, -1.1), (0.18, -0.36), (0.62, -0.84),
              (0.34, 0))  # fmt: skip
    pen.polygon(tone, [(x + dx * h, y + dy * h) for dx, dy in blades])


def _spark(pen: Pen, x: float, y: float, r: float) -> None:
    """A four-pointed twinkle (never a five-pointed star: that is a kind of subject)."""
    q = r * 0.24
    pen.polygon("spark", [(x, y - r), (x + q, y - q), (x + r, y), (x + q, y + q),
                          (x, y + r), (x - q, y + q), (x - r, y), (x - q, y - q)])  # fmt: skip


def _sky(pen: Pen, d: _Dice) -> None:
    x, y = d(0.1, 0.3), d(0.1, 0.2)
    pen.oval("glow", x, y, 0.14)
    pen.oval("sun", x, y, 0.085)
    for _ in range(3):
        _cloud(pen, "far", d(0, 1), d(0.2, 0.8), d(0.3, 0.5))
    for y0 in (0.12, 0.36, 0.62, 0.9):
        _cloud(pen, "cloud", d(0, 1), y0 + d(-0.06, 0.06), d(0.2, 0.4))
    for _ in range(2):
        x, y, w = d(0.5, 0.95), d(0.06, 0.4), d(0.02, 0.03)
        pen.stroke("ink", [(x - w, y - w / 2), (x, y), (x + w, y - w / 2)], 0.008)


def _grass(pen: Pen, d: _Dice) -> None:
    for _ in range(2):
        _cloud(pen, "cloud", d(0.05, 0.95), d(0.08, 0.34), d(0.2, 0.34))
    _ridge(pen, "hill", d(0.56, 0.62), d(0.03, 0.06), d(0.6, 1.1), d(0, 6))
    _ridge(pen, "ground", d(0.66, 0.7), 0.02, d(0.5, 0.9), d(0, 6))
    for k in range(15):
        y = 0.72 + 0.27 * (k + d(0, 1)) / 15
        _tuft(pen, "tuft", d(0, 1), y, 0.022 + 0.03 * (y - 0.6))
    for _ in range(9):
        x, y, r = d(0, 1), d(0.74, 0.98), d(0.007, 0.011)
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            pen.oval("bloom", x + dx * r, y + dy * r, r * 0.8)


def _sand(pen: Pen, d: _Dice) -> None:
    pen.oval("sun", d(0.12, 0.88), d(0.12, 0.3), 0.08)
    level = d(0.54, 0.58)
    pen.polygon("sea", [(-0.1, level), (1.1, level), (1.1, 0.8), (-0.1, 0.8)])
    for _ in range(5):
        x, y, w = d(0, 1), level + d(0.015, 0.07), d(0.03, 0.08)
        pen.stroke("foam", [(x - w, y), (x, y - 0.004), (x + w, y)], 0.007)
    phase, rise = d(0, 6), d(0.01, 0.02)
    _ridge(pen, "foam", level + 0.085, rise, 0.8, phase)
    _ridge(pen, "ground", level + 0.1, rise, 0.8, phase)
    _ridge(pen, "dune", d(0.8, 0.86), d(0.03, 0.05), d(0.6, 1.0), d(0, 6))
    for _ in range(4):
        x, y, w = d(0, 1), d(0.72, 0.98), d(0.03, 0.07)
        pen.stroke("ink", [(x - w, y), (x - w / 2, y - 0.008), (x, y), (x + w / 2, y + 0.008),
                           (x + w, y)], 0.007)  # fmt: skip
    for _ in range(3):
        x, y, r = d(0.04, 0.96), d(0.78, 0.97), d(0.018, 0.026)
        pen.blob(
            "shell", [(x - r, y - r * 0.2), (x, y - r), (x + r, y - r * 0.2), (x, y + r * 0.7)]
        )
    for _ in range(10):
        pen.oval("ink", d(0, 1), d(0.72, 1), 0.005)


def _snow(pen: Pen, d: _Dice) -> None:
    for x in (d(0.05, 0.3), d(0.65, 0.95)):
        y, w = d(0.24, 0.34), d(0.22, 0.3)
        slope = (0.66 - y) / w  # how far down for every step to the side
        pen.polygon("peak", [(x, y), (x - w, 0.66), (x + w, 0.66)])
        c = w * 0.3
        pen.polygon("cap", [(x, y), (x - c, y + c * slope), (x - c * 0.4, y + c * slope * 0.75),
                            (x, y + c * slope * 1.1), (x + c * 0.45, y + c * slope * 0.8),
                            (x + c, y + c * slope)])  # fmt: skip
    _ridge(pen, "hill", d(0.54, 0.6), d(0.04, 0.07), d(0.5, 1.0), d(0, 6))
    _ridge(pen, "ground", d(0.65, 0.7), d(0.02, 0.03), d(0.5, 0.9), d(0, 6))
    _ridge(pen, "drift", d(0.84, 0.9), d(0.03, 0.05), d(0.5, 0.9), d(0, 6))
    for k in range(34):
        pen.oval("flake", d(0, 1), (k + d(0, 1)) / 34, d(0.006, 0.015))


def _night(pen: Pen, d: _Dice) -> None:
    x, y = d(0.12, 0.88), d(0.12, 0.24)
    pen.oval("glow", x, y, 0.16)
    pen.oval("moon", x, y, 0.09)
    pen.oval("glow", x + 0.04, y - 0.028, 0.076)
    for k in range(20):
        _spark(pen, d(0, 1), 0.66 * (k + d(0, 1)) / 20, d(0.008, 0.022))
    _ridge(pen, "hill", d(0.6, 0.66), d(0.04, 0.07), d(0.5, 1.0), d(0, 6))
    _ridge(pen, "ground", d(0.7, 0.75), d(0.02, 0.03), d(0.5, 0.9), d(0, 6))
    for _ in range(9):
        _tuft(pen, "tuft", d(0, 1), d(0.78, 0.99), 0.026)


_DRAW = {"in the sky": _sky, "on the grass": _grass, "on the sand": _sand, "in the snow": _snow,
         "at night": _night}  # fmt: skip


def draw_place(place: str, variant: int) -> tuple[Pen, dict[str, int]]:
    """Returns the shapes of a backdrop (picture coordinates) and the number of each tone."""
    pen = Pen()
    pen.box("air", -0.1, -0.1, 1.1, 1.1)
    _DRAW[place](pen, _Dice(place, variant))
    if variant >= VARIANTS:
        raise ValueError(f"variant={variant} of a backdrop is not drawn; use 0 to {VARIANTS - 1}.")
    return pen, {tone: i for i, tone in enumerate(TONES[place])}
