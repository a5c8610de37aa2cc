"""CLIP: two encoders that meet. A caption and its picture get near vectors, others don't.

Beside the other captions of the batch each picture meets a caption of its own made false: two
colours swapped, a relation turned round, a hat for a crown. Without those the encoder learns
which words occur, and not whose they are. That isn't enough: three later stages teach one half
each, with the other as it is (`WordsStage`, `SidesStage`, `SightStage`).
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from sdlearn import world
from sdlearn.training import export
from sdlearn.training.falsehoods import falsehoods, falsified, turned_round
from sdlearn.training.loop import Batch, Stage
from sdlearn.training.pictures import Pictures, order
from sdlearn.training.plans import Recipe

KEPT = 0.5
"""What it costs to move the words from where the U-Nets know them, in shares of their variance."""

MAX_LOG_SCALE = 4.6  # about log 100, where CLIP (2103.00020, section 2.5) caps it


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


class Meeting(nn.Module):
    """Pictures and captions as vectors of length 1 in the space where they meet."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, pictures: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures [count, width], captions [count of `tokens`, width], and the logits' scale."""
        read = self.clip.text_projection(self.clip.text_model(tokens).pooler_output)
        return _seen(self.clip, pictures), _direction(read), _scale(self.clip)


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
        true, false = (_of_all(half) for half in read.chunk(2))
        tokens = torch.cat([_of_all(half) for half in tokens.chunk(2)])
        loss, found = _meet(scale * _of_all(seen), true, false, tokens)
        return loss, {"found": found}

    def load(self, exported: Path) -> None:
        """Begin with both halves of an exported CLIP."""
        there, _ = export.load_clip(exported, exported.parent / self.recipe.clip_name)
        self.clip.load_state_dict(there.state_dict())

    def _tokens(self, told: list[str], count: int) -> Tensor:
        """The captions of `count` pictures, as many for each, shape [count, captions, length]."""
        tokens = self.tokenizer(told, padding=True, truncation=True, return_tensors="pt").input_ids
        return tokens.unflatten(0, (count, -1))


class Reading(nn.Module):
    """Captions alone, as vectors of length 1 in the space where they meet pictures."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Captions [count of `tokens`, width], and the logits' scale."""
        read = self.clip.text_projection(self.clip.text_model(tokens).pooler_output)
        return _direction(read), _scale(self.clip)


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
                vectors.append(_seen(clip, shown).cpu())
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
        said, otherwise, *false = (_of_all(part) for part in read.chunk(ways))
        texts = [_of_all(part) for part in tokens.chunk(ways)]
        seen, false = _of_all(batch["seen"]), torch.cat(false)
        by_sight, found = _meet(scale * seen, said, false, torch.cat([texts[0], *texts[2:]]))
        by_sense, same = _meet(scale * said, otherwise, false, torch.cat(texts[1:]))
        return (by_sight + by_sense) / 2, {"found": found, "same": same}


class Words(Reading):
    """Captions twice: by their last token, as CLIP is asked, and by all their words together."""

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Both, one after the other, shape [2, captions, width], and the logits' scale."""
        read = self.clip.text_model(tokens)
        ends = (tokens == self.clip.config.text_config.eos_token_id).cumsum(1) > 0
        inner = (~ends).to(read.last_hidden_state)
        inner[:, 0] = 0  # the start knows nothing of the caption
        words = (read.last_hidden_state * inner[..., None]).sum(1) / inner.sum(1, keepdim=True)
        both = self.clip.text_projection(torch.stack([read.pooler_output, words]))
        return _direction(both), _scale(self.clip)


class WordsStage(TextStage):
    """Teaches a CLIP's text half once more, so that its words are worth being read one by one.

    CLIP is asked for its last token alone: what its last layer makes of the others is nobody's
    business. SD 1.x hands just that to the U-Net. So here all the words together must find the
    picture and the other wording too, as the last token must.
    """

    name = "text"

    def __init__(
        self, recipe: Recipe, pictures: Pictures, tokenizer: CLIPTokenizer, clip: CLIPModel
    ) -> None:
        super().__init__(recipe, pictures, tokenizer, clip)
        self.clip.load_state_dict(clip.state_dict())
        self.model = Words(self.clip)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """What the last token loses, and what the words lose, half and half."""
        both, scale = model(batch["tokens"].transpose(0, 1).flatten(0, 1))
        last, figures = self._found(both[0], scale, batch)
        words, others = self._found(both[1], scale, batch)
        return (last + words) / 2, figures | {f"{n}_by_words": f for n, f in others.items()}


class States(Reading):
    """Captions as vectors, and what the last two layers say of each token."""

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Captions, the logits' scale, and the states, shape [2, captions, tokens, width]."""
        read = self.clip.text_model(tokens, output_hidden_states=True)
        vectors = self.clip.text_projection(read.pooler_output)
        states = torch.stack([read.hidden_states[-2], read.last_hidden_state])
        return _direction(vectors), _scale(self.clip), states.float()


class SidesStage(TextStage):
    """Teaches a CLIP's text half that a cat left of a dog is a dog right of a cat.

    As long as two wordings of a scene name its things in the same order, "left" and "right" can
    be read as two words like others, and whose they are need not be known. Here each wording may
    be told from either side, and the false ones too. What the layers that U-Nets read (the last,
    and for SDXL the one before it) say of each token may move only a little: a U-Net that learnt
    on them gets along with it, and soon learns the rest.
    """

    name = "sides"

    def __init__(
        self, recipe: Recipe, pictures: Pictures, tokenizer: CLIPTokenizer, clip: CLIPModel
    ) -> None:
        super().__init__(recipe, pictures, tokenizer, clip)
        self.seed = recipe.seed + 6
        self.clip.load_state_dict(clip.state_dict())
        self.model = States(self.clip)
        self.before = States(copy.deepcopy(self.clip)).requires_grad_(False)

    def batch(self, step: int, generator: torch.Generator) -> Batch:
        """What was seen of each picture, its caption, the same said otherwise, and two false."""
        count = self.plan.batch
        indices = order(len(self.pictures), count, step, self.seed)
        variants = torch.randint(2**31 - 1, (count, 3), generator=generator).tolist()
        round_ = torch.randint(2, (count, 2), generator=generator).bool().tolist()
        told = []
        for index, (said, otherwise, changed), (turned, again) in zip(
            indices.tolist(), variants, round_, strict=True
        ):
            scene = world.sample(seed=index)
            scenes = [scene, *falsehoods(scene, changed, 2)]
            scene, *false = map(turned_round, scenes) if turned else scenes
            other = turned_round(scene) if again else scene
            told += [scene.caption(said), other.caption(otherwise)]
            told += [one.caption(said) for one in false]
        return {"seen": self.seen[indices], "tokens": self._tokens(told, count)}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """As before, and what the true captions' words have moved by."""
        tokens = batch["tokens"].transpose(0, 1).flatten(0, 1)
        read, scale, states = model(tokens)
        loss, figures = self._found(read, scale, batch)
        own = batch["tokens"][:, 0]
        with torch.no_grad():
            known = self.before.to(own.device)(own)[2]
        moved = ((states[:, : len(own)] - known) ** 2).mean((1, 2, 3)) / known.var((1, 2, 3))
        return loss + KEPT * moved.mean(), figures | {"moved": moved.mean()}


class Seeing(nn.Module):
    """Pictures alone, as vectors of length 1 in the space where they meet captions."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [count, width]."""
        return _seen(self.clip, pictures)


class SightStage(CLIPStage):
    """Teaches a CLIP's picture half once more, to see whose a colour is and what stands where.

    Where both halves learn, the reading half soon tells "a red cat left of a blue dog" from "a
    blue cat left of a red dog", and the seeing half does not: other words of the batch give most
    pictures away. Here captions are read as they are read by now, so that nothing that was built
    on their reading moves, and each picture meets its own caption falsified in several ways.
    """

    name = "sight"

    def __init__(
        self, recipe: Recipe, pictures: Pictures, tokenizer: CLIPTokenizer, clip: CLIPModel
    ) -> None:
        super().__init__(recipe, pictures, tokenizer)
        self.seed = recipe.seed + 5
        self.clip.load_state_dict(clip.state_dict())
        self.clip.requires_grad_(False)
        for part in (self.clip.vision_model, self.clip.visual_projection):
            part.requires_grad_(True)
        self.model, self.reading = Seeing(self.clip), Reading(self.clip)

    def batch(self, step: int, generator: torch.Generator) -> Batch:
        """Pictures, and for each its caption and the same in so many ways false."""
        count = self.plan.batch
        indices = order(len(self.pictures), count, step, self.seed)
        variants = torch.randint(2**31 - 1, (count, 2), generator=generator).tolist()
        told = []
        for index, (said, changed) in zip(indices.tolist(), variants, strict=True):
            scene = world.sample(seed=index)
            told += [one.caption(said) for one in (scene, *falsehoods(scene, changed))]
        return {"pictures": self.pictures.batch(indices), "tokens": self._tokens(told, count)}

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Pictures must find their caption among all, and among what it was made false to."""
        count, ways = batch["tokens"].shape[:2]
        tokens = batch["tokens"].transpose(0, 1).flatten(0, 1)  # the true ones, then the false
        seen = model(batch["pictures"])
        with torch.no_grad():
            read, scale = self.reading(tokens)
        own = (seen[:, None] * read.unflatten(0, (ways, count)).transpose(0, 1)).sum(-1)
        true, *false = (_of_all(part) for part in read.chunk(ways))
        tokens = torch.cat([_of_all(part) for part in tokens.chunk(ways)])
        loss, found = _meet(scale * _of_all(seen), true, torch.cat(false), tokens)
        return loss, {"found": found, "own": (own.argmax(1) == 0).float().mean()}


def _seen(clip: CLIPModel, pictures: Tensor) -> Tensor:
    """Pictures as vectors of length 1 where they meet captions."""
    return _direction(clip.visual_projection(clip.vision_model(pictures).pooler_output))


def _direction(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.float(), dim=-1)


def _scale(clip: CLIPModel) -> Tensor:
    """What cosines are multiplied by before they compete."""
    return clip.logit_scale.clamp(max=MAX_LOG_SCALE).exp()


def _meet(scaled: Tensor, right: Tensor, false: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
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


def _of_all(tensor: Tensor) -> Tensor:
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
