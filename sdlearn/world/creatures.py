"""Cat, dog, rabbit, bird, owl, fish and robot: one function draws one kind.

Each draws into [-1, 1] x [-1, 1] (y down, feet at y = 1) and returns where accessories go. Their
silhouettes differ on purpose: they must be told apart without colour, and at forty pixels.
"""

from __future__ import annotations

from .anatomy import Anchors, Mood, Perch, cheeks, eye, smile
from .canvas import Pen

# Rows of coordinates are tables, laid out by hand.
# fmt: off


def cat(pen: Pen, m: Mood) -> Anchors:
    """A sitting cat, face on, with a curling tail."""
    t, p = m.tail * 0.14, m.plump * 0.05
    pen.stroke("body", [(0.3, 0.86), (0.74, 0.84), (0.93, 0.5 + t), (0.8, 0.14 + t),
                        (0.94, -0.06 + t * 1.5)], 0.24, 0.15)
    pen.blob("body", [(-0.3, 0.0), (-0.5 - p, 0.5), (-0.54 - p, 0.86), (-0.3, 1.0), (0.3, 1.0),
                      (0.54 + p, 0.86), (0.5 + p, 0.5), (0.3, 0.0)])
    pen.oval("belly", 0, 0.55, 0.27 + p, 0.34)
    pen.oval("light", -0.24, 0.92, 0.19, 0.12, mirror=True)
    pen.stroke("ink", [(-0.24, 0.88), (-0.24, 0.99)], 0.03, mirror=True)
    e = m.ears * 0.05
    for s in (-1, 1):
        pen.polygon("body", [(s * 0.68, -0.3), (s * (0.72 + e), -0.78), (s * (0.66 + e), -1.0),
                             (s * (0.56 + e), -0.98), (s * 0.12, -0.66)])
        pen.polygon("pink", [(s * 0.6, -0.5), (s * (0.62 + e), -0.86), (s * 0.3, -0.66)])
    pen.blob("body", [(0, -0.76), (-0.42, -0.68), (-0.68, -0.34), (-0.62, -0.02), (-0.3, 0.16),
                      (0, 0.19), (0.3, 0.16), (0.62, -0.02), (0.68, -0.34),
                      (0.42, -0.68)])
    for x, y in ((0, -0.52), (-0.16, -0.55), (0.16, -0.55)):
        pen.stroke("dark", [(x * 1.1, -0.72), (x, y)], 0.07, 0.03)
    eye(pen, -0.28, -0.28, 0.13, m.look)
    eye(pen, 0.28, -0.28, 0.13, m.look)
    pen.oval("belly", 0, -0.03, 0.2, 0.14)
    cheeks(pen, 0, -0.06, 0.45, 0.1)
    pen.blob("pink", [(-0.08, -0.12), (0.08, -0.12), (0, -0.03)])
    smile(pen, -0.08, -0.02, 0.16, 0.7, 0.035)
    smile(pen, 0.08, -0.02, 0.16, 0.7, 0.035)
    for y0, y1 in ((-0.06, -0.14), (0.02, 0.03)):
        for s in (-1, 1):
            pen.stroke("ink", [(s * 0.46, y0), (s * 0.82, y1)], 0.03, 0.015)
    return Anchors(
        Perch(0, -0.7, 0.74), Perch(0, 0.21, 0.82), ((-0.28, -0.28, 0.13), (0.28, -0.28, 0.13))
    )


def dog(pen: Pen, m: Mood) -> Anchors:
    """A standing dog, seen from the side, with a long muzzle, a hanging ear and a wagging tail."""
    t, p = m.tail * 0.16, m.plump * 0.04
    pen.stroke("body", [(-0.66, 0.22), (-0.86, 0.02), (-0.92 + t, -0.3)], 0.19, 0.1)
    for x in (-0.42, 0.42):
        pen.stroke("dark", [(x, 0.5), (x + 0.02, 0.92)], 0.22, 0.2)
    pen.blob("body", [(-0.72, 0.18), (-0.3, 0.1), (0.2, 0.12), (0.54, 0.02), (0.64, 0.32),
                      (0.5, 0.64 + p), (0.0, 0.66 + p), (-0.5, 0.68 + p), (-0.76, 0.5)])
    for x in (-0.6, 0.28):
        pen.stroke("body", [(x, 0.46), (x - 0.02, 0.72), (x, 0.93)], 0.28, 0.22)
        pen.oval("light", x + 0.05, 0.93, 0.16, 0.09)
    pen.blob("belly", [(0.4, 0.2), (0.58, 0.16), (0.6, 0.4), (0.46, 0.58)])
    # the head: a round skull and a long muzzle that points to the right
    pen.blob("body", [(0.08, -0.2), (0.1, -0.58), (0.36, -0.76), (0.62, -0.66), (0.7, -0.44),
                      (0.92, -0.36), (0.99, -0.2), (0.92, -0.04), (0.66, 0.02), (0.4, 0.12),
                      (0.16, 0.06)])
    pen.blob("belly", [(0.64, -0.26), (0.86, -0.27), (0.96, -0.14), (0.88, -0.03), (0.66, -0.02)])
    pen.oval("pupil", 0.95, -0.3, 0.085, 0.07)
    pen.oval("glint", 0.93, -0.33, 0.028)
    pen.stroke("ink", [(0.93, -0.08), (0.8, -0.03), (0.66, -0.08)], 0.04)
    eye(pen, 0.53, -0.4, 0.12, 0.6 + 0.4 * m.look)
    e = m.ears * 0.06
    pen.blob("dark", [(0.16, -0.66), (0.3, -0.6), (0.32, -0.3), (0.24 + e, 0.06), (0.06 + e, 0.12),
                      (-0.06 + e, -0.06), (0.0, -0.4)])
    return Anchors(
        Perch(0.38, -0.7, 0.56, 0.06), Perch(0.32, 0.15, 0.66, -0.1), ((0.53, -0.4, 0.12),), -1
    )


def rabbit(pen: Pen, m: Mood) -> Anchors:
    """A small round rabbit with very long ears; one of them may flop."""
    e, p = m.ears * 0.07, m.plump * 0.05
    for s in (-1, 1):
        flop = 0.24 if s * m.tail > 0.3 else 0.0
        tip = (s * (0.34 + flop * 1.7) + e, -1.0 + flop * 0.9)
        pen.stroke("body", [(s * 0.17, -0.2), (s * 0.23 + e * 0.4, -0.62), tip], 0.27, 0.22)
        pen.stroke("pink", [(s * 0.18, -0.3), (s * 0.235 + e * 0.4, -0.62),
                            (tip[0] * 0.99, tip[1] + 0.06)], 0.11, 0.09)
    pen.oval("steam", 0.48 + p, 0.66, 0.17)
    pen.blob("body", [(-0.26, 0.12), (-0.46 - p, 0.5), (-0.5 - p, 0.84), (-0.24, 1.0), (0.24, 1.0),
                      (0.5 + p, 0.84), (0.46 + p, 0.5), (0.26, 0.12)])
    pen.oval("belly", 0, 0.6, 0.25 + p, 0.3)
    pen.oval("light", -0.26, 0.92, 0.23, 0.11, mirror=True)
    pen.oval("light", -0.13, 0.5, 0.1, 0.13, mirror=True)
    pen.blob("body", [(0, -0.4), (-0.34, -0.32), (-0.52, -0.04), (-0.4, 0.22), (0, 0.32),
                      (0.4, 0.22), (0.52, -0.04), (0.34, -0.32)])
    eye(pen, -0.22, -0.08, 0.115, m.look)
    eye(pen, 0.22, -0.08, 0.115, m.look)
    cheeks(pen, 0, 0.1, 0.33, 0.09)
    pen.oval("belly", 0, 0.14, 0.14, 0.1)
    pen.blob("pink", [(-0.06, 0.05), (0.06, 0.05), (0, 0.12)])
    smile(pen, 0, 0.15, 0.16, 0.5, 0.035)
    pen.box("steam", -0.045, 0.19, 0.045, 0.27, 0.02)
    return Anchors(
        Perch(0, -0.34, 0.46), Perch(0, 0.34, 0.7), ((-0.22, -0.08, 0.115), (0.22, -0.08, 0.115))
    )


def bird(pen: Pen, m: Mood) -> Anchors:
    """A plump bird in profile, beak to the right, tail up to the left."""
    t, p = m.tail * 0.12, m.plump * 0.04
    for x in (-0.1, 0.16):
        pen.stroke("amber", [(x, 0.6), (x + 0.02, 0.94)], 0.06)
        pen.stroke("amber", [(x - 0.1, 0.97), (x + 0.02, 0.93), (x + 0.16, 0.97)], 0.055)
    for k, dy in ((0.0, 0.16), (1.0, 0.0)):
        pen.blob("dark" if k == 0 else "body", [(-0.4, 0.26), (-0.74, 0.02 + dy + t),
                 (-0.99, -0.16 + dy + t), (-0.94, 0.08 + dy + t), (-0.6, 0.4)])
    pen.stroke("body", [(0.24, -0.6), (0.2, -0.8), (0.08, -0.92)], 0.09, 0.03)
    pen.stroke("body", [(0.3, -0.6), (0.32, -0.82), (0.26, -0.98)], 0.09, 0.03)
    pen.polygon("amber", [(0.64, -0.46), (0.98, -0.28 + m.lift * 0.03), (0.64, -0.16)])
    pen.polygon("wood", [(0.66, -0.27), (0.9, -0.26 + m.lift * 0.03), (0.66, -0.16)])
    pen.blob("body", [(0.3, -0.72), (0.0, -0.58), (-0.28, -0.14), (-0.58, 0.22), (-0.44, 0.56 + p),
                      (-0.02, 0.72 + p), (0.42, 0.58 + p), (0.64, 0.2), (0.7, -0.28),
                      (0.58, -0.62)])
    pen.blob("belly", [(0.5, -0.06), (0.6, 0.18), (0.42, 0.52), (0.06, 0.66 + p), (0.1, 0.3),
                       (0.3, 0.06)])
    lift = 0.12 * m.lift
    pen.blob("dark", [(0.12, -0.02), (-0.16, 0.0 - lift), (-0.52, 0.3 - lift), (-0.66, 0.46 - lift),
                      (-0.26, 0.5), (0.06, 0.36)])
    pen.stroke("body", [(-0.5, 0.4 - lift), (-0.2, 0.36), (0.0, 0.26)], 0.05, 0.03)
    eye(pen, 0.42, -0.36, 0.14, 0.5 + 0.5 * m.look)
    pen.oval("blush", 0.5, -0.14, 0.1, 0.07)
    return Anchors(Perch(0.32, -0.64, 0.6, 0.05), Perch(0.2, 0.02, 0.84, -0.28),
                   ((0.42, -0.36, 0.14),), -1)


def owl(pen: Pen, m: Mood) -> Anchors:
    """An egg with two ear tufts, wings at its sides and enormous eyes."""
    e, p = m.ears * 0.05, m.plump * 0.04
    for s in (-1, 1):
        pen.polygon("dark", [(s * 0.58, -0.36), (s * (0.62 + e), -0.98), (s * 0.16, -0.66)])
        pen.oval("amber", s * 0.2, 0.93, 0.15, 0.08)
    pen.blob("body", [(0, -0.72), (-0.42, -0.66), (-0.62, -0.3), (-0.64 - p, 0.3), (-0.46, 0.78),
                      (0, 0.93), (0.46, 0.78), (0.64 + p, 0.3), (0.62, -0.3), (0.42, -0.66)])
    pen.blob("belly", [(0, 0.06), (-0.34, 0.22), (-0.4, 0.54), (0, 0.86), (0.4, 0.54),
                       (0.34, 0.22)])
    for x, y in ((-0.16, 0.34), (0.16, 0.34), (0, 0.48), (-0.16, 0.62), (0.16, 0.62)):
        smile(pen, x, y, 0.15, 0.8, 0.05, "dark")
    w = m.lift * 0.06
    for s in (-1, 1):
        pen.blob("dark", [(s * 0.52, -0.12), (s * 0.74, 0.1), (s * (0.76 + w), 0.46),
                          (s * (0.56 + w), 0.74), (s * 0.5, 0.3)])
        pen.oval("light", s * 0.27, -0.26, 0.3, 0.31)
        eye(pen, s * 0.25, -0.26, 0.22, m.look)
    pen.blob("amber", [(-0.09, -0.12), (0.09, -0.12), (0, 0.1)])
    return Anchors(
        Perch(0, -0.66, 0.72), Perch(0, 0.13, 1.06), ((-0.25, -0.26, 0.22), (0.25, -0.26, 0.22))
    )


def fish(pen: Pen, m: Mood) -> Anchors:
    """A round fish that swims to the right."""
    t, p = m.tail * 0.1, m.plump * 0.05
    pen.blob("dark", [(-0.5, 0.1), (-0.8, -0.3 + t), (-1.0, -0.42 + t), (-0.9, 0.1 + t),
                      (-1.0, 0.62 + t), (-0.8, 0.48 + t)])
    pen.blob("dark", [(-0.36, -0.32), (-0.2, -0.72 + m.lift * 0.05), (0.16, -0.66), (0.32, -0.3)])
    pen.blob("dark", [(-0.2, 0.5), (-0.16, 0.84), (0.12, 0.8), (0.16, 0.5)])
    pen.blob("body", [(0.92, 0.06), (0.74, -0.28), (0.3, -0.47 - p), (-0.2, -0.38), (-0.6, 0.0),
                      (-0.62, 0.2), (-0.2, 0.56), (0.3, 0.65 + p), (0.76, 0.44)])
    pen.blob("belly", [(0.76, 0.36), (0.3, 0.36), (-0.2, 0.4), (-0.44, 0.32), (-0.16, 0.54),
                       (0.3, 0.62 + p)])
    for x, y in ((-0.32, 0.0), (-0.32, 0.24), (-0.08, -0.14), (-0.08, 0.12), (-0.08, 0.36)):
        pen.stroke("dark", [(x - 0.02, y - 0.09), (x - 0.1, y), (x - 0.02, y + 0.09)], 0.045)
    f = m.ears * 0.06
    pen.blob("dark", [(0.22, 0.16), (-0.04, 0.12 + f), (-0.18, 0.36 + f), (0.06, 0.38)])
    eye(pen, 0.54, -0.06, 0.16, 0.4 + 0.6 * m.look)
    pen.oval("blush", 0.6, 0.21, 0.1, 0.07)
    pen.stroke("ink", [(0.9, 0.16), (0.8, 0.25), (0.7, 0.26)], 0.05)
    return Anchors(Perch(0.42, -0.41, 0.58, 0.16), Perch(0.2, 0.1, 0.98, -1.5),
                   ((0.54, -0.06, 0.16),), -1)


def robot(pen: Pen, m: Mood) -> Anchors:
    """A boxy robot with a screen for a face, an antenna, and one arm that may wave."""
    a = m.tail * 0.1
    pen.stroke("metaldark", [(0, -0.7), (a, -0.92)], 0.06)
    pen.oval("ruby", a, -0.95, 0.09)
    wave = m.lift > 0.2
    for s in (-1, 1):
        up = wave and s > 0
        hand = (s * 0.86, -0.08) if up else (s * 0.82, 0.56 + m.extra * 0.06)
        pen.stroke("metal", [(s * 0.5, 0.22), (s * 0.74, 0.26 if up else 0.3), hand], 0.13)
        pen.oval("metaldark", *hand, 0.12)
        pen.box("metal", s * 0.26 - 0.1, 0.7, s * 0.26 + 0.1, 0.9)
        pen.box("metaldark", s * 0.28 - 0.19, 0.84, s * 0.28 + 0.19, 1.0, 0.08)
        pen.box("metal", s * 0.6 - 0.08, -0.46, s * 0.6 + 0.08, -0.18, 0.05)
    pen.box("metal", -0.14, -0.06, 0.14, 0.2)
    pen.box("body", -0.5, 0.08, 0.5, 0.78, 0.13)
    pen.box("light", -0.3, 0.22, 0.3, 0.52, 0.07)
    pen.oval("ruby", -0.14, 0.37, 0.07)
    pen.oval("honey", 0.1, 0.37, 0.07)
    pen.box("body", -0.6, -0.74, 0.6, 0.06, 0.18)
    pen.box("screen", -0.47, -0.6, 0.47, -0.06, 0.14)
    for s in (-1, 1):
        pen.oval("screenlight", s * 0.21 + m.look * 0.04, -0.36, 0.1, 0.12)
    smile(pen, m.look * 0.03, -0.2, 0.28, 0.45, 0.06, "screenlight")
    return Anchors(
        Perch(0, -0.71, 0.7), Perch(0, 0.08, 0.78), ((-0.21, -0.36, 0.13), (0.21, -0.36, 0.13))
    )
