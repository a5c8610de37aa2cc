"""The network of lesson 03: small enough to be trained while one watches."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

WAVES = 8
"""How many waves the clock is told with, each as a sine and a cosine."""


def clock(t: Tensor, timesteps: int) -> Tensor:
    """Say the time in smooth waves, which a network reads more easily than one large number.

    Args:
        t: Timesteps, shape [batch].
        timesteps: How many there are.

    Returns:
        Numbers from -1 to 1, shape [batch, 2 * WAVES].
    """
    angle = math.pi * (t[:, None] + 1) / timesteps * torch.arange(1, WAVES + 1)  # [batch, WAVES]
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class NoisePredictor(nn.Module):
    """Noisy samples and their timesteps go in, a guess at their noise comes out.

    A linear layer multiplies its input by a table of weights; in between, a bend (SiLU) lets
    several layers do what one can't. The samples are plain rows of numbers: two for a point of
    the plane, 64 for a picture of 8x8 pixels.
    """

    def __init__(self, size: int, width: int = 256, timesteps: int = 250) -> None:
        """Make a network with random weights.

        Args:
            size: How many numbers a sample has.
            width: How many numbers it thinks with.
            timesteps: T, the length of the noise schedule.
        """
        super().__init__()
        self.timesteps = timesteps
        self.first = nn.Linear(size + 2 * WAVES, width)
        self.more = nn.ModuleList(nn.Linear(width + 2 * WAVES, width) for _ in range(2))
        self.last = nn.Linear(width, size)
        self.bend = nn.SiLU()

    def forward(self, xt: Tensor, t: Tensor) -> Tensor:
        """Guess the noise in xt [batch, size] at the timesteps t [batch]; the shape of xt."""
        time = clock(t, self.timesteps)
        hidden = self.first(torch.cat([xt, time], dim=1))  # [batch, width]
        for layer in self.more:
            hidden = hidden + layer(torch.cat([self.bend(hidden), time], dim=1))
        # Most of a very noisy sample is noise: xt itself is a good first guess to correct.
        return xt + self.last(self.bend(hidden))
