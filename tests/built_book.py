"""The book, built once for all tests that look at its pages, and its scripts, imported."""

import fcntl
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from sdlearn import _book

ROOT = Path(__file__).resolve().parents[1]
TINY = "00-tiny.ipynb"
BROUGHT = ("*.ipynb", "*.md")


def script(name):
    """One of the book's own scripts; they import one another, as Sphinx lets them."""
    folder = str(ROOT / "book")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


def tiny():
    """A notebook with a heading, a formula, code and a described picture."""
    v4 = nbformat.v4
    picture = v4.new_output(
        "display_data",
        data={
            "image/png": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
            "WjR9awAAAABJRU5ErkJggg==",
            "text/plain": "<Figure>",
        },
        metadata={"image/png": {"alt": "a single dot"}},
    )
    code = v4.new_code_cell("beta = 0.5", execution_count=1, outputs=[picture])
    return v4.new_notebook(
        cells=[v4.new_markdown_cell("# 00 · Tiny\n\n$\\bar\\alpha_t$ falls."), code],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
    )


def sources(root):
    """What the book is made of, copied, with a tiny lesson before the real ones."""
    line = [sys.executable, str(ROOT / "book" / "vendor.py")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # in book/vendor, so that it is fetched only once
    made = {str(ROOT / "book"): {"_build", "lessons", "cards", "made", "__pycache__"}}
    shutil.copytree(ROOT / "book", root / "book", ignore=lambda at, _: made.get(at, set()))
    cards = [ROOT / "data" / "world" / "README.md", *ROOT.glob("data/models/*/README.md")]
    cards += ROOT.glob("data/models/*/*/*.png")  # what they show
    notebooks = [path for kind in BROUGHT for path in (ROOT / "notebooks").glob(kind)]
    for path in [*cards, *notebooks]:
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    nbformat.write(tiny(), root / "notebooks" / TINY)
    return root


@pytest.fixture(scope="session", name="html")
def built(tmp_path_factory):
    """The finished pages of the book. Workers of one run share them: the first one builds."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    root = folder / "book"
    with (folder / "book.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "built").exists():
            root.mkdir()  # a second worker after a build that failed: fails here, too
            assert _book.build(sources(root)) == 0
            (root / "built").touch()
    return root / "book" / "_build" / "html"


def pages_of(html):
    """The book's pages; the theme leaves templates of its own in _static."""
    return sorted(page for page in html.rglob("*.html") if "_static" not in page.parts)
