"""The latent explorer's Python side: what the page is given and answered, and what is refused."""

import gc
import io
import json
import math
import weakref

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photographs

from sdlearn.views.widgets import latent
from sdlearn.views.widgets.latent import between


def picture(seed=0, size=(64, 64)):
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def pair(model):
    return latent(model, picture(0), picture(1), frames=3)


def cut(widget, place):
    return widget.blob[place[0] : place[0] + place[1]]


def apart(one, other):
    """How far two pictures' colours are apart, of 255; WebP's crumbs are smoothed away."""
    soft = [np.array(p.resize((4, 4), Image.Resampling.BOX), dtype=float) for p in (one, other)]
    return np.abs(soft[0] - soft[1]).mean()


def test_latents_are_within_half_a_step(pair, model):
    assert pair.shape == [4, 8, 8]
    for packed, seed in zip(pair.latents, (0, 1), strict=True):
        back = np.frombuffer(cut(pair, packed["at"]), "<i2") * packed["scale"]
        true = model.to_latent(picture(seed)).mean.flatten().numpy()
        assert np.abs(back - true).max() <= packed["scale"] * 0.51
        assert packed["scale"] <= np.abs(true).max() / 32_000  # finer than any eye


def test_the_preview_is_the_models_own(pair, model):
    assert torch.equal(torch.tensor(pair.matrix), model.look.matrix)


def test_the_walks_are_really_decoded(pair, model):
    ends = [model.to_latent(picture(seed)).mean for seed in (0, 1)]
    assert set(pair.walks) == {"linear", "spherical"} and pair.full is True
    for kind, walk in pair.walks.items():
        sheet = Image.open(io.BytesIO(cut(pair, walk["at"]))).convert("RGB")
        assert sheet.size == (3 * 64, 64) and walk["count"] == 3
        for place in range(3):
            true = model.to_image(between(*ends, place / 2, kind))
            assert apart(sheet.crop((64 * place, 0, 64 * place + 64, 64)), true) < 1
    assert apart(*(model.to_image(end) for end in ends)) > 2  # so the numbers above say something


def test_the_arc_keeps_the_spread_and_the_ends():
    dice = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, 4, 32, 32, generator=dice) for _ in range(2))
    for kind in ("linear", "spherical"):
        assert torch.allclose(between(a, b, 0.0, kind), a)
        assert torch.allclose(between(a, b, 1.0, kind), b, atol=1e-6)
    assert between(a, b, 0.5, "spherical").std() == pytest.approx(1, abs=0.03)
    assert between(a, b, 0.5, "linear").std() == pytest.approx(math.sqrt(0.5), abs=0.03)
    assert torch.allclose(between(a, a, 0.3, "spherical"), a)  # no angle, no division by it


def test_it_answers_with_the_models_picture(pair, model):
    edited = model.to_latent(picture(0)).mean * 1.5
    told, (data,) = pair.answer("decode", latent=edited.flatten().tolist())
    answered = Image.open(io.BytesIO(data)).convert("RGB")
    assert told == {"size": [64, 64]} and answered.size == (64, 64)
    assert apart(answered, model.to_image(edited)) < 1
    assert torch.equal(pair.latent, edited)  # to go on with, in the notebook


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "a list of 256 numbers, got NoneType"),
        ({"latent": [0.0] * 255}, "a list of 256 numbers, got 255"),
        ({"latent": [0.0] * 255 + [math.nan]}, "NaN"),
    ],
)
def test_a_wrong_question_is_told(pair, given, said):
    before = pair.latent
    with pytest.raises(ValueError, match=said):
        pair.answer("decode", **given)
    with pytest.raises(ValueError, match="answers no questions"):
        pair.answer("erase")
    assert pair.latent is before


def test_an_error_goes_to_the_page_and_not_up(pair, monkeypatch):
    sent = []
    monkeypatch.setattr(pair, "send", lambda *told: sent.append(told))
    pair._asked(None, {"ask": 7, "what": "decode", "given": {"latent": [1.0]}}, [])
    (told,) = sent[0]
    assert told["answer"] == 7 and "256 numbers" in told["error"]


def test_a_latent_or_a_run_will_do(model):
    run = model.generate("a red cat", steps=2)
    for given in (run, run.latent, run.latent[0]):
        alone = latent(model, given)
        assert torch.equal(alone.latent, run.latent)
        assert list(alone.walks) == ["linear"] and alone.walks["linear"]["count"] == 1


def test_a_page_is_light_at_stable_diffusions_own_size(model):
    photo = Image.fromarray(photographs.chelsea()).crop((75, 0, 375, 300)).resize((512, 512))

    class Large:  # of which only the sizes matter here
        to_latent, look = model.to_latent, model.look

        def to_image(self, latent):
            return photo

    widget = latent(Large(), photo, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    header = json.dumps([widget.latents, widget.walks, widget.matrix])
    assert widget.shape == [4, 64, 64] and widget.full is False
    assert len(widget.blob) * 4 / 3 + len(header) < 250_000


def test_where_widgets_cannot_run_there_is_a_figure(pair, model):
    for widget, alt in ((pair, "from one latent to another"), (latent(model, picture()), "4 chan")):
        bundle = widget._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        assert alt in data["text/html"]
        assert "4 x 8 x 8" in data["text/plain"]


def test_a_closed_one_lets_go_of_the_model(model):
    class Held:  # the model of the other tests must live on
        to_latent, to_image, look = model.to_latent, model.to_image, model.look

    held = Held()
    widget = latent(held, picture())
    gone = [weakref.ref(widget), weakref.ref(held)]
    del held
    widget.close()
    gc.collect()
    assert gone[1]() is None
    assert widget.figure() is None
    with pytest.raises(ValueError, match="closed"):
        widget.answer("decode", latent=[0.0] * 256)
    del widget
    gc.collect()
    assert gone[0]() is None


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda m: latent("pocket-sd15", picture()), TypeError, "sd.load"),
        (lambda m: latent(m, "cat.png"), TypeError, "picture must be a picture, a run or a latent"),
        (lambda m: latent(m, picture(), 3), TypeError, "other must be"),
        (lambda m: latent(m, picture(), picture(1, (64, 128))), ValueError, "of one size"),
        (lambda m: latent(m, picture(0, (60, 64))), ValueError, "multiple of 8"),
        (lambda m: latent(m, picture(0, (520, 64))), ValueError, "at most 64 x 64"),
        (lambda m: latent(m, torch.zeros(2, 4, 8, 8)), ValueError, r"latents\[:1\]"),
        (lambda m: latent(m, torch.full((4, 8, 8), math.nan)), ValueError, "NaN"),
        (lambda m: latent(m, picture(), frames=1), ValueError, "frames must be"),
        (lambda m: latent(m, picture(), frames=True), ValueError, "frames must be"),
    ],
)
def test_bad_input_is_told(model, call, error, said):
    with pytest.raises(error, match=said):
        call(model)


def test_a_walk_from_nothing_is_straight(model):
    middle, there = torch.zeros(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    halves = [between(*ends, 0.5, "spherical") for ends in ((middle, there), (there, middle))]
    assert all(torch.equal(half, there / 2) for half in halves)
    walk = latent(model, middle, there, frames=3)
    assert len(walk._pictures) == 2


def test_the_figure_keeps_its_picture_and_its_channels_together(model):
    widget = latent(model, torch.randn(1, 4, 8, 8))
    before = widget.figure().drawing.axes[1].images[0].get_array().copy()
    widget.answer("decode", latent=[0.0] * 256)
    after = widget.figure().drawing.axes[1].images[0].get_array()
    assert (before == after).all() and not widget.latent.any()
