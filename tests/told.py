"""An SDXL that draws what it is told: the original size as stripes, the crop as a colour."""

from types import SimpleNamespace

import numpy as np
from PIL import Image

SIDE = 64


class Told:
    """As much of a model as the conditioning explorer asks for."""

    name, family = "told", SimpleNamespace(name="sdxl")

    def __init__(self, side=SIDE):
        self.side, self.asked = side, []
        self.stop_at = None  # the drawing that somebody breaks off

    def sides(self, height, width):
        return height or self.side, width or self.side

    def generate(self, prompt, *, original_size, crop, seed, height=None, width=None, **options):
        self.asked.append((original_size, crop, seed))
        height, width = self.sides(height, width)
        picture = np.empty((height, width, 3))
        picture[:] = colour(*crop)
        picture[:, ::2] += original_size[0] / 4 + seed  # the finest stripes there can be
        image = Image.fromarray(picture.round().astype(np.uint8))
        return SimpleNamespace(image=image, interrupted=len(self.asked) == self.stop_at)


def colour(top, left):
    """The colour of a crop."""
    return 40 + 2 * top, 40 + 2 * left, 100
