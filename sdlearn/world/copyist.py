"""A careless copyist: paints pictures again from few numbers, as an autoencoder does.

What a diffusion model's decoder does to a drawing is no plain blur: outlines fray, the colours of
small things run into one another, an eye is a smudge that is in the right place. The checker must
read such pictures, and must not have seen those that it judges. So a small autoencoder practises
on renders, and copies some of those that the checker is taught with. It has nothing in common with
the models' autoencoders but what all have: no layer, no weight, and three times their latents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import silu

NUMBERS = 12  # for each square of 8 x 8 pixels
FEWEST = 3  # with fewer, small subjects are no longer to be made out
PIECE = 64  # pixels on a side of what is practised on
WIDTH = 96

Pictures = Callable[[int], Sequence[Image.Image]]
"""``pictures(step)``: what is copied at a step."""


class _Block(nn.Module):
    """Two convolutions beside a shortcut; at first only the shortcut says anything."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, WIDTH)
        self.first, self.second = _conv(WIDTH, WIDTH), _conv(WIDTH, WIDTH)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(silu(self.first(silu(self.norm(x)))))


class Copyist(nn.Module):
    """An autoencoder that can do with fewer numbers than it has: the first ones say most."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            _conv(48, WIDTH),
            _Block(),
            nn.Conv2d(WIDTH, WIDTH, 2, 2),
            _Block(),
            _Block(),
            nn.Conv2d(WIDTH, NUMBERS, 1),
        )
        self.decoder = nn.Sequential(
            _conv(NUMBERS, WIDTH),
            _Block(),
            _Block(),
            nn.Upsample(scale_factor=2),
            _Block(),
            _Block(),
            _conv(WIDTH, 48),
            nn.PixelShuffle(4),
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor, kept: Tensor, eps: Tensor) -> Tensor:
        """Copies pictures [B, 3, h, w] (0 to 1), each from as many numbers as `kept` [B] says.

        Args:
            pictures: What is copied.
            kept: How many of the numbers are used; the others count as 0.
            eps: What is wrong with the numbers, [B, NUMBERS, h / 8, w / 8].
        """
        numbers = self.encoder(pictures * 2 - 1).tanh() * 2
        some = torch.arange(NUMBERS) < kept[:, None]
        return self.decoder((numbers + eps) * some[:, :, None, None]) / 2 + 0.5

    def carelessly(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """Copies pictures, each from few numbers or many, exact or a little wrong."""
        count, _, height, width = pictures.shape
        kept = torch.randint(FEWEST, NUMBERS + 1, (count,), generator=generator)
        much = 0.3 * torch.rand((count, 1, 1, 1), generator=generator)
        eps = torch.randn((count, NUMBERS, height // 8, width // 8), generator=generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            copies = self(pictures.contiguous(memory_format=torch.channels_last), kept, much * eps)
        return copies.float()

    def copied(self, pictures: Sequence[Image.Image], seed: int) -> list[Image.Image]:
        """Copies pictures as careless as the seed will have it."""
        with torch.inference_mode():
            copies = self.carelessly(_as_tensor(pictures), torch.Generator().manual_seed(seed))
        pixels = (copies.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        return [Image.fromarray(copy) for copy in pixels]


def practised(pictures: Pictures, steps: int = 800, rate: float = 2e-3) -> Copyist:
    """A copyist who has practised on pieces of pictures.

    Args:
        pictures: What is copied at each step.
        steps: How many steps.
        rate: The learning rate; it rises over 30 steps and falls over the second half.
    """
    torch.manual_seed(1)
    copyist = Copyist()
    adam = torch.optim.Adam(copyist.parameters(), lr=rate)
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 30, 2 * (steps - step) / steps)
        generator = torch.Generator().manual_seed(step)
        pieces = _pieces(_as_tensor(pictures(step)), generator)
        gap = copyist.carelessly(pieces, generator) - pieces
        loss = 8 * (gap**2).mean() + gap.abs().mean()  # the squares listen to small things
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(copyist.parameters(), 1.0)
        adam.step()
    return copyist


def _conv(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, padding=1)


def _as_tensor(pictures: Sequence[Image.Image]) -> Tensor:
    pixels = np.stack([np.asarray(picture, dtype=np.float32) for picture in pictures])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255


def _pieces(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """A piece of each picture, on the grid of 8 pixels."""
    places = (pictures.shape[-1] - PIECE) // 8 + 1
    corners = torch.randint(places, (len(pictures), 2), generator=generator) * 8
    return torch.stack(
        [
            picture[:, y : y + PIECE, x : x + PIECE]
            for picture, (y, x) in zip(pictures, corners.tolist(), strict=True)
        ]
    )
