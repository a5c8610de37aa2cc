"""`models()`: which models there are, what each mirrors, and which are on this machine."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdlearn.models import hub
from sdlearn.models.catalogue import CC0, POCKET, PUBLISHED, Pocket, Published, pocket_models

HEADER = ("name", "mirrors", "family", "size", "licence", "here", "where")


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        name: What `load` takes.
        mirrors: The published model that it is, or that a pocket model is a miniature of.
        family: Of which family.
        nbytes: What it takes on this disk, or what a download would fetch.
        licence: Under which terms its weights are; empty for a model of your own.
        here: Whether it is on this machine.
        where: The folder, or the repository that it can be fetched from.
    """

    name: str
    mirrors: str
    family: str
    nbytes: int
    licence: str
    here: bool
    where: str

    @property
    def size(self) -> str:
        """Its size in words."""
        for unit, bytes_ in (("GB", 1e9), ("MB", 1e6)):
            if self.nbytes >= bytes_:
                return f"{self.nbytes / bytes_:.1f} {unit}"
        return f"{self.nbytes / 1e3:.0f} kB"

    def cells(self) -> tuple[str, ...]:
        """The row as words, in the order of the header."""
        here = "yes" if self.here else "no"
        return (
            *(self.name, self.mirrors, self.family, self.size, self.licence),
            *(here, self.where),
        )


class Table(Sequence[Row]):
    """Rows that show themselves as a table, in a terminal and in a notebook."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, key):
        """A row by its place or by its name."""
        if not isinstance(key, str):
            return self.rows[key]
        for row in self.rows:
            if row.name == key:
                return row
        raise KeyError(f"no model {key!r}; there are {', '.join(row.name for row in self.rows)}")

    def __repr__(self) -> str:
        lines = [HEADER, *(row.cells() for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        padded = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        return "\n".join(padded)

    def _repr_html_(self) -> str:
        def line(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)

        body = "".join(line(row.cells(), "td") for row in self.rows)
        return f"<table><thead>{line(HEADER, 'th')}</thead><tbody>{body}</tbody></table>"


def models() -> Table:
    """Return the table of the pocket models that are here and of all published ones."""
    return Table(
        [
            *(_pocket_row(pocket) for pocket in pocket_models()),
            *(_published_row(published) for published in PUBLISHED.values()),
        ]
    )


def _pocket_row(pocket: Pocket) -> Row:
    mirrors = f"{pocket.title}, in miniature" if pocket.title else ""
    folder, licence = pocket.folder, CC0 if pocket.name in POCKET else ""
    return Row(
        *(pocket.name, mirrors, pocket.family, _bytes(folder)),
        *(licence, True, str(folder)),
    )


def _published_row(published: Published) -> Row:
    folder = hub.cached(published.repositories, published.revision)
    nbytes = _bytes(folder) if folder else published.download_bytes
    return Row(
        *(published.name, published.title, published.family, nbytes, published.licence),
        *(folder is not None, str(folder or published.repository)),
    )


def _bytes(folder: Path) -> int:
    # The cache links to its files; stat follows.
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
