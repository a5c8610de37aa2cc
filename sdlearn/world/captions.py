"""A scene in words: one canonical sentence, and many natural ones."""

from __future__ import annotations

import numpy as np

from .facts import whole_number
from .scene import MAX_SEED, Scene, Subject

STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "flat": ("flat illustration", "flat"),
    "line drawing": ("line drawing", "ink drawing"),
    "pixel art": ("pixel art",),
    "neon": ("neon", "neon sign"),
}
# How a style opens a caption: "a line drawing of a red cat".
STYLE_OPENINGS: dict[str, tuple[str, ...]] = {
    "flat": ("a flat illustration of", "flat illustration of"),
    "line drawing": ("a line drawing of", "line drawing of", "an ink drawing of"),
    "pixel art": ("pixel art of",),
    "neon": ("a neon sign of", "a neon picture of"),
}
SIZE_WORDS = {"small": ("small", "small", "small", "little"), "big": ("big", "big", "big", "large")}
RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "above": ("above",),
    "below": ("below",),
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
}


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _wears(accessory: str) -> str:
    return accessory if accessory == "glasses" else _article(accessory)


def _noun(s: Subject, size: str = "", colour: str = "", wearing: str = "") -> str:
    words = _article(" ".join(w for w in (size, colour, s.kind) if w))
    return f"{words} {wearing} {_wears(s.accessory)}" if wearing and s.accessory else words


def canonical(scene: Scene) -> str:
    """The one caption that states every fact, always in the same order."""
    nouns = [_noun(s, s.size, s.colour, "wearing") for s in scene.subjects]
    return f"{f' {scene.relation} '.join(nouns)}, {scene.place}, {STYLE_WORDS[scene.style][0]}"


def caption(scene: Scene, seed: int | None = None) -> str:
    """Returns a caption of the scene (see ``Scene.caption``).

    A caption never says what is wrong, but some leave something unsaid: the size in 30% of the
    subjects, the place in 15% of the captions, a colour or an accessory in 5%. A style other than
    flat, and the relation of two subjects, are always said.
    """
    if seed is None:
        return canonical(scene)
    seed = whole_number("seed", seed, 0, MAX_SEED)
    u = iter(np.random.Generator(np.random.PCG64([seed, 13])).random(16).tolist())

    def pick(options: tuple[str, ...]) -> str:
        return options[int(next(u) * len(options))]

    nouns = []
    for s in scene.subjects:
        size = pick(SIZE_WORDS[s.size]) if next(u) > 0.3 else ""
        colour = s.colour if next(u) > 0.05 else ""
        wearing = pick(("wearing", "wearing", "with")) if next(u) > 0.05 else ""
        nouns.append(_noun(s, size, colour, wearing))
    what = nouns[0]
    if len(nouns) == 2:
        what = f"{nouns[0]} {pick(RELATION_WORDS[str(scene.relation)])} {nouns[1]}"
    place = scene.place if next(u) > 0.15 else ""
    style_said = scene.style != "flat" or next(u) < 0.3
    order = next(u)
    if style_said and order < 0.4:
        opening = pick(STYLE_OPENINGS[scene.style])
        return " ".join(w for w in (opening, what, place) if w)
    style = pick(STYLE_WORDS[scene.style]) if style_said else ""
    if place and order > 0.85:
        return ", ".join(w for w in (place, what, style) if w)
    if place and order > 0.65:
        return ", ".join(w for w in (f"{what} {place}", style) if w)
    return ", ".join(w for w in (what, place, style) if w)
