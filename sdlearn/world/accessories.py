"""Crown, hat, glasses and scarf, fitted to the anchors that a kind's drawing returned.

Their colours never change (gold, slate with a red ribbon, navy frames, red and white stripes), so
an accessory is never mistaken for the colour of who wears it.
"""

from __future__ import annotations

from math import cos, sin

import numpy as np

from .anatomy import Anchors, Perch
from .canvas import Pen

# Rows of coordinates are tables, laid out by hand.
# fmt: off

# How far above the anchor's subject an accessory may reach, in local units: the layout leaves room.
HEADROOM = {"crown": 0.26, "hat": 0.38, "glasses": 0.0, "scarf": 0.0}


def _onto(pen: Pen, own: Pen, perch: Perch) -> None:
    """Moves an accessory drawn around (0, 0) with width 1 onto its perch."""
    c, s = cos(perch.turn) * perch.width, sin(perch.turn) * perch.width
    placed = own.moved(np.array([[c, -s], [s, c]]), (perch.x, perch.y))
    pen.tones += placed.tones
    pen.outlines += placed.outlines


def crown(pen: Pen, at: Anchors) -> None:
    """A gold crown with three tall points, pearls and rubies."""
    own = Pen()
    own.polygon("golddark", [(-0.44, 0.1), (-0.46, -0.3), (0, -0.14), (0.46, -0.3), (0.44, 0.1)])
    own.polygon("gold", [(-0.46, 0.12), (-0.54, -0.5), (-0.24, -0.18), (0, -0.62), (0.24, -0.18),
                         (0.54, -0.5), (0.46, 0.12), (0, 0.18)])
    for x, y in ((-0.54, -0.52), (0, -0.64), (0.54, -0.52)):
        own.oval("gold", x, y, 0.085)
    own.stroke("golddark", [(-0.45, 0.04), (0, 0.1), (0.45, 0.04)], 0.07)
    own.oval("ruby", 0, -0.14, 0.1, 0.12)
    own.oval("ruby", -0.3, -0.08, 0.06, mirror=True)
    _onto(pen, own, at.head)


def hat(pen: Pen, at: Anchors) -> None:
    """A top hat with a red ribbon."""
    own = Pen()
    own.oval("slate", 0, 0.02, 0.74, 0.15)
    own.polygon("slate", [(-0.42, 0.0), (-0.46, -0.66), (0.46, -0.66), (0.42, 0.0), (0, 0.08)])
    own.oval("slatelight", 0, -0.66, 0.46, 0.1)
    own.polygon("ribbon", [(-0.425, -0.02), (-0.435, -0.22), (0, -0.15), (0.435, -0.22),
                           (0.425, -0.02), (0, 0.06)])
    own.stroke("slatelight", [(-0.34, -0.52), (-0.33, -0.3)], 0.07, 0.04)
    _onto(pen, own, at.head)


def glasses(pen: Pen, at: Anchors) -> None:
    """Round glasses over whatever eyes there are; the eyes still look through."""
    for x, y, r in at.eyes:
        pen.oval("frame", x, y, r * 1.95)
        pen.oval("lens", x, y, r * 1.45)
    if len(at.eyes) == 2:
        (x0, y0, r0), (x1, y1, _) = at.eyes
        pen.stroke("frame", [(x0 + r0 * 1.6, y0 - r0 * 0.3), ((x0 + x1) / 2, y0 - r0 * 0.6),
                             (x1 - r0 * 1.6, y1 - r0 * 0.3)], r0 * 0.5)
        for x, side in ((x0, -1), (x1, 1)):
            pen.stroke("frame", [(x + side * r0 * 1.7, y0 - r0 * 0.2),
                                 (x + side * r0 * 2.6, y0 - r0 * 0.6)], r0 * 0.45)
    else:
        x, y, r = at.eyes[0]
        pen.stroke("frame", [(x - r * 1.7, y), (x - r * 4.0, y - r * 0.7)], r * 0.5)
        pen.stroke("frame", [(x + r * 1.6, y), (x + r * 2.5, y + r * 0.2)], r * 0.5)
    for x, y, r in at.eyes:
        pen.oval("pupil", x, y + r * 0.1, r * 0.72, r * 0.84)
        pen.oval("glint", x - r * 0.2, y - r * 0.25, r * 0.28)


def scarf(pen: Pen, at: Anchors) -> None:
    """A striped scarf around the neck, one end hanging."""
    own = Pen()
    wide = 0.3 if at.neck.width < 0.6 else 0.23 if at.neck.width < 1.0 else 0.18
    s = at.tail
    own.stroke("scarf", [(s * 0.2, 0.04), (s * 0.3, 0.3), (s * 0.26, 0.52)], wide, wide * 1.05)
    own.stroke("scarfwhite", [(s * 0.29 - wide / 2, 0.33), (s * 0.29 + wide / 2, 0.33)], 0.08)
    own.stroke("scarf", [(-0.54, -0.08), (-0.3, 0.04), (0, 0.08), (0.3, 0.04), (0.54, -0.08)],
               wide)
    for x, y in ((-0.36, 0.015), (-0.08, 0.075), (0.36, 0.015)):
        own.stroke("scarfwhite", [(x - 0.02, y - wide / 2), (x + 0.02, y + wide / 2)], 0.085)
    own.oval("scarf", s * 0.18, 0.07, wide * 0.56, wide * 0.6)
    _onto(pen, own, at.neck)


DRAW = {"crown": crown, "hat": hat, "glasses": glasses, "scarf": scarf}
