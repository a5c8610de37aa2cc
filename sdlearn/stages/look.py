"""How a model looks at a latent: decoded in full, or through a straight line in no time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from PIL import Image
from torch import Tensor

from sdlearn.stages import latents


class ModelLook:
    """Turns latents into pictures for records and traces."""

    def __init__(
        self, decode: Callable[[Tensor], list[Image.Image]], fit: Callable[[], Tensor]
    ) -> None:
        self._decode, self._fit = decode, fit

    @cached_property
    def matrix(self) -> Tensor:
        """The straight line from latents to colours, [C + 1, 3]; fitted when first needed."""
        return self._fit()

    def image(self, latent: Tensor) -> Image.Image:
        """The decoded picture of one latent, [C, h, w] or [1, C, h, w]."""
        return self._decode(_one(latent))[0]

    def preview(self, latent: Tensor) -> Image.Image:
        """One pixel for each place of the latent."""
        return latents.to_pil(latents.preview(_one(latent), self.matrix))[0]


def _one(latent: Tensor) -> Tensor:
    return latent[None] if latent.ndim == 3 else latent[:1]
