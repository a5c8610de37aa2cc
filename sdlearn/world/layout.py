"""Where the subjects of a scene stand, how large they are, and the finished list of shapes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import cos, sin

import numpy as np

from . import accessories, creatures, things
from .anatomy import Mood
from .canvas import Pen
from .scene import Scene, Subject

DRAW = {
    **{k: getattr(creatures, k) for k in ("cat", "dog", "rabbit", "bird", "owl", "fish", "robot")},
    **{
        k: getattr(things, k)
        for k in ("house", "tree", "flower", "mushroom", "car", "boat", "star", "heart", "mug")
    },
}
# These stay up by themselves; everything else that is up in the air gets a cloud to sit on.
_FLOATS = {"bird", "owl", "star", "heart", "fish"}
_ROCKS = {"star": 0.14, "heart": 0.12, "fish": 0.12, "flower": 0.06, "boat": 0.08}  # turns more

# Half the side of a subject's box, as a part of the picture's side: a lone subject may fill more.
HALF = {
    ("big", 1): (0.295, 0.325), ("small", 1): (0.165, 0.185),
    ("big", 2): (0.193, 0.207), ("small", 2): (0.126, 0.137),
}  # fmt: skip


@dataclass(frozen=True)
class Placed:
    """A subject's place in the picture; lengths are parts of the picture's side.

    Attributes:
        x, y: Middle of its box.
        half: Half the box's side.
        turn: Turn in radians.
        flip: Whether it looks the other way.
        cloud: Whether it sits on a cloud.
        grounded: Whether it stands on the ground (and so throws a shadow there).
    """

    x: float
    y: float
    half: float
    turn: float
    flip: bool
    cloud: bool
    grounded: bool


@dataclass(frozen=True)
class Composition:
    """A scene ready to paint: for every part its shapes, in painting order."""

    parts: tuple[tuple[str, Pen], ...]
    placed: tuple[Placed, ...]
    warmth: tuple[float, ...]  # a small shift of each subject's brightness, -1 to 1
    backdrop: int


def _headroom(subject: Subject) -> float:
    return accessories.HEADROOM.get(subject.accessory or "", 0.0)


def _place(scene: Scene, rng: np.random.Generator) -> tuple[Placed, ...]:
    count = len(scene.subjects)
    in_sky = scene.place == "in the sky"
    above = {"above": 0, "below": 1}.get(scene.relation or "")
    out = []
    for i, s in enumerate(scene.subjects):
        u = rng.random(6).tolist()
        low, high = HALF[s.size, count]
        half, room = low + (high - low) * u[0], _headroom(s)
        wiggle = 2 * u[1] - 1
        upper = above == i
        if above is not None:
            half = min(half, 0.445 / (2 + room))
            x = 0.5 + 0.14 * wiggle
            slack = 0.44 - half * (2 + room)
            top = (0.025 if upper else 0.53) + max(slack, 0.0) * (u[2] if upper else 1 - u[2] / 2)
            y = top + half * (1 + room)
        else:
            if count == 1:
                x = 0.5 + wiggle * (0.1 if s.size == "big" else 0.24)
            else:
                first_left = scene.relation == "left of"
                x = (0.26 if (i == 0) == first_left else 0.74) + 0.02 * wiggle
            if in_sky:
                lowest, highest = 0.9 - half, half * (1 + room) + 0.03
                middle = 0.5 if count == 2 else 0.48
                y = min(max(middle + 0.3 * (u[2] - 0.5), highest), lowest)
            else:
                base = 0.87 + 0.06 * u[2] if s.size == "big" else 0.78 + 0.12 * u[2]
                y = base - half
        airborne = in_sky or upper
        out.append(
            Placed(
                x, y, half,
                turn=(2 * u[3] - 1) * _ROCKS.get(s.kind, 0.03),
                flip=u[4] < 0.5,
                cloud=airborne and s.kind not in _FLOATS,
                grounded=not airborne,
            )
        )  # fmt: skip
    return tuple(out)


def _cloud(pen: Pen, at: Placed, kind: str) -> None:
    """A little cloud under the feet of ``at``."""
    h, y = at.half, at.y + at.half * 0.98
    wide = 0.8 if kind in ("flower", "tree", "mushroom", "cat", "rabbit") else 1.0
    for dx, dy, r in ((-0.75, 0.06, 0.26), (-0.36, -0.04, 0.32), (0.1, -0.06, 0.34),
                      (0.5, -0.01, 0.3), (0.82, 0.08, 0.22)):  # fmt: skip
        pen.oval("cloud", at.x + dx * h * wide, y + dy * h, r * h, r * h * 0.8)
    pen.oval("cloud", at.x, y + 0.14 * h, 0.95 * h * wide, 0.2 * h)
    pen.oval("cloudshade", at.x + 0.03 * h, y + 0.22 * h, 0.7 * h * wide, 0.075 * h)


@lru_cache(maxsize=16)
def compose(scene: Scene) -> Composition:
    """Returns every shape of a scene's subjects, in picture coordinates (0 to 1, y down)."""
    rng = np.random.Generator(np.random.PCG64([scene.seed, 7]))
    placed = _place(scene, rng)
    props = Pen()
    parts: list[tuple[str, Pen]] = [("props", props)]
    warmth = []
    for i, (s, at) in enumerate(zip(scene.subjects, placed, strict=True), start=1):
        u = (2 * rng.random(9) - 1).tolist()
        if at.cloud:
            _cloud(props, at, s.kind)
        body, worn = Pen(), Pen()
        anchors = DRAW[s.kind](body, Mood(*u[:6]))
        if s.accessory:
            accessories.DRAW[s.accessory](worn, anchors)
        c, sn = cos(at.turn), sin(at.turn)
        stretch = np.diag(((1 + 0.035 * u[6]) * (-1 if at.flip else 1), 1 - 0.035 * u[6]))
        matrix = np.array([[c, -sn], [sn, c]]) @ stretch * at.half
        parts.append((f"subject {i}", body.moved(matrix, (at.x, at.y))))
        parts.append((f"accessory {i}", worn.moved(matrix, (at.x, at.y))))
        warmth.append(u[7])
    return Composition(tuple(parts), placed, tuple(warmth), int(rng.integers(1 << 20)))
