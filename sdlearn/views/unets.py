"""U-Nets as drawings: how deep, how wide, what jumps across, and where the words come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sdlearn.views import style
from sdlearn.views.figure import Figure

DEEP = 1.5
"""How much lower each level lies."""
SHRINKS = 0.62
"""How much smaller each level is drawn; the grids themselves halve."""
BAR, GAP = 0.8, 2.3
"""How wide a layer is drawn, and the room between blocks."""


def unets(*anatomies: Any) -> Figure:
    """Draw the U-Nets of models, one below the other.

    Args:
        *anatomies: As `sd.anatomy` gives them.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    if not anatomies:
        raise ValueError('unets() draws at least one anatomy: unets(sd.anatomy("sd15")).')
    for one in anatomies:
        if not hasattr(one, "blocks"):
            raise TypeError(
                f"unets() draws anatomies, got a {type(one).__name__}. sd.anatomy(...) makes one."
            )
    with style.house():
        size = (style.WIDTH, 0.5 + 3.3 * len(anatomies))
        drawing = MatplotlibFigure(figsize=size, layout="constrained")
        axes = drawing.subplots(len(anatomies), 1, squeeze=False)[:, 0]
        for axis, one in zip(axes, anatomies, strict=True):
            _draw(axis, one)
        drawing.legend(handles=_keys(), loc="outside lower center", ncols=3)
    return Figure(drawing, " ".join(_said(one) for one in anatomies))


def _draw(axis: Any, one: Any) -> None:
    x, places = 0.0, {}
    for block in one.blocks:
        begin, y, height = x, -DEEP * block.level, SHRINKS**block.level
        for depth in _layers(block):
            _bar(axis, x, y, height, depth)
            x += 1.0
        places[block.side, block.number] = (begin, x - (1.0 - BAR), y, height)
        _label(axis, (begin + x - (1.0 - BAR)) / 2, y - height / 2, block)
        x += GAP - (1.0 - BAR)
    _skips(axis, one.blocks, places)
    channels, rows, columns = one.latent
    last = x - GAP
    note = {"fontsize": 9.5, "color": style.MUTED, "va": "center"}
    axis.text(-0.6, 0, f"$x_t$\n{channels} x {columns} x {rows}", ha="right", **note)
    answer = {"eps": r"$\hat\epsilon$", "v": r"$\hat v$"}[one.family.prediction]
    axis.text(last + 0.6, 0, answer, ha="left", **{**note, "fontsize": 12})
    deepest = max(block.level for block in one.blocks)
    axis.set(xlim=(-5, last + 2.5), ylim=(-DEEP * deepest - 1.5, 0.75), xticks=[], yticks=[])
    axis.set_title(f"{one.name}: {one.unet.parameters / 1e6:,.4g} million parameters", fontsize=11)
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _layers(block: Any) -> list[int]:
    """A block's layers in their order: 0 for a residual block, a transformer by its depth."""
    if block.side == "mid":  # here the transformers stand between the residual blocks
        middle = [layer for depth in block.transformers for layer in (depth, 0)]
        return [0, *middle] if block.transformers else [0] * block.resnets
    depths = [*block.transformers, *[None] * (block.resnets - len(block.transformers))]
    return [layer for depth in depths for layer in ((0,) if depth is None else (0, depth))]


def _bar(axis: Any, x: float, y: float, height: float, depth: int) -> None:
    from matplotlib.patches import Rectangle

    colour = style.ORANGE if depth else style.BLUE
    axis.add_patch(
        Rectangle(
            *((x, y - height / 2), BAR, height),
            facecolor=colour,
            edgecolor=style.INK,
            linewidth=0.6,
            hatch="//" if depth else None,  # told apart without colours, too
        )
    )
    if depth > 1:
        at = {"ha": "center", "va": "bottom", "fontsize": 8.5, "color": style.INK}
        axis.text(x + BAR / 2, y + height / 2 + 0.04, f"x{depth}", **at)


def _label(axis: Any, x: float, y: float, block: Any) -> None:
    heads = f"\n{block.heads} heads" if block.heads else ""
    axis.text(
        *(x, y - 0.1),
        f"{block.columns} x {block.rows}\n{block.channels} wide{heads}",
        ha="center", va="top", fontsize=8, color=style.INK, linespacing=1.15,
    )  # fmt: skip


def _skips(axis: Any, blocks: Sequence[Any], places: dict[Any, Any]) -> None:
    ups = {block.level: block for block in blocks if block.side == "up"}
    for block in blocks:
        if block.side == "down" and block.level in ups:
            up = ups[block.level]
            _, begin, y, height = places["down", block.number]
            end = places["up", up.number][0]
            line = y + height * 0.3
            axis.annotate(
                "", (end - 0.1, line), (begin + 0.1, line),
                zorder=0.5,
                arrowprops={"arrowstyle": "->", "ls": (0, (3, 2)), "lw": 0.9, "color": style.MUTED},
            )  # fmt: skip


def _keys() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    edge = {"edgecolor": style.INK, "linewidth": 0.6}
    return [
        Patch(facecolor=style.BLUE, label="residual block", **edge),
        Patch(facecolor=style.ORANGE, hatch="//", label="transformer: words come in", **edge),
        Line2D([], [], color=style.MUTED, ls="--", lw=1, label="kept for the way up"),
    ]


def _said(one: Any) -> str:
    grids = [f"{b.columns} x {b.rows}" for b in one.blocks if b.side == "down"]
    where = [b.name for b in one.blocks if b.transformers]
    return (
        f"The U-Net of {one.name}: {len(grids)} levels of {', '.join(grids)}; words come in at "
        f"{', '.join(where) or 'no block'}."
    )
