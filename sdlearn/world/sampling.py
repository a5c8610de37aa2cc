"""Drawing scenes at random, reproducibly: the same seed is the same scene on every machine."""

from __future__ import annotations

import numpy as np

from .facts import ACCESSORIES, COLOURS, KINDS, PLACES, RELATIONS, SIZES, STYLES, whole_number
from .heldout import is_heldout
from .scene import MAX_SEED, Scene, Subject

SPLITS = ("all", "train", "heldout")


def sample(seed: int, split: str = "train", *, heldout: bool | None = None) -> Scene:
    """Draws a scene.

    Half the scenes have one subject, half have two; 40% of the subjects wear something; places,
    styles, kinds, colours, sizes and relations are uniform. So it is with ``"all"``. What has
    much to it has a held-out combination sooner: of ``"train"`` 44% have two subjects and 36%
    wear something, of ``"heldout"`` 70% and 48%.

    Args:
        seed: A whole number; the same number gives the same scene, for ever.
        split: ``"train"`` (no held-out combination), ``"heldout"`` (at least one), or ``"all"``.
        heldout: The same choice as a switch: False is ``"train"``, True is ``"heldout"``.
    """
    seed = whole_number("seed", seed, 0, MAX_SEED)
    if heldout is not None:
        if not isinstance(heldout, bool):
            raise TypeError(f"heldout must be True, False or None, not {heldout!r}.")
        split = "heldout" if heldout else "train"
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is not known. Use one of: {', '.join(SPLITS)}.")
    rng = np.random.Generator(np.random.PCG64([seed, SPLITS.index(split)]))
    while True:  # rejection keeps everything that is not held out uniform
        scene = _draw(rng)
        if split == "all" or is_heldout(scene) == (split == "heldout"):
            return scene


def _draw(rng: np.random.Generator) -> Scene:
    u = iter(rng.random(13).tolist())

    def pick(options: tuple[str, ...]) -> str:
        return options[int(next(u) * len(options))]

    def subject() -> Subject:
        kind, colour, size = pick(KINDS), pick(COLOURS), pick(SIZES)
        wears, which = next(u) < 0.4, pick(ACCESSORIES)
        return Subject(kind, colour, size, which if wears else None)

    place, style, relation, first = pick(PLACES), pick(STYLES), pick(RELATIONS), subject()
    seed = int(rng.integers(2**31))
    if seed % 2:
        return Scene((first,), place=place, style=style, seed=seed)
    return Scene((first, subject()), relation, place=place, style=style, seed=seed)
