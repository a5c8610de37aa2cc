"""Where the lessons and the data lie: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

WITHOUT_LINKS = (
    "This checkout was made without symbolic links. In that checkout: git config core.symlinks "
    "true, delete the file, git checkout -- . (Windows allows links in developer mode.) An "
    "installed package has no links, and needs none."
)
_PACKAGE = Path(__file__).resolve().parent
_BUNDLE = (
    _PACKAGE / "_bundle"
)  # pyproject.toml puts data/ and notebooks/ here when a wheel is built


def checkout() -> Path | None:
    """Return the root of the checkout that this package runs from, or None in a wheel."""
    root = _PACKAGE.parent
    return root if not _BUNDLE.is_dir() and (root / "pyproject.toml").is_file() else None


def data_dir() -> Path:
    """Return the folder of weights and small data."""
    return (checkout() or _BUNDLE) / "data"


def notebooks_dir() -> Path:
    """Return the folder of the lessons, as they were published."""
    return (checkout() or _BUNDLE) / "notebooks"


def lessons(folder: Path | None = None) -> list[Path]:
    """Return the lessons in order: the numbered notebooks of a folder."""
    return sorted((folder or notebooks_dir()).glob("[0-9][0-9]-*.ipynb"))
