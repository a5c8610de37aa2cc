"""Paths through the plane: where samples come from, which way they take, where they end."""

from __future__ import annotations

from collections.abc import Sequence

from sdlearn.views import style
from sdlearn.views.figure import Figure
from sdlearn.views.panels import squares
from sdlearn.views.values import numbers


def paths(
    panels: Sequence[object],
    titles: Sequence[str] = (),
    *,
    alt: str,
    behind: object = None,
    limit: float = 3.2,
) -> Figure:
    """Paths of points, side by side; a ring marks each start, a dot each end.

    Args:
        panels: For each panel its paths, shape [paths, stations, 2]; the first station is the
            start.
        titles: A title for each panel.
        alt: What the figure shows, in words.
        behind: Points to be drawn faintly below the paths, shape [n, 2], such as the world's own.
        limit: Panels reach from -limit to limit.
    """
    panels = [numbers(panel) for panel in panels]
    for panel in panels:
        if panel.ndim != 3 or panel.shape[2] != 2 or 0 in panel.shape:
            raise ValueError(
                f"a panel must be of shape [paths, stations, 2], got {panel.shape}. Stack the "
                "stations in the second place: torch.stack(stations, dim=1)."
            )
    with style.house():
        drawing, axes = squares("panels", len(panels), titles, limit)
        for axis, panel in zip(axes, panels, strict=True):
            if behind is not None:
                axis.plot(*numbers(behind).T, ".", ms=4, mew=0, color=style.RULE, zorder=0)
            for index, path in enumerate(panel):
                colour = style.CYCLE[index % len(style.CYCLE)]
                axis.plot(*path.T, color=colour, lw=1.1, alpha=0.85)
                axis.plot(*path[-1], "o", ms=7, mew=1, color=colour, mec=style.PAPER, zorder=3)
            axis.plot(
                *panel[:, 0].T, "o", ms=9, mew=2, mfc="none", color=style.INK, zorder=4, ls=""
            )
        drawing.legend(handles=_keys(), loc="outside lower center", ncols=2)
    return Figure(drawing, alt)


def _keys() -> list:
    """What the ring and the dot stand for."""
    from matplotlib.lines import Line2D

    start = {"marker": "o", "ms": 9, "mew": 2, "mfc": "none", "color": style.INK, "ls": ""}
    end = {"marker": "o", "ms": 7, "mew": 0, "color": style.MUTED, "ls": ""}
    return [Line2D([], [], label="start", **start), Line2D([], [], label="end", **end)]
