"""Many scenes on one picture, and one scene in a notebook."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable

from PIL import Image

from .facts import whole_number
from .scene import Scene


def contact_sheet(
    scenes: Iterable[Scene | Image.Image], columns: int = 10, size: int = 128, gap: int = 4
) -> Image.Image:
    """Lays scenes (or pictures) out in rows.

    Args:
        scenes: Scenes, which are drawn, or ready pictures, which are only resized.
        columns: Pictures in a row.
        size: Side of one picture.
        gap: White pixels between pictures.
    """
    columns = whole_number("columns", columns, 1, 100)
    size = whole_number("size", size, 32, 512)
    gap = whole_number("gap", gap, 0, 100)
    try:
        pictures = list(scenes)
    except TypeError:
        raise TypeError(
            f"scenes must be several scenes or pictures, not {type(scenes).__name__}. "
            "Write contact_sheet([scene])."
        ) from None
    if not pictures:
        raise ValueError("scenes is empty: a contact sheet needs at least one scene.")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    step = size + gap
    sheet = Image.new("RGB", (columns * step + gap, rows * step + gap), "white")
    for i, item in enumerate(pictures):
        if isinstance(item, Scene):
            item = item.render(size)
        elif not isinstance(item, Image.Image):
            raise TypeError(
                f"scenes[{i}] must be a Scene or a PIL picture, not {type(item).__name__}."
            )
        elif item.size != (size, size):
            item = item.resize((size, size), Image.Resampling.LANCZOS)
        sheet.paste(item, (gap + step * (i % columns), gap + step * (i // columns)))
    return sheet


def scene_html(scene: Scene) -> str:
    """A scene as a small figure: its picture, and its caption as text and as alt text."""
    buffer = io.BytesIO()
    scene.render(192).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    words = html.escape(scene.caption())
    return (
        f'<figure style="display:inline-block;margin:0;max-width:192px">'
        f'<img src="data:image/png;base64,{data}" width="192" height="192" alt="{words}">'
        f"<figcaption>{words}</figcaption></figure>"
    )
