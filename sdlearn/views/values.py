"""Numbers that somebody hands over to be drawn, wherever they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def numbers(given: Any) -> np.ndarray:
    """An array of what was given: a tensor, perhaps on a GPU or in half precision, or its like.

    Args:
        given: A tensor, an array, a number, or a list of any of these.
    """
    if isinstance(given, list | tuple) and any(hasattr(part, "detach") for part in given):
        return np.stack([numbers(part) for part in given])
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        if given.dtype == torch.bfloat16:  # numpy has none
            given = given.float()
    return np.asarray(given)
