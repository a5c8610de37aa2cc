"""Scenes made false on purpose: what CLIP must learn to tell from what a picture shows."""

from __future__ import annotations

import dataclasses

import numpy as np

from sdlearn import world
from sdlearn.world.facts import OPPOSITE


def falsehoods(scene: world.Scene, seed: int, count: int = 3) -> list[world.Scene]:
    """The scene made false in several ways: first those that change no word but its place.

    Args:
        scene: The scene.
        seed: Draws what else is changed.
        count: How many.
    """
    made = []
    if len(scene.subjects) == 2:
        for change in ("swap colours", "relation"):
            false = changed(scene, change, 0)
            if not _same_picture(false, scene):
                made.append(false)
    return [*made, *(falsified(scene, seed + number) for number in range(count - len(made)))]


def falsified(scene: world.Scene, seed: int) -> world.Scene:
    """The scene with one fact changed: the one that is easily overlooked, if there is one."""
    rng = np.random.Generator(np.random.PCG64([seed, 31]))
    changes = ["colour", "kind", "accessory", "place", "style"]
    if len(scene.subjects) == 2:
        changes = ["relation", "relation"] + ["swap colours", "swap accessories"] * 2 + changes
    while True:  # some changes change nothing (two cats of one colour): draw again
        change, which = changes[rng.integers(len(changes))], int(rng.integers(len(scene.subjects)))
        false = changed(scene, change, which, rng)
        if not _same_picture(false, scene):
            return false


def changed(
    scene: world.Scene, change: str, which: int, rng: np.random.Generator | None = None
) -> world.Scene:
    """The scene with one change; it may be none, as when two cats of one colour swap theirs.

    Args:
        scene: The scene.
        change: ``relation``, ``swap colours``, ``swap accessories``, or a fact's role.
        which: Whose fact, for facts of one subject.
        rng: Draws the new value; not needed for a swap or a relation.
    """
    if change == "relation":
        return scene.replace(relation=OPPOSITE[scene.relation])
    if change in ("place", "style"):
        choices = world.PLACES if change == "place" else world.STYLES
        return scene.replace(**{change: choices[rng.integers(len(choices))]})
    if change.startswith("swap"):
        name = {"swap colours": "colour", "swap accessories": "accessory"}[change]
        first, second = scene.subjects
        new = [
            dataclasses.replace(first, **{name: getattr(second, name)}),
            dataclasses.replace(second, **{name: getattr(first, name)}),
        ]
    else:
        choices = {
            "colour": world.COLOURS,
            "kind": world.KINDS,
            "accessory": (*world.ACCESSORIES, None),
        }[change]
        new = list(scene.subjects)
        new[which] = dataclasses.replace(
            new[which], **{change: choices[rng.integers(len(choices))]}
        )
    return scene.replace(subjects=tuple(new))


def turned_round(scene: world.Scene) -> world.Scene:
    """The same picture, told from its other subject: a cat above a dog, a dog below a cat."""
    if len(scene.subjects) == 1:
        return scene
    return scene.replace(subjects=scene.subjects[::-1], relation=OPPOSITE[scene.relation])


def _same_picture(one: world.Scene, other: world.Scene) -> bool:
    """Whether two scenes say the same, from whichever thing they are told."""
    return one.same_facts(other) or one.same_facts(turned_round(other))
