"""One U-Net's place in a drawing; `unets` puts several into a figure, to one scale."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sdlearn.views import style

LAYER = 0.085
"""Height of one layer, in inches."""
GAP = 0.24
"""From the words in the middle to where the bars begin."""
HEAD, PAD, BETWEEN = 0.36, 0.09, 0.07
"""A level's two lines of text, the room around its bars, and the room between two levels."""
TITLE, INPUT = 0.5, 0.42
ROOMY, ROOMIER = 3.2, 6.0
"""Panels from these widths on have room for more words."""
BAND = "#F1F3F7"
WORDS = "#00795A"
"""The house's green, dark enough for letters."""


# --- layers and heights -------------------------------------------------------------------------


def _layers(block: Any) -> list[int]:
    """A block's layers in their order: 0 for a residual block, a transformer by its depth."""
    if block.side == "mid":  # here the transformers stand between the residual blocks
        middle = [layer for depth in block.transformers for layer in (depth, 0)]
        return [0, *middle] if block.transformers else [0] * block.resnets
    depths = [*block.transformers, *[None] * (block.resnets - len(block.transformers))]
    return [layer for depth in depths for layer in ((0,) if depth is None else (0, depth))]


def _rows(block: Any) -> int:
    return sum(max(1, layer) for layer in _layers(block))


@dataclass(frozen=True)
class _Level:
    """What is drawn side by side: the way down and the way up on one grid, or the middle."""

    down: Any = None
    up: Any = None
    mid: Any = None

    @property
    def blocks(self) -> list[Any]:
        return [block for block in (self.down, self.up, self.mid) if block is not None]

    @property
    def height(self) -> float:
        arrival = LAYER if self.down else 0  # the way in is kept for the way up, too
        stack = max(_rows(block) for block in self.blocks) * LAYER
        if self.down:
            stack = max(stack, _rows(self.down) * LAYER + arrival)
        return HEAD + stack + PAD


def _levels(one: Any) -> list[_Level]:
    sides = {(block.side, block.level): block for block in one.blocks}
    numbers = sorted({block.level for block in one.blocks if block.side != "mid"})
    levels = [_Level(down=sides.get(("down", n)), up=sides.get(("up", n))) for n in numbers]
    return [*levels, *(_Level(mid=block) for block in one.blocks if block.side == "mid")]


def _note(one: Any, panel: float) -> list[str]:
    if one.conditions == "nothing":
        return []
    return textwrap.wrap(f"told beside: {one.conditions}", int(panel / 0.062))


def height_of(one: Any, panel: float) -> float:
    """How high the drawing of a model is, in a panel so wide."""
    levels = sum(level.height + BETWEEN for level in _levels(one))
    return TITLE + INPUT + levels + 0.14 * len(_note(one, panel)) + 0.12


# --- one model ----------------------------------------------------------------------------------


class Panel:
    """One model's place in the drawing; all lengths are inches."""

    def __init__(self, axis: Any, centre: float, width: float, channel: float) -> None:
        self.axis, self.centre, self.width, self.channel = axis, centre, width, channel
        self.roomier = width >= ROOMIER

    def draw(self, one: Any, top: float) -> None:
        """Draw a model below `top`."""
        edge = self.width / 2 - 0.06
        self._text(-edge, top - 0.17, one.name, size=11.5, weight="bold", ha="left")
        work = f"{one.unet.parameters / 1e6:,.4g} M parameters"
        work += f", {_short(one.flops_per_step)}FLOP a step"
        self._text(-edge, top - 0.36, work, size=8.5, color=style.MUTED, ha="left")
        y = top - TITLE
        self._ends(one, y)
        y -= INPUT
        begin, last = y, y
        leaves: list[float] = []  # where the ways down and up end, of the level above
        for level in _levels(one):
            bottom = y - level.height
            self._band(y, bottom)
            self._head(level, y)
            if level.mid:
                reached = self._middle(level.mid, y - HEAD, leaves)
            else:
                leaves, reached = self._sides(level, bottom + PAD, leaves or [y + 0.12] * 2)
            last = reached if reached is not None else last
            y = bottom - BETWEEN
        if one.attentions:
            self._line((0, begin + 0.06), (0, last), color=WORDS, lw=2.2, zorder=4)
        for number, line in enumerate(_note(one, self.width)):
            self._text(0, y - 0.04 - 0.14 * number, line, size=7.5, color=style.MUTED)

    def _ends(self, one: Any, y: float) -> None:
        channels, rows, columns = one.latent
        answer = {"eps": r"$\hat\epsilon$", "v": r"$\hat v$"}[one.family.prediction]
        way = GAP + 0.06
        muted = {"size": 8, "color": style.MUTED}
        self._text(-way - 0.1, y - 0.1, f"{channels} x {columns} x {rows}", ha="right", **muted)
        self._text(-way, y - 0.1, "$x_t$", size=10)
        self._text(way, y - 0.1, answer, size=10)
        if one.attentions:
            told = {"size": 8, "color": WORDS, "weight": "bold", "ha": "left"}
            words = "words: 77 x " if self.width >= ROOMY else "77 x "
            self._text(way + 0.16, y - 0.1, f"{words}{one.context}", **told)
            self._line((0, y - INPUT + 0.06), (0, y - 0.02), color=WORDS, lw=2.2, zorder=4)

    def _band(self, top: float, bottom: float) -> None:
        from matplotlib.patches import FancyBboxPatch

        edge = self.width / 2 - 0.06
        box = FancyBboxPatch(
            (self.centre - edge, bottom), 2 * edge, top - bottom, zorder=0,
            boxstyle="round,pad=0,rounding_size=0.06", facecolor=BAND, edgecolor="none",
        )  # fmt: skip
        self.axis.add_patch(box)

    def _head(self, level: _Level, top: float) -> None:
        first, last = level.blocks[0], level.blocks[-1]
        edge = self.width / 2 - 0.14
        grid = f"{first.columns} x {first.rows}"
        if level.mid:
            grid = f"middle, {grid}" if self.roomier else "middle"
        heads = f"{first.heads} heads" if first.heads else "no attention"
        wide, of = f"{first.channels} wide", f"of {first.head_width}" if first.heads else ""
        if self.roomier:
            grid, wide = f"{grid}, {wide}", _cost(first)
            heads, of = f"{heads} {of}".strip(), "" if level.mid else _cost(last)
        for text, dy, look in (
            ((grid, heads), 0.12, {"size": 8.5, "weight": "bold"}),
            ((wide, of), 0.26, {"size": 7.8, "color": style.MUTED}),
        ):
            self._text(-edge, top - dy, text[0], ha="left", **look)
            plain = {**look, "weight": "normal"} if text[1] == "no attention" else look
            self._text(edge, top - dy, text[1], ha="right", **plain)

    def _sides(
        self, level: _Level, floor: float, above: list[float]
    ) -> tuple[list[float], float | None]:
        """A level's two stacks; returns where its ways end, and the lowest transformer."""
        way, taps = GAP + 0.06, []
        down, up = level.down, level.up
        kept, y = [], floor + LAYER * (_rows(down) if down else 0)
        self._arrow((-way, above[0]), (-way, y), color=style.INK, lw=1.1)
        if down:
            kept.append(y + 0.5 * LAYER)
            for layer in _layers(down):
                y -= LAYER * max(1, layer)
                taps += self._bar(-1, y, layer, down.channels)
                kept.append(y + 0.25 * LAYER)
            kept = [kept[0], *_outputs(down, kept[1:])]
        end, y = floor, floor
        if up:
            for layer in _layers(up):
                if not layer and kept:
                    begin = kept.pop()
                    into = min(max(begin, y), y + LAYER / 2)  # as high, if both sides are as deep
                    skip = {"color": style.MUTED, "lw": 0.8, "ls": (0, (3, 1.6)), "zorder": 2}
                    self._arrow((0.01 - GAP, begin), (GAP - 0.005, into), size=5, **skip)
                taps += self._bar(1, y, layer, up.channels)
                y += LAYER * max(1, layer)
            end = y
        self._arrow((way, end), (way, above[1]), color=style.INK, lw=1.1)
        return [floor, floor], min(taps, default=None)

    def _bar(self, side: int, y: float, depth: int, channels: int) -> list[float]:
        """A layer to one side of the words; returns where words come in."""
        high, long = LAYER * max(1, depth) - 0.018, channels * self.channel
        begin = self.centre + (GAP if side > 0 else -GAP - long)
        self._rectangle(begin, y, long, high, depth)
        if not depth:
            return []
        middle = y + high / 2 + (0.2 * LAYER if depth == 1 and side < 0 else 0)
        self._arrow((0, middle), (side * (GAP - 0.005), middle), size=6, color=WORDS, lw=1.1)
        if depth > 1:
            outside = self.width / 2 - GAP - long > 0.6
            x = GAP + long + 0.06 if outside else GAP + long / 2
            ha = ("left" if side > 0 else "right") if outside else "center"
            self._depth(side * x, y + high / 2, depth, ha, on_bar=not outside)
        return [middle]

    def _middle(self, block: Any, top: float, above: list[float]) -> float | None:
        """The middle: its stack stands across; returns where words come in."""
        long, y, reached = block.channels * self.channel, top, None
        way = GAP + 0.06
        for layer in _layers(block):
            y -= LAYER * max(1, layer)
            high = LAYER * max(1, layer) - 0.018
            self._rectangle(self.centre - long / 2, y, long, high, layer)
            if layer:
                reached = y + high * 0.5
                self.axis.plot(
                    *(self.centre, reached), marker="o", ms=4, color=WORDS, zorder=6, mew=0
                )
            if layer > 1:
                outside = long / 2 < 0.7
                x, ha = (long / 2 + 0.06, "left") if outside else (max(0.3, long / 4), "center")
                self._depth(x, y + high / 2, layer, ha, on_bar=not outside)
        way = min(way, long / 2)
        self._arrow((-way, above[0]), (-way, top - 0.01), color=style.INK, lw=1.1)
        self._arrow((way, top - 0.01), (way, above[1]), color=style.INK, lw=1.1)
        return reached

    def _depth(self, x: float, y: float, depth: int, ha: str, on_bar: bool) -> None:
        sheet = {"boxstyle": "round,pad=0.15", "facecolor": style.PAPER, "edgecolor": "none"}
        box = sheet if on_bar else None
        self._text(x, y, f"{depth} deep", size=7.5, ha=ha, bbox=box, zorder=5)

    def _rectangle(self, x: float, y: float, long: float, high: float, depth: int) -> None:
        from matplotlib.patches import Rectangle

        look = {"facecolor": style.ORANGE if depth else style.BLUE, "edgecolor": "none"}
        self.axis.add_patch(Rectangle((x, y), long, high, zorder=3, **look))
        for i in range(1, depth):
            line = y + high * i / depth
            self.axis.plot((x, x + long), (line, line), color=BAND, lw=0.6, zorder=3.5)

    def _text(self, x: float, y: float, text: str, *, size: float, **look: Any) -> None:
        look = {"ha": "center", "color": style.INK, "zorder": 6, **look}
        self.axis.text(self.centre + x, y, text, va="center", fontsize=size, **look)

    def _line(self, begin: Any, end: Any, **look: Any) -> None:
        (x, y), (to_x, to_y) = begin, end
        self.axis.plot((self.centre + x, self.centre + to_x), (y, to_y), **look)

    def _arrow(self, begin: Any, end: Any, size: float = 7, **look: Any) -> None:
        from matplotlib.patches import FancyArrowPatch

        (x, y), (to_x, to_y) = begin, end
        ends = (self.centre + x, y), (self.centre + to_x, to_y)
        look = {"zorder": 4, "shrinkA": 0, "shrinkB": 0, **look}
        self.axis.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=size, **look))


def _outputs(block: Any, ends: Sequence[float]) -> list[float]:
    """Where what is kept comes out: after each residual block, and the transformer behind it."""
    layers = [*_layers(block), 0]
    return [end for end, then in zip(ends, layers[1:], strict=True) if not then]


def _cost(block: Any) -> str:
    return f"{_short(block.parameters)} parameters, {_short(block.flops)}FLOP"


def _short(number: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} "
