"""`sdlearn book`: build the static book. The book's sources are in a checkout only."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from sdlearn import _resources


class BookError(Exception):
    """Something that a person can put right, said in a way that tells how."""


def build(root: Path | None = None) -> int:
    """Fetch the scripts that the pages need, once, then build the pages; return an exit code.

    Args:
        root: The checkout to build from; the one that this package runs from unless told.
    """
    root = root or _resources.checkout()
    if root is None:
        raise BookError(
            "The book is built from a checkout of the sources, and this is an installed package. "
            "The lessons themselves are here: sdlearn lab"
        )
    if not (importlib.util.find_spec("sphinx") and importlib.util.find_spec("myst_nb")):
        raise BookError('Sphinx is not installed. In the checkout: pip install -e ".[book]"')
    fetched = subprocess.run([sys.executable, root / "book" / "vendor.py"], check=False).returncode
    if fetched:
        return fetched
    pages = root / "book" / "_build" / "html"
    line = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going"]
    line += ["-d", root / "book" / "_build" / "doctrees", root / "book", pages]
    built = subprocess.run([str(part) for part in line], check=False).returncode
    print(
        f"The book: {pages / 'index.html'}" if not built else "The book was not built; see above."
    )
    return built
