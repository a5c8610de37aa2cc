"""Captions say the truth, and can be read back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world_scenes import scenes

from sdlearn import world
from sdlearn.world import Scene, Subject, parse


@given(scenes())
@settings(max_examples=200)
def test_the_canonical_caption_gives_the_whole_scene_back(scene):
    again = parse(scene.caption())
    assert again.same_facts(scene)
    unsaid = {f"{i} accessory" for i, s in enumerate(scene.subjects, 1) if s.accessory is None}
    assert again.stated == set(scene.fact_names()) - unsaid


@given(scenes(), st.integers(0, 2**40))
@settings(max_examples=400)
def test_every_wording_states_nothing_but_the_truth(scene, seed):
    words = scene.caption(seed)
    again = parse(words)
    truth, read = scene.facts(), again.facts()
    assert len(again.subjects) == len(scene.subjects)
    assert {k: read[k] for k in again.stated} == {k: truth[k] for k in again.stated}
    # What must always be said: kinds, the relation of two, and any style other than flat.
    assert {f"{i} kind" for i in range(1, len(scene.subjects) + 1)} <= again.stated
    assert "relation" in again.stated or len(scene.subjects) == 1
    assert "style" in again.stated or scene.style == "flat"


@given(scenes(), st.integers(0, 2**40))
@settings(max_examples=100)
def test_words_are_plain(scene, seed):
    words = scene.caption(seed)
    assert words == words.lower()
    assert "  " not in words and not words.startswith(",")
    assert set(words.replace(",", "").split()) <= set(world.vocabulary())
    for vowel_word in ("orange", "owl"):
        assert f" a {vowel_word}" not in f" {words}"


@given(scenes(), st.integers(0, 1000))
@settings(max_examples=50)
def test_parsing_forgives_capitals_commas_and_articles(scene, seed):
    words = scene.caption(seed)
    bare = " ".join(w for w in words.replace(",", "").split() if w not in ("a", "an"))
    assert parse(words.upper()).facts() == parse(bare).facts() == parse(words).facts()


def test_wordings_vary_and_each_is_reproducible():
    scene = world.sample(seed=5, split="all")
    wordings = {scene.caption(seed) for seed in range(200)}
    assert len(wordings) > 30
    assert scene.caption(7) == scene.caption(7)


def test_unsaid_facts_get_the_documented_defaults():
    scene = parse("a cat and a tree")
    assert scene.facts() == Scene((Subject("cat", "orange"), Subject("tree", "green")), "left of",
                                  "on the grass", "flat").facts()  # fmt: skip
    assert scene.stated == {"1 kind", "2 kind"}


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("A Red Cat.", {"1 kind": "cat", "1 colour": "red"}),
        ("neon dog at night", {"1 kind": "dog", "style": "neon", "place": "at night"}),
        ("a tiny blue bird over a large house", {"1 size": "small", "relation": "above"}),
        ("a fish on the left of a mug", {"relation": "left of"}),
        ("a picture of an owl with glasses in the snow", {"1 accessory": "glasses"}),
        ("a cat wearing the hat under a star on the beach", {"place": "on the sand"}),
        ("a dog at the beach", {"place": "on the sand"}),
        ("a bird on top of a house in the grass", {"relation": "above", "place": "on the grass"}),
        ("'a pixel-art cat' - at night", {"style": "pixel art", "place": "at night"}),
        ("a red cat—in the snow", {"1 colour": "red", "place": "in the snow"}),
    ],
)
def test_people_may_write_as_they_like(words, facts):
    scene = parse(words)
    assert set(facts) <= scene.stated
    assert facts.items() <= scene.facts().items()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "empty"),
        (" , . ", "empty"),
        ("a red cta", "'cta'.*Did you mean 'cat'"),
        ("two cats", "unknown word 'two'. Say each of them: 'a cat and a cat'"),
        ("a cat without a hat", "'without'. Leave out what should not be there"),
        ("a cat next to a dog", "'next'. Relations are above, below, left of, right of"),
        ("a grey cat", "'grey'. Colours are red, orange"),
        ("a sketch of a cat", "'sketch'. Styles are flat, line drawing"),
        ("cats", "unknown word 'cats'. Did you mean 'cat'?"),
        ("the cat is red", "stands before it. Write 'red cat'"),
        ("a cat left of a dog, big", "stands before it. Write 'big dog'"),
        ("a cat blue dog", "what joins 'blue' to the cat"),
        ("a cat in a hat", "write 'wearing a hat'"),
        ("a cat, glasses", "write 'wearing glasses'"),
        ("a cat wearing a red hat", "so it can't be red. Write 'wearing a hat'"),
        ("a turquoise cat", "unknown word 'turquoise'"),
        ("on the grass", "no subject"),
        ("a red cat left of", "no subject after 'left of'"),
        ("left of a cat", "needs a subject before it"),
        ("a cat left of a dog above a fish", "two relations"),
        ("a cat left of right of a dog", "needs a subject before it"),
        ("a cat and a dog and a fish", "3 subjects"),
        ("a red blue cat", "more than one colour"),
        ("a big small cat", "more than one size"),
        ("a cat wearing a crown and a scarf", "more than one accessory"),
        ("a cat wearing a dog", "needs crown, hat"),
        ("a cat wearing", "'wearing' what"),
        ("wearing a crown", "Name the subject first"),
        ("a cat crown", "write 'wearing a crown'"),
        ("a cat dog", "what joins 'dog' to the cat"),
        ("a cat at night on the grass", "more than one place"),
        ("neon pixel art of a cat", "more than one style"),
        ("a cat on the", "unknown|means nothing|'on'"),
        ("red cat " * 250, "500 words"),
    ],
)
def test_a_caption_that_cannot_be_read_is_explained(words, says):
    with pytest.raises(ValueError, match=says) as error:
        parse(words)
    assert "caption" in str(error.value)
