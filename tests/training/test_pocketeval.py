"""PocketEval: it believes an oracle, catches a liar, and blames the right category."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from sdlearn import world
from sdlearn.training import pocketeval, sweeps

NAMES = [category.name for category in pocketeval.CATEGORIES]
COUNT = 16


def oracle(prompts, seeds):
    """Draws exactly what it is asked."""
    pairs = zip(prompts, seeds, strict=True)
    return [world.parse(prompt).replace(seed=seed).render() for prompt, seed in pairs]


def noise(prompts, seeds):
    shape = (128, 128, 3)
    return [
        Image.fromarray(np.random.Generator(np.random.PCG64(seed)).integers(0, 256, shape, "uint8"))
        for seed in seeds
    ]


def liar(change):
    """Draws what it is asked, with one fact wrong."""

    def draw(prompts, seeds):
        scenes = [world.parse(prompt) for prompt in prompts]
        return [change(s).replace(seed=k).render() for s, k in zip(scenes, seeds, strict=True)]

    return draw


def wrong_colour(scene):
    new = {c: world.COLOURS[(i + 4) % 10] for i, c in enumerate(world.COLOURS)}
    subjects = [dataclasses.replace(s, colour=new[s.colour]) for s in scene.subjects]
    return scene.replace(subjects=tuple(subjects))


def turned(scene):
    opposite = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
    return scene.replace(relation=opposite[scene.relation]) if scene.relation else scene


def test_an_oracle_is_right():
    result = pocketeval.evaluate(oracle, COUNT)
    assert [row.name for row in result.rows] == NAMES
    assert result.mean.score >= 0.97
    assert all(row.score >= 0.85 and row.count == COUNT for row in result.rows)


def test_noise_is_wrong():
    result = pocketeval.evaluate(noise, COUNT)
    for row in result.rows:
        # One of five, of four, and of sixteen kinds where noise passes for one thing: by chance.
        guessed = {"place": 0.6, "style": 0.8, "single object": 0.125}.get(row.name, 0.0)
        assert row.score <= guessed, row


@pytest.mark.parametrize(
    ("change", "fallen"),
    [
        (wrong_colour, {"colours", "attribute binding"}),
        (turned, {"position"}),
        (lambda s: s.replace(style="neon" if s.style != "neon" else "flat"), {"style"}),
        (
            lambda s: s.replace(place="at night" if s.place != "at night" else "on the sand"),
            {"place"},
        ),
    ],
)
def test_only_the_category_of_the_lie_falls(change, fallen):
    result = pocketeval.evaluate(liar(change), COUNT)
    for row in result.rows:
        if row.name in fallen:
            assert row.score <= 0.1, row
        else:
            assert row.score >= 0.8, row


def test_swapped_colours_are_caught_by_binding_alone():
    def swap(scene):
        if len(scene.subjects) == 1:
            return scene
        a, b = scene.subjects
        a, b = dataclasses.replace(a, colour=b.colour), dataclasses.replace(b, colour=a.colour)
        return scene.replace(subjects=(a, b))

    result = pocketeval.evaluate(liar(swap), COUNT)
    assert result["attribute binding"].score <= 0.1
    assert result["two objects"].score >= 0.85 and result["colours"].score >= 0.85


@pytest.mark.parametrize("category", pocketeval.CATEGORIES, ids=NAMES)
def test_prompts_are_fixed_different_and_half_of_them_held_out(category):
    asked = pocketeval.prompts(category, 200)
    assert asked == pocketeval.prompts(category, 200)
    assert asked[:20] == pocketeval.prompts(category, 20)
    assert len({prompt.text for prompt in asked}) == 200
    assert sum(prompt.heldout for prompt in asked) == 100
    for prompt in asked:
        scene = world.parse(prompt.text)
        assert world.is_heldout(scene) == prompt.heldout
        for fact in category.judged:
            named = [n for n in scene.fact_names() if n.split()[-1] == fact]
            assert set(named) <= scene.stated, (fact, prompt.text)
    texts = " ".join(prompt.text for prompt in asked)
    assert all(kind in texts for kind in world.KINDS)


def test_a_rehearsal_asks_what_the_card_does_not():
    for category in pocketeval.CATEGORIES:
        card, rehearsed = (
            {prompt.text for prompt in pocketeval.prompts(category, 100, first)}
            for first in (pocketeval.EXAM, pocketeval.REHEARSAL)
        )
        assert len(card & rehearsed) <= 20, category.name  # of one thing there are few captions


def test_the_table_says_what_it_compares():
    result = pocketeval.evaluate(oracle, 2)
    table = result.markdown()
    assert "| attribute binding | 1.000 | 1.000 | 1.000 | 2 | 0.17 | 0.23 |" in table
    assert "| accessory | 1.000 | 1.000 | 1.000 | 2 |  |  |" in table
    for text in (table, str(result)):
        assert "the worlds are different and ours is far smaller" in text
        assert all(f"{v:.2f}" in text for v in (0.98, 0.51, 0.85, 0.07, 0.17, 0.74, 0.15, 0.23))
    with pytest.raises(ValueError, match="at least 2"):
        pocketeval.evaluate(oracle, 1)


def test_beside_a_score_stands_what_the_autoencoder_leaves_of_true_drawings():
    class Painter:
        """An autoencoder's stand-in: its latent is the picture, made coarse."""

        size = (128, 128)

        def __init__(self, side):
            self.side = side

        def to_latent(self, pictures):
            return SimpleNamespace(mean=[p.resize((self.side, self.side)) for p in pictures])

        def draw(self, latents):
            return [latent.resize(self.size) for latent in latents]

    some = pocketeval.CATEGORIES[4:6]
    fine, coarse = (
        pocketeval.evaluate(sweeps.redrawn(Painter(side)), COUNT, some) for side in (128, 8)
    )
    truth = pocketeval.evaluate(oracle, COUNT, some)
    assert fine == truth
    assert coarse.mean.score < 0.5 < truth.mean.score
    result = truth.beside(redrawn=coarse)
    assert truth.known == () and result.known == ("redrawn",)
    assert [row.redrawn for row in result.rows] == [row.score for row in coarse.rows]
    assert result.mean.redrawn == coarse.mean.score and result.mean.score == truth.mean.score
    for text in (result.markdown(), str(result)):
        assert "redrawn" in text and "no U-Net brings back" in text
        assert f"{coarse['accessory'].score:.3f}" in text
    lines = result.markdown().splitlines()[:4]
    assert len({line.count("|") for line in lines}) == 1
    assert "redrawn" not in truth.markdown() + str(truth)
    both = truth.beside(base=coarse, redrawn=fine)
    assert (both.mean.base, both.mean.redrawn) == (coarse.mean.score, fine.mean.score)
    assert "| its base model alone | true drawings, redrawn |" in both.markdown()
    assert "     base  redrawn" in str(both)


def test_variety_of_the_world_is_one_and_of_a_parrot_nought():
    prompt = sweeps.VARIETY_PROMPTS[0]
    assert sweeps.variety(oracle, prompt).share == pytest.approx(1.0)
    parrot = sweeps.variety(lambda p, s: oracle(p, [0] * len(s)), prompt)
    assert parrot.model == 0.0 and parrot.renders > 0.02


def test_prompts_of_variety_say_everything():
    for prompt in sweeps.VARIETY_PROMPTS:
        scene = world.parse(prompt)
        unsaid = {n for n in set(scene.fact_names()) - scene.stated if scene.facts()[n]}
        assert unsaid == set()


def test_a_sweep_has_a_row_for_each_setting():
    def burnt(prompts, seeds):
        return [Image.new("RGB", (128, 128), "white") for _ in prompts]

    told = []
    rows = sweeps.sweep(
        {1.0: oracle, 15.0: burnt}, 2, pocketeval.CATEGORIES[:2], progress=told.append
    )
    assert [row.value for row in rows] == [1.0, 15.0]
    assert rows[0].score > rows[1].score == 0.0
    assert rows[0].variety == pytest.approx(1.0) and rows[1].variety == 0.0
    assert rows[0].clipped < 0.9 and rows[1].clipped == 1.0
    assert sum(told) == 8


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model_index.json.*sdlearn train MODEL"):
        sweeps.loaded(tmp_path)


def test_eight_right_of_eight_leave_a_doubt():
    """What chance leaves open covers the truth as often as it says, at the ends too."""
    Row, Result = pocketeval.Row, pocketeval.Result
    assert Row("x", 1.0, 1.0, 1.0, 8).by_chance > 0.05
    assert Row("x", 0.5, 0.5, 0.5, 200).by_chance == pytest.approx(0.069, abs=0.001)
    dice = np.random.default_rng(0)
    truths, count = (0.97, 0.8, 0.98, 0.9, 0.8, 0.8, 1.0, 1.0), 8
    covered = []
    for _ in range(2000):
        scores = [dice.binomial(count, p) / count for p in truths]
        result = Result(tuple(Row("x", score, 1.0, 1.0, count) for score in scores))
        covered.append(abs(result.mean.score - np.mean(truths)) <= result.mean_by_chance)
    assert 0.94 < np.mean(covered) < 0.99


@pytest.mark.parametrize(
    ("name", "held_out", "least", "most"),
    [
        ("position", "relation", 0.3, 0.4),
        ("attribute binding", "colour", 0.45, 0.6),
        ("colours", "colour", 0.6, 0.75),
        ("accessory", "accessory", 0.6, 0.75),
    ],
)
def test_how_often_what_is_judged_is_what_is_held_out(name, held_out, least, most):
    """The card's table says it; other prompts must not make a lie of it."""
    (category,) = (one for one in pocketeval.CATEGORIES if one.name == name)
    told = [
        world.heldout_reasons(prompt.scene)
        for prompt in pocketeval.prompts(category, 200)
        if prompt.heldout
    ]
    other = {"accessory": " wearing ", "relation": " (above|below|left of|right of) "}

    def kind_of(reason):
        return next((name for name, words in other.items() if re.search(words, reason)), "colour")

    judged = [held_out in map(kind_of, reasons) for reasons in told]
    assert least <= sum(judged) / len(told) <= most
    assert "a third" in pocketeval.HELD_OUT and "two thirds" in pocketeval.HELD_OUT
