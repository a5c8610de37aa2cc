"""Training never shows what is held out, and still shows everything it is made of."""

from collections import Counter

import pytest

from sdlearn import world
from sdlearn.world.facts import OPPOSITE, USUAL_COLOUR


@pytest.fixture(scope="module")
def training():
    return [world.sample(seed) for seed in range(20_000)]


def test_no_training_scene_holds_a_heldout_combination(training):
    for scene in training:
        for s in scene.subjects:
            assert (s.colour, s.kind) not in world.HELDOUT_COLOURS
            assert (s.accessory, s.kind) not in world.HELDOUT_ACCESSORIES
        if len(scene.subjects) == 2:
            first, second = scene.subjects
            triple = (first.kind, scene.relation, second.kind)
            assert triple not in world.HELDOUT_RELATIONS
            mirrored = (second.kind, OPPOSITE[scene.relation], first.kind)
            assert mirrored not in world.HELDOUT_RELATIONS


def test_training_still_shows_everything(training):
    seen = Counter()
    for scene in training:
        seen.update((k.split()[-1], v) for k, v in scene.facts().items())
    subjects = sum(len(s.subjects) for s in training)
    for kind in world.KINDS:
        assert seen["kind", kind] > 0.7 * subjects / len(world.KINDS)
    for colour in world.COLOURS:
        assert seen["colour", colour] > 0.7 * subjects / len(world.COLOURS)
    pairs = sum(len(s.subjects) == 2 for s in training)
    assert 0.42 < pairs / len(training) < 0.58
    assert 0.33 < 1 - seen["accessory", None] / subjects < 0.45
    for relation in world.RELATIONS:
        assert seen["relation", relation] > 0.8 * pairs / 4
    for accessory in world.ACCESSORIES:
        assert seen["accessory", accessory] > 0.07 * subjects
    both = Counter((s.place, s.style) for s in training)
    assert len(both) == 20 and min(both.values()) > 0.8 * len(training) / 20


def test_a_tenth_of_the_combinations_is_held_out():
    assert 0.08 <= len(world.HELDOUT_COLOURS) / (16 * 10) <= 0.10
    assert 0.05 <= len(world.HELDOUT_RELATIONS) / (16 * 16 * 4) <= 0.10
    assert len(world.HELDOUT_ACCESSORIES) == 8
    assert {kind for _, kind in world.HELDOUT_COLOURS} == set(world.KINDS)
    assert {colour for colour, _ in world.HELDOUT_COLOURS} == set(world.COLOURS)


def test_no_usual_colour_is_held_out():
    assert not {(c, k) for k, c in USUAL_COLOUR.items()} & world.HELDOUT_COLOURS


def test_splits_and_their_reasons():
    for seed in range(300):
        held = world.sample(seed, split="heldout")
        assert world.is_heldout(held) and world.heldout_reasons(held)
        assert held == world.sample(seed, heldout=True)
        assert world.sample(seed, heldout=False) == world.sample(seed, split="train")
        assert not world.is_heldout(world.sample(seed))


def test_sampling_is_fixed_for_ever():
    """Other people's weights were trained on these scenes: a change here must be on purpose."""
    assert [world.sample(seed).caption() for seed in (0, 3, 2024)] == [
        "a small red mug right of a small pink car wearing a crown, at night, pixel art",
        "a big purple robot wearing glasses, on the grass, line drawing",
        "a big brown owl wearing a hat right of a big yellow tree, in the sky, flat illustration",
    ]
