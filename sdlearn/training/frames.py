"""Pictures of varied size, whole or cut: what SDXL was shown, and what it was told of them.

"SDXL" (2307.01952, section 2.2): throwing small pictures away would have cost 39% of the data, and
keeping them teaches a model to draw blurs. So they were enlarged, and the U-Net told how large
they had been; and since training pictures are cut to a square, it was told where, lest it draw
things that are cut off. Here both are done on purpose: frame number i has a size and a cut of
its own, a function of its number.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from sdlearn import world
from sdlearn.training.plans import Frames

CUTS = 8
"""Cuts begin at multiples of this, so that a picture and its latents are cut at one place."""

SCORES = (2.5, 6.0)
"""Aesthetic scores of the smallest and the largest side: what pipelines ask of the refiner for
the negative prompt and for the prompt."""


def time_ids(frames: Frames, index: int) -> tuple[int, int, int, int, int, int]:
    """What the U-Net is told of a frame: original size, where it is cut, and its size now.

    Args:
        frames: How they vary.
        index: The frame's number.
    """
    rng = np.random.Generator(np.random.PCG64([index, 47]))
    side = frames.sides[rng.integers(len(frames.sides))]
    if frames.full and rng.random() < frames.full:
        side = frames.size
    top = left = 0
    if rng.random() < frames.cut:
        places = (enlarged(frames) - frames.size) // CUTS + 1
        while top == left == 0:  # told (0, 0), a picture is whole
            top, left = (int(place) * CUTS for place in rng.integers(places, size=2))
    return side, side, top, left, frames.size, frames.size


def draw(frames: Frames, index: int) -> Image.Image:
    """A frame: scene number `index`, drawn small, enlarged, perhaps cut."""
    side, _, top, left, _, _ = time_ids(frames, index)
    whole = world.sample(seed=index).render(side)
    cut = bool(top or left)
    size = enlarged(frames) if cut else frames.size
    if size != side:
        whole = whole.resize((size, size), Image.Resampling.BICUBIC)
    return whole.crop((left, top, left + frames.size, top + frames.size)) if cut else whole


def enlarged(frames: Frames) -> int:
    """The side of what is going to be cut."""
    return round(frames.size * frames.zoom / CUTS) * CUTS


def aesthetic_score(frames: Frames, side: float) -> float:
    """How good a picture of this original side looks, on the refiner's scale.

    Nobody was asked: in Pocket World nothing but sharpness differs, so it is the doublings of
    the side, from `SCORES`' low end for the smallest to its high end for the largest.
    """
    low, high = SCORES
    least, most = min(frames.sides), max(frames.sides)
    if least == most:
        return high
    return low + (high - low) * float(np.log2(side / least) / np.log2(most / least))
