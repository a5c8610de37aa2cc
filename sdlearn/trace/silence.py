"""Warnings held back for a while, in one thread and no other.

Python's own `warnings.catch_warnings` is one for all threads: two that enter and leave it by turns
leave the filters in disorder, and later warnings are lost. A widget draws on a thread beside the
cells, so nothing here may use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_silent: ContextVar[bool] = ContextVar("whether warnings are shown elsewhere", default=False)


@contextmanager
def silently() -> Iterator[None]:
    """Show none of sdlearn's warnings meanwhile; a trace notes them all the same."""
    before = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(before)


def is_silent() -> bool:
    """Whether a warning is not to be shown now."""
    return _silent.get()
