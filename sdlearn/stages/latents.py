"""Noise, latents and pictures: where a run begins, and how it comes back to pixels.

The arithmetic is diffusers', to the last bit: scaling factors (and, where a VAE has them, a mean
and a spread for each channel), the posterior's sample, the rounding to 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from sdlearn.stages import checks

Generators = torch.Generator | list[torch.Generator]


def generators(seed: int | Sequence[int]) -> Generators:
    """One generator for a whole batch, or one for each picture, always on the CPU."""
    if isinstance(seed, int):
        return torch.Generator("cpu").manual_seed(seed)
    return [torch.Generator("cpu").manual_seed(one) for one in seed]


def noise(
    shape: tuple[int, ...], source: Generators, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Gaussian noise, drawn on the CPU so that a seed means the same on every machine."""
    if isinstance(source, torch.Generator):
        return torch.randn(shape, generator=source, dtype=dtype).to(device)
    drawn = [torch.randn((1, *shape[1:]), generator=one, dtype=dtype) for one in source]
    return torch.cat(drawn).to(device)


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the encoder says of a picture: not a latent but a cloud of them, already scaled.

    Attributes:
        mean: The middle, shape [batch, C, h, w].
        std: How far samples lie from it, of the same shape.
    """

    mean: Tensor
    std: Tensor
    _distribution: Any
    _scale: Any

    def sample(self, seed: int | Sequence[int] | Generators | None = 0) -> Tensor:
        """A latent from the cloud; None takes the middle."""
        if seed is None:
            return self.mean
        several = seed if isinstance(seed, list) else [seed]
        if not all(isinstance(one, torch.Generator) for one in several) or not several:
            seed = generators(checks.seeds(seed))
        if isinstance(seed, torch.Generator):
            return self._scale(self._distribution.sample(seed))
        mean, std = self._distribution.mean, self._distribution.std
        if len(seed) != len(mean):
            raise ValueError(f"There are {len(seed)} seeds for {len(mean)} pictures.")
        drawn = [
            mean[i : i + 1]
            + std[i : i + 1] * noise(mean[i : i + 1].shape, one, mean.device, mean.dtype)
            for i, one in enumerate(seed)
        ]
        return self._scale(torch.cat(drawn))

    def __repr__(self) -> str:
        """Shape and usual spread."""
        return f"Posterior({list(self.mean.shape)}, std about {float(self.std.median()):.3g})"


@torch.no_grad()
def encode(vae: Any, pictures: Tensor, *, upcast: bool = False) -> Posterior:
    """The cloud of latents for pictures of -1 to 1, shape [batch, 3, height, width].

    `upcast` lets a VAE that says so work in single precision: SDXL's overflows in half.
    """
    pictures = pictures.to(vae.device, vae.dtype)  # rounded first, as the pipelines do
    if upcast and vae.config.force_upcast and vae.dtype != torch.float32:
        with _InFloat32(vae):
            distribution = vae.encode(pictures.float()).latent_dist
    else:
        distribution = vae.encode(pictures).latent_dist
    factor, middle, spread = _scaling(vae, distribution.mean)

    def scale(latents: Tensor) -> Tensor:
        latents = latents.to(vae.dtype)
        return factor * latents if middle is None else (latents - middle) * factor / spread

    ratio = factor if spread is None else factor / spread
    return Posterior(scale(distribution.mean), distribution.std * ratio, distribution, scale)


@torch.no_grad()
def decode(vae: Any, latents: Tensor, *, upcast: bool = False) -> Tensor:
    """Pictures of about -1 to 1 for latents of shape [batch, C, h, w]."""
    if upcast and vae.config.force_upcast and vae.dtype == torch.float16:
        with _InFloat32(vae):
            return _decode(vae, latents.float())
    return _decode(vae, latents.to(vae.dtype))


def _decode(vae: Any, latents: Tensor) -> Tensor:
    factor, middle, spread = _scaling(vae, latents)
    latents = latents / factor if middle is None else latents * spread / factor + middle
    return vae.decode(latents).sample


def to_pil(pictures: Tensor) -> list[Image.Image]:
    """Pictures of -1 to 1 as 8-bit pictures."""
    pictures = (pictures * 0.5 + 0.5).clamp(0, 1).cpu().permute(0, 2, 3, 1).float().numpy()
    return [Image.fromarray(one) for one in (pictures * 255).round().astype("uint8")]


def from_pil(picture: Image.Image, size: tuple[int, int] | None = None) -> Tensor:
    """A picture as numbers of -1 to 1, [1, 3, height, width]; `size` is (height, width)."""
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    if size is not None and size != (picture.height, picture.width):
        picture = picture.resize(size[::-1], resample=Image.Resampling.LANCZOS)
    values = np.array(picture).astype(np.float32) / 255.0
    return 2.0 * torch.from_numpy(values[None].transpose(0, 3, 1, 2)) - 1.0


def preview_matrix(vae: Any, side: int = 64, count: int = 24, *, upcast: bool = False) -> Tensor:
    """A straight line from latents to colours: [C + 1, 3], the last row a constant.

    Fitted by least squares on pictures that are made up for it: soft fields of colour and plain
    rectangles. It is a look and no more, but it costs nothing, where decoding takes its time.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    fields = torch.rand(count, 3, 4, 4, generator=generator)
    pictures = F.interpolate(fields, (side, side), mode="bicubic").clamp(0, 1)
    for picture in pictures[::2]:
        top, left = torch.randint(side // 2, (2,), generator=generator).tolist()
        colour = torch.rand(3, 1, 1, generator=generator)
        picture[:, top : top + side // 2, left : left + side // 2] = colour
    latents = encode(vae, 2 * pictures - 1, upcast=upcast).mean.float().cpu()
    if not bool(latents.isfinite().all()):
        raise ValueError(
            f"The autoencoder answers with numbers that are none in {str(vae.dtype)[6:]}, so there "
            'is no preview. Load the model with dtype="float32".'
        )
    colours = F.adaptive_avg_pool2d(2 * pictures - 1, latents.shape[-2:])
    known = latents.movedim(1, -1).reshape(-1, latents.shape[1])
    known = torch.cat([known, torch.ones(len(known), 1)], dim=1)
    return torch.linalg.lstsq(known, colours.movedim(1, -1).reshape(-1, 3)).solution


def preview(latents: Tensor, matrix: Tensor) -> Tensor:
    """Small pictures of about -1 to 1 for latents [batch, C, h, w], one pixel a place."""
    values = latents.detach().float().cpu().movedim(1, -1)
    return (values @ matrix[:-1] + matrix[-1]).movedim(-1, 1)


def factor(vae: Any) -> int:
    """How many pixels a latent's place stands for, along a side."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def _scaling(vae: Any, like: Tensor) -> tuple[float, Tensor | None, Tensor | None]:
    config = vae.config
    middle, spread = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    if middle is None or spread is None:
        return config.scaling_factor, None, None
    shaped = [torch.tensor(v).view(1, -1, 1, 1).to(like) for v in (middle, spread)]
    return config.scaling_factor, shaped[0], shaped[1]


class _InFloat32:
    """The VAE in single precision, and as it was again afterwards, whatever happens."""

    def __init__(self, vae: Any) -> None:
        self.vae, self.dtype = vae, vae.dtype

    def __enter__(self) -> None:
        self.vae.to(dtype=torch.float32)

    def __exit__(self, *error: object) -> None:
        self.vae.to(dtype=self.dtype)
