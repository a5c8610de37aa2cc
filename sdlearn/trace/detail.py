"""How much fine detail a picture has, as a number."""

from __future__ import annotations

import numpy as np
from PIL import Image

FINEST = 8
"""Detail is what repeats within fewer pixels than this."""


def detail_of(picture: Image.Image, finest: float = FINEST) -> float:
    """The strength of all that repeats within `finest` pixels, in grey levels of 255.

    It is the root mean square of what is left of the picture when all longer waves are taken out.
    The picture is mirrored at its edges first, so that no edge of its own looks like detail.

    Args:
        picture: A picture; its greys are measured.
        finest: The wavelength, in pixels, below which something is detail.
    """
    grey = np.asarray(picture.convert("L"), dtype=np.float64)
    mirrored = np.block([[grey, grey[:, ::-1]], [grey[::-1], grey[::-1, ::-1]]])
    waves = np.fft.rfft2(mirrored)
    down, across = np.fft.fftfreq(mirrored.shape[0]), np.fft.rfftfreq(mirrored.shape[1])
    waves[np.hypot(down[:, None], across[None]) <= 1 / finest] = 0
    return float(np.fft.irfft2(waves, mirrored.shape).std())
