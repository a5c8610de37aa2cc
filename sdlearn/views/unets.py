"""U-Nets as drawings to one scale: how deep, how wide, what jumps across, where words come in.

A latent comes in at the top left, goes down through ever smaller grids, and up again on the right.
A layer is a bar: as long as it is wide (in channels), and a transformer as high as it is deep.
"""

from __future__ import annotations

from typing import Any

from sdlearn.views import style
from sdlearn.views.figure import Figure
from sdlearn.views.unets_panel import GAP, WORDS, Panel, height_of

KEYS = 0.34
"""Height of the legend, in inches."""


def unets(
    *anatomies: Any, widest: int | None = None, width: float = style.WIDTH, keys: bool = True
) -> Figure:
    """Draw the U-Nets of models beside each other, to one scale.

    Args:
        *anatomies: As `sd.anatomy` gives them.
        widest: The channels that the longest bar stands for, so that several figures can share a
            scale; None takes the widest layer of these models.
        width: The figure's width in inches.
        keys: Whether to say below what the colours and lines are.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    if not anatomies:
        raise ValueError('unets() draws at least one anatomy: unets(sd.anatomy("sd15")).')
    for one in anatomies:
        if not hasattr(one, "blocks"):
            raise TypeError(
                f"unets() draws anatomies, got a {type(one).__name__}. sd.anatomy(...) makes one."
            )
    own = max(block.channels for one in anatomies for block in one.blocks)
    if widest is not None and not (isinstance(widest, int) and widest >= own):
        raise ValueError(f"widest must be at least {own}, the widest layer's channels: {widest!r}.")
    columns = 2 if len(anatomies) == 4 else min(3, len(anatomies))
    panel = width / columns
    channel = (panel / 2 - GAP - 0.16) / (widest or own)
    rows = [anatomies[i : i + columns] for i in range(0, len(anatomies), columns)]
    heights = [max(height_of(one, panel) for one in row) for row in rows]
    height = sum(heights) + KEYS * keys
    with style.house():
        drawing = MatplotlibFigure(figsize=(width, height))
        axis = drawing.add_axes((0, 0, 1, 1))
        axis.set(xlim=(0, width), ylim=(0, height))  # in inches, so all panels share a scale
        axis.set_axis_off()
        top = height
        for row, tall in zip(rows, heights, strict=True):
            left = (width - panel * len(row)) / 2
            for place, one in enumerate(row):
                Panel(axis, left + panel * (place + 0.5), panel, channel).draw(one, top)
            top -= tall
        if keys:
            look = {"ncols": 4 if width > 5 else 2, "fontsize": 8.5, "columnspacing": 1.6}
            drawing.legend(handles=_keys(), loc="lower center", handlelength=1.6, **look)
    return Figure(drawing, " ".join(_said(one) for one in anatomies))


def _keys() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=style.BLUE, label="residual block"),
        Patch(facecolor=style.ORANGE, label="transformer"),
        Line2D([], [], color=WORDS, lw=2.2, label="words come in"),
        Line2D([], [], color=style.MUTED, ls=(0, (3, 1.6)), lw=1, label="kept for the way up"),
    ]


def _said(one: Any) -> str:
    grids = [f"{b.columns} x {b.rows}" for b in one.blocks if b.side == "down"]
    channels = [str(b.channels) for b in one.blocks if b.side == "down"]
    where = [b.name for b in one.blocks if b.transformers]
    deepest = max((depth for b in one.blocks for depth in b.transformers), default=0)
    return (
        f"The U-Net of {one.name}: {len(grids)} levels of {', '.join(grids)}, "
        f"{', '.join(channels)} channels wide; words come in at {', '.join(where) or 'no block'}"
        f"{f', in transformers up to {deepest} deep' if deepest > 1 else ''}."
    )
