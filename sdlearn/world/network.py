"""The checker's network: for every small square of a picture, what is there.

Fully convolutional: a picture [B, 3, 128, 128] becomes a grid of 32 x 32 cells, and each cell says
which kind (or accessory, or nothing) it shows, and the colour, the size and the accessory of the
subject that it belongs to. Place and style are facts of the whole picture.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from .facts import ACCESSORIES, COLOURS, KINDS, PLACES, SIZES, STYLES

SIDE = 128  # pixels on a side of the pictures it reads
CELL = 4  # pixels on a side of a cell
LABELS = ("nothing", *KINDS, *ACCESSORIES)
WORN = ("nothing", *ACCESSORIES)
CELL_HEADS = {"label": len(LABELS), "colour": len(COLOURS), "size": len(SIZES), "worn": len(WORN)}
PICTURE_HEADS = {"place": len(PLACES), "style": len(STYLES)}


class Readout(NamedTuple):
    """Logits; cells are [B, options, 32, 32], the picture's are [B, options]."""

    label: Tensor
    colour: Tensor
    size: Tensor
    worn: Tensor
    place: Tensor
    style: Tensor


def _conv(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outside),
    )


class _Block(nn.Module):
    """Two convolutions around a shortcut, as in ResNet."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _conv(width, width), _conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return relu(x + self.second(relu(self.first(x))))


class CheckerNet(nn.Module):
    """A small U-shaped network: down to 8 x 8 cells for context, up to 32 x 32 for detail."""

    def __init__(self, widths: tuple[int, int, int] = (40, 80, 112)) -> None:
        super().__init__()
        a, b, c = widths
        self.stem = nn.Sequential(_conv(3, 24, 5, 2), nn.ReLU(), _conv(24, a, 3, 2), nn.ReLU())
        self.fine = _Block(a)
        self.down1 = nn.Sequential(_conv(a, b, 3, 2), nn.ReLU(), _Block(b), _Block(b))
        self.down2 = nn.Sequential(_conv(b, c, 3, 2), nn.ReLU(), _Block(c), _Block(c))
        self.up1, self.mix1 = _conv(c, b, 1), _Block(b)
        self.up2, self.mix2 = _conv(b, a, 1), _Block(a)
        self.cells = nn.Conv2d(a, sum(CELL_HEADS.values()), 1)
        self.whole = nn.Linear(a + c, sum(PICTURE_HEADS.values()))

    def forward(self, pictures: Tensor) -> Readout:
        """Reads pictures [B, 3, 128, 128] with values from 0 to 1."""
        x4 = self.fine(self.stem(pictures * 2 - 1))  # [B, a, 32, 32]
        x8 = self.down1(x4)  # [B, b, 16, 16]
        x16 = self.down2(x8)  # [B, c, 8, 8]
        y8 = self.mix1(relu(x8 + interpolate(self.up1(x16), scale_factor=2.0)))
        y4 = self.mix2(relu(x4 + interpolate(self.up2(y8), scale_factor=2.0)))
        cells = self.cells(y4).split(list(CELL_HEADS.values()), dim=1)
        pooled = torch.cat([y4.mean((2, 3)), x16.mean((2, 3))], dim=1)
        return Readout(*cells, *self.whole(pooled).split(list(PICTURE_HEADS.values()), dim=1))
