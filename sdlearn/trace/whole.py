"""What counts as a whole number where one is asked for: Python's, numpy's, but not True."""

from __future__ import annotations

from numbers import Integral


def is_whole(value: object) -> bool:
    """Whether this is a whole number. True and False are none, though Python counts with them."""
    return isinstance(value, Integral) and not isinstance(value, bool)
