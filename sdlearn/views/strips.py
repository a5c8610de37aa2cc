"""Pictures in rows."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from sdlearn.views import style
from sdlearn.views.figure import Figure

GAP = 0.05
"""Space between pictures, as a share of a picture's side."""
ROOM = 13
"""So many letters of a row's title have room beside it."""


def strip(
    pictures: Sequence[object], titles: Sequence[str] = (), *, alt: str, title: str = ""
) -> Figure:
    """Pictures side by side, each with a title.

    Args:
        pictures: Tensors of shape [3, height, width] or [height, width] with values from -1 to
            1, or Pillow pictures. Values beyond that range are cut off for the eye.
        titles: A short title for each picture.
        alt: What the strip shows, in words.
        title: A title above the whole strip.
    """
    return grid([pictures], column_titles=titles, alt=alt, title=title)


def grid(
    rows: Sequence[Sequence[object]],
    *,
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    alt: str,
    title: str = "",
) -> Figure:
    """Rows of pictures, with titles above the columns and to the left of the rows."""
    from matplotlib.figure import Figure as MatplotlibFigure

    rows = [[as_array(picture) for picture in row] for row in rows]
    if not rows or not rows[0]:
        raise ValueError("rows must hold at least one picture.")
    if any(len(row) != len(rows[0]) for row in rows):
        raise ValueError(f"rows must be equally long, got {[len(row) for row in rows]}.")
    _fits("column_titles", column_titles, len(rows[0]))
    _fits("row_titles", row_titles, len(rows))
    margin = 1.25 if row_titles else 0.0
    cell = (style.WIDTH - margin) / (len(rows[0]) + GAP * (len(rows[0]) - 1))
    heights = [cell * max(p.shape[0] / p.shape[1] for p in row) for row in rows]
    lines = max((name.count("\n") + 1 for name in column_titles), default=0)
    above = 0.12 * bool(lines) + 0.2 * lines + 0.36 * bool(title)
    total = sum(heights) * (1 + GAP * (len(rows) - 1) / len(rows)) + above
    with style.house():
        drawing = MatplotlibFigure(figsize=(style.WIDTH, total))
        axes = drawing.subplots(
            len(rows),
            len(rows[0]),
            squeeze=False,
            gridspec_kw={
                "left": margin / style.WIDTH,
                "right": 1,
                "bottom": 0,
                "top": 1 - above / total,
                "wspace": GAP,
                "hspace": GAP,
                "height_ratios": heights,
            },
        )
        for row, row_axes in zip(rows, axes, strict=True):
            for picture, axis in zip(row, row_axes, strict=True):
                grey = {"cmap": "gray", "vmin": 0, "vmax": 1} if picture.ndim == 2 else {}
                axis.imshow(picture, **grey)
                axis.set_axis_off()
        for name, axis in zip(column_titles, axes[0], strict=False):
            axis.set_title(
                name, fontsize=11, fontweight="normal", loc="center", pad=5, parse_math=False
            )
        for name, row_axes in zip(row_titles, axes, strict=False):
            # The same little way from the picture, however wide that is.
            row_axes[0].annotate(
                name if "\n" in name else textwrap.fill(name, ROOM),
                (0, 0.5),
                (-6, 0),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=11,
                parse_math=False,  # a prompt may speak of dollars
            )
        if title:
            look = {"ha": "left", "va": "top", "fontsize": 12, "fontweight": "bold"}
            drawing.suptitle(title, x=0, y=1, parse_math=False, **look)
    return Figure(drawing, alt, pictures=True)


def as_array(picture: object) -> np.ndarray:
    """A picture as an array that matplotlib can show: [height, width(, 3)], from 0 to 1."""
    if hasattr(picture, "convert"):  # Pillow
        return np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    if hasattr(picture, "detach"):  # a tensor, perhaps on a GPU, perhaps in half precision
        picture = picture.detach().cpu().float()
    values = np.asarray(picture)
    if values.dtype.kind in "iub":
        raise ValueError(
            f"a picture's numbers must be fractions from -1 to 1, got {values.dtype}. Scale 0..255 "
            "by picture / 127.5 - 1, or pass a Pillow picture."
        )
    values = values.astype(np.float32)
    if values.ndim == 3 and values.shape[0] == 3:
        values = values.transpose(1, 2, 0)
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[-1] != 3):
        raise ValueError(
            "a picture must be a Pillow picture or of shape [3, height, width] or "
            f"[height, width], got {values.shape}."
        )
    return ((values + 1) / 2).clip(0, 1)


def _fits(name: str, titles: Sequence[str], count: int) -> None:
    if titles and len(titles) != count:
        raise ValueError(f"{name} must hold {count} titles, got {len(titles)}.")
