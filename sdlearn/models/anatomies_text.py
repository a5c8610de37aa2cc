"""Anatomies as tables, in a terminal and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdlearn.models.anatomy import Anatomy, Block

Rows = Sequence[Sequence[str]]

BLOCKS = ("block", "grid", "channels", "residual", "looks at words", "heads", "parameters", "work")
PARTS = ("part", "what it is", "parameters", "work of a call")


def count(number: float) -> str:
    """A number of things, short: "860 M"."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def gibibytes(number: float) -> str:
    """Bytes, as memory is sold."""
    return f"{number / 2**30:.2f} GiB"


def told(one: Anatomy) -> str:
    """An anatomy as text."""
    return "\n\n".join(
        [_line(one), _plain(PARTS, _parts(one)), _plain(BLOCKS, _blocks(one)), _needs(one)]
    )


def html_of(one: Anatomy) -> str:
    """An anatomy as HTML; every name in it is escaped."""
    tables = _html(PARTS, _parts(one)) + _html(BLOCKS, _blocks(one))
    return f"<p>{html.escape(_line(one))}</p>{tables}<p>{html.escape(_needs(one))}</p>"


def compared(anatomies: Sequence[Anatomy]) -> str:
    """Anatomies side by side, as text."""
    return _plain(*_sides(anatomies))


def html_compared(anatomies: Sequence[Anatomy]) -> str:
    """Anatomies side by side, as HTML; every name in it is escaped."""
    return _html(*_sides(anatomies))


def _line(one: Anatomy) -> str:
    channels, rows, columns = one.latent
    height, width = one.picture
    return (
        f"{one.name}: {one.family}. Draws {width} x {height} pixels in latents of {channels} x "
        f"{rows} x {columns}; reads words as vectors of {one.context} numbers; is told beside "
        f"them: {one.conditions}."
    )


def _needs(one: Anatomy) -> str:
    full, half = one.memory("float32"), one.memory("float16")
    return (
        f"{count(one.parameters)} parameters in all. A guided step is {count(one.flops_per_step)}"
        f"FLOP. Memory: {gibibytes(full.needed)} in full precision ({gibibytes(full.weights)} of "
        f"weights), {gibibytes(half.needed)} in half."
    )


def _parts(one: Anatomy) -> Rows:
    return [
        (part.name, part.title, f"{part.parameters:,}", f"{count(part.flops)}FLOP")
        for part in one.parts
    ]


def _blocks(one: Anatomy) -> Rows:
    return [
        (
            *(block.name, f"{block.columns} x {block.rows}", str(block.channels)),
            *(str(block.resnets), _looks(block), _heads(block)),
            *(f"{block.parameters:,}", f"{count(block.flops)}FLOP"),
        )
        for block in one.blocks
    ]


def _looks(block: Block) -> str:
    return " + ".join(map(str, block.transformers)) or "-"


def _heads(block: Block) -> str:
    return f"{block.heads} of {block.head_width}" if block.heads else "-"


LINES: tuple[tuple[str, Callable[[Anatomy], str]], ...] = (
    ("family", lambda one: str(one.family)),
    ("picture", lambda one: "{1} x {0}".format(*one.picture)),
    ("latent", lambda one: " x ".join(map(str, one.latent))),
    ("answers", lambda one: {"eps": "the noise", "v": "the velocity"}[one.family.prediction]),
    ("width of a word's vector", lambda one: str(one.context)),
    ("told beside the words", lambda one: one.conditions),
    ("U-Net's channels", lambda one: " ".join(map(str, _down(one, "channels")))),
    ("layers that look at words", lambda one: str(one.attentions)),
    ("of them by level, on the way down", lambda one: " ".join(map(str, _down(one, "attentions")))),
    ("heads", lambda one: " ".join(str(heads or "-") for heads in _down(one, "heads"))),
    ("width of a head", lambda one: " ".join(str(w or "-") for w in _down(one, "head_width"))),
    ("parameters of the U-Net", lambda one: f"{one.unet.parameters:,}"),
    ("of the text encoders", lambda one: f"{_of(one, 'text_encoder'):,}"),
    ("of the autoencoder", lambda one: f"{_of(one, 'vae'):,}"),
    ("of all", lambda one: f"{one.parameters:,}"),
    ("work of a guided step", lambda one: f"{count(one.flops_per_step)}FLOP"),
    ("memory, full precision", lambda one: gibibytes(one.memory("float32").needed)),
    ("memory, half precision", lambda one: gibibytes(one.memory("float16").needed)),
)


def _down(one: Anatomy, what: str) -> list[int]:
    return [getattr(block, what) for block in one.blocks if block.side == "down"]


def _of(one: Anatomy, name: str) -> int:
    return sum(part.parameters for part in one.parts if part.name.startswith(name))


def _sides(anatomies: Sequence[Anatomy]) -> tuple[Sequence[str], Rows]:
    header = ("", *(one.name for one in anatomies))
    return header, [(title, *(say(one) for one in anatomies)) for title, say in LINES]


def _plain(header: Sequence[str], rows: Rows) -> str:
    table = [tuple(header), *map(tuple, rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def _html(header: Sequence[str], rows: Rows) -> str:
    heads = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    lines = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in others)
        + "</tr>"
        for first, *others in rows
    )
    return (
        f'<div style="overflow-x:auto"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )
