"""Bring what lies elsewhere in the checkout into the book's folder: lessons, their map, cards.

A page is written only where it differs from what is there, so that Sphinx skips what is as it was.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import widgets

PICTURE = re.compile(r"(?<=!)\[([^\]]*)\]\(([^)\s:]+)\)")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
MYTH = re.compile(r"^ {0,3}(?=\*\*Myth:)", re.MULTILINE)
EXERCISE = re.compile(r"^(?=### Exercise (\d+)\.(\d+)\b)", re.MULTILINE)


def bring(root: Path, book: Path) -> None:
    """Bring everything that the book takes from the checkout."""
    bring_lessons(root / "notebooks", book / "lessons")
    bring_texts(root, book)


def bring_lessons(source: Path, target: Path) -> list[Path]:
    """Make `target` hold exactly the lessons of `source`; write only those that differ."""
    target.mkdir(exist_ok=True)
    lessons = sorted(source.glob("[0-9][0-9]-*.ipynb"))
    for stale in set(target.glob("*.ipynb")) - {target / lesson.name for lesson in lessons}:
        stale.unlink()
    for lesson in lessons:
        notebook = json.loads(lesson.read_text(encoding="utf-8"))
        widgets.enliven(notebook)
        set_targets(notebook, lesson.stem[:2])
        for cell in notebook["cells"]:
            describe(cell)
        write(target / lesson.name, json.dumps(notebook, ensure_ascii=False))
    return lessons


def give_originals(app: Any, error: Exception | None) -> None:
    """Let the pages' download links give the lessons as they are, not as the book rewrote them."""
    given = Path(app.outdir) / "_sources" / "lessons"
    for lesson in given.glob("*.ipynb") if error is None else ():
        shutil.copyfile(Path(app.srcdir).parent / "notebooks" / lesson.name, lesson)


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx what to do when it has written the pages."""
    app.connect("build-finished", give_originals)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write(page: Path, text: str) -> None:
    """Write a page, unless it is there already."""
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")


# --- lessons ------------------------------------------------------------------------------------


def set_targets(notebook: dict, number: str) -> None:
    """Name the places of a lesson that other pages lead to: `myth-05-1`, `exercise-5-1`."""
    myths = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] != "markdown":
            continue
        text, here = MYTH.subn("\0", "".join(cell["source"]))
        for _ in range(here):
            myths += 1
            text = text.replace("\0", f"(myth-{number}-{myths})=\n", 1)
        cell["source"] = EXERCISE.sub(r"(exercise-\1-\2)=\n", text)


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


# --- texts --------------------------------------------------------------------------------------


def bring_texts(root: Path, book: Path) -> list[Path]:
    """Bring the lessons' map, what they take, and the cards of models and checker."""
    brought = {
        PurePosixPath("notebooks/README.md"): PurePosixPath("lessons/map.md"),
        PurePosixPath("notebooks/measured.md"): PurePosixPath("lessons/measured.md"),
        PurePosixPath("data/world/README.md"): PurePosixPath("cards/checker.md"),
    }
    for card in sorted(root.glob("data/models/*/README.md")):
        brought[PurePosixPath(card.relative_to(root))] = PurePosixPath(
            f"cards/{card.parent.name}.md"
        )
    brought = {source: page for source, page in brought.items() if (root / source).is_file()}
    places = {**brought, **_places_of_lessons(root), **_places_of_the_book(book)}
    pictures: list[Path] = []
    for source, page in brought.items():
        text = relink((root / source).read_text(encoding="utf-8"), source, page, places)
        text = bring_pictures(text, (root / source).parent, book / page, pictures)
        linked_only = "---\norphan: true\n---\n\n" if page.stem == "measured" else ""
        write(book / page, linked_only + text)
    _forget(book / "cards", {book / page for page in brought.values()} | {*pictures})
    return [book / page for page in brought.values()]


def bring_pictures(text: str, folder: Path, page: Path, brought: list[Path]) -> str:
    """Copy the pictures that a text shows into a folder beside its page, and show them from there.

    Args:
        text: Markdown.
        folder: Where the text and its pictures lie in the checkout.
        page: The page in the book.
        brought: Takes the copies' paths.
    """

    def turned(shown: re.Match[str]) -> str:
        words, target = shown.groups()
        if not (folder / target).is_file():
            return shown.group()
        copy = page.with_suffix("") / target
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists() or copy.read_bytes() != (folder / target).read_bytes():
            shutil.copyfile(folder / target, copy)
        brought.append(copy)
        return f"[{words}]({copy.relative_to(page.parent).as_posix()})"

    return PICTURE.sub(turned, text)


def _places_of_lessons(root: Path) -> dict[PurePosixPath, PurePosixPath]:
    return {
        PurePosixPath("notebooks", lesson.name): PurePosixPath("lessons", lesson.name)
        for lesson in root.glob("notebooks/[0-9][0-9]-*.ipynb")
    }


def _places_of_the_book(book: Path) -> dict[PurePosixPath, PurePosixPath]:
    return {
        PurePosixPath("book", page.name): PurePosixPath(page.name) for page in book.glob("*.md")
    }


def _forget(folder: Path, kept: Iterable[Path]) -> None:
    for stale in {path for path in folder.rglob("*") if path.is_file()} - set(kept):
        stale.unlink()


def relink(
    text: str,
    source: PurePosixPath,
    page: PurePosixPath,
    places: dict[PurePosixPath, PurePosixPath],
) -> str:
    """Turn the links of a text that moves from `source` to `page`, both relative to their roots.

    Args:
        text: Markdown.
        source: Where it lies in the checkout.
        page: Where it will lie in the book.
        places: Where the checkout's files lie in the book. A link to another file becomes plain
            text: a reader of the book does not have that file.
    """

    def turned(link: re.Match[str]) -> str:
        words, target = link.groups()
        if "://" in target or target.startswith("#"):
            return link.group()
        path, mark, anchor = target.partition("#")
        place = places.get(PurePosixPath(posixpath.normpath(source.parent / path)))
        if place is None:
            return words
        return f"[{words}]({PurePosixPath(posixpath.relpath(place, page.parent))}{mark}{anchor})"

    return LINK.sub(turned, text)
