"""Where pictures and captions meet: vectors of length 1, and the loss of finding one's own."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from transformers import CLIPModel

MAX_LOG_SCALE = 4.6  # about log 100, where CLIP (2103.00020, section 2.5) caps it


class Meeting(nn.Module):
    """Pictures and captions as vectors of length 1 in the space where they meet."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, pictures: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures [count, width], captions [count of `tokens`, width], and the logits' scale."""
        read = self.clip.text_projection(self.clip.text_model(tokens).pooler_output)
        return seen_by(self.clip, pictures), direction(read), scale_of(self.clip)


class Reading(nn.Module):
    """Captions alone, as vectors of length 1 in the space where they meet pictures."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Captions [count of `tokens`, width], and the logits' scale."""
        read = self.clip.text_projection(self.clip.text_model(tokens).pooler_output)
        return direction(read), scale_of(self.clip)


class Seeing(nn.Module):
    """Pictures alone, as vectors of length 1 in the space where they meet captions."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [count, width]."""
        return seen_by(self.clip, pictures)


def seen_by(clip: CLIPModel, pictures: Tensor) -> Tensor:
    """Pictures as vectors of length 1 where they meet captions."""
    return direction(clip.visual_projection(clip.vision_model(pictures).pooler_output))


def direction(vectors: Tensor) -> Tensor:
    """The same vectors, of length 1."""
    return F.normalize(vectors.float(), dim=-1)


def scale_of(clip: CLIPModel) -> Tensor:
    """What cosines are multiplied by before they compete."""
    return clip.logit_scale.clamp(max=MAX_LOG_SCALE).exp()


def meet(scaled: Tensor, right: Tensor, false: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of finding one's own among all, both ways; and how often it is found."""
    logits = without_ties(scaled @ torch.cat([right, false]).T, tokens)
    own = torch.arange(len(logits), device=logits.device)
    there = F.cross_entropy(logits, own)
    back = F.cross_entropy(logits[:, : len(logits)].T, own)
    return (there + back) / 2, (logits.argmax(1) == own).float().mean()


def without_ties(logits: Tensor, tokens: Tensor) -> Tensor:
    """Don't hold a caption against a picture if it reads exactly like the picture's own.

    Args:
        logits: Shape [pictures, captions]; picture i's own caption is caption i.
        tokens: Shape [captions, length].
    """
    count = len(logits)
    same = (tokens[:count, None] == tokens[None]).all(-1)  # [pictures, captions]
    same.fill_diagonal_(False)
    return logits.masked_fill(same, -1e4)


def of_all(tensor: Tensor) -> Tensor:
    """What all processes hold, in their order; gradients find their way back to the owner.

    A picture must find its caption among those of the whole batch, whoever holds them: so two
    processes learn what one would.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return tensor
    rank, count = distributed.get_rank(), distributed.get_world_size()
    parts = [torch.empty_like(tensor) for _ in range(count)]
    distributed.all_gather(parts, tensor.detach().contiguous())
    if tensor.requires_grad:
        # Every process computes the whole loss but its gradient reaches only its own part, and
        # then the mean over the processes is taken: `count` times its own part makes up for it.
        parts[rank] = parts[rank] + count * (tensor - tensor.detach())
    return torch.cat(parts)
