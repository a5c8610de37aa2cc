"""Which layers of the network: their names, and how a part of a name chooses some of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from sdlearn.trace.whole import is_whole


@dataclass(frozen=True)
class Layer:
    """A layer of the U-Net that looks at the text.

    Attributes:
        name: Level, block and transformer layer: ``"down.0.1.0"``, ``"mid.0.0"``, ``"up.2.1.0"``.
        module: Its path in the U-Net.
        heads: How many heads look at once.
        rows: Height of the grid of places that look.
        columns: Width of that grid.
    """

    name: str
    module: str
    heads: int
    rows: int
    columns: int

    def __post_init__(self) -> None:
        for what in ("heads", "rows", "columns"):
            if not isinstance(getattr(self, what), int) or getattr(self, what) < 1:
                raise ValueError(f"{what} of layer {self.name!r} must be a whole number from 1.")

    def matches(self, beginning: str) -> bool:
        """Whether its name is this, or begins with it: "down.1" begins "down.1.0.0"."""
        return self.name == beginning or self.name.startswith(f"{beginning}.")


def chosen(
    layers: Sequence[Layer], asked: str | int | Sequence[str], *, single: bool = False
) -> tuple[int, ...]:
    """Returns the indices of the layers that are asked for, in the network's order.

    Args:
        layers: All layers.
        asked: A name, the beginning of one ("up", "down.1"), several of them, or an index.
        single: Whether it must be exactly one layer.
    """
    if is_whole(asked):
        if not -len(layers) <= asked < len(layers):
            raise ValueError(
                f"layer {asked} is none of the {len(layers)} layers: {_names(layers)}."
            )
        return (int(asked) % len(layers),)
    beginnings = (asked,) if isinstance(asked, str) else asked
    if not isinstance(beginnings, Sequence) or not all(isinstance(b, str) for b in beginnings):
        raise TypeError(f"a layer is chosen by its name or its index, not by {asked!r}.")
    for beginning in beginnings:
        if not any(layer.matches(beginning) for layer in layers):
            near = difflib.get_close_matches(beginning, [n.name for n in layers], n=2)
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise ValueError(
                f"no layer is named {beginning!r}, and no name begins with it.{hint} "
                f"The layers: {_names(layers)}."
            )
    found = tuple(i for i, n in enumerate(layers) if any(n.matches(b) for b in beginnings))
    if single and len(found) != 1:
        some = _names([layers[i] for i in found])
        raise ValueError(f"{asked!r} is {len(found)} layers, one is wanted. Choose from: {some}.")
    return found


def _names(layers: Sequence[Layer]) -> str:
    return ", ".join(layer.name for layer in layers) or "none"
