"""The map of one word: how much each place of the picture looked at it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sdlearn.trace import cards, grids, heat
from sdlearn.trace.grids import GRID
from sdlearn.trace.layers import Layer, chosen
from sdlearn.trace.whole import is_whole


@dataclass(frozen=True, eq=False)
class WordMap:
    """How much each place looked at a word: probabilities, with named axes.

    Layers of different size stay in their own size until they must share a grid: for `values`,
    and for the mean over layers, coarser ones are enlarged to the finest one by bilinear
    interpolation. That keeps each layer's mean where the finer grid is a whole multiple of the
    coarser one, and nearly elsewhere. Layers count equally in a mean, whatever their size.

    Attributes:
        word: The word.
        axes: What is left of ``"steps"``, ``"layers"``, ``"heads"``, ``"rows"``, ``"columns"``.
            There are no heads where their mean was recorded.
        parts: The numbers, a tensor for each layer (one, when the layers are gone), with the
            other axes in order.
        steps: Which steps of the run it comes from.
        layers: Which layers it comes from.
        all_words: The same as `parts` for all words of the prompt together; None for a map that
            isn't a word's.
    """

    word: str
    axes: tuple[str, ...]
    parts: tuple[Tensor, ...] = field(repr=False)
    steps: tuple[int, ...]
    layers: tuple[Layer, ...] = field(repr=False)
    all_words: tuple[Tensor, ...] | None = field(default=None, repr=False)

    # Numbers

    @property
    def values(self) -> Tensor:
        """The numbers as one tensor, with `axes`, on the finest grid."""
        if "layers" not in self.axes:
            return self.parts[0]
        return torch.stack(grids.shared(self.parts, self._inner), dim=self.axes.index("layers"))

    @property
    def shape(self) -> dict[str, int]:
        """Every axis and its length, on the finest grid."""
        return dict(zip(self.axes, self.values.shape, strict=True))

    def at(
        self, step: int | None = None, layer: str | int | None = None, head: int | None = None
    ) -> WordMap:
        """Returns the map of one step, one layer, one head, or any of these together.

        Args:
            step: The step's index in the run; negative ones count from the last recorded.
            layer: As in `layer`.
            head: The head's number.
        """
        found = self if layer is None else self.layer(layer)
        if step is not None:
            found = found._at_step(step)
        return found if head is None else found._at_head(head)

    def layer(self, which: str | int) -> WordMap:
        """Returns the map of one layer, by name or index; or of several, by a name's beginning.

        ``layer("up.1.0.0")`` and ``layer(3)`` take the axis away; ``layer("up")`` keeps all
        layers whose names begin so, and the axis.
        """
        self._has("layers")
        found = chosen(self.layers, which)
        single = is_whole(which) or which == self.layers[found[0]].name
        axes = tuple(a for a in self.axes if a != "layers") if single else self.axes
        kept = tuple(self.layers[i] for i in found)
        return self._each(lambda parts: tuple(parts[i] for i in found), axes=axes, layers=kept)

    def mean(self, *axes: str) -> WordMap:
        """Returns the mean over some axes; with none given, over all but rows and columns."""
        gone = axes or tuple(axis for axis in self.axes if axis not in GRID)
        for axis in gone:
            self._has(axis)
        inner = [axis for axis in self._inner if axis in gone]

        def reduced(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            if len({"rows", "columns"} & set(gone)) == 1:  # one side of the grid stays: share it
                parts = grids.shared(parts, self._inner)
            dims = [self._inner.index(axis) for axis in inner]
            parts = tuple(part.mean(dims) if dims else part for part in parts)
            if "layers" not in gone:
                return parts
            left = tuple(axis for axis in self._inner if axis not in gone)
            return (torch.stack(grids.shared(parts, left)).mean(0),)

        return self._each(reduced, axes=tuple(axis for axis in self.axes if axis not in gone))

    def normalised(self, by: Literal["peak", "words"] = "peak") -> WordMap:
        """Returns the map on another scale.

        Args:
            by: ``"peak"``: the least value becomes 0 and the greatest 1, over the whole map.
                ``"words"``: the share of what all words of the prompt get at that place; start,
                end and padding, which take most of the attention, are left out.
        """
        if by == "peak":
            values = self.values
            low, high = values.min(), values.max()
            scaled = (values - low) / (high - low) if high > low else torch.zeros_like(values)
            one = "layers" not in self.axes
            parts = (scaled,) if one else scaled.unbind(self.axes.index("layers"))
            return replace(self, parts=tuple(parts), all_words=None)
        if by != "words":
            raise ValueError(f'by must be "peak" or "words", got {by!r}.')
        if self.all_words is None:
            raise ValueError(
                f"{self.word!r} has no share of the words: it is no word of the prompt, or the "
                'map was normalised before. Take normalised("words") of attention["word"].'
            )
        pairs = zip(self.parts, self.all_words, strict=True)
        shares = tuple(torch.where(total > 0, part / total, 0.0) for part, total in pairs)
        return replace(self, parts=shares, all_words=None)

    # Where it points

    def peak(self) -> tuple[int, int]:
        """Returns (row, column) of the greatest value, in the grid of the mean map."""
        values = self._flat()
        return divmod(int(values.argmax()), values.shape[1])

    def inside(self, mask: object) -> float:
        """Returns which share of the map lies on a mask, from 0 to 1.

        Args:
            mask: Where something is: a boolean array [height, width] of any size.
        """
        where = grids.mask(mask, self._flat().shape)
        values = grids.enlarged(self._flat(), where.shape)
        total = float(values.sum())
        return float(values[where].sum()) / total if total > 0 else 0.0

    def iou(self, mask: object, threshold: float = 0.5) -> float:
        """Returns how well the map and a mask cover each other: overlap over union.

        Args:
            mask: Where something is: a boolean array [height, width] of any size.
            threshold: What counts as looked at, as a share of the way from least to greatest.
        """
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must be from 0 up to, but not, 1; got {threshold}.")
        where = grids.mask(mask, self._flat().shape)
        looked = grids.enlarged(grids.unit(self._flat()), where.shape) > threshold
        where = where.to(looked.device)
        union = int((looked | where).sum())
        return int((looked & where).sum()) / union if union else 0.0

    # Pictures

    def image(self, size: int | tuple[int, int] = 256) -> Image.Image:
        """Returns the mean map as colours: dark is least, bright is most. Squares are its places.

        Args:
            size: The longer side in pixels, or (width, height).
        """
        values = self._flat()
        width, height = heat.sides(size, (values.shape[1], values.shape[0]))
        colours = heat.colours(grids.unit(values).cpu().numpy())
        return Image.fromarray(colours).resize((width, height), Image.Resampling.NEAREST)

    def overlay(
        self,
        image: Image.Image,
        alpha: float = 0.6,
        size: int | tuple[int, int] | None = None,
    ) -> Image.Image:
        """Returns the mean map as light on a darkened picture.

        Args:
            image: The picture, usually ``trace.image``.
            alpha: How much of the map's colour covers the picture where it is brightest, 0 to 1.
            size: The longer side in pixels, or (width, height); None keeps the picture's.
        """
        return heat.overlay(grids.unit(self._flat()), image, alpha, size)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.values.detach().cpu().numpy(), dtype=dtype)

    def __repr__(self) -> str:
        sizes = " x ".join(f"{self._length(axis)} {axis}" for axis in self.axes)
        return f"WordMap({self.word!r}: {sizes or 'one number'})"

    def _repr_html_(self) -> str:
        return cards.wordmap_html(self)

    # Inside

    @property
    def _inner(self) -> tuple[str, ...]:
        """The axes of every part: all but the layers."""
        return tuple(axis for axis in self.axes if axis != "layers")

    def _length(self, axis: str) -> str:
        """How long an axis is, in words: layers may differ in heads, and then `values` is none."""
        if axis == "layers":
            return str(len(self.parts))
        lengths = {part.shape[self._inner.index(axis)] for part in self.parts}
        if axis == "heads" and len(lengths) > 1:
            return f"{min(lengths)} to {max(lengths)}"
        return str(max(lengths))  # rows and columns: of the finest grid

    def _has(self, axis: str) -> None:
        if axis in self.axes:
            return
        left = ", ".join(self.axes) or "none"
        if axis == "heads":
            raise ValueError(
                "this map has no heads: their mean was recorded or taken. Ask for every head "
                f'before the run: record=Record(heads="each"). Its axes: {left}.'
            )
        raise ValueError(f"this map has no axis {axis!r} (any more). Its axes: {left}.")

    def _each(self, change: Any, **changes: Any) -> WordMap:
        """The same done to the word's numbers and to those of all words."""
        total = None if self.all_words is None else change(self.all_words)
        return replace(self, parts=change(self.parts), all_words=total, **changes)

    def _at_step(self, step: int) -> WordMap:
        self._has("steps")
        asked = self.steps[step] if -len(self.steps) <= step < 0 else step
        if asked not in self.steps:
            listed = ", ".join(map(str, self.steps))
            raise ValueError(f"step {step} was not recorded. Recorded steps: {listed}.")
        place = self.steps.index(asked)
        return self._taken("steps", place, steps=(int(asked),))

    def _at_head(self, head: int) -> WordMap:
        self._has("heads")
        least = min(part.shape[self._inner.index("heads")] for part in self.parts)
        if not 0 <= head < least:
            raise ValueError(f"there is no head {head} in every layer: use 0 to {least - 1}.")
        return self._taken("heads", head)

    def _taken(self, axis: str, place: int, **changes: Any) -> WordMap:
        dim = self._inner.index(axis)
        axes = tuple(a for a in self.axes if a != axis)
        return self._each(lambda p: tuple(x.select(dim, place) for x in p), axes=axes, **changes)

    def _flat(self) -> Tensor:
        """The mean map: [rows, columns]."""
        for axis in GRID:
            self._has(axis)
        return self.mean().values if len(self.axes) > 2 else self.values
