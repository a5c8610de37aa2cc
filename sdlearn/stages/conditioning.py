"""What the U-Net is told beside the words: sizes, crops, a score for beauty, the guidance.

Only SDXL's is told sizes. In training each picture came with its original size and the corner at
which it was cropped; asked for a large size and no crop, the model draws as it learnt from large,
uncropped pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True)
class Sizes:
    """SDXL's size and crop conditioning; heights first.

    Attributes:
        original: How large the picture pretends to have been before it was scaled.
        crop: At which corner (top, left) it pretends to have been cropped.
        target: How large it is to be.
        aesthetic_score: What the refiner is told instead of `target`.
    """

    original: Size
    crop: Size
    target: Size
    aesthetic_score: float = 6.0

    def ids(self, parts: Any, dtype: torch.dtype) -> Tensor:
        """The numbers in the U-Net's order, shape [1, 6], or [1, 5] for the refiner."""
        scored = parts.settings.get("requires_aesthetics_score", False)
        last = (self.aesthetic_score,) if scored else self.target
        return torch.tensor([[*self.original, *self.crop, *last]], dtype=dtype)


def added(parts: Any, pooled: Tensor, sizes: Sizes) -> dict[str, Tensor]:
    """The U-Net's extra inputs for one half of the guidance."""
    ids = sizes.ids(parts, pooled.dtype).to(pooled.device).repeat(len(pooled), 1)
    expected = parts.unet.add_embedding.linear_1.in_features
    passed = parts.unet.config.addition_time_embed_dim * ids.shape[1] + pooled.shape[1]
    if passed != expected:
        raise ValueError(
            f"The U-Net expects {expected} numbers of pooled text and sizes, and {passed} came. "
            "The setting requires_aesthetics_score in the model's index is wrong, or the text "
            "encoder is another model's."
        )
    return {"text_embeds": pooled, "time_ids": ids}


def sizes_told(parts: Any, prompts: Sequence[Any], sizes: Sequence[Sizes]) -> dict[str, Any]:
    """The U-Net's extra inputs for all halves: pooled text and sizes."""
    told = [added(parts, one.pooled, of) for one, of in zip(prompts, sizes, strict=True)]
    joined = {name: torch.cat([one[name] for one in told]) for name in told[0]}
    return {"added_cond_kwargs": joined}


def guidance_told(parts: Any, guidance_scale: float, count: int) -> dict[str, Any]:
    """The guidance as a vector, for U-Nets that were distilled to be told it (LCM)."""
    width = parts.unet.config.time_cond_proj_dim
    if width is None:
        return {}
    half = width // 2
    w = torch.tensor([guidance_scale - 1.0]).repeat(count) * 1000.0
    rate = torch.log(torch.tensor(10000.0)) / (half - 1)
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -rate)
    angles = w[:, None] * frequencies[None]
    embedding = torch.cat([angles.sin(), angles.cos()], dim=1)
    if width % 2:
        embedding = torch.nn.functional.pad(embedding, (0, 1))
    return {"timestep_cond": embedding.to(parts.device, parts.dtype)}
