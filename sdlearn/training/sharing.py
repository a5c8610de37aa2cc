"""An examination by several processes: each draws its part of the pictures, all of them see all.

Who reads and counts the pictures need not know how many drew them: it is handed what it asked for,
in the order in which it asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
from accelerate import PartialState
from PIL import Image
from torch import distributed

Draw = Callable[..., list[Image.Image]]
"""``draw(texts, seeds, ...)``: a picture for each text, from the noise of each seed."""


def join(cpu: bool) -> None:
    """Meet the other processes, if a launcher started several.

    Args:
        cpu: Whether they draw on processors.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        PartialState(cpu=cpu)


def shared(draw: Draw) -> Draw:
    """The same, with the pictures of each call divided among all processes.

    Every process must ask for the same pictures, in the same order.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return draw
    rank, count = distributed.get_rank(), distributed.get_world_size()

    def together(texts: Sequence[str], seeds: Sequence[int], **told: object) -> list[Image.Image]:
        mine = texts[rank::count], seeds[rank::count]
        pictures = draw(*mine, **told) if mine[0] else []
        parts: list = [None] * count
        distributed.all_gather_object(parts, [np.asarray(picture) for picture in pictures])
        return [Image.fromarray(parts[i % count][i // count]) for i in range(len(texts))]

    return together
