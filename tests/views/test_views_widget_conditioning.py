"""The conditioning explorer in Python: what is told reaches the U-Net, what is measured is so."""

import io
import json
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

import sdlearn as sd
from sdlearn.trace.detail import detail_of
from sdlearn.views.widgets import conditioning, sheets
from tests import tiny
from tests.told import SIDE, Told, colour

conditioning_module = import_module("sdlearn.views.widgets.conditioning")  # its function hides it
PROMPT = "a red cat on the grass"
SIZES, CROPS = [16, 64], [0, 24]


def test_what_another_view_asked_for_is_not_drawn_again():
    told = Told()
    made = conditioning(told, PROMPT, sizes=SIZES, crops=CROPS)
    before = len(told.asked)
    answers = [asked(made, "draw", size=40, top=3, left=11) for _ in range(3)]
    assert len(told.asked) == before + 1
    assert len({data for _, (data,) in answers}) == 1
    for size in range(17, 17 + conditioning_module.KEPT):
        asked(made, "draw", size=size, top=1, left=1)
    assert len(made._asked_for) == conditioning_module.KEPT
    asked(made, "draw", size=64, top=0, left=0)  # it was drawn beforehand
    assert len(told.asked) == before + 1 + conditioning_module.KEPT


@pytest.fixture(scope="module")
def model():
    return sd.wrap(tiny.pipeline("sdxl"))


@pytest.fixture(scope="module")
def widget(model):
    return conditioning(model, PROMPT, sizes=SIZES, crops=CROPS, steps=2, seed=5, repeats=2)


def asked(widget, what, **given):
    """What the page would be answered, and the bytes beside it."""
    sent = []
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    widget._asked(widget, {"ask": 1, "what": what, "given": given}, [])
    return sent[0]


def same(one, other):
    return np.array_equal(np.asarray(one), np.asarray(other))


def waves(side, length):
    """A picture of upright stripes, each so many pixels wide with its gap."""
    line = 128 + 50 * np.sin(2 * np.pi * np.arange(side) / length)
    return Image.fromarray(np.tile(line, (side, 1)).round().astype(np.uint8))


# -- the measure ---------------------------------------------------------------------------------


def test_detail_is_the_strength_of_what_is_fine():
    fine, coarse = waves(64, 4), waves(64, 16)
    assert detail_of(fine) == pytest.approx(50 / 2**0.5, rel=0.03)  # a sine's root mean square
    assert detail_of(coarse) < 3
    assert detail_of(coarse, finest=32) == pytest.approx(50 / 2**0.5, rel=0.1)
    assert detail_of(Image.new("L", (64, 64), 200)) == pytest.approx(0, abs=1e-9)


def test_the_edges_are_no_detail():
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 64), (48, 1)).round().astype(np.uint8))
    assert detail_of(ramp) < 1  # where it is joined to itself it would jump by 255


def test_a_picture_that_was_small_has_less():
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    found = [
        detail_of(picture.resize((s, s)).resize((128, 128), Image.Resampling.BICUBIC))
        for s in (16, 32, 64, 128)
    ]
    assert found == sorted(found) and found[0] < 0.2 * found[-1]


# -- the widget ----------------------------------------------------------------------------------


def test_each_picture_is_the_models_own_for_what_it_was_told(widget, model):
    told = [tuple(cell["told"]) for cell in widget.cells]
    assert told == [(16, 0, 0), (64, 0, 0), (64, 0, 24), (64, 24, 0), (64, 24, 24)]
    for size, top, left in told:
        expected = model.generate(
            PROMPT, steps=2, seed=5, original_size=(size, size), crop=(top, left), record=()
        ).image
        assert same(widget.image(size, top, left), expected)
    assert not same(widget.image(16), widget.image(64))
    assert not same(widget.image(64), widget.image(64, 24, 24))


def test_the_six_numbers_are_those_that_the_u_net_is_given(model):
    given = []
    hook = model.parts.unet.register_forward_pre_hook(
        lambda module, args, kwargs: given.append(kwargs["added_cond_kwargs"]["time_ids"]),
        with_kwargs=True,
    )
    try:
        made = conditioning(
            model, PROMPT, sizes=[32], crops=[0, 8], steps=1, height=64, width=96, guidance_scale=1
        )
    finally:
        hook.remove()
    assert len(given) == len(made.cells)
    for ids, cell in zip(given, made.cells, strict=True):
        assert ids.tolist() == [cell["ids"]]
    assert made.cells[-1]["ids"] == [32, 48, 8, 8, 64, 96]  # the original has the picture's shape
    assert [name for name, _ in made.meanings] == [
        *("original height", "original width", "crop top", "crop left"),
        *("target height", "target width"),
    ]


def test_the_sheet_holds_them_row_by_row():
    made = conditioning(Told(), PROMPT, sizes=[8, 16], crops=[0, 20, 50], every=True)
    sheet = Image.open(io.BytesIO(made.sheet)).convert("RGB")
    assert made.cell == [SIDE, SIDE] and sheet.size == (made.across * SIDE, 5 * SIDE)
    for place, cell in enumerate(made.cells):
        x, y = place % made.across * SIDE, place // made.across * SIDE
        size, top, left = cell["told"]
        shown = np.asarray(sheet.crop((x, y, x + SIDE, y + SIDE)), dtype=float).mean((0, 1))
        expected = np.array(colour(top, left)) + size / 8
        assert np.abs(shown - expected).max() < 4, place  # WebP is not exact


def test_the_curve_is_measured_on_every_seed(widget, model):
    for size in SIZES:
        pictures = [
            model.generate(PROMPT, steps=2, seed=seed, original_size=(size, size), record=()).image
            for seed in (5, 6)
        ]
        expected = [detail_of(picture) for picture in pictures]
        assert widget.details[size] == pytest.approx(expected, abs=6e-4)
    detail = {tuple(cell["told"]): cell["detail"] for cell in widget.cells}
    assert detail[64, 24, 0] == pytest.approx(detail_of(widget.image(64, 24, 0)), abs=6e-4)


def test_every_size_can_be_drawn_at_every_corner(model):
    made = conditioning(model, PROMPT, sizes=SIZES, crops=CROPS, steps=1, every=True)
    told = {tuple(cell["told"]) for cell in made.cells}
    assert told == {(s, t, le) for s in SIZES for t in CROPS for le in CROPS}


def test_usual_places_follow_from_the_models_size(model):
    made = conditioning(model, PROMPT, steps=1)
    assert sorted({cell["told"][0] for cell in made.cells}) == [16, 24, 32, 48, 64]
    assert sorted({cell["told"][1] for cell in made.cells}) == [0, 16, 32]
    assert (made.size, made.top, made.left) == (64, 0, 0)
    assert len(made.cells) == 5 + 9 - 1


def test_the_page_has_any_place_drawn(widget, model):
    told, (data,) = asked(widget, "draw", size=40, top=3, left=11)
    expected = model.generate(
        PROMPT, steps=2, seed=5, original_size=(40, 40), crop=(3, 11), record=()
    ).image
    assert data == sheets.webp(expected, 90)
    assert told["ids"] == [40, 40, 3, 11, 64, 64] and told["told"] == [40, 3, 11]
    assert told["detail"] == pytest.approx(detail_of(expected), abs=6e-4)
    assert told["answer"] == 1 and told["seconds"] >= 0
    json.dumps(told)


@pytest.mark.parametrize(
    ("what", "given", "said"),
    [
        ("draw", {"size": 0, "top": 0, "left": 0}, "size must be from 1"),
        ("draw", {"size": 64, "top": -1, "left": 0}, "top must be from 0"),
        ("draw", {"size": 64, "top": 0}, "left must be a whole number"),
        ("draw", {"size": "64", "top": 0, "left": 0}, "size must be a whole number"),
        ("dance", {}, "answers no questions"),
    ],
)
def test_the_page_is_told_what_was_wrong(widget, what, given, said):
    assert said in asked(widget, what, **given)[0]["error"]


def test_a_closed_one_keeps_nothing(model):
    made = conditioning(model, PROMPT, sizes=[64], crops=[0], steps=1)
    made.close()
    assert made.figure() is None
    assert "closed" in asked(made, "draw", size=64, top=0, left=0)[0]["error"]
    with pytest.raises(ValueError, match="closed"):
        made.image(64)


def test_where_widgets_cannot_run_there_is_a_figure(widget):
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert f'<img alt="“{PROMPT}”, told original heights of 16, 64' in data["text/html"]
    assert f"{widget.details[16][0]:.1f} at 16" in data["text/html"]
    assert len(data["text/html"]) < 100_000
    assert data["text/plain"] == f"[Conditioning explorer: “{PROMPT}”, 5 pictures]"


@pytest.mark.parametrize("prompt", ["$a$ <b>cat</b> $", ""])
def test_any_text_can_be_a_prompt(model, prompt):
    made = conditioning(model, prompt, sizes=[64], crops=[0], steps=1)
    bundle = made._repr_mimebundle_()
    assert "<b>cat" not in (bundle[0] if isinstance(bundle, tuple) else bundle)["text/html"]


def test_a_lesson_stays_light():
    """At the pocket model's size, with pictures that are real."""
    drawn = sd.load("pocket-sd15").generate(PROMPT, steps=10, height=256, width=256)

    model = Told(256)
    model.generate = lambda *given, **options: drawn
    made = conditioning(model, PROMPT)
    assert made.cell == [256, 256] and len(made.cells) == 13
    assert len(made.sheet) * 4 / 3 + len(json.dumps([made.cells, made.curve])) < 250_000


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"prompt": 3}, TypeError, "prompt must be one text"),
        ({"sizes": []}, TypeError, "sizes must be a list"),
        ({"sizes": "64"}, TypeError, "sizes must be a list"),
        ({"sizes": [64, 32]}, ValueError, "sizes must rise"),
        ({"sizes": [0, 32]}, ValueError, "each of sizes must be from 1"),
        ({"crops": [8, 16]}, ValueError, "crops must begin with 0"),
        ({"crops": list(range(9))}, ValueError, "at most 64"),
        ({"repeats": 0}, ValueError, "repeats must be from 1"),
        ({"seed": 1.5}, TypeError, "seed must be a whole number"),
        ({"steps": 0}, ValueError, "steps must be from 1"),
        ({"crop": (1, 2)}, TypeError, "crop is what the explorer says itself"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
def test_bad_input_is_told(model, given, error, said):
    with pytest.raises(error, match=said):
        conditioning(model, **{"prompt": PROMPT, "steps": 1, **given})


@pytest.mark.parametrize(("kind", "said"), [("sd1", "SD 1.x"), ("sdxl-refiner", "refiner")])
def test_other_families_are_told_no_sizes(kind, said):
    with pytest.raises(TypeError, match=said):
        conditioning(sd.wrap(tiny.pipeline(kind)), PROMPT)
    with pytest.raises(TypeError, match="got a str"):
        conditioning("pocket-sdxl", PROMPT)


def test_a_drawing_that_was_broken_off_is_no_picture():
    told = Told()
    told.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        conditioning(told, PROMPT, sizes=SIZES, crops=CROPS)
    assert len(told.asked) == 2
    told = Told()
    made = conditioning(told, PROMPT, sizes=SIZES, crops=CROPS)
    told.stop_at = len(told.asked) + 1
    with pytest.raises(KeyboardInterrupt):
        made.answer("draw", size=40, top=3, left=11)
    assert not made._asked_for
    assert made.answer("draw", size=40, top=3, left=11)[0]["told"] == [40, 3, 11]
