"""All pictures as latents: encoded once, before the U-Net's first step, and kept.

What a step draws anew is the point of the posterior. The files are named after what was encoded
and by which encoder: neither can change unnoticed.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from torch import Tensor
from tqdm import tqdm

from sdlearn.training import frames
from sdlearn.training.pictures import Pictures
from sdlearn.training.plans import Frames


class Latents:
    """All pictures as latents.

    Attributes:
        mean: Of their posteriors.
        std: The spread of these.
        scaling_factor: What makes the latents' variance 1.
        time_ids: What SDXL is told of each picture's size and cut, shape [pictures, 6].
    """

    def __init__(self, mean: Tensor, std: Tensor, scaling_factor: float, time_ids: Tensor) -> None:
        self.mean, self.std, self.scaling_factor = mean, std, scaling_factor
        self.time_ids = time_ids

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.mean)

    @classmethod
    @torch.no_grad()
    def encode(
        cls,
        pictures: Pictures | Frames,
        vae: AutoencoderKL,
        accelerator: Accelerator,
        batch: int = 16,
    ) -> Latents:
        """Encode every picture once; the scaling factor makes their variance 1."""
        vae.to(accelerator.device, memory_format=torch.channels_last)
        means, stds, told = [], [], []
        count = pictures.count
        for begin in tqdm(range(0, count, batch), desc="encoding", mininterval=2):
            indices = torch.arange(begin, min(begin + batch, count))
            shown, ids = _shown(pictures, indices)
            with accelerator.autocast():
                posterior = vae.encode(shown.to(accelerator.device)).latent_dist
            means.append(posterior.mean.half().cpu())
            stds.append(posterior.std.half().cpu())
            told.append(ids)
        mean, std = torch.cat(means).contiguous(), torch.cat(stds).contiguous()
        variance = mean.float().var() + (std.float() ** 2).mean()
        return cls(mean, std, float(1 / variance.sqrt()), torch.cat(told))

    def draw(self, indices: Tensor, eps: Tensor) -> Tensor:
        """A point of each posterior, scaled."""
        drawn = self.mean[indices].float() + self.std[indices].float() * eps
        return drawn * self.scaling_factor


def _shown(pictures: Pictures | Frames, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures from -1 to 1, and what is told of their sizes."""
    if isinstance(pictures, Pictures):
        return pictures.batch(indices), whole(len(indices), pictures.size)
    drawn = [np.asarray(frames.draw(pictures, i)) for i in indices.tolist()]
    values = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return values, torch.tensor([frames.time_ids(pictures, i) for i in indices.tolist()])


def whole(count: int, side: int) -> Tensor:
    """What is told of pictures that are neither enlarged nor cut, shape [count, 6]."""
    return torch.tensor([side, side, 0, 0, side, side]).expand(count, -1)


def named(shown: Pictures | Frames) -> str:
    """A short name for what is shown: other sizes, cuts, numbers or drawings have another."""
    ends = 0, shown.count - 1
    if isinstance(shown, Pictures):
        said, drawn = f"{shown.count}, {shown.size}", [shown.today(index) for index in ends]
    else:
        said, drawn = repr(shown), [frames.draw(shown, index) for index in ends]
    seen = hashlib.sha256(said.encode())
    for picture in drawn:
        seen.update(picture.tobytes())
    return seen.hexdigest()[:8]


def encoder(vae: AutoencoderKL) -> dict[str, Tensor]:
    """The weights on which it hangs what a latent means."""
    return {n: t for n, t in vae.state_dict().items() if n.startswith(("enc", "quant"))}


def digest(tensors: dict[str, Tensor]) -> str:
    """A short name for weights, the same wherever they are loaded and computed in full."""
    seen = hashlib.sha256()
    for name in sorted(tensors):
        seen.update(name.encode())
        seen.update(tensors[name].detach().cpu().half().contiguous().numpy().tobytes())
    return seen.hexdigest()[:12]
