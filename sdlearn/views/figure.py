"""A figure that says in words what it shows, wherever it is read."""

from __future__ import annotations

import base64
import html
import io
from os import PathLike
from typing import TYPE_CHECKING

from sdlearn.views import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure


class Figure:
    """A finished drawing and its description.

    A notebook shows it as a picture with alternative text, so that screen readers, the book
    and a page whose pictures didn't load all say what it shows. (JupyterLab drops the
    description of a plain image, so the picture travels inside HTML.)

    Attributes:
        drawing: The matplotlib figure, to be changed or saved in other formats.
        alt: What it shows, in a sentence or two.
        pictures: Whether it is made of pictures rather than of lines and letters: noise can't
            be packed without loss, and a lesson must stay under a megabyte.
    """

    def __init__(self, drawing: MatplotlibFigure, alt: str, *, pictures: bool = False) -> None:
        if not isinstance(alt, str) or len(alt.split()) < 3:
            raise ValueError(
                f"alt must say in words what the figure shows, got {alt!r}. "
                "Think of a reader who can't see it."
            )
        self.drawing = drawing
        self.alt = " ".join(alt.split())
        self.pictures = pictures

    def webp(self) -> bytes:
        """The drawing as a file for a web page: lines without loss, pictures small."""
        buffer = io.BytesIO()
        dpi, how = (100, {"quality": 70}) if self.pictures else (144, {"lossless": True})
        with style.house():  # a figure asks for some settings only when it is drawn
            self.drawing.savefig(buffer, format="webp", dpi=dpi, pil_kwargs={**how, "method": 6})
        return buffer.getvalue()

    def save(self, path: str | PathLike[str], **options: object) -> None:
        """Write the drawing to a file; the ending says the format (.png, .svg, .pdf)."""
        with style.house():
            self.drawing.savefig(path, **options)

    def __repr__(self) -> str:
        """The description: all that a terminal can show."""
        return f"[Figure: {self.alt}]"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        data = base64.b64encode(self.webp()).decode("ascii")
        width = round(self.drawing.get_figwidth() * 100)
        # On a phone it keeps a readable width and scrolls, rather than shrink its letters away.
        picture = (
            '<div class="sd-figure" style="overflow-x:auto;margin:.4em 0">'
            f'<img alt="{html.escape(self.alt)}" '
            f'style="width:{width}px;max-width:max(100%,560px);height:auto" '
            f'src="data:image/webp;base64,{data}"></div>'
        )
        return {"text/plain": repr(self), "text/html": picture}
