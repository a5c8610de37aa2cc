"""The directive `anatomy`: the published models part by part, counted while the book is built.

    ```{anatomy} unets
    :models: sd15 sd21 sdxl sdxl-refiner
    ```

It draws U-Nets, and makes the tables of networks, of blocks, of differences and of memory. And the
role `counted`: one line of the comparison as text, as in {counted}`sdxl: all`. Nothing is typed:
`sd.anatomy` makes every network of the config in data/configs and rehearses it on shapes.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

WIDTH = 3.6
"""Inches of one drawing: it fits a phone as it is."""

PAINT = {  # the house's colours, as the page's own: those change at night
    "#1f2430": "--pst-color-text-base",
    "#5e6675": "--pst-color-text-muted",
    "#f1f3f7": "--pst-color-surface",
    "#ffffff": "--pst-color-background",
    "#0072b2": "--sd-residual",
    "#e69f00": "--sd-transformer",
    "#00795a": "--sd-words",
}
KEYS = {
    "residual": "residual block: it is told the time",
    "transformer": "transformer: it looks at the picture and at the words",
    "words": "words come in",
    "kept": "kept for the way up",
}


# --- drawings -----------------------------------------------------------------------------------


def svg(figure: Any, name: str) -> str:
    """A figure as a drawing within the page, in the page's colours.

    Args:
        figure: As `sdlearn.views` makes them.
        name: Begins every id in it: a page may hold several drawings.
    """
    from sdlearn.views import style

    buffer = io.StringIO()
    plain = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with style.house():  # it has the salt that gives the same ids each time
        figure.drawing.savefig(buffer, format="svg", metadata=plain, transparent=True)
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    for colour, variable in PAINT.items():
        drawing = drawing.replace(colour, f"var({variable})")
    label = f'<svg role="img" aria-label="{html.escape(figure.alt)}" class="sd-unet"'
    return re.sub(r">\s+<", "><", drawing.replace("<svg", label, 1))


def drawings(anatomies: list[Any]) -> str:
    """U-Nets to one scale, side by side where there is room; one alone has no legend."""
    from sdlearn.views.unets import unets

    widest = max(block.channels for one in anatomies for block in one.blocks)
    figures = [unets(one, widest=widest, width=WIDTH, keys=False) for one in anatomies]
    shown = "".join(svg(figure, one.name) for figure, one in zip(figures, anatomies, strict=True))
    keys = "".join(
        f'<li><span class="sd-key sd-key-{kind}"></span>{said}</li>' for kind, said in KEYS.items()
    )
    legend = f'<ul class="sd-keys">{keys}</ul>' if len(anatomies) > 1 else ""
    return f'{legend}<div class="sd-unets">{shown}</div>'


# --- tables -------------------------------------------------------------------------------------


def networks(anatomies: list[Any]) -> str:
    """How many numbers each network of each model has learnt."""
    from sdlearn.models.anatomies_text import table

    kinds = {
        "text_encoder": "text encoder",
        "text_encoder_2": "second text encoder",
        "unet": "U-Net",
        "vae": "autoencoder",
    }
    rows = []
    for kind, title in kinds.items():
        found = [next((p for p in one.parts if p.name == kind), None) for one in anatomies]
        rows.append([title, *(f"{part.parameters:,}" if part else "-" for part in found)])
    rows.append(["all", *(f"{one.parameters:,}" for one in anatomies)])
    header = ["parameters", *(one.name for one in anatomies)]
    last = {(len(rows) - 1, place) for place in range(1, len(header))}
    return table(header, rows, "Numbers learnt", numbers=range(1, len(header)), bold=last)


def compared(anatomies: list[Any]) -> str:
    """Models side by side, line by line."""
    from sdlearn.models.anatomies_text import html_compared

    return html_compared(anatomies)


def blocks(anatomies: list[Any]) -> str:
    """The blocks of each U-Net, folded."""
    from sdlearn.models.anatomies_text import html_blocks

    return "".join(
        f"<details><summary>{html.escape(one.name)}: {len(one.blocks)} blocks</summary>"
        f"{html_blocks(one)}</details>"
        for one in anatomies
    )


def memory(anatomies: list[Any], gibibytes: list[int]) -> str:
    """Which models fit into which memory; models with one row between them share it."""
    from sdlearn.models import anatomies_machine as machine
    from sdlearn.models.anatomies_memory import GIB, RULE
    from sdlearn.models.anatomies_text import table

    places = tuple(machine.Place(f"{size} GiB", size * GIB) for size in gibibytes)
    verdicts = list(machine.Verdicts(tuple(anatomies), places))
    rows = []
    for one, own in groupby(verdicts, lambda verdict: verdict.model):
        found = list(own)
        full, half = machine.text.gibibytes(found[0].full.needed), found[0].half.needed
        rows.append([one.name, full, machine.text.gibibytes(half), *map(str, found)])
    alike = groupby(sorted(rows, key=lambda row: row[1:]), lambda row: row[1:])
    shared = {tuple(cells): [row[0] for row in group] for cells, group in alike}
    merged = [[", ".join(shared.pop(tuple(row[1:]))), *row[1:]] for row in rows
              if tuple(row[1:]) in shared]  # fmt: skip
    header = ["model", "needs, full", "needs, half", *(f"{size} GiB" for size in gibibytes)]
    title = "Does it fit into so much free memory?"
    shown = table(header, merged, title, numbers=(1, 2), tints=machine.TINTS)
    return f"{shown}<p>{html.escape(RULE)}</p>"


# --- Sphinx -------------------------------------------------------------------------------------

KINDS: dict[str, Callable[..., str]] = {
    "unets": drawings,
    "networks": networks,
    "compared": compared,
    "blocks": blocks,
    "memory": memory,
}


class Anatomies(SphinxDirective):
    """See the module."""

    required_arguments = 1
    option_spec = dict.fromkeys(("models", "gibibytes"), str.split)

    def run(self) -> list[nodes.Node]:
        """Count, and show."""
        import sdlearn as sd  # loads torch: only when this page is written

        kind = self.arguments[0]
        if kind not in KINDS:
            raise self.error(f"There is no anatomy {kind!r}; there are {', '.join(KINDS)}.")
        depend(self.env)
        names = self.options.get("models") or [row.name for row in sd.models()]
        try:
            anatomies = [sd.anatomy(name) for name in names]
        except ValueError as error:
            raise self.error(str(error)) from None
        sizes = [int(size) for size in self.options.get("gibibytes", ())]
        shown = KINDS[kind](anatomies, sizes) if kind == "memory" else KINDS[kind](anatomies)
        return [nodes.raw("", shown, format="html")]


class Counted(SphinxRole):
    """A line of the comparison: {counted}`sdxl: work of a step`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Count, and say."""
        import sdlearn as sd
        from sdlearn.models.anatomies_text import LINES

        name, _, what = self.text.partition(": ")
        lines = dict(LINES)
        if what not in lines:
            told = f"{what!r} is no line of the comparison; there are {'; '.join(lines)}."
            message = self.inliner.reporter.error(told, line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        depend(self.env)
        return [nodes.Text(lines[what](sd.anatomy(name)))], []


def sources() -> Iterator[Path]:
    """The files that the page is made of, beside the page itself."""
    import sdlearn
    from sdlearn import _resources

    package, data = Path(sdlearn.__file__).parent, _resources.data_dir()
    yield from package.glob("models/anatomies*.py")
    yield package / "models" / "rehearsal.py"
    yield from package.glob("views/unets*.py")
    yield from data.glob("configs/*/*.json")
    yield from data.glob("models/*/*/config.json")


def depend(env: Any) -> None:
    """Tell Sphinx to write the page anew when one of its sources changes."""
    for path in sources():
        env.note_dependency(str(path))


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx of the directive, the role and their style."""
    app.add_directive("anatomy", Anatomies)
    app.add_role("counted", Counted())
    app.add_css_file("anatomy.css")
    return {"parallel_read_safe": True}
