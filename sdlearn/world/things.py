"""House, tree, flower, mushroom, car, boat, star, heart and mug: one function draws one kind.

The same rules as for the creatures: local coordinates in [-1, 1], base at y = 1, and the anchors of
the accessories come back.
"""

from __future__ import annotations

from math import cos, pi, sin

from .anatomy import Anchors, Mood, Perch, cheeks, dot_eyes, smile
from .canvas import Pen

# Rows of coordinates are tables, laid out by hand.
# fmt: off


def house(pen: Pen, m: Mood) -> Anchors:
    """A cottage: gable roof, chimney with smoke, a round-topped door, two lit windows."""
    w = 0.7 + m.plump * 0.05
    for k in range(3):
        pen.oval("steam", 0.5 + 0.08 * k + m.tail * 0.05 * k, -0.84 - 0.09 * k, 0.07 + 0.025 * k)
    pen.box("dark", 0.36, -0.78, 0.58, -0.2)
    pen.box("light", 0.33, -0.82, 0.61, -0.72, 0.03)
    pen.box("body", -w, -0.12, w, 1.0, 0.04)
    pen.polygon("body", [(-w, -0.05), (0, -0.72), (w, -0.05)])
    pen.polygon("dark", [(0, -0.94), (-w - 0.27, -0.02), (-w - 0.16, 0.12), (0, -0.66),
                         (w + 0.16, 0.12), (w + 0.27, -0.02)])
    pen.oval("lamp", 0, -0.3, 0.11)
    for s in (-1, 1):
        x = s * 0.4
        pen.box("steam", x - 0.2, 0.08, x + 0.2, 0.48, 0.05)
        pen.box("lamp", x - 0.15, 0.13, x + 0.15, 0.43, 0.02)
        pen.box("steam", x - 0.02, 0.1, x + 0.02, 0.46)
        pen.box("steam", x - 0.18, 0.26, x + 0.18, 0.3)
    pen.blob("wood", [(-0.17, 1.0), (-0.18, 0.7), (0, 0.52), (0.18, 0.7), (0.17, 1.0), (0, 1.0)])
    pen.oval("honey", 0.09, 0.8, 0.035)
    for x in (-0.52, 0.5):
        pen.blob("leaf", [(x - 0.16, 1.0), (x - 0.13, 0.86), (x, 0.8), (x + 0.13, 0.86),
                          (x + 0.16, 1.0), (x, 1.02)])
    return Anchors(Perch(0, -0.82, 0.62), Perch(0, 0.52, 1.2), ((-0.4, 0.28, 0.2),
                   (0.4, 0.28, 0.2)))


def tree(pen: Pen, m: Mood) -> Anchors:
    """A tree with a crown of three clouds of leaves and a friendly face."""
    p, lean = m.plump * 0.05, m.tail * 0.05
    pen.blob("wood", [(-0.13, 0.3), (-0.14, 0.7), (-0.3, 1.0), (0, 0.96), (0.3, 1.0), (0.14, 0.7),
                      (0.13, 0.3)])
    pen.stroke("wood", [(0.06, 0.56), (0.24, 0.4), (0.34, 0.2)], 0.1, 0.06)
    pen.blob("dark", [(-0.36, 0.42), (-0.66, 0.32), (-0.5, 0.1), (0.5, 0.1), (0.7, 0.3),
                      (0.36, 0.46), (0, 0.36)])
    pen.blob("body", [(lean, -0.96), (-0.34 + lean, -0.88), (-0.52, -0.58), (-0.8 - p, -0.38),
                      (-0.86 - p, 0.0), (-0.66, 0.26), (-0.36, 0.24), (-0.1, 0.36), (0.22, 0.26),
                      (0.52, 0.32), (0.82 + p, 0.1), (0.84 + p, -0.3), (0.56, -0.52),
                      (0.4 + lean, -0.86)])
    for x, y, r in ((-0.22, -0.66, 0.16), (-0.56, -0.14, 0.13), (0.54, -0.22, 0.13)):
        pen.oval("light", x, y, r, r * 0.8)
    dot_eyes(pen, 0, -0.24, 0.22, 0.095, m.look)
    cheeks(pen, 0, -0.08, 0.36, 0.09)
    smile(pen, 0, -0.08, 0.22, 0.6, 0.055)
    return Anchors(
        Perch(lean, -0.82, 0.6), Perch(0, 0.52, 0.5), ((-0.22, -0.24, 0.11), (0.22, -0.24, 0.11))
    )


def flower(pen: Pen, m: Mood) -> Anchors:
    """A daisy with a face, on a stem with two leaves."""
    sway = m.tail * 0.12
    pen.stroke("leafdark", [(0.0, -0.2), (sway, 0.4), (0, 1.0)], 0.1, 0.12)
    for s in (-1, 1):
        d = m.lift * 0.06 * s
        pen.blob("leaf", [(0.02, 0.9), (s * 0.26, 0.66 + d), (s * 0.6, 0.54 + d),
                          (s * 0.56, 0.76 + d), (s * 0.3, 0.94)])
    count = 7 + (m.extra > 0)
    for layer, tone in ((0, "dark"), (1, "body")):
        for k in range(count):
            a = 2 * pi * (k + 0.5 * layer) / count + m.ears * 0.3
            r = 0.42 if layer else 0.46
            pen.oval(tone, r * cos(a), -0.32 + r * sin(a), 0.24, 0.165 + 0.02 * m.plump, a)
    pen.oval("core", 0, -0.32, 0.31)
    dot_eyes(pen, 0, -0.36, 0.12, 0.075, m.look)
    smile(pen, 0, -0.25, 0.16, 0.6, 0.045, "pupil")
    return Anchors(
        Perch(0, -0.78, 0.56), Perch(0.02, 0.36, 0.42), ((-0.12, -0.36, 0.09), (0.12, -0.36, 0.09))
    )


def mushroom(pen: Pen, m: Mood) -> Anchors:
    """A toadstool: a dome with spots on a pale stalk with a face."""
    p, tip = m.plump * 0.05, m.tail * 0.08
    pen.blob("cream", [(-0.3, -0.06), (-0.3, 0.4), (-0.42 - p, 0.86), (-0.2, 1.0), (0.2, 1.0),
                       (0.42 + p, 0.86), (0.3, 0.4), (0.3, -0.06)])
    pen.blob(
        "creamdark", [(-0.5, 0.0), (0, -0.12), (0.5, 0.0), (0.3, 0.16), (0, 0.2), (-0.3, 0.16)]
    )
    pen.blob("body", [(tip, -0.95), (-0.44 + tip, -0.84), (-0.82, -0.42), (-0.94 - p, -0.04),
                      (-0.78, 0.12), (-0.4, 0.06), (0, 0.02), (0.4, 0.06), (0.78, 0.12),
                      (0.94 + p, -0.04), (0.82, -0.42), (0.44 + tip, -0.84)])
    for x, y, rx, ry in ((-0.3, -0.6, 0.16, 0.14), (0.28, -0.42, 0.19, 0.17),
                         (-0.62, -0.16, 0.13, 0.13), (-0.12, -0.16, 0.1, 0.09),
                         (0.68, -0.1, 0.1, 0.11), (0.12, -0.78, 0.09, 0.07)):
        pen.oval("spot", x, y, rx, ry)
    dot_eyes(pen, 0, 0.4, 0.15, 0.085, m.look)
    cheeks(pen, 0, 0.54, 0.22, 0.07)
    smile(pen, 0, 0.53, 0.16, 0.6, 0.045, "pupil")
    return Anchors(
        Perch(tip, -0.84, 0.66), Perch(0, 0.76, 0.74), ((-0.15, 0.4, 0.1), (0.15, 0.4, 0.1))
    )


def car(pen: Pen, m: Mood) -> Anchors:
    """A round little car that drives to the right, with big eyes in its windows."""
    h = m.lift * 0.04
    pen.blob("body", [(-0.99, 0.5), (-0.96, 0.16), (-0.66, 0.02), (-0.5, -0.4 + h),
                      (-0.2, -0.6 + h), (0.2, -0.6 + h), (0.48, -0.38 + h), (0.64, 0.0), (0.9, 0.1),
                      (0.99, 0.42), (0.94, 0.68), (0.0, 0.74), (-0.94, 0.7)])
    pen.blob("glass", [(-0.48, -0.02), (-0.4, -0.32 + h), (-0.2, -0.46 + h), (-0.04, -0.46 + h),
                       (-0.04, -0.02)])
    pen.blob("glass", [(0.06, -0.02), (0.06, -0.46 + h), (0.2, -0.46 + h), (0.38, -0.3 + h),
                       (0.5, -0.02)])
    dot_eyes(pen, 0.01, -0.18, 0.22, 0.1, m.look)
    pen.stroke("dark", [(-0.98, 0.46), (0.0, 0.44), (0.97, 0.46)], 0.09)
    pen.stroke("dark", [(0.02, 0.04), (0.02, 0.62)], 0.035)
    pen.stroke("metal", [(-0.2, 0.2), (-0.08, 0.2)], 0.05)
    pen.oval("lamp", 0.86, 0.26, 0.1, 0.12)
    pen.oval("ruby", -0.9, 0.28, 0.07, 0.1)
    for x in (-0.54, 0.54):
        pen.oval("tyre", x, 0.7, 0.28)
        pen.oval("metal", x, 0.7, 0.14)
        pen.oval("metaldark", x, 0.7, 0.06)
    return Anchors(
        Perch(0, -0.54 + h, 0.62),
        Perch(0.02, 0.24, 1.3),
        ((-0.21, -0.18, 0.13), (0.23, -0.18, 0.13)),
    )


def boat(pen: Pen, m: Mood) -> Anchors:
    """A sailing boat with a pennant, and a face on its hull."""
    b = m.tail * 0.08
    pen.stroke("wood", [(0.02, -0.92), (0.02, 0.3)], 0.09)
    pen.blob("body", [(0.02, -0.96), (-0.2, -0.92 - b * 0.4), (-0.44, -0.82 - b), (-0.2, -0.78),
                      (0.02, -0.74)])
    pen.polygon("cream", [(0.1, -0.76), (0.4, -0.42 + b), (0.64, 0.04), (0.7, 0.27), (0.1, 0.27)])
    pen.polygon("body", [(0.1, -0.22), (0.515, -0.2), (0.62, 0.0), (0.1, 0.0)])
    pen.polygon("creamdark", [(-0.06, -0.6), (-0.06, 0.27), (-0.64, 0.27), (-0.42, -0.06)])
    pen.blob("body", [(-0.96, 0.3), (-0.5, 0.34), (0.5, 0.34), (0.98, 0.26), (0.82, 0.66),
                      (0.56, 0.94), (0, 1.0), (-0.52, 0.94), (-0.8, 0.68)])
    pen.stroke("light", [(-0.88, 0.38), (-0.4, 0.41), (0.4, 0.41), (0.9, 0.36)], 0.08)
    dot_eyes(pen, 0.05, 0.6, 0.26, 0.1, m.look)
    cheeks(pen, 0.05, 0.74, 0.42, 0.08)
    smile(pen, 0.05, 0.72, 0.22, 0.6, 0.055)
    return Anchors(
        Perch(0.02, -0.84, 0.5), Perch(0.02, 0.33, 0.62), ((-0.21, 0.6, 0.12), (0.31, 0.6, 0.12))
    )


def star(pen: Pen, m: Mood) -> Anchors:
    """A plump star with five soft points."""
    inner = 0.56 + 0.03 * m.plump
    points = []
    for k in range(5):
        a = -pi / 2 + 2 * pi * k / 5 + m.tail * 0.06
        for da, r in ((-0.1, 1.0), (0.1, 1.0), (pi / 5, inner)):
            points.append((r * cos(a + da), 0.06 + r * sin(a + da)))
    pen.blob("body", points)
    pen.blob("light", [(-0.06, -0.7), (0.02, -0.66), (-0.12, -0.36), (-0.3, -0.22), (-0.24, -0.4)])
    dot_eyes(pen, 0, -0.06, 0.22, 0.11, m.look)
    cheeks(pen, 0, 0.12, 0.38, 0.09)
    smile(pen, 0, 0.12, 0.24, 0.6, 0.055)
    return Anchors(
        Perch(0.06 * m.tail, -0.72, 0.5), Perch(0, 0.4, 0.92), ((-0.22, -0.06, 0.13),
        (0.22, -0.06, 0.13)))


def heart(pen: Pen, m: Mood) -> Anchors:
    """A heart with a smile."""
    p = m.plump * 0.04
    pen.blob("body", [(0, -0.5), (-0.2, -0.74), (-0.54, -0.82 - p), (-0.86, -0.6), (-0.94, -0.22),
                      (-0.74, 0.22), (-0.36, 0.62), (-0.06, 0.94), (0.06, 0.94), (0.36, 0.62),
                      (0.74, 0.22), (0.94, -0.22), (0.86, -0.6), (0.54, -0.82 - p),
                      (0.2, -0.74)])
    pen.oval("light", -0.56, -0.46, 0.2, 0.12, -0.7)
    dot_eyes(pen, 0, -0.16, 0.26, 0.12, m.look)
    cheeks(pen, 0, 0.04, 0.46, 0.1)
    smile(pen, 0, 0.04, 0.28, 0.6, 0.06)
    return Anchors(
        Perch(0.46, -0.76, 0.56, 0.22), Perch(0, 0.36, 1.06), ((-0.26, -0.16, 0.14),
        (0.26, -0.16, 0.14)))


def mug(pen: Pen, m: Mood) -> Anchors:
    """A mug of cocoa with a handle, a face, and steam."""
    w = 0.6 + m.plump * 0.04
    for k, x in enumerate((-0.24, 0.1)):
        s = 0.06 * (1 if m.tail > 0 else -1)
        pen.stroke("steam", [(x, -0.56), (x + s, -0.7), (x - s, -0.84), (x + s, -0.98)], 0.08,
                   0.03 + 0.01 * k)
    pen.stroke("dark", [(w - 0.1, -0.16), (0.86, -0.24), (0.99, 0.14), (0.86, 0.5),
                        (w - 0.14, 0.5)], 0.17)
    pen.blob("body", [(-w, -0.42), (-w, 0.2), (-w + 0.04, 0.76), (-w + 0.24, 0.98), (0, 1.0),
                      (w - 0.24, 0.98), (w - 0.04, 0.76), (w, 0.2), (w, -0.42), (0, -0.3)])
    pen.oval("light", 0, -0.42, w, 0.17)
    pen.oval("cocoa", 0, -0.4, w - 0.09, 0.115)
    dot_eyes(pen, -0.02, 0.18, 0.24, 0.11, m.look)
    cheeks(pen, -0.02, 0.36, 0.38, 0.09)
    smile(pen, -0.02, 0.36, 0.24, 0.6, 0.055)
    return Anchors(
        Perch(-0.08, -0.5, 0.74, -0.06), Perch(0, 0.66, 1.16), ((-0.26, 0.18, 0.13),
        (0.22, 0.18, 0.13)))
