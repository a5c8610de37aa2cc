"""The directive `exercises`: all exercises of the course, by lesson, each with a link to its place.

What they ask, and the mistakes that the check knows by name, come from `sdlearn.lessons`; how an
exercise is called comes from its lesson. No hint is shown and no solution: those want a try first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import evidence
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

HEADING = re.compile(r"^### Exercise (\d+\.\d+)\s*·\s*(.+)$", re.MULTILINE)
CALL = re.compile(r"(\b\w+\([^()]*\)|\b\w+_\w+\b)")


def headings(notebook: dict) -> dict[str, str]:
    """What a lesson calls its exercises, by their ids."""
    texts = ("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown")
    return {id: name.strip() for text in texts for id, name in HEADING.findall(text)}


class Exercises(SphinxDirective):
    """See the module."""

    def run(self) -> list[nodes.Node]:
        """A section for each lesson."""
        from sdlearn.lessons.checker import LESSONS  # loads torch: only when this page is written

        return [section for lesson in LESSONS for section in self._lesson(lesson)]

    def _lesson(self, lesson: ModuleType) -> Iterator[nodes.Node]:
        number = lesson.__name__[-2:]
        self.env.note_dependency(str(lesson.__file__))
        for path in (Path(self.env.srcdir).parent / "notebooks").glob(f"{number}-*.ipynb"):
            self.env.note_dependency(str(path))
            notebook = json.loads(path.read_text(encoding="utf-8"))
            name = f"{number} · {evidence.title(notebook)}"
            section = nodes.section(ids=[f"lesson-{number}"], names=[f"lesson-{number}"])
            section += nodes.title(name, name)
            called = headings(notebook)
            for exercise in lesson.EXERCISES:
                section += self._exercise(exercise, called.get(exercise.id, ""))
            yield section

    def _exercise(self, exercise: Any, name: str) -> list[nodes.Node]:
        target = f"exercise-{exercise.id.replace('.', '-')}"
        link = f"[Exercise {exercise.id}](#{target})"
        heading = self.parse_text_to_nodes(f"**{link}**" + (f" · {name}\n" if name else "\n"))
        task = nodes.paragraph()
        for i, part in enumerate(CALL.split(exercise.task)):
            task += nodes.literal(part, part) if i % 2 else nodes.Text(part)
        known = nodes.bullet_list()
        for mistake in exercise.mistakes:
            known += nodes.list_item("", nodes.paragraph("", mistake.name))
        box = nodes.container(classes=["sd-exercise"])
        box += [*heading, task]
        summary = f"<details><summary>{len(exercise.mistakes)} mistakes that it knows</summary>"
        box += [nodes.raw("", summary, format="html"), known]
        box += nodes.raw("", "</details>", format="html")
        return [box]


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("exercises", Exercises)
    return {"parallel_read_safe": True}
