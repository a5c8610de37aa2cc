"""CLIP: two encoders that meet. A caption and its picture get near vectors, others don't.

Beside the other captions of the batch each picture meets a caption of its own made false: two
colours swapped, a relation turned round, a hat for a crown. Without those the encoder learns
which words occur, and not whose they are. That isn't enough: three later stages teach one half
each, with the other as it is (see `halves`).
"""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from sdlearn import world
from sdlearn.training import export
from sdlearn.training.falsehoods import falsified
from sdlearn.training.loop import Batch, Stage
from sdlearn.training.meeting import Meeting, Reading, meet, of_all, seen_by
from sdlearn.training.pictures import Pictures, order
from sdlearn.training.plans import Recipe


def build_clip(recipe: Recipe, tokenizer: CLIPTokenizer) -> CLIPModel:
    """The pair of encoders, untrained."""
    torch.manual_seed(recipe.seed + 1)
    special = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    text = {**recipe.text, "vocab_size": len(tokenizer), **special}
    shared = {"projection_dim": recipe.projection}
    return CLIPModel(
        CLIPConfig(text_config=text | shared, vision_config=recipe.vision | shared, **shared)
    )


class CLIPStage(Stage):
    """Teaches the two encoders to meet."""

    name = "clip"

    def __init__(self, recipe: Recipe, pictures: Pictures, tokenizer: CLIPTokenizer) -> None:
        self.recipe, self.pictures, self.tokenizer = recipe, pictures, tokenizer
        self.plan, self.seed = recipe.plans[self.name], recipe.seed
        self.clip = build_clip(recipe, tokenizer)
        self.model = Meeting(self.clip)

    def batch(self, step: int, generator: torch.Generator) -> Batch:
        """Pictures, their captions, and a false caption for each."""
        count = self.plan.batch
        indices = order(len(self.pictures), count, step, self.seed + 1)
        variants = torch.randint(2**31 - 1, (count, 2), generator=generator).tolist()
        told = []
        for index, (said, changed) in zip(indices.tolist(), variants, strict=True):
            scene = world.sample(seed=index)
            told += [scene.caption(said), falsified(scene, changed).caption(said)]
        return {"pictures": self.pictures.batch(indices), "tokens": self._tokens(told, count)}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Pictures must find their caption, and captions their picture."""
        tokens = batch["tokens"].transpose(0, 1).flatten(0, 1)  # the true ones, then the false
        seen, read, scale = model(batch["pictures"], tokens)
        true, false = (of_all(half) for half in read.chunk(2))
        tokens = torch.cat([of_all(half) for half in tokens.chunk(2)])
        loss, found = meet(scale * of_all(seen), true, false, tokens)
        return loss, {"found": found}

    def load(self, exported: Path) -> None:
        """Begin with both halves of an exported CLIP."""
        there, _ = export.load_clip(exported, exported.parent / self.recipe.clip_name)
        self.clip.load_state_dict(there.state_dict())

    def _tokens(self, told: list[str], count: int) -> Tensor:
        """The captions of `count` pictures, as many for each, shape [count, captions, length]."""
        tokens = self.tokenizer(told, padding=True, truncation=True, return_tensors="pt").input_ids
        return tokens.unflatten(0, (count, -1))


class TextStage(CLIPStage):
    """Teaches a text encoder to meet pictures as another CLIP sees them.

    Locked-image tuning (2111.07991): the half that sees pictures is taken as it is, so each
    picture needs to be looked at only once. What is saved goes into reading: a caption must also
    find another wording of itself, and not its own made false.
    """

    def __init__(
        self, recipe: Recipe, pictures: Pictures, tokenizer: CLIPTokenizer, other: CLIPModel
    ) -> None:
        super().__init__(recipe, pictures, tokenizer)
        self.clip.vision_model.load_state_dict(other.vision_model.state_dict())
        self.clip.visual_projection.load_state_dict(other.visual_projection.state_dict())
        for part in (self.clip.vision_model, self.clip.visual_projection):
            part.requires_grad_(False)
        self.model = Reading(self.clip)
        self.seen: Tensor | None = None

    @torch.no_grad()
    def look(self, accelerator: Accelerator, batch: int = 100) -> Tensor:
        """What the other half makes of every picture, shape [pictures, width]; kept in `seen`."""
        clip, vectors = self.clip.to(accelerator.device), []
        for begin in tqdm(range(0, len(self.pictures), batch), desc="looking", mininterval=2):
            indices = torch.arange(begin, min(begin + batch, len(self.pictures)))
            shown = self.pictures.batch(indices).to(accelerator.device)
            with accelerator.autocast():
                vectors.append(seen_by(clip, shown).cpu())
        return torch.cat(vectors)

    def batch(self, step: int, generator: torch.Generator) -> Batch:
        """What was seen of each picture, its caption, the same said otherwise, and a false one."""
        count = self.plan.batch
        indices = order(len(self.pictures), count, step, self.seed + 1)
        variants = torch.randint(2**31 - 1, (count, 3), generator=generator).tolist()
        told = []
        for index, (said, otherwise, changed) in zip(indices.tolist(), variants, strict=True):
            scene = world.sample(seed=index)
            false = falsified(scene, changed).caption(said)
            told += [scene.caption(said), scene.caption(otherwise), false]
        return {"seen": self.seen[indices], "tokens": self._tokens(told, count)}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Pictures and captions must find each other, and two wordings of one scene too."""
        read, scale = model(batch["tokens"].transpose(0, 1).flatten(0, 1))
        return self._found(read, scale, batch)

    def _found(self, read: Tensor, scale: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one vector for each caption; `read` holds the true, the other, the false."""
        ways = batch["tokens"].shape[1]
        tokens = batch["tokens"].transpose(0, 1).flatten(0, 1)
        said, otherwise, *false = (of_all(part) for part in read.chunk(ways))
        texts = [of_all(part) for part in tokens.chunk(ways)]
        seen, false = of_all(batch["seen"]), torch.cat(false)
        by_sight, found = meet(scale * seen, said, false, torch.cat([texts[0], *texts[2:]]))
        by_sense, same = meet(scale * said, otherwise, false, torch.cat(texts[1:]))
        return (by_sight + by_sense) / 2, {"found": found, "same": same}
