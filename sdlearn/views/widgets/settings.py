"""The settings of a picture that a page may move, checked at the door; grids over two of them."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SAMPLERS = ("ddim", "ddpm", "euler", "euler_ancestral", "heun", "dpmpp_2m", "unipc", "plms")
"""What is offered, unless other names are given."""
MOST_CELLS = 64
EXAMPLE = '{"guidance_scale": [1, 4, 8], "seed": [0, 1, 2]}'


def text(name: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise TypeError(
            f'{name} must be one text, such as "a red cat on the grass", '
            f"got a {type(value).__name__}."
        )
    return value


def number(name: str, value: Any, least: float, most: float) -> float:
    """A number within its bounds."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r:.60}.")
    if not (math.isfinite(value) and least <= value <= most):
        raise ValueError(f"{name} must be from {least:g} to {most:g}, got {value}.")
    return float(value)


def whole(name: str, value: Any, least: int, most: int) -> int:
    """A whole number within its bounds."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r:.60}.")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, got {value}.")
    return int(value)


CHECKS: dict[str, Callable[[Any], Any]] = {
    "prompt": lambda value: text("prompt", value),
    "negative_prompt": lambda value: text("negative_prompt", value),
    "guidance_scale": lambda value: number("guidance_scale", value, 0, 100),
    "sampler": lambda value: text("sampler", value),
    "steps": lambda value: whole("steps", value, 1, 1000),
    "seed": lambda value: whole("seed", value, 0, 2**32 - 1),
}
"""Every setting, in the order in which it is said."""
LABELS = {name: name.replace("_", " ") for name in CHECKS}
WORDS = {"negative_prompt": "without", "guidance_scale": "guidance"}


def known(name: str) -> str:
    """The name of a setting, or an error that says which there are."""
    if name not in CHECKS:
        near = difflib.get_close_matches(str(name), CHECKS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"There is no setting {name!r:.60}.{hint} There are: {', '.join(CHECKS)}.")
    return name


def said(name: str, value: Any) -> str:
    """A setting in few words: "guidance 7.5", "12 steps"."""
    if name == "steps":
        return "1 step" if value == 1 else f"{value} steps"
    if name == "negative_prompt" and not value:
        return "no negative prompt"
    if name in ("prompt", "negative_prompt"):
        value = f"“{value}”"
    shown = f"{value:g}" if isinstance(value, float) else value
    return str(shown) if name in ("prompt", "sampler") else f"{WORDS.get(name, name)} {shown}"


def axes(grid: Any, check: Callable[[str, Any], Any]) -> dict[str, list[Any]]:
    """The two settings of a grid and their values, the rows' first.

    Args:
        grid: As it was given: ``{"guidance_scale": [1, 4, 8], "seed": [0, 1, 2]}``.
        check: ``check(name, value)`` returns the value as it is used, or raises.
    """
    if not isinstance(grid, Mapping) or len(grid) != 2:
        came = f"{len(grid)} settings" if isinstance(grid, Mapping) else f"a {type(grid).__name__}"
        raise TypeError(
            f"grid must hold two settings with their values, the rows' first, such as {EXAMPLE}, "
            f"got {came}."
        )
    checked = {known(name): _values(name, values, check) for name, values in grid.items()}
    cells = math.prod(len(values) for values in checked.values())
    if cells > MOST_CELLS:
        raise ValueError(f"A grid may hold {MOST_CELLS} pictures, and this one has {cells}.")
    return checked


def _values(name: str, values: Any, check: Callable[[str, Any], Any]) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(
            f"The values of {name} must be a list, such as in {EXAMPLE}, "
            f"got a {type(values).__name__}."
        )
    if not values:
        raise ValueError(f"The list of values for {name} is empty: give at least one.")
    checked = [check(name, value) for value in values]
    for value in checked:
        if checked.count(value) > 1:
            raise ValueError(f"{name} has {value!r} twice. Give each value once.")
    return checked


def read(name: str, typed: str) -> list[Any]:
    """Values as a person types them: commas between them; "|" between texts, which have commas."""
    texts = name in ("prompt", "negative_prompt")
    parts = [part.strip() for part in text(name, typed).split("|" if texts else ",")]
    if texts or name == "sampler":
        return parts if texts else [part for part in parts if part]
    return [_read_number(name, part) for part in parts if part]


def _read_number(name: str, typed: str) -> float | int:
    try:
        return float(typed) if name == "guidance_scale" else int(typed)
    except ValueError:
        kind = "numbers" if name == "guidance_scale" else "whole numbers"
        raise ValueError(
            f"{name} takes {kind} with commas between them, such as 1, 4, 8: got {typed!r:.60}."
        ) from None
