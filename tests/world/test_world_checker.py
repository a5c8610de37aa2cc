"""The checker is right, says no when it should, and can be fooled by neither order nor number."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from sdlearn import world
from sdlearn.world import Scene, Subject, checker, train_checker
from sdlearn.world.cells import Thing, components, things_of
from sdlearn.world.checker import ROLES, Reading, relation_of, weights_path
from sdlearn.world.measure_checker import change_one_fact, measure

COUNT = 1000


@pytest.fixture(scope="module")
def measured():
    # Seeds of their own: neither training's nor the big measurement's.
    return measure(COUNT, COUNT, first=5_000_000, rough=True)


def test_facts_are_read_rightly_from_rough_pictures(measured):
    assert measured["all facts"] >= 0.99
    assert measured["whole scenes"] >= 0.95
    for role in ROLES:
        assert measured[role] >= 0.97, role


def test_a_changed_fact_is_caught(measured):
    assert measured["changed scenes caught"] >= 0.98
    assert measured["false alarms"] <= 0.05


@pytest.mark.parametrize("style", world.STYLES)
@pytest.mark.parametrize("place", world.PLACES)
def test_every_colour_can_be_named_in_every_style_and_place(style, place):
    """Black in neon, white in snow, both at night: solved by design, proved here."""
    pairs = [(kind, colour) for kind in ("cat", "car") for colour in world.COLOURS]
    scenes = [
        Scene((Subject(kind, colour, "big"),), place=place, style=style, seed=k)
        for k, (kind, colour) in enumerate(pairs)
    ]
    readings = world.read_all([s.render() for s in scenes])
    wrong = [
        (scene.caption(), str(seen))
        for scene, seen in zip(scenes, readings, strict=True)
        if not world.check(seen, scene, facts="colour").ok
    ]
    assert len(wrong) <= 1, wrong


def test_changing_a_fact_changes_exactly_one():
    rng = np.random.Generator(np.random.PCG64(0))
    for seed in range(300):
        scene = world.sample(seed, "all")
        before, after = scene.facts(), change_one_fact(scene, rng).facts()
        assert sum(before[k] != after[k] for k in before) == 1


def test_two_of_a_kind_are_not_confused():
    scene = Scene((Subject("cat", "red"), Subject("cat", "blue")), "left of", seed=3)
    picture = scene.render()
    assert world.check(picture, scene).ok
    other = scene.replace(relation="right of")
    assert not world.check(picture, other).ok


def test_a_subject_too_many_or_too_few_is_noticed():
    one = Scene((Subject("cat", "red"),), seed=3)
    two = Scene((Subject("cat", "red"), Subject("dog", "blue")), "left of", seed=3)
    missing = world.check(one.render(), two)
    assert missing["subjects"].seen == "1" and missing["2 kind"].seen is None
    assert not world.check(two.render(), one).ok
    assert world.check(two.render(), one, facts=["kind", "colour"]).ok


def test_what_is_changed_counts_as_stated():
    wish = world.parse("a cat").replace(place="at night")
    assert wish.stated == {"1 kind", "place"}
    day = wish.replace(place="on the sand").render()
    assert not world.check(day, wish, facts="stated").ok
    assert wish.replace(seed=4).stated == wish.stated


def test_only_stated_facts_count_when_so_asked():
    scene = Scene((Subject("cat", "red", "small", "crown"),), place="at night", seed=1)
    wish = world.parse("a red cat")
    assert world.check(scene.render(), wish, facts="stated").ok
    result = world.check(scene.render(), wish)
    assert {f.name for f in result.facts if not f.ok} == {"1 size", "1 accessory", "place"}
    assert result.score == pytest.approx(4 / 7)


def test_pictures_of_any_size_and_kind_are_read():
    scene = Scene((Subject("fish", "orange", "big", "hat"),), place="in the sky", seed=8)
    for size in (96, 128, 256, 512):
        assert world.check(scene.render(size), scene).ok, size
    pixels = np.asarray(scene.render(128))
    assert world.read(pixels) == world.read(scene.render(128))
    assert world.check(pixels.astype(np.float32) / 255, scene).ok


def test_nothing_is_seen_where_nothing_is():
    reading = world.read(np.full((128, 128, 3), 128, dtype=np.uint8))
    assert reading.things == ()
    from sdlearn.world.backdrops import backdrop

    styled = 0
    for place in world.PLACES:
        for style in world.STYLES:
            reading = world.read(backdrop(place, style, 3, False, 128).astype(np.uint8))
            assert (reading.things, reading.place) == ((), place)
            styled += reading.style == style
    assert styled >= 18  # of 20: a style shows in the things most of all


def test_the_result_explains_itself_and_is_escaped():
    scene = Scene((Subject("cat", "red"),), seed=2)
    wrong = scene.replace(subjects=(Subject("cat", "blue"),))
    result = world.check(scene.render(), wrong)
    assert "cat: colour" in str(result) and "blue, but the picture shows red" in str(result)
    page = result._repr_html_()
    assert page.count("<tr>") == len(result.facts) + 1
    from sdlearn.world.checker import Check, Fact

    evil = Check((Fact("place", "<script>", None),), result.reading, ("<b>place",))
    assert "<script>" not in evil._repr_html_() and "<b>" not in evil._repr_html_()
    with pytest.raises(KeyError, match="Did you mean"):
        result["1 color"]


def test_reading_is_repeatable():
    picture = world.sample(seed=77).render()
    assert world.read(picture) == world.read(picture)


def test_weights_are_small():
    assert weights_path().stat().st_size < 3 * 2**20


def test_components_finds_regions_and_counts_corners():
    grid = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]], dtype=bool)
    assert sorted(len(c) for c in components(grid)) == [2, 2]


def things_where(*shown):
    """The things seen where each kind covers these cells, and all else is unsure."""
    label = np.zeros((21, 32, 32))
    label[0] = 1
    for kind, here in shown:
        label[0][here], label[kind][here] = 0, 1
    flat = [np.full((n, 32, 32), 1 / n) for n in (10, 2, 5)]
    return things_of(label, *flat, ("nothing", *world.ACCESSORIES))


def disc(x, y, wide, high):
    """The cells of an ellipse."""
    rows, columns = np.mgrid[:32, :32] + 0.5
    return ((columns - x) / wide) ** 2 + ((rows - y) / high) ** 2 < 0.25


@pytest.mark.parametrize("kinds", [(1, 2), (1, 1)])
def test_two_things_that_touch_are_parted(kinds):
    """A cat and a dog side by side, and then two cats, without a free cell between them."""
    things = things_where((kinds[0], disc(9, 16, 14, 14)), (kinds[1], disc(23, 16, 14, 14)))
    assert sorted(t.kind for t in things) == sorted(world.KINDS[k - 1] for k in kinds)
    assert {round(t.x, 1) for t in things} == {0.3, 0.7}


@pytest.mark.parametrize("wide", [22, 26, 30])
def test_one_thing_drawn_too_large_is_one_thing(wide):
    """Wider than anything that Pocket World draws, but nowhere thinner: a model made it."""
    (thing,) = things_where((11, disc(16, 16, wide, 18)))
    assert thing.kind == world.KINDS[10]


def test_the_larger_offset_decides_a_relation():
    def at(x, y):
        return Thing("cat", "red", "big", None, x, y, 0.1, 1.0)

    assert relation_of(at(0.2, 0.5), at(0.8, 0.6)) == "left of"
    assert relation_of(at(0.8, 0.5), at(0.2, 0.6)) == "right of"
    assert relation_of(at(0.4, 0.2), at(0.6, 0.8)) == "above"
    assert relation_of(at(0.4, 0.8), at(0.6, 0.2)) == "below"


def test_shares_are_of_what_was_looked_at():
    few, all_of_them = (measure(6, altered, 0, rough=False) for altered in (1000, 6))
    assert few == all_of_them and few["changed scenes caught"] > 0.9


def test_a_cells_truth_is_what_the_masks_say():
    from sdlearn.world.network import LABELS, WORN
    from sdlearn.world.train_checker import cell_targets

    scene = Scene((Subject("cat", "red", "big", "crown"), Subject("mug", "blue", "small")),
                  "left of", seed=6)  # fmt: skip
    label, colour, size, worn = cell_targets(scene)
    for name, number, hue in (("cat", 0, "red"), ("crown", 0, "red"), ("mug", 1, "blue")):
        share = scene.masks(128)[name].reshape(32, 4, 32, 4).mean((1, 3))
        here = label == LABELS.index(name)
        assert here[share > 0.6].all() and not here[share == 0].any()
        assert (colour[here] == world.COLOURS.index(hue)).all()
        assert (size[here] == (1 - number)).all()
        assert (worn[here] == (WORN.index("crown") if number == 0 else 0)).all()
    assert (colour[label == 0] == -100).all()


def test_every_second_picture_is_a_copy_and_means_the_same():
    from sdlearn.world.copyist import Copyist
    from sdlearn.world.train_checker import batch_of, cell_targets

    class Bad(Copyist):
        def copied(self, pictures, seed):
            assert seed == 40
            return [Image.new("RGB", picture.size, (255, 0, 0)) for picture in pictures]

    batch = batch_of(40, 5, Bad())
    red = [bool(p[0].mean() > 0.8 and p[1:].mean() < 0.2) for p in batch.pictures]
    assert red == [False, True, False, True, False]
    for number in range(5):
        scene = world.sample(40 + number, "all")
        assert (batch.cells[number].numpy() == cell_targets(scene)).all()
        place, style = batch.whole[number].tolist()
        assert (world.PLACES[place], world.STYLES[style]) == (scene.place, scene.style)


def test_some_pictures_that_it_learns_from_show_nothing():
    from sdlearn.world.train_checker import EMPTY, batch_of, empty

    class Exact:
        def copied(self, pictures, seed):
            return pictures

    batch = batch_of(40, EMPTY + 6, Exact())
    nothing = [bool((cells[0] == 0).all()) for cells in batch.cells]
    assert [n for n, is_so in enumerate(nothing) if is_so] == [5, 5 + EMPTY]
    assert (batch.cells[5][1:] == -100).all()
    drawn = [empty(seed) for seed in range(60)]
    assert {(p.size, p.mode) for p, _ in drawn} == {((128, 128), "RGB")}
    assert 15 < sum(facts == (-100, -100) for _, facts in drawn) < 35
    seen = 0
    for picture, (place, style) in drawn:
        reading = world.read(picture)
        seen += reading.things != ()
        assert place < 0 or reading.place == world.PLACES[place]
        assert (place < 0) == (style < 0)
    assert seen <= 6  # of 60: what it takes for something is noise


def test_roughened_pictures_stay_pictures():
    from sdlearn.world.train_checker import roughen

    picture = world.sample(seed=1).render()
    clean = np.asarray(picture, dtype=np.float32) / 255
    changed = 0
    for seed in range(20):
        rough = roughen(picture, np.random.Generator(np.random.PCG64(seed)))
        assert rough.shape == clean.shape and rough.min() >= 0 and rough.max() <= 1
        changed += np.abs(rough - clean).mean() > 0.005
        assert np.abs(rough - clean).mean() < 0.2
    assert changed > 10


def test_a_copyist_loses_detail_and_gets_better():
    from sdlearn.world.copyist import FEWEST, NUMBERS, practised

    drawn = [world.sample(seed).render(128) for seed in range(8)]
    clean = np.stack([np.asarray(picture, dtype=np.float32) for picture in drawn])

    def lost(copies):
        return np.abs(np.stack([np.asarray(copy) for copy in copies]) - clean).mean()

    beginner, better = (practised(lambda step: drawn, steps, rate=3e-3) for steps in (1, 40))
    copies = better.copied(drawn, seed=1)
    assert {copy.size for copy in copies} == {(128, 128)}
    assert lost(copies) < 0.6 * lost(beginner.copied(drawn, seed=1))
    assert lost(copies) > 2  # a careless hand is the point
    assert lost(better.copied(drawn, seed=1)) == lost(copies) != lost(better.copied(drawn, seed=2))

    # The first numbers say most: with all of them a copy is nearer than with the fewest.
    whole, none = torch.from_numpy(clean).permute(0, 3, 1, 2) / 255, torch.zeros(1)
    with torch.inference_mode():
        rough, fine = (
            (better(whole, torch.full((8,), kept), none) - whole).abs().mean()
            for kept in (FEWEST, NUMBERS)
        )
    assert fine < rough


def test_the_checkers_training_goes_on_from_its_state(tmp_path, monkeypatch):
    from sdlearn.world import train_checker

    settings = {"batch": 4, "peak": 1e-3, "total": 3, "practice": 2, "begin": weights_path()}
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    train_checker.train(9, state=tmp_path / "whole.pt", out=whole, **settings)

    ticks = iter([0.0, 0.0, 90.0])  # the clock strikes after the first step
    monkeypatch.setattr(train_checker.time, "time", lambda: next(ticks, 0.0))
    train_checker.train(1, state=tmp_path / "broken.pt", out=broken, **settings)
    assert not broken.exists()
    train_checker.train(1, state=tmp_path / "broken.pt", out=broken, **settings)
    one, other = load_file(whole), load_file(broken)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    began = load_file(weights_path())
    assert any(not torch.equal(one[name], began[name]) for name in one)


def test_the_checker_says_where_things_are():
    """Its cells lie on the drawn masks: on the subject, and on what it wears."""
    inside, worn = [], []
    for seed in range(40):
        scene = world.sample(seed=seed)
        masks, reading = scene.masks(128), world.read(scene.render(128))
        if len(reading.things) != len(scene.subjects):
            continue
        whole = ~masks["background"]
        for thing in reading.things:
            cells = np.kron(thing.cells, np.ones((4, 4), dtype=bool))
            inside.append((cells & whole).sum() / cells.sum())
            if thing.accessory in masks and thing.worn_cells.any():
                cells = np.kron(thing.worn_cells, np.ones((4, 4), dtype=bool))
                worn.append((cells & masks[thing.accessory]).sum() / cells.sum())
    assert len(inside) > 40 and len(worn) > 8
    assert np.median(inside) > 0.85
    assert np.median(worn) > 0.5


@pytest.mark.parametrize("damage", ["cut", "missing", "foreign"])
def test_broken_weights_are_named_and_judge_nothing(damage, tmp_path, monkeypatch):
    path = tmp_path / "checker.safetensors"
    tensors = load_file(weights_path())
    if damage == "cut":
        path.write_bytes(weights_path().read_bytes()[:1000])
    elif damage == "missing":
        save_file({name: t for name, t in tensors.items() if "cells" not in name}, path)
    else:
        save_file({"x": torch.zeros(1)}, path)
    monkeypatch.setattr(checker, "weights_path", lambda: path)
    checker._network.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"checker\.safetensors.*train_checker"):
            world.read(world.sample(seed=1).render(128))
    finally:
        checker._network.cache_clear()


def test_what_nobody_asks_for_does_not_choose_the_subject():
    def thing(colour, size, accessory):
        return Thing("cat", colour, size, accessory, 0.5, 0.5, 0.1, 1.0)

    reading = Reading(
        (thing("blue", "big", None), thing("red", "small", "hat")), "at night", "flat"
    )
    scene = world.parse("a red cat")  # big and without a hat unless somebody says otherwise
    assert world.check(reading, scene, facts=("kind", "colour")).ok
    assert not world.check(reading, scene, facts=("kind", "colour", "accessory")).ok


@pytest.mark.parametrize("wish", [["--steps", "0"], ["--steps", "-3"], ["--batch", "0"]])
def test_no_judge_without_training(wish, tmp_path, monkeypatch, capsys):
    out = tmp_path / "checker.safetensors"
    line = ["x", "--practice", "0", "--state", str(tmp_path / "s.pt"), "--out", str(out), *wish]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit):
        train_checker.main()
    assert "must be at least 1" in capsys.readouterr().err and not out.exists()


def test_a_broken_state_is_named(tmp_path, monkeypatch, capsys):
    state = tmp_path / "s.pt"
    state.write_bytes(b"nothing")
    line = ["x", "--state", str(state), "--out", str(tmp_path / "c.safetensors")]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit):
        train_checker.main()
    assert f"{state} can't be read" in capsys.readouterr().err
