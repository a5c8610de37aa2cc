"""What is drawn: reproducible, the same at every size, and exactly what the masks say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from world_scenes import scenes

from sdlearn import world
from sdlearn.world import Scene, Subject
from sdlearn.world.layout import compose
from sdlearn.world.palette import BLOCK, PARTS, SILENT, TONES


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, dtype=np.float32)


def test_pixel_numbers_do_not_collide():
    assert len(TONES) <= BLOCK
    assert 1 + BLOCK * len(PARTS) <= SILENT


@given(scenes())
@settings(max_examples=25)
def test_the_same_scene_is_the_same_picture(scene):
    first = scene.render(64)
    compose.cache_clear()
    assert first.mode == "RGB" and first.size == (64, 64)
    assert first.tobytes() == scene.render(64).tobytes()


def test_the_seed_changes_the_pose_and_nothing_else():
    scene = world.sample(seed=1)
    other = scene.replace(seed=scene.seed + 1)
    assert other.same_facts(scene)
    assert np.abs(pixels(scene.render(64)) - pixels(other.render(64))).mean() > 1


@pytest.mark.parametrize("style", world.STYLES)
def test_every_size_shows_the_same_composition(style):
    """The smallest size allowed, the usual ones and the largest, against a picture of 128."""
    scene = Scene((Subject("cat", "red", "big", "crown"), Subject("mug", "blue", "small")),
                  "left of", style=style, seed=4)  # fmt: skip
    reference = pixels(scene.render(128).resize((32, 32), Image.Resampling.BOX))
    middle = np.argwhere(scene.masks(128)["cat"]).mean(0) / 128
    for size in (32, 63, 192, 256, 512):
        picture = scene.render(size)
        assert picture.size == (size, size)
        # Line drawings and neon have lines whose width is rounded to whole samples.
        small = pixels(picture.resize((32, 32), Image.Resampling.BOX))
        assert np.abs(small - reference).mean() < (9 if size > 32 else 16)
        there = np.argwhere(scene.masks(size)["cat"]).mean(0) / size
        assert np.abs(there - middle).max() < 0.02


@given(scenes(), st.sampled_from((32, 64, 128)))
@settings(max_examples=40)
def test_masks_tile_the_picture(scene, size):
    masks = scene.masks(size)
    stack = np.stack(list(masks.values()))
    assert stack.dtype == bool and stack.shape[1:] == (size, size)
    assert (stack.sum(0) == 1).all()
    expected = {"background"}
    for what in ("kind", "accessory"):
        words = [getattr(s, what) for s in scene.subjects]
        for i, word in enumerate(words, start=1):
            if word:
                expected.add(f"{word} {i}" if words.count(word) == 2 else word)
    assert set(masks) == expected
    assert all(m.any() for m in masks.values())


@given(scenes())
@settings(max_examples=60)
def test_relations_and_sizes_hold_in_the_picture(scene):
    masks = scene.masks(64)
    if len(scene.subjects) == 2:
        kinds = [s.kind for s in scene.subjects]
        names = [f"{kinds[0]} 1", f"{kinds[1]} 2"] if kinds[0] == kinds[1] else kinds
        (y0, x0), (y1, x1) = (np.argwhere(masks[n]).mean(0) for n in names)
        offset = {"left of": x1 - x0, "right of": x0 - x1, "above": y1 - y0, "below": y0 - y1}
        assert offset[scene.relation] == max(offset.values()) > 12


@pytest.mark.parametrize("kind", world.KINDS)
@pytest.mark.parametrize("alone", [True, False])
def test_big_is_clearly_bigger_than_small(kind, alone):
    def area(size: str, seed: int) -> int:
        subject = Subject(kind, "blue", size)
        if alone:
            return Scene((subject,), seed=seed).masks(64)[kind].sum()
        partner = Subject("star" if kind != "star" else "heart", "red")
        return Scene((subject, partner), "left of", seed=seed).masks(64)[kind].sum()

    smallest_big = min(area("big", seed) for seed in range(8))
    assert smallest_big > 1.4 * max(area("small", seed) for seed in range(8))


@given(scenes())
@settings(max_examples=30)
def test_masks_show_where_a_subject_is_in_the_render(scene):
    """Recolouring one subject must change the picture inside its mask, and hardly outside."""
    first = scene.subjects[0]
    other = Subject(first.kind, "red" if first.colour != "red" else "blue", first.size,
                    first.accessory)  # fmt: skip
    changed = scene.replace(subjects=(other, *scene.subjects[1:]))
    difference = np.abs(pixels(scene.render(96)) - pixels(changed.render(96))).sum(-1)
    name = next(iter(scene.masks(96)))
    inside = scene.masks(96)[name]
    # A neon tube lights up its surroundings, so its difference reaches farther.
    times = 2 if scene.style == "neon" else 5
    assert difference[inside].mean() > times * difference[~inside].mean()


def test_two_of_a_kind_are_told_apart_and_asking_for_one_is_explained():
    scene = Scene((Subject("cat", "red", accessory="hat"), Subject("cat", "blue", accessory="hat")),
                  "left of")  # fmt: skip
    masks = scene.masks(64)
    left, right = (np.argwhere(masks[f"cat {i}"])[:, 1].mean() for i in (1, 2))
    assert left < right
    with pytest.raises(KeyError, match=r"two of 'cat'.*'cat 1' or 'cat 2'"):
        masks["cat"]
    with pytest.raises(KeyError, match="Did you mean 'cat 1'"):
        masks["cat1"]
    with pytest.raises(KeyError, match="It has: 'cat 1'"):
        masks["dog"]


@pytest.mark.parametrize("kind", world.KINDS)
def test_kinds_have_silhouettes_of_their_own(kind):
    """Seen as a shadow, no kind may look like another, whichever way either looks."""

    def shadow(which: str, seed: int = 2) -> np.ndarray:
        scene = Scene((Subject(which, "red", "big"),), place="on the grass", seed=seed)
        mask = scene.masks(96)[which]
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        side = max(cut.shape)
        square = np.zeros((side, side), dtype=np.uint8)
        y, x = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
        square[y : y + cut.shape[0], x : x + cut.shape[1]] = cut * 255
        return np.asarray(Image.fromarray(square).resize((48, 48))) > 127

    own = shadow(kind)
    for other in world.KINDS:
        if other != kind:
            theirs = shadow(other)
            overlap = max((own & t).sum() / (own | t).sum() for t in (theirs, theirs[:, ::-1]))
            assert overlap < 0.87, other


@pytest.mark.parametrize("style", world.STYLES)
@pytest.mark.parametrize("place", world.PLACES)
def test_colours_differ_in_every_style_and_place(style, place):
    """The average colour of a heart: no two of the ten names may give nearly the same."""
    means = {}
    for colour in world.COLOURS:
        scene = Scene((Subject("heart", colour, "big"),), place=place, style=style, seed=9)
        means[colour] = pixels(scene.render(64))[scene.masks(64)["heart"]].mean(0)
    names = list(means)
    for i, a in enumerate(names):
        for b in names[:i]:
            assert np.linalg.norm(means[a] - means[b]) > 14, (a, b)


def test_a_contact_sheet_holds_its_pictures():
    sheet = world.contact_sheet([world.sample(s) for s in range(7)], columns=3, size=32, gap=2)
    assert sheet.size == (3 * 34 + 2, 3 * 34 + 2)
    assert sheet.getpixel((5, 5)) == world.sample(0).render(32).getpixel((3, 3))


def test_a_scene_shows_itself_in_a_notebook():
    page = world.sample(seed=2)._repr_html_()
    assert 'src="data:image/png;base64,' in page and f'alt="{world.sample(2).caption()}"' in page
