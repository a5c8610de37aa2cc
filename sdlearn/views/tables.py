"""A table of numbers as a picture: every cell coloured, its number in it, pictures as row heads."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from sdlearn.views import style
from sdlearn.views.figure import Figure
from sdlearn.views.strips import as_array
from sdlearn.views.values import numbers

COLOURS = (style.BLUE, style.PAPER, style.VERMILION)
"""Of the least number, of the middle, of the greatest: both colour-blind and grey eyes see it."""
_PICTURE = 0.72  # inches, of a picture at the head of a row


def matrix(
    values: object,
    rows: Sequence[object],
    columns: Sequence[str],
    *,
    alt: str,
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    limits: tuple[float, float] = (-1.0, 1.0),
    form: str = ".2f",
    outlined: Sequence[tuple[int, int]] = (),
) -> Figure:
    """A table of numbers: what stands in a row fits what stands in a column so well.

    Args:
        values: Shape [rows, columns].
        rows: A text or a picture at the head of each row.
        columns: A text at the head of each column.
        alt: What the figure shows, in words.
        title: A title, at best what one should see.
        xlabel: What the columns are.
        ylabel: What the rows are.
        limits: The numbers of the two ends of the colours; white is half-way between them.
        form: How numbers are written in their cells, as in an f-string; "" leaves them out.
        outlined: Cells (row, column) to point out with a frame.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure as MatplotlibFigure
    from matplotlib.patches import Rectangle

    values = numbers(values).astype(float)
    if values.shape != (len(rows), len(columns)) or not values.size:
        raise ValueError(
            f"values must have a row for each of {len(rows)} rows and a column for each of "
            f"{len(columns)} columns, got {values.shape}."
        )
    texts = [row if isinstance(row, str) else None for row in rows]
    pictures = None in texts
    width = 1.0 if pictures else min(1.8, 0.3 + 0.085 * max(len(text or "") for text in texts))
    cell = min(0.95, (style.WIDTH - width - 0.4) / len(columns))
    height = _PICTURE if pictures else min(0.42, cell)
    heads = [textwrap.fill(text, max(7, int(cell / 0.078))) for text in columns]
    long = max(map(len, (line for head in heads for line in head.split("\n")))) * 0.078 > cell
    lines = max(head.count("\n") + 1 for head in heads)
    above = (0.075 * max(map(len, columns)) if long else 0.17 * lines) + 0.15
    above += 0.3 * bool(title) + 0.25 * bool(xlabel) + 0.1 * bool(title and xlabel)
    with style.house():
        drawing = MatplotlibFigure(
            figsize=(style.WIDTH, height * len(rows) + above), layout="constrained"
        )
        axis = drawing.subplots()
        colours = LinearSegmentedColormap.from_list("table", COLOURS)
        shown = axis.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1])
        axis.set_aspect(height / cell)
        axis.grid(False)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
        axis.xaxis.set_label_position("top")
        names = [style.plain(name) for name in (columns if long else heads)]
        axis.set_xticks(range(len(columns)), names, color=style.INK)
        if long:
            axis.tick_params(axis="x", labelrotation=90)
        names = [style.plain(text or "") for text in texts]
        axis.set_yticks(range(len(rows)), names, color=style.INK)
        if pictures:
            _pictures(axis, rows, height)
            axis.tick_params(axis="y", pad=4)
        size = max(7.0, min(10.5, 15 * cell))
        for (row, column), value in np.ndenumerate(values):
            if form:
                red, green, blue, _ = shown.cmap(shown.norm(value))
                dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.52
                said = format(value, form)
                said = said if said.strip("-0.%") else said.lstrip("-")  # no -0.00
                colour = style.PAPER if dark else style.INK
                axis.text(column, row, said, ha="center", va="center", color=colour, fontsize=size)
        for row, column in outlined:
            corner = (column - 0.47, row - 0.47)
            frame = Rectangle(corner, 0.94, 0.94, fill=False, ec=style.INK, lw=2, clip_on=False)
            axis.add_patch(frame)
        axis.set_xlabel(xlabel, labelpad=6)
        axis.set_ylabel(ylabel)
        if title:
            drawing.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
            drawing.get_layout_engine().set(h_pad=0.09)  # the title keeps off the label below it
    return Figure(drawing, alt, pictures=pictures)


def _pictures(axis: object, rows: Sequence[object], height: float) -> None:
    """Put each row's picture before it."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    for number, row in enumerate(rows):
        if isinstance(row, str):
            continue
        pixels = as_array(row)
        # An offset image is measured in pixels of 72 to the inch.
        zoom = 0.94 * height * 72 / max(pixels.shape[:2])
        image = OffsetImage(pixels, zoom=zoom, interpolation="antialiased")
        place = AnnotationBbox(
            image,
            (0, number),
            (-4, 0),
            xycoords=("axes fraction", "data"),
            boxcoords="offset points",
            box_alignment=(1, 0.5),
            frameon=False,
            pad=0,
        )
        axis.add_artist(place)
