"""Run the lessons from top to bottom and keep their outputs: what readers see, and tests compare.

    python tools/run_lessons.py                  all lessons
    python tools/run_lessons.py notebooks/02*    these

Each notebook runs in a fresh kernel, in its own folder. The state of its widgets is kept as
well, so that the book can show them. Written atomically: a lesson that fails keeps its old file.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]


def run(path: Path) -> float:
    """Run one lesson and rewrite it with its outputs; return the seconds it took."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=True,
        record_timing=False,  # times would make every run another file
    )
    begun = time.perf_counter()
    client.execute()
    seconds = time.perf_counter() - begun
    notebook.metadata.pop("signature", None)
    notebook.metadata["language_info"] = {"name": "python"}
    draft = path.with_suffix(".ipynb.draft")
    nbformat.write(notebook, draft)
    os.replace(draft, path)
    return seconds


def main(arguments: list[str]) -> None:
    """Run the lessons named, or all of them."""
    paths = [Path(a).resolve() for a in arguments] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    for path in paths:
        seconds = run(path)
        print(f"{path.name}: {seconds:.1f} s, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
