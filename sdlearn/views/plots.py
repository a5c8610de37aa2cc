"""Curves, histograms, densities and clouds of points, all in the house style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sdlearn.views import style
from sdlearn.views.figure import Figure
from sdlearn.views.panels import squares
from sdlearn.views.values import numbers

_SLIP = {"boxstyle": "round,pad=0.15", "facecolor": style.PAPER, "edgecolor": "none", "alpha": 0.8}
"""A slip of paper behind a label, so that it can be read where it crosses a line."""


def curves(
    x: object,
    lines: Mapping[str, object],
    *,
    xlabel: str,
    ylabel: str,
    alt: str,
    title: str = "",
    logx: bool = False,
    logy: bool = False,
    marks: Mapping[str, tuple[float, float]] | None = None,
    level: tuple[float, str] | None = None,
    below: bool = False,
    top: float | None = None,
) -> Figure:
    """Named lines over one axis; they differ in colour *and* in dash, and are labelled directly.

    Args:
        x: Where the values belong, shape [n]; or one such array for each line, by name.
        lines: For each name its values, shape [n].
        xlabel: What is counted to the right.
        ylabel: What is counted upwards.
        alt: What the figure shows, in words.
        title: A title, at best what one should see.
        logx: Whether the horizontal axis counts in factors of ten.
        logy: Whether the vertical axis does.
        marks: Points to point out, by name: (x, y).
        level: A horizontal line with a label, such as (0.0, "as much noise as picture").
        below: Whether the lines' names stand under the axis: where lines leave no room for them.
        top: Where the vertical axis ends; what goes beyond it leaves the figure.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    if not lines:
        raise ValueError("lines must hold at least one line.")
    with style.house():
        drawing = MatplotlibFigure(figsize=(style.WIDTH, 3.6), layout="constrained")
        axis = drawing.subplots()
        for number, (name, values) in enumerate(lines.items()):
            places = x[name] if isinstance(x, Mapping) else x
            dash = style.DASHES[number % len(style.DASHES)]
            colour = style.CYCLE[number % len(style.CYCLE)]
            values = numbers(values)
            point = "o" if values.size == 1 else None  # a line of one point is none
            look = {"ls": dash, "color": colour, "marker": point, "label": style.plain(name)}
            axis.plot(numbers(places), values, **look)
        for name, (place, value) in (marks or {}).items():
            axis.plot(place, value, "o", color=style.INK, ms=6)
            axis.annotate(
                style.plain(name), (place, value), (7, 7), textcoords="offset points", bbox=_SLIP
            )
        if level is not None:
            axis.axhline(level[0], color=style.MUTED, lw=1)
            axis.annotate(
                style.plain(level[1]),
                (0.99, level[0]),
                (0, 4),
                ha="right",
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                color=style.MUTED,
                fontsize=9.5,
            )
        if logx:
            axis.set_xscale("log")
            _plain_numbers(axis)
        if logy:
            axis.set_yscale("log")
        axis.set_xlabel(xlabel)
        axis.set_ylabel(ylabel)
        axis.set_title(title)
        if top is not None:
            axis.set_ylim(top=top)
        if len(lines) > 1 and below:
            drawing.legend(handlelength=3, loc="outside lower center", ncols=2)
        elif len(lines) > 1:
            axis.legend(handlelength=3)
    return Figure(drawing, alt)


def _plain_numbers(axis: object) -> None:
    """Count 10, 20, 50, 100 under a short logarithmic axis: powers of ten would leave it bare."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_xlim()
    if high / low < 1000:
        axis.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())


def histograms(
    groups: Mapping[str, object], *, xlabel: str, alt: str, title: str = "", bins: int = 60
) -> Figure:
    """One histogram above another, over one shared axis."""
    from matplotlib.figure import Figure as MatplotlibFigure

    if not groups:
        raise ValueError("groups must hold at least one group of values.")
    values = {name: numbers(group).ravel() for name, group in groups.items()}
    for name, group in values.items():
        if not group.size or not np.isfinite(group).all():
            came = "NaN or infinite ones" if group.size else "none"
            raise ValueError(f"The group {name!r} must hold finite numbers, and holds {came}.")
    least = min(group.min() for group in values.values())
    most = max(group.max() for group in values.values())
    if least == most:  # all alike: one bar, with room on both sides
        least, most = least - 0.5, most + 0.5
    edges = np.linspace(least, most, bins + 1)
    with style.house():
        height = 1.15 * len(values) + 0.9
        drawing = MatplotlibFigure(figsize=(style.WIDTH, height), layout="constrained")
        axes = drawing.subplots(len(values), 1, sharex=True, squeeze=False)[:, 0]
        for number, (axis, (name, group)) in enumerate(zip(axes, values.items(), strict=True)):
            axis.hist(group, edges, density=True, color=style.CYCLE[number % len(style.CYCLE)])
            axis.set_ylabel(style.plain(name), rotation=0, ha="right", va="center")
            axis.set_yticks([])
        axes[0].set_title(title)
        axes[-1].set_xlabel(xlabel)
    return Figure(drawing, alt)


def density_map(
    density: object,
    x: object,
    y: object,
    *,
    xlabel: str,
    ylabel: str,
    alt: str,
    title: str = "",
) -> Figure:
    """How a density on a line changes along another axis: brighter is denser.

    Args:
        density: Shape [len(y), len(x)].
        x: Horizontal places, evenly spaced.
        y: Vertical places, evenly spaced.
        xlabel: What is counted to the right.
        ylabel: What is counted upwards.
        alt: What the figure shows, in words.
        title: A title.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    density, x, y = numbers(density), numbers(x), numbers(y)
    if density.shape != (len(y), len(x)):
        raise ValueError(f"density must be of shape {(len(y), len(x))}, got {density.shape}.")
    with style.house():
        drawing = MatplotlibFigure(figsize=(style.WIDTH, 3.4), layout="constrained")
        axis = drawing.subplots()
        extent = (x[0], x[-1], y[0], y[-1])
        shown = axis.imshow(
            density, cmap=style.DENSITY_MAP, extent=extent, aspect="auto", origin="lower"
        )
        drawing.colorbar(shown, ax=axis, label="density", pad=0.01)
        axis.grid(False)
        axis.set_xlabel(xlabel)
        axis.set_ylabel(ylabel)
        axis.set_title(title)
    return Figure(drawing, alt)


def clouds(
    points: Sequence[object],
    labels: object,
    titles: Sequence[str] = (),
    *,
    names: Sequence[str],
    alt: str,
    limit: float = 3.2,
) -> Figure:
    """Clouds of points on a plane, side by side; groups differ in colour *and* in shape.

    Args:
        points: For each panel the points, shape [n, 2].
        labels: The group of each point, shape [n]; the same in all panels.
        titles: A title for each panel.
        names: A name for each group.
        alt: What the figure shows, in words.
        limit: Panels reach from -limit to limit.
    """
    labels = numbers(labels)
    with style.house():
        drawing, axes = squares("points", len(points), titles, limit)
        for axis, panel in zip(axes, points, strict=True):
            panel = numbers(panel)
            for group, name in enumerate(names):
                chosen = panel[labels == group]
                axis.plot(
                    *chosen.T,
                    "os^D"[group % 4],
                    ms=3.2,
                    alpha=0.65,
                    mew=0,
                    color=style.CYCLE[group % len(style.CYCLE)],
                    label=style.plain(name),
                )
        handles, texts = axes[0].get_legend_handles_labels()
        drawing.legend(
            handles, texts, loc="outside lower center", ncols=len(names), markerscale=2.2
        )
    return Figure(drawing, alt)
