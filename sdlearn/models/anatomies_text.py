"""Anatomies as tables, in a terminal and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdlearn.models.anatomies import Anatomy, Block

Rows = Sequence[Sequence[str]]

BLOCKS = ("block", "grid", "channels", "residual", "looks at words", "heads", "parameters", "work")
PARTS = ("part", "what it is", "parameters", "work of a call")
ANSWERS = {"eps": "the noise", "v": "the velocity"}
SHORT = 18
"""Texts up to this length stay on one line of a table."""
LEFT = "text-align:left"
TALLY = "text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums"


def count(number: float) -> str:
    """A number of things, short: "860 M"."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def work(flops: float) -> str:
    """Floating-point operations, short: "1.61 TFLOP"."""
    number, _, unit = count(flops).partition(" ")
    return f"{number} {unit}FLOP"


def gibibytes(number: float) -> str:
    """Bytes, as memory is sold."""
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 / 10 else f"{number / 2**20:.0f} MiB"


# --- one model ----------------------------------------------------------------------------------


def told(one: Anatomy) -> str:
    """An anatomy as text."""
    return "\n\n".join(
        [
            f"{one.name}: {one.family}. {_line(one)}",
            plain(PARTS, _parts(one)),
            plain(BLOCKS, _blocks(one)),
            _needs(one),
        ]
    )


def html_of(one: Anatomy) -> str:
    """An anatomy as HTML; every name in it is escaped."""
    return (
        f"<p><strong>{html.escape(one.name)}</strong>: {html.escape(str(one.family))}. "
        f"{html.escape(_line(one))}</p>"
        + html_parts(one)
        + html_blocks(one)
        + f"<p>{html.escape(_needs(one))}</p>"
    )


def html_parts(one: Anatomy) -> str:
    """The table of a model's networks, as HTML."""
    shares = [part.parameters / one.parameters for part in one.parts]
    return table(PARTS, _parts(one), "Its networks", numbers=(2, 3), bars={2: shares})


def html_blocks(one: Anatomy) -> str:
    """The table of a U-Net's blocks, as HTML."""
    parameters = max(block.parameters for block in one.blocks)
    flops = max(block.flops for block in one.blocks)
    bars = {
        6: [block.parameters / parameters for block in one.blocks],
        7: [block.flops / flops for block in one.blocks],
    }
    title = "Its U-Net, block by block, as a latent passes"
    return table(BLOCKS, _blocks(one), title, numbers=(2, 3, 6, 7), bars=bars)


def _line(one: Anatomy) -> str:
    channels, rows, columns = one.latent
    height, width = one.picture
    return (
        f"It draws {width} x {height} pixels in latents of {channels} x {rows} x {columns}, "
        f"answers with {ANSWERS[one.family.prediction]}, reads words as vectors of {one.context} "
        f"numbers, and is told beside them: {one.conditions}."
    )


def _needs(one: Anatomy) -> str:
    full, half = one.memory("float32"), one.memory("float16")
    often = "answers once, without guidance" if one.calls == 1 else "answers twice, for guidance"
    return (
        f"{count(one.parameters)} parameters in all. A step, in which the U-Net {often}, is "
        f"{work(one.flops_per_step)}. Memory: {gibibytes(full.needed)} in full precision "
        f"({gibibytes(full.weights)} of weights, {gibibytes(full.working)} to work in, "
        f"{gibibytes(full.margin)} for Python and the libraries), {gibibytes(half.needed)} in half."
    )


def _parts(one: Anatomy) -> Rows:
    return [(part.name, part.title, f"{part.parameters:,}", work(part.flops)) for part in one.parts]


def _blocks(one: Anatomy) -> Rows:
    return [
        (
            *(block.name, f"{block.columns} x {block.rows}", str(block.channels)),
            *(str(block.resnets), _looks(block), _heads(block)),
            *(f"{block.parameters:,}", work(block.flops)),
        )
        for block in one.blocks
    ]


def _looks(block: Block) -> str:
    return " + ".join(map(str, block.transformers)) or "-"


def _heads(block: Block) -> str:
    return f"{block.heads} of {block.head_width}" if block.heads else "-"


# --- several models -----------------------------------------------------------------------------

LINES: tuple[tuple[str, Callable[[Anatomy], str]], ...] = (
    ("family", lambda one: str(one.family)),
    ("picture", lambda one: "{1} x {0}".format(*one.picture)),
    ("latent", lambda one: " x ".join(map(str, one.latent))),
    ("answers with", lambda one: ANSWERS[one.family.prediction]),
    ("width of a word's vector", lambda one: str(one.context)),
    ("told beside words and time", lambda one: one.conditions),
    ("grids of the U-Net's levels", lambda one: _levels(one, "columns")),
    ("channels", lambda one: _levels(one, "channels")),
    ("depth of a transformer", lambda one: _levels(one, "transformers")),
    ("heads", lambda one: _levels(one, "heads")),
    ("width of a head", lambda one: _levels(one, "head_width")),
    ("layers that look at words", lambda one: str(one.attentions)),
    ("transformers' share of the work", lambda one: f"{_share(one):.0%}"),
    ("parameters: U-Net", lambda one: f"{one.unet.parameters:,}"),
    ("text encoders", lambda one: f"{_of(one, 'text_encoder'):,}"),
    ("autoencoder", lambda one: f"{_of(one, 'vae'):,}"),
    ("all", lambda one: f"{one.parameters:,}"),
    ("answers of the U-Net in a step", lambda one: str(one.calls)),
    ("work of a step", lambda one: work(one.flops_per_step)),
    ("memory in full precision", lambda one: gibibytes(one.memory("float32").needed)),
    ("memory in half", lambda one: gibibytes(one.memory("float16").needed)),
)


def compared(anatomies: Sequence[Anatomy]) -> str:
    """Anatomies side by side, as text."""
    return plain(*_sides(anatomies))


def html_compared(anatomies: Sequence[Anatomy]) -> str:
    """Anatomies side by side, as HTML: in bold what differs from the first one's."""
    header, rows = _sides(anatomies)
    bold = {
        (number, place)
        for number, (_, first, *others) in enumerate(rows)
        for place, other in enumerate(others, start=2)
        if other != first
    }
    note = (
        "In bold: what differs from the first. By level, on the way down, from the largest grid to "
        "the smallest; the middle is not in these lines."
    )
    return table(header, rows, note, bold=bold)


def _levels(one: Anatomy, what: str) -> str:
    """A number for each level, on the way down."""
    values = [getattr(block, what) for block in one.blocks if block.side == "down"]
    numbers = [max(value, default=0) if isinstance(value, tuple) else value for value in values]
    return " · ".join(str(number or "-") for number in numbers)


def _share(one: Anatomy) -> float:
    return sum(block.flops_of_transformers for block in one.blocks) / one.unet.flops


def _of(one: Anatomy, name: str) -> int:
    return sum(part.parameters for part in one.parts if part.name.startswith(name))


def _sides(anatomies: Sequence[Anatomy]) -> tuple[Sequence[str], Rows]:
    header = ("", *(one.name for one in anatomies))
    return header, [(title, *(say(one) for one in anatomies)) for title, say in LINES]


# --- tables -------------------------------------------------------------------------------------


def plain(header: Sequence[str], rows: Rows) -> str:
    """A table as text."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in lines
    )


def table(
    header: Sequence[str],
    rows: Rows,
    caption: str,
    *,
    numbers: Collection[int] = (),
    bars: Mapping[int, Sequence[float]] | None = None,
    bold: Collection[tuple[int, int]] = (),
    tints: Mapping[str, str] | None = None,
) -> str:
    """A table as HTML; every text in it is escaped.

    Args:
        header: The columns' names.
        rows: Their cells; the first of a row is its name.
        caption: What the table is.
        numbers: Columns of numbers.
        bars: By column, how far a bar below each number goes: 0 to 1.
        bold: Cells (row, column) that stand out.
        tints: By what a cell says, the colour behind it.
    """

    def look(row: int, column: int, text: str) -> str:
        style = f"padding:.25em .7em;{TALLY if column in numbers else LEFT}"
        if len(text) <= SHORT and column not in numbers:
            style += ";white-space:nowrap"
        if not column:
            style += f";font-weight:{400 if bold else 600}"
        if bars and column in bars:
            end = f"{100 * bars[column][row]:.0f}%"
            bar = f"linear-gradient(to right,#0072B2 {end},#0072B222 {end})"
            style += f";background:{bar} 50% 100%/calc(100% - 1.4em) 3px no-repeat"
        if tints and text in tints:
            style += f";background:{tints[text]}"
        return style

    def cell(row: int, column: int, text: str) -> str:
        shown = html.escape(text)
        shown = f"<strong>{shown}</strong>" if (row, column) in bold else shown
        tag, scope = ("td", "") if column else ("th", ' scope="row"')
        return f'<{tag}{scope} style="{look(row, column, text)}">{shown}</{tag}>'

    def head(column: int, text: str) -> str:
        style = f"padding:.25em .7em;{'text-align:right' if column in numbers else LEFT}"
        tag, scope = ("th", ' scope="col"') if text else ("td", "")
        return f'<{tag}{scope} style="{style}">{html.escape(text)}</{tag}>'

    heads = "".join(head(column, text) for column, text in enumerate(header))
    lines = "".join(
        f"<tr>{''.join(cell(row, column, text) for column, text in enumerate(cells))}</tr>"
        for row, cells in enumerate(rows)
    )
    said = html.escape(caption)
    return (
        f'<div class="sd-table" role="group" tabindex="0" aria-label="{said}" '
        'style="overflow-x:auto;margin:.8em 0"><table style="margin:0;border-collapse:collapse">'
        f'<caption style="caption-side:top;{LEFT};color:inherit;padding:.25em 0">{said}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )
