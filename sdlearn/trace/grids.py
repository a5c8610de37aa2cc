"""Grids of different fineness over one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

GRID = ("rows", "columns")
"""The axes of the picture; where a map has them both, they are its last."""


def enlarged(values: Tensor, grid: Sequence[int]) -> Tensor:
    """Returns the last two axes on another grid, by bilinear interpolation.

    That keeps the mean where the grid is a whole multiple of the old one, and nearly elsewhere.
    """
    if tuple(values.shape[-2:]) == tuple(grid):
        return values
    flat = values.reshape(1, math.prod(values.shape[:-2]), *values.shape[-2:])
    wide = interpolate(flat, size=tuple(grid), mode="bilinear", align_corners=False)
    return wide.reshape(*values.shape[:-2], *grid)


def shared(parts: tuple[Tensor, ...], axes: Sequence[str]) -> tuple[Tensor, ...]:
    """Returns the layers' maps on the finest grid among them, ready to be stacked.

    Args:
        parts: A tensor for each layer.
        axes: The names of their axes.
    """
    if "heads" in axes:
        *few, most = map(str, sorted({part.shape[axes.index("heads")] for part in parts}))
        if few:
            raise ValueError(
                f"these layers have {', '.join(few)} and {most} heads, which make no one "
                'table. Take .mean("heads") first, or one layer: .layer("...").'
            )
    if not set(GRID) <= set(axes):
        return parts
    finest = tuple(max(part.shape[dim] for part in parts) for dim in (-2, -1))
    return tuple(enlarged(part, finest) for part in parts)


def unit(values: Tensor) -> Tensor:
    """Returns the values with the least at 0 and the greatest at 1; a flat map becomes 0."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else torch.zeros_like(values)


def mask(given: object, grid: tuple[int, ...]) -> Tensor:
    """Returns a mask as a boolean tensor [height, width], if it can be one of this map's picture.

    Args:
        given: An array, a tensor or a Pillow picture; anything but 0 is inside.
        grid: Rows and columns of the map.
    """
    values = given if isinstance(given, Tensor) else torch.as_tensor(np.array(given))
    if values.ndim != 2 or values.numel() == 0:
        raise ValueError(
            "mask must be [height, width]: true where the thing is, such as "
            f'scene.masks(128)["cat"]; got the shape {tuple(values.shape)}.'
        )
    same_shape("mask", (values.shape[1], values.shape[0]), (grid[1], grid[0]))
    return values.cpu() != 0


def same_shape(name: str, size: tuple[int, int], grid: tuple[int, int]) -> None:
    """Refuses a picture that is wide where the map is tall."""
    stretch = math.log((size[0] / size[1]) / (grid[0] / grid[1]))
    # A grid is the picture's size divided and rounded up: one place more or less on each side.
    slack = 1 / grid[0] + 1 / grid[1] + 0.05
    if abs(stretch) > slack:
        raise ValueError(
            f"{name} is {size[0]} wide and {size[1]} high, but the map's grid is {grid[0]} wide "
            f"and {grid[1]} high: they are not of the same picture."
        )
