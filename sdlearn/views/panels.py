"""Square panels in a row, for figures in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sdlearn.views import style


def squares(name: str, count: int, titles: Sequence[str], limit: float) -> tuple[Any, Any]:
    """A drawing and its panels, each from -limit to limit in both directions.

    Args:
        name: What the panels' argument is called, for the error message.
        count: How many panels.
        titles: A title for each, or none at all.
        limit: Where the panels end.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    if not count:
        raise ValueError(f"{name} must hold at least one panel.")
    if titles and len(titles) != count:
        raise ValueError(f"titles must hold {count} titles, got {len(titles)}.")
    side = style.WIDTH / count
    drawing = MatplotlibFigure(figsize=(style.WIDTH, side + 0.75), layout="constrained")
    axes = drawing.subplots(1, count, squeeze=False)[0]
    for number, axis in enumerate(axes):
        axis.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[])
        axis.set_aspect("equal")
        axis.grid(False)
        if titles:
            axis.set_title(titles[number], fontsize=11, fontweight="normal", loc="center")
    return drawing, axes
