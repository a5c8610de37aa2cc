"""The words of Pocket World: every value that a fact of a scene may take.

Everything else (drawing, captions, parsing, checking) reads these tuples, so a new colour or a new
kind starts here. The order is part of the contract: the checker's output channels follow it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

KINDS: tuple[str, ...] = (
    "cat", "dog", "rabbit", "bird", "owl", "fish", "robot", "house",
    "tree", "flower", "mushroom", "car", "boat", "star", "heart", "mug",
)  # fmt: skip
COLOURS: tuple[str, ...] = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
)  # fmt: skip
SIZES: tuple[str, ...] = ("small", "big")
ACCESSORIES: tuple[str, ...] = ("crown", "hat", "glasses", "scarf")
RELATIONS: tuple[str, ...] = ("above", "below", "left of", "right of")
PLACES: tuple[str, ...] = ("in the sky", "on the grass", "on the sand", "in the snow", "at night")
STYLES: tuple[str, ...] = ("flat", "line drawing", "pixel art", "neon")

OPPOSITE: dict[str, str] = {
    "above": "below",
    "below": "above",
    "left of": "right of",
    "right of": "left of",
}

# What a caption leaves unsaid is free. A Scene is always complete, though, so ``parse`` fills the
# gaps with these, and notes in ``Scene.stated`` what was really said.
DEFAULT_SIZE = "big"
DEFAULT_PLACE = "on the grass"
DEFAULT_STYLE = "flat"
DEFAULT_RELATION = "left of"
USUAL_COLOUR: dict[str, str] = {
    "cat": "orange", "dog": "brown", "rabbit": "white", "bird": "blue", "owl": "brown",
    "fish": "orange", "robot": "blue", "house": "red", "tree": "green", "flower": "pink",
    "mushroom": "red", "car": "blue", "boat": "red", "star": "yellow", "heart": "red",
    "mug": "green",
}  # fmt: skip


def near(word: str, allowed: Iterable[str]) -> str:
    """Returns ``" Did you mean 'cat'?"``, or nothing where no allowed word comes close."""
    close = difflib.get_close_matches(word.lower(), list(allowed), n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""


def one_of(name: str, value: Any, allowed: tuple[str, ...], *, optional: bool = False) -> None:
    """Raises an error that teaches unless ``value`` is one of the ``allowed`` words."""
    if optional and value is None:
        return
    listed = ", ".join(map(repr, allowed)) + (" or None" if optional else "")
    if not isinstance(value, str):
        raise TypeError(
            f"{name} must be a word, not {type(value).__name__} ({value!r}). Use one of: {listed}."
        )
    if value not in allowed:
        raise ValueError(
            f"{name}={value!r} is not in Pocket World.{near(value, allowed)} Use one of: {listed}."
        )


def whole_number(name: str, value: Any, low: int, high: int) -> int:
    """Returns ``value`` as an int between ``low`` and ``high``, or raises an error that teaches."""
    # bool is an int in Python: seed=True is a slip (heldout=True was meant), never a wish.
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(
            f"{name} must be a whole number from {low} to {high}, "
            f"not {type(value).__name__} ({value!r})."
        )
    number = int(value.__index__())
    if not low <= number <= high:
        raise ValueError(
            f"{name}={number} is out of range. Use a whole number from {low} to {high}."
        )
    return number
