"""The pictures of the generation explorer: as files for the page, and as figures in its place."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageOps

from sdlearn.views.figure import Figure
from sdlearn.views.strips import grid as rows_of_pictures
from sdlearn.views.widgets import settings

GREY = (128, 128, 128)
"""Where nothing is drawn yet."""


def within(picture: Image.Image, side: int) -> Image.Image:
    """A copy of a picture, its longest side no longer than this."""
    picture = picture.convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def webp(picture: Image.Image, quality: int) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()


def sheet(cells: Sequence[Image.Image | None], across: int) -> bytes:
    """A grid's pictures as one file, row by row."""
    width, height = _size(cells)
    whole = Image.new("RGB", (across * width, len(cells) // across * height), GREY)
    for place, picture in enumerate(cells):
        if picture is not None:
            whole.paste(picture, (place % across * width, place // across * height))
    return webp(whole, 75)


def figure_of_grid(cells: Sequence[Image.Image | None], grid: Mapping[str, Any]) -> Figure:
    """A grid's pictures under their settings."""
    (down, rows), (across, columns) = ((axis["name"], axis["values"]) for axis in grid["axes"])
    blank, width = Image.new("RGB", _size(cells), GREY), len(columns)
    pictures = [picture or blank for picture in cells]
    prompt = grid["settings"].get("prompt", "several prompts")
    return rows_of_pictures(
        [pictures[i : i + width] for i in range(0, len(pictures), width)],
        column_titles=[_title(across, value) for value in columns],
        row_titles=[_title(down, value) for value in rows],
        alt=f"A grid of pictures for “{prompt}”: each row has another {settings.LABELS[down]}, "
        f"each column another {settings.LABELS[across]}.",
    )


def figure_of_one(picture: Image.Image, shown: Mapping[str, Any]) -> Figure:
    """A picture alone; its settings are in the description."""
    from matplotlib.figure import Figure as MatplotlibFigure

    drawing = MatplotlibFigure(figsize=(3, 3 * picture.height / picture.width))
    axis = drawing.add_axes((0, 0, 1, 1))
    axis.imshow(picture)
    axis.set_axis_off()
    told = ", ".join(settings.said(name, shown[name]) for name in settings.CHECKS)
    return Figure(drawing, f"A picture for {told}.", pictures=True)


def as_shown(picture: Image.Image) -> Image.Image:
    """A picture of the user's as a page shows it: upright, and white where it is transparent."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("RGB", "L") and "transparency" not in picture.info:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    ground = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(ground, picture).convert("RGB")


def _size(cells: Sequence[Image.Image | None]) -> tuple[int, int]:
    return next(picture.size for picture in cells if picture is not None)


def _title(name: str, value: Any) -> str:
    words = textwrap.shorten(settings.said(name, value), 48, placeholder="…")
    return textwrap.fill(words, 16)
