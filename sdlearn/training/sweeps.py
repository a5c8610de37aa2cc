"""How a model's pictures change with the sampler's settings: right more often, or more alike.

Guidance trades variety for fidelity; steps buy fidelity up to a point. Both are measured here,
the first by PocketEval, the second by how far apart sixteen pictures of one prompt are. Who then
takes the best setting has chosen: so the prompts are PocketEval's for rehearsals, not the card's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from sdlearn import models, world
from sdlearn.stages.devices import choose_device
from sdlearn.stages.pipeline import Model
from sdlearn.training import conditioning, sharing
from sdlearn.training.pocketeval import CATEGORIES, REHEARSAL, Category, Draw, evaluate
from sdlearn.world.render import LARGEST

STEPS = (5, 10, 25, 50)
GUIDANCE = (0.0, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0)
VARIETY_PROMPTS = (
    "a big red cat, on the grass, flat",
    "a small blue boat, in the snow, line drawing",
    "a big yellow owl wearing a hat, at night, pixel art",
    "a big green car left of a big yellow house, on the sand, flat",
)


@dataclass(frozen=True)
class Variety:
    """How much sixteen pictures of one prompt differ.

    Attributes:
        prompt: The prompt.
        model: Mean distance of two pictures of the model's.
        renders: Mean distance of two fresh drawings of the same scene.
    """

    prompt: str
    model: float
    renders: float

    @property
    def share(self) -> float:
        """The model's variety as a part of the world's own."""
        return self.model / self.renders


@dataclass(frozen=True)
class Setting:
    """What a setting of the sampler gives.

    Attributes:
        value: Steps, or guidance scale.
        score: PocketEval's mean over its categories.
        heldout: The same over held-out prompts.
        variety: The model's variety as a part of the world's own.
        clipped: Share of numbers that are fully black or white: burnt pictures have many.
    """

    value: float
    score: float
    heldout: float
    variety: float
    clipped: float


def variety(draw: Draw, prompt: str, count: int = 16) -> Variety:
    """The mean distance of two of `count` pictures of a prompt, the model's and the world's.

    Args:
        draw: Draws pictures.
        prompt: A caption that names everything, so that nothing but the drawing can vary.
        count: How many pictures.
    """
    scene = world.parse(prompt)
    drawn = draw([prompt] * count, list(range(count)))
    side = drawn[0].width
    fresh = [scene.replace(seed=seed).render(side) for seed in range(count)]
    return Variety(prompt, _mean_distance(drawn), _mean_distance(fresh))


def sweep(
    draws: Mapping[float, Draw],
    count: int = 20,
    categories: Sequence[Category] = CATEGORIES,
    *,
    progress: Callable[[int], object] = lambda pictures: None,
) -> list[Setting]:
    """Score and variety for each setting.

    Args:
        draws: For each value of the setting what draws with it.
        count: Prompts for each category.
        categories: Which questions.
        progress: Told how many pictures have been drawn, each time some have.
    """
    rows = []
    for value, draw in draws.items():
        burnt: list[float] = []
        watched = _watched(draw, burnt)
        mean = evaluate(watched, count, categories, first=REHEARSAL, progress=progress).mean
        shares = [variety(draw, prompt).share for prompt in VARIETY_PROMPTS]
        rows.append(
            Setting(value, mean.score, mean.heldout, float(np.mean(shares)), float(np.mean(burnt)))
        )
    return rows


def model_draws(
    model: Model, refiner: Model | None = None, *, steps: int = 25, guidance_scale: float = 5.0
) -> Callable[..., Draw]:
    """Return what makes a `Draw` of a model with other steps or guidance.

    Args:
        model: What draws.
        refiner: What does the last steps, if there is one.
        steps: DDIM steps, unless told otherwise.
        guidance_scale: Guidance, unless told otherwise.
    """

    def with_settings(steps: int = steps, guidance_scale: float = guidance_scale) -> Draw:
        return conditioning.draws(model, refiner, steps=steps, guidance_scale=guidance_scale)

    return with_settings


def redrawn(model: Model) -> Draw | None:
    """Draws what prompts say by Pocket World's own rules, and has the autoencoder redraw that.

    Args:
        model: Whose autoencoder.

    Returns:
        What draws; None where the model's pictures are larger than Pocket World's can be.
    """
    if max(model.size) > LARGEST:
        return None

    def draw(texts: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
        scenes = [world.parse(t).replace(seed=s) for t, s in zip(texts, seeds, strict=True)]
        latents = model.to_latent([scene.render(model.size[0]) for scene in scenes]).mean
        return model.draw(latents)

    return sharing.shared(draw)


def loaded(folder: Path) -> tuple[Model, Model | None]:
    """A model from its diffusers folder; a refiner behind its base model.

    A refiner draws nothing by itself: it gets what its base model, beside it, hands over.

    Args:
        folder: The model's folder.
    """
    if not (Path(folder) / "model_index.json").is_file():
        raise FileNotFoundError(
            f"{folder} is no diffusers folder: it has no model_index.json. Name a model's folder, "
            "or put one together with: sdlearn train MODEL --export DIR"
        )
    place = choose_device()  # hundreds of pictures: here a pocket model takes the best that is here
    model = models.load(folder, device=place)
    if model.family.name != "sdxl-refiner":
        return model, None
    base = Path(folder).parent / Path(folder).name.removesuffix("-refiner")
    if not (base / "model_index.json").is_file() or base == Path(folder):
        raise FileNotFoundError(
            f"{folder} is a refiner, and refines what a base model began: {base} is not there. "
            "Name it as its base model and -refiner, and put both side by side."
        )
    return models.load(base, device=place), model


def _watched(draw: Draw, burnt: list[float]) -> Draw:
    """The same, noting of each picture how much of it is burnt."""

    def watched(texts: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
        pictures = draw(texts, seeds)
        burnt.extend(_clipped(picture) for picture in pictures)
        return pictures

    return watched


def _mean_distance(pictures: Sequence[Image.Image]) -> float:
    """Root of the mean squared difference, from 0 to 1, over all pairs."""
    values = [np.asarray(picture, dtype=np.float32) / 255 for picture in pictures]
    distances = [float(((a - b) ** 2).mean() ** 0.5) for a, b in combinations(values, 2)]
    return sum(distances) / len(distances)


def _clipped(picture: Image.Image) -> float:
    values = np.asarray(picture)
    return float(((values == 0) | (values == 255)).mean())
