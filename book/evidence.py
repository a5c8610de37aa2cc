"""The directive `measured`: what a lesson measured about a myth, as it stands in its notebook.

    ```{measured} 05 4 times smaller
    :verdict: after
    :figure: after
    ```

The first word is the lesson's number; the others occur in the myth as the lesson words it. Of the
cells after the myth (or before it) the first is taken that has a verdict, a printed text, a figure.
So no figure on the page is typed: a model that is trained anew changes the page with the lesson.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

SAID = re.compile(r'\*\*Myth: *["“](.*?)["”]\*\*', re.DOTALL)
VERDICT = re.compile(r'<details class="sd-guess".*?</summary>(.*?)</details>', re.DOTALL)
WHERE = ("after", "before")


def myths(notebook: dict) -> Iterator[tuple[int, str]]:
    """Yield each myth of a lesson: the number of its cell, and its words."""
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "markdown":
            for said in SAID.findall("".join(cell["source"])):
                yield number, " ".join(said.split())


def verdict(outputs: Sequence[dict]) -> str | None:
    """What `Guess.reveal` said, as text."""
    for shown in _shown(outputs):
        if found := VERDICT.search(shown):
            return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found.group(1))).split())
    return None


def printed(outputs: Sequence[dict]) -> str | None:
    """What a cell printed; a kernel hands it over in as many pieces as it likes."""
    pieces = ["".join(o["text"]) for o in outputs if o.get("name") == "stdout"]
    return "".join(pieces).rstrip() or None


def figure(outputs: Sequence[dict]) -> str | None:
    """A figure, as the notebook holds it."""
    drawn = (shown for shown in _shown(outputs) if shown.startswith('<div class="sd-figure"'))
    return next(drawn, None)


def _shown(outputs: Sequence[dict]) -> list[str]:
    return ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]


KINDS = {"verdict": verdict, "printed": printed, "figure": figure}


def found(notebook: dict, cell: int, kind: str, where: str) -> str | None:
    """What the nearest cell on one side of a cell has of a kind."""
    cells = notebook["cells"]
    order = range(cell + 1, len(cells)) if where == "after" else range(cell - 1, -1, -1)
    for number in order:
        if content := KINDS[kind](cells[number].get("outputs", ())):
            return content
    return None


class Measured(SphinxDirective):
    """See the module."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = dict.fromkeys(KINDS, lambda text: directives.choice(text, WHERE))

    def run(self) -> list[nodes.Node]:
        """Find the myth in its lesson, and show what was measured."""
        number, _, words = self.arguments[0].partition(" ")
        notebook = self._lesson(number)
        known = list(myths(notebook))
        chosen = [i for i, (_, said) in enumerate(known) if words.casefold() in said.casefold()]
        if len(chosen) != 1:
            listed = "; ".join(said for _, said in known) or "none"
            raise self.error(
                f"{words!r} must occur in exactly one myth of lesson {number}, and occurs in "
                f"{len(chosen)}. Its myths: {listed}"
            )
        box = nodes.container(classes=["sd-measured"])
        for kind, where in self.options.items():
            content = found(notebook, known[chosen[0]][0], kind, where)
            if content is None:
                raise self.error(f"Lesson {number} has no {kind} {where} this myth.")
            box += self._node(kind, content)
        link = f"[Lesson {number}: {title(notebook)}](#myth-{number}-{chosen[0] + 1})"
        box += self.parse_text_to_nodes(f"{link}\n")
        return [box]

    def _lesson(self, number: str) -> dict[str, Any]:
        folder = Path(self.env.srcdir).parent / "notebooks"
        paths = list(folder.glob(f"{number}-*.ipynb"))
        if len(paths) != 1:
            raise self.error(f"There is no lesson {number!r} in {folder.name}.")
        self.env.note_dependency(str(paths[0]))
        return json.loads(paths[0].read_text(encoding="utf-8"))

    def _node(self, kind: str, content: str) -> nodes.Node:
        if kind == "figure":
            return nodes.raw("", content, format="html")
        if kind == "printed":
            return nodes.literal_block(content, content, language="none")
        return nodes.paragraph("", content)


def title(notebook: dict) -> str:
    """The lesson's title, without its number."""
    first = "".join(notebook["cells"][0]["source"])
    return re.sub(r"^#\s*(Lesson )?[\d.:·\s]*", "", first.splitlines()[0])


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("measured", Measured)
    return {"parallel_read_safe": True}
