"""CLIP's halves, each taught once more while the other stays as it is.

The pair learns which words occur, and whose they are far less. Three stages: the reader's words
are made worth being read one by one, it is told scenes from either side, and what sees pictures
meets their own captions falsified.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer

from sdlearn import world
from sdlearn.training.clip import CLIPStage, TextStage
from sdlearn.training.falsehoods import falsehoods, turned_round
from sdlearn.training.loop import Batch
from sdlearn.training.meeting import Reading, Seeing, direction, meet, of_all, scale_of
from sdlearn.training.pictures import Pictures, order
from sdlearn.training.plans import Recipe

KEPT = 0.5
"""What it costs to move the words from where the U-Nets know them, in shares of their variance."""


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
        return direction(both), scale_of(self.clip)


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
        return direction(vectors), scale_of(self.clip), states.float()


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
        true, *false = (of_all(part) for part in read.chunk(ways))
        tokens = torch.cat([of_all(part) for part in tokens.chunk(ways)])
        loss, found = meet(scale * of_all(seen), true, torch.cat(false), tokens)
        return loss, {"found": found, "own": (own.argmax(1) == 0).float().mean()}
