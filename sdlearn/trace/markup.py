"""How records show themselves in a notebook: small pieces of HTML, every text in them escaped.

Nothing here sets a background or a colour of letters: the page's own hold, be it light or dark.
Only lines are drawn, in the letters' colour, thinly.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Collection, Iterable, Sequence

from PIL import Image

_LINE = "1px solid color-mix(in srgb, currentColor 18%, transparent)"

NARROW = 24
"""Texts up to this length stay in one line."""
LONG = 600
"""Texts up to this length are shown whole."""


def data_uri(picture: Image.Image, *, lossless: bool = False) -> str:
    """Returns a picture as an address that holds the picture itself."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "WEBP", lossless=lossless, quality=88, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def img(
    picture: Image.Image, alt: str, *, width: int, crisp: bool = False, lossless: bool = False
) -> str:
    """Returns a picture with a description; `crisp` shows a small one's pixels as squares."""
    squares = "image-rendering:pixelated;" if crisp else ""
    return (
        f'<img alt="{html.escape(alt)}" src="{data_uri(picture, lossless=lossless or crisp)}" '
        f'style="{squares}width:{width}px;max-width:100%;height:auto;'
        'border-radius:4px;display:block;margin:0">'
    )


def captioned(picture: str, caption: str) -> str:
    """Returns an `img` with a line of text below."""
    return (
        '<figure style="margin:0;display:inline-block;vertical-align:top">'
        f'{picture}<figcaption style="font-size:.82em;color:inherit;padding-top:.25em;'
        f'text-align:center">{html.escape(caption)}</figcaption></figure>'
    )


def row(parts: Iterable[str], *, gap: str = ".6em") -> str:
    """Returns ready pieces side by side; they wrap where the page is narrow."""
    inside = "".join(parts)
    return f'<div style="display:flex;flex-wrap:wrap;gap:{gap};margin:.5em 0">{inside}</div>'


def beside(left: str, right: str) -> str:
    """Returns two ready pieces side by side: the left as wide as it is, the right as it may be."""
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:.6em 1.6em;align-items:flex-start">'
        f'<div style="flex:none;max-width:100%">{left}</div>'
        f'<div style="flex:1 1 20em;min-width:0">{right}</div></div>'
    )


def card(title: str, parts: Iterable[str], *, kind: str) -> str:
    """Returns ready pieces below a title, as one thing with a name for style sheets and tests."""
    heading = f'<div style="font-weight:600">{html.escape(title)}</div>' if title else ""
    return (
        f'<div class="sd-{kind}" style="color:inherit;line-height:1.45;margin:.4em 0;'
        f'overflow-x:auto">{heading}{"".join(parts)}</div>'
    )


def note(label: str, text: str = "") -> str:
    """Returns a line of text below something; the label stands out a little."""
    return (
        '<p style="margin:.4em 0;max-width:46em;overflow-wrap:anywhere">'
        f"<strong>{html.escape(label)}</strong>{html.escape(clipped(text))}</p>"
    )


class Ready(str):
    """A piece of HTML that is ready: a table's cells that are no such piece are escaped."""


def bar(share: float, text: str) -> Ready:
    """Returns a text above a bar, which is full at a share of 1."""
    return Ready(
        f'{html.escape(text)}<div style="height:.3em;margin-top:.1em;border-radius:2px;opacity:.45;'
        f'background:currentColor;width:{100 * min(max(share, 0), 1):.1f}%"></div>'
    )


def table(
    rows: Iterable[Sequence[object]], *, head: Sequence[str] = (), faint: Collection[int] = ()
) -> str:
    """Returns a table of texts.

    Args:
        rows: Cells as text, numbers, or pieces that are `Ready`.
        head: The columns' names.
        faint: Numbers of the rows that are written paler.
    """
    look = f"text-align:left;padding:.15em 1.2em .15em 0;border-bottom:{_LINE};vertical-align:top"
    names = (
        f'<th scope="col" style="{look};white-space:nowrap">{html.escape(name)}</th>'
        for name in head
    )
    body = []
    for number, cells in enumerate(rows):
        pale = ' style="opacity:.6"' if number in faint else ""
        body.append(f"<tr{pale}>{''.join(_cell(cell, look) for cell in cells)}</tr>")
    header = f"<thead><tr>{''.join(names)}</tr></thead>" if head else ""
    return (
        '<table style="color:inherit;border-collapse:collapse;margin:.4em 0;font-size:.92em;'
        f'font-variant-numeric:tabular-nums">{header}<tbody>{"".join(body)}</tbody></table>'
    )


def _cell(value: object, look: str) -> str:
    if isinstance(value, Ready):
        return f'<td style="{look};min-width:9em">{value}</td>'
    text = clipped(str(value))
    wrap = "white-space:nowrap" if len(text) <= NARROW else "overflow-wrap:anywhere"
    return f'<td style="{look};{wrap}">{html.escape(text)}</td>'


def clipped(text: str) -> str:
    """Returns a text, or its beginning and how much more there is: a prompt can be a book."""
    if len(text) <= LONG:
        return text
    return f"{text[:LONG]}… ({len(text) - LONG:,} more characters)"


def amount(count: float) -> str:
    """Returns a number of bytes as a person says it: 3.2 MiB."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
