"""Bring the lessons into the book's folder, with the alt texts where Sphinx looks for them."""

from __future__ import annotations

import json
from pathlib import Path

import widgets


def bring_lessons(source: Path, target: Path) -> list[Path]:
    """Make `target` hold exactly the lessons of `source`; write only those that differ."""
    target.mkdir(exist_ok=True)
    lessons = sorted(source.glob("[0-9][0-9]-*.ipynb"))
    for stale in set(target.glob("*.ipynb")) - {target / lesson.name for lesson in lessons}:
        stale.unlink()
    for lesson in lessons:
        notebook = json.loads(lesson.read_text(encoding="utf-8"))
        widgets.enliven(notebook)
        for cell in notebook["cells"]:
            describe(cell)
        text = json.dumps(notebook, ensure_ascii=False)
        page = target / lesson.name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
    return lessons


def describe(cell: dict) -> None:
    """Copy the alt text of a cell's picture from its output, where Jupyter keeps it, to the cell.

    myst-nb reads options per cell, so the pictures of one cell share a text in the book.
    """
    texts = [text for output in cell.get("outputs", ()) for text in alt_texts(output) if text]
    if texts:
        options = cell["metadata"].setdefault("mystnb", {}).setdefault("image", {})
        options.setdefault("alt", " ".join(dict.fromkeys(texts)))


def alt_texts(output: dict) -> list[str]:
    """Return the alt text of every picture of one output; "" where there is none."""
    pictures = [mime for mime in output.get("data", {}) if mime.startswith("image/")]
    metadata = output.get("metadata", {})
    return [str((metadata.get(mime) or metadata).get("alt", "")).strip() for mime in pictures]
