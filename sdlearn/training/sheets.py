"""Pictures of a training: sheets of samples, and small copies of figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

COLOURS = 48  # of a copied figure: lines on white need no more


def sheet(rows: Sequence[Tensor], path: Path) -> None:
    """Write rows of pictures, each of shape [count, 3, size, size] from -1 to 1, as one PNG."""
    lines = []
    for row in rows:
        values = ((row.float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
        lines.append(np.concatenate(list(values.permute(0, 2, 3, 1).numpy()), axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft.png")
    Image.fromarray(np.concatenate(lines)).save(draft)
    os.replace(draft, path)


def copy_small(figure: Path, path: Path) -> None:
    """Copy a figure of few colours as a PNG of few bytes."""
    with Image.open(figure) as whole:
        whole.convert("RGB").quantize(COLOURS).save(path, optimize=True)
