"""How good the parts are by themselves, on scenes of which no training picture shows the like."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from sdlearn import world
from sdlearn.training.falsehoods import changed, turned_round
from sdlearn.training.meeting import Meeting, Reading

COUNT = 1000
AMONG = 100
FIRST = 2 * 10**9  # scenes from here on: neither training nor PocketEval uses them


@torch.no_grad()
def reconstruction(vae: AutoencoderKL, size: int, batch: int = 20) -> dict[str, float]:
    """PSNR, in decibel, of held-out pictures painted back; and that of the worst twentieth."""
    device = next(vae.parameters()).device
    errors = []
    for begin in range(0, COUNT, batch):
        pictures = _pictures(_scenes(begin, min(begin + batch, COUNT)), size).to(device)
        painted = vae.decode(vae.encode(pictures).latent_dist.mode()).sample.clamp(-1, 1)
        errors += ((painted - pictures) ** 2).mean((1, 2, 3)).tolist()
    worst = sorted(errors)[-max(1, COUNT // 20) :]
    return {"psnr": _decibel(errors), "psnr_worst_twentieth": _decibel(worst)}


@torch.no_grad()
def retrieval(clip: CLIPModel, tokenizer: CLIPTokenizer, size: int) -> dict[str, float]:
    """How often a held-out picture finds its caption.

    Returns:
        ``among_100``: among 100 captions of held-out scenes. ``hard``: among its own, the one with
        the colours swapped, and the one with the relation turned round.
    """
    found, hard = [], []
    for begin in range(0, COUNT, AMONG):
        scenes = _scenes(begin, min(begin + AMONG, COUNT))
        captions = [scene.caption() for scene in scenes]
        logits = _logits(clip, tokenizer, _pictures(scenes, size), captions)
        best = logits.argmax(1).tolist()  # two scenes may read alike: either caption is right
        found += [captions[b] == c for b, c in zip(best, captions, strict=True)]
        for scene in scenes:
            if len(scene.subjects) == 2 and len({s.colour for s in scene.subjects}) == 2:
                false = [changed(scene, how, 0) for how in ("swap colours", "relation")]
                captions = [s.caption() for s in (scene, *false)]
                logits = _logits(clip, tokenizer, _pictures([scene], size), captions)
                hard.append(int(logits.argmax()) == 0)
    return {"among_100": _share(found), "hard": _share(hard)}


@torch.no_grad()
def reading(clip: CLIPModel, tokenizer: CLIPTokenizer) -> dict[str, float]:
    """How often a caption of a held-out scene finds the same said otherwise, without a picture.

    Returns:
        ``reads``: among that, the caption with the colours swapped, and the one with the relation
        turned round, both worded as itself. So what is alike is what is meant, not what is said.
        ``sides``: the same, where the scene is told from its other thing: a cat left of a dog, a
        dog right of a cat.
    """
    reworded, turned = [], []
    for number, scene in enumerate(_scenes(0, COUNT)):
        if len(scene.subjects) == 2 and len({s.colour for s in scene.subjects}) == 2:
            false = [changed(scene, how, 0).caption(number) for how in ("swap colours", "relation")]
            other = turned_round(scene).caption(number + 1)
            captions = [scene.caption(number), *false, scene.caption(number + 1), other]
            tokens = tokenizer(captions, padding=True, truncation=True, return_tensors="pt")
            read, _ = Reading(clip)(tokens.input_ids.to(clip.logit_scale.device))
            *wrong, as_worded, as_turned = (read[1:] @ read[0]).tolist()
            reworded.append(as_worded > max(wrong))
            turned.append(as_turned > max(wrong))
    return {"reads": _share(reworded), "sides": _share(turned)}


def _scenes(begin: int, end: int) -> list[world.Scene]:
    return [world.sample(FIRST + number, heldout=True) for number in range(begin, end)]


def _pictures(scenes: list[world.Scene], size: int) -> Tensor:
    drawn = np.stack([np.asarray(scene.render(size)) for scene in scenes])
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1


def _logits(
    clip: CLIPModel, tokenizer: CLIPTokenizer, pictures: Tensor, captions: list[str]
) -> Tensor:
    device = clip.logit_scale.device
    tokens = tokenizer(captions, padding=True, truncation=True, return_tensors="pt").input_ids
    seen, read, scale = Meeting(clip)(pictures.to(device), tokens.to(device))
    return scale * seen @ read.T


def _decibel(errors: list[float]) -> float:
    """Of squared errors of numbers that reach from -1 to 1."""
    return float(-10 * np.log10(np.mean(errors) / 4))


def _share(right: list[bool]) -> float:
    return sum(right) / max(1, len(right))
