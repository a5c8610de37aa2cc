"""Run the lessons from top to bottom and keep their outputs: what readers see, and tests compare.

    python tools/run_lessons.py                  all lessons
    python tools/run_lessons.py notebooks/02*    these
    python tools/run_lessons.py --table          all, and write their time and memory to a table

Each notebook runs in a fresh kernel, in its own folder. The state of its widgets is kept as
well, so that the book can show them. Written atomically: a lesson that fails keeps its old file.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "notebooks" / "measured.md"


@dataclass(frozen=True)
class Measured:
    """What a lesson took: seconds, MiB at its kernel's peak (None where unknown), MB on disk."""

    lesson: str
    seconds: float
    peak: float | None
    size: float

    def __str__(self) -> str:
        memory = "" if self.peak is None else f", {self.peak:.0f} MiB"
        return f"{self.lesson}: {self.seconds:.1f} s{memory}, {self.size:.2f} MB"


def run(path: Path) -> Measured:
    """Run one lesson and rewrite it with its outputs; say what it took."""
    before = path.read_bytes()
    notebook = nbformat.reads(before.decode("utf-8"), as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=True,
        record_timing=False,  # times would make every run another file
    )
    peaks: list[float | None] = [None]
    client.on_cell_executed = lambda **_: peaks.append(_peak(client.km.provisioner.pid))
    begun = time.perf_counter()
    client.execute()
    seconds = time.perf_counter() - begun
    notebook.metadata.pop("signature", None)
    notebook.metadata["language_info"] = {"name": "python"}
    draft = path.with_suffix(".ipynb.draft")
    nbformat.write(notebook, draft)
    if path.read_bytes() != before:
        draft.unlink()
        raise SystemExit(f"{path.name} was changed while it ran, and stays as it is: run it again.")
    os.replace(draft, path)
    return Measured(path.stem, seconds, peaks[-1], path.stat().st_size / 1e6)


def _peak(process: int) -> float | None:
    """The most memory that a process ever held, in MiB; only Linux tells of another process."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) / 1024 if found else None


def table(rows: list[Measured]) -> str:
    """The rows as a page."""
    lines = [
        "# What the lessons take",
        "",
        f"Measured by `make lessons ARGS=--table` on {os.cpu_count()} cores "
        f"({platform.machine()}, no GPU), one lesson after the other; each from a fresh kernel, "
        "its start included.",
        "",
        "| lesson | seconds | peak memory, MiB | file, MB |",
        "|---|---|---|---|",
    ]
    for row in rows:
        peak = "" if row.peak is None else f"{row.peak:.0f}"
        lines.append(f"| {row.lesson} | {row.seconds:.0f} | {peak} | {row.size:.2f} |")
    together = sum(row.seconds for row in rows)
    return "\n".join([*lines, f"| together | {together:.0f} | | |"]) + "\n"


def main() -> None:
    """Run the lessons named, or all of them."""
    parser = argparse.ArgumentParser(description="Run the lessons and keep what they show.")
    parser.add_argument("lessons", nargs="*", type=Path, help="notebooks; all if none is named")
    parser.add_argument("--table", action="store_true", help=f"write {TABLE.name}: all lessons")
    wish = parser.parse_args()
    if wish.table and wish.lessons:
        parser.error("--table is for all lessons: name none of them.")
    paths = [path.resolve() for path in wish.lessons]
    rows = []
    for path in paths or sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb")):
        rows.append(run(path))
        print(rows[-1], flush=True)
    if wish.table:
        TABLE.write_text(table(rows), encoding="utf-8")
        print(TABLE.relative_to(ROOT))


if __name__ == "__main__":
    main()
