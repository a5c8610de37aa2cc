"""Inpainting's two ways to keep what lies outside of a mask.

A plain model is kept to it after every step: outside, its latent is the known picture's, brought
to the same noise. An inpainting model is shown mask and picture as more channels of its sample,
and has learnt to keep to them itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Mask:
    """What inpainting needs on the way.

    Attributes:
        mask: 1 where something new is to be drawn, shape [batch, 1, h, w].
        known: The picture's latent, shape [batch, C, h, w]: of the whole picture where the
            latents are blended, of the masked one where the U-Net is given it.
        eps: The noise that the known part is brought to each level with; None where the U-Net is
            given mask and picture as channels.
    """

    mask: Tensor
    known: Tensor
    eps: Tensor | None

    def beside(self, batch: Tensor, halves: int) -> Tensor:
        """What the U-Net is shown: for an inpainting model, with mask and picture as channels."""
        if self.eps is not None:
            return batch
        channels = torch.cat([self.mask, self.known], dim=1)
        return torch.cat([batch, channels.repeat(halves, 1, 1, 1)], dim=1)

    def blended(self, latent: Tensor, scheduler: Any, place: int) -> Tensor:
        """The latent after a step: for a plain model, outside of the mask what it was.

        Args:
            latent: What the step left.
            scheduler: Who took it.
            place: Which of the scheduler's timesteps it was.
        """
        if self.eps is None:
            return latent
        known, timesteps = self.known, scheduler.timesteps
        if place + 1 < len(timesteps):
            known = scheduler.add_noise(known, self.eps, timesteps[place + 1][None])
        return (1 - self.mask) * known + self.mask * latent
