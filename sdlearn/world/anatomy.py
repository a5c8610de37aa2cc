"""What every drawing of a kind shares: moods, anchors for accessories, and faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .canvas import Pen, Point


class Mood(NamedTuple):
    """Small variations of pose and shape; each runs from -1 to 1."""

    tail: float = 0.0
    ears: float = 0.0
    plump: float = 0.0
    look: float = 0.0
    lift: float = 0.0
    extra: float = 0.0


class Perch(NamedTuple):
    """Where something sits: the middle of its base, its width, and its turn in radians."""

    x: float
    y: float
    width: float
    turn: float = 0.0


@dataclass(frozen=True)
class Anchors:
    """Where accessories go on a kind.

    Attributes:
        head: The base of a crown or a hat.
        neck: The middle of a scarf.
        eyes: Each eye as (x, y, radius), left to right.
        tail: The side on which a scarf's end hangs: -1 or 1.
    """

    head: Perch
    neck: Perch
    eyes: tuple[tuple[float, float, float], ...]
    tail: int = 1


def eye(pen: Pen, x: float, y: float, r: float, look: float = 0.0) -> None:
    """An animal's eye: white, pupil, and the glint that makes it alive."""
    pen.oval("white", x, y, r, r * 1.12)
    px = x + look * r * 0.22
    pen.oval("pupil", px, y + r * 0.06, r * 0.74, r * 0.86)
    pen.oval("glint", px - r * 0.2, y - r * 0.32, r * 0.3)


def dot_eyes(pen: Pen, x: float, y: float, gap: float, r: float, look: float = 0.0) -> None:
    """The eyes of a thing: two friendly eyes, smaller and simpler than an animal's."""
    for side in (-1, 1):
        eye(pen, x + side * gap, y, r, look)


def smile(pen: Pen, x: float, y: float, width: float, deep: float = 0.35, line: float = 0.05,
          tone: str = "ink") -> None:  # fmt: skip
    """A smiling mouth."""
    w = width / 2
    points: list[Point] = [(x - w, y), (x - w * 0.5, y + deep * w * 0.8), (x, y + deep * w),
                           (x + w * 0.5, y + deep * w * 0.8), (x + w, y)]  # fmt: skip
    pen.stroke(tone, points, line)


def cheeks(pen: Pen, x: float, y: float, gap: float, r: float) -> None:
    """Two rosy cheeks."""
    for side in (-1, 1):
        pen.oval("blush", x + side * gap, y, r, r * 0.68)
