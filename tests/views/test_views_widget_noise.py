"""The noise explorer's Python side: what the page is given, exactly, and what is refused."""

import gc
import io
import json
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from sdlearn.equations import noising
from sdlearn.equations.schedules import NoiseSchedule
from sdlearn.views.widgets import noise
from sdlearn.views.widgets.noise import forward

LINEAR, COSINE = NoiseSchedule.linear(), NoiseSchedule.cosine(500)


def picture(width=96, height=64, seed=0):
    """Any picture: smooth, in colour, and not square."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def made():
    pictures = {"one": picture(), "other": picture(64, 200, seed=1)}
    return noise(pictures, {"linear": LINEAR, "cosine": COSINE}, side=64)


def cut(widget, place):
    return widget.blob[place[0] : place[0] + place[1]]


def test_the_pictures_are_the_middle_squares_without_loss(made):
    files = [Image.open(io.BytesIO(cut(made, one["at"]))).convert("RGB") for one in made.pictures]
    assert [file.size for file in files] == [(64, 64), (64, 64)]
    middle = picture().crop((16, 0, 80, 64))  # already 64 pixels high: nothing is resized
    assert np.array_equal(np.array(files[0]), np.array(middle))


def test_pictures_are_upright_and_white_where_nothing_is(tmp_path):
    lying = picture(64, 64)
    exif = Image.Exif()
    exif[0x0112] = 6  # how it was held: a quarter turn
    lying.save(tmp_path / "phone.png", exif=exif)
    glass = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    shown = [
        np.asarray(noise({"one": one}, {"linear": LINEAR}, side=64)._first)
        for one in (Image.open(tmp_path / "phone.png"), glass, glass.convert("L"))
    ]
    assert np.array_equal(shown[0], np.asarray(lying.rotate(-90)))
    assert shown[1].min() == 255 and shown[2].max() == 0


def test_the_schedules_are_exact(made):
    for one, schedule in zip(made.schedules, (LINEAR, COSINE), strict=True):
        assert np.array_equal(np.frombuffer(cut(made, one["at"]), "<f8"), schedule.alpha_bars)


def test_it_begins_half_way_through_the_first_schedule(made):
    assert (made.picture, made.schedule, made.t) == ("one", "linear", 499)


def test_one_picture_and_one_schedule_need_no_names():
    alone = noise(picture(), COSINE, t=7, seed=3)
    assert [one["name"] for one in (*alone.pictures, *alone.schedules)] == ["picture", "schedule"]
    assert (alone.t, alone.seed) == (7, 3)


def test_a_schedule_that_ends_at_nothing_is_welcome():
    noise(picture(), LINEAR.with_zero_terminal_snr())


def test_a_page_of_two_pictures_and_three_schedules_is_light():
    grain = torch.randint(0, 256, (128, 128, 3), generator=torch.Generator().manual_seed(0))
    worst = Image.fromarray(grain.byte().numpy())  # noise can't be packed at all
    family = {"linear": LINEAR, "cosine": COSINE, "scaled": NoiseSchedule.scaled_linear()}
    widget = noise({"worst": worst, "usual": picture()}, family)
    header = json.dumps([widget.pictures, widget.schedules])
    assert len(widget.blob) * 4 / 3 + len(header) < 150_000


def test_the_figure_is_the_forward_process():
    one = picture(32, 32)
    shown = forward(one, {"linear": LINEAR.alpha_bars, "cosine": COSINE.alpha_bars}, columns=3)
    x0 = torch.tensor(np.array(one)).permute(2, 0, 1).double() / 127.5 - 1
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0), dtype=x0.dtype)
    drawn = [axis.images[0].get_array() for axis in shown.drawing.axes]
    for got, alpha_bar in zip(drawn[:3], LINEAR.alpha_bars[[250, 500, 749]].tolist(), strict=True):
        xt = noising.add_noise(x0, eps, alpha_bar)
        expected = ((xt + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy()
        assert np.abs(np.asarray(got) - expected).max() < 1e-6
    assert "linear, cosine" in shown.alt


def test_where_widgets_cannot_run_there_is_a_figure(made):
    bundle = made._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "<img alt=" in data["text/html"]
    assert "one, other" in data["text/plain"] and "cosine" in data["text/plain"]


def test_a_name_that_is_not_there_is_told(made):
    with pytest.raises(ValueError, match="no picture 'third'; there are: one, other"):
        made.picture = "third"
    with pytest.raises(ValueError, match="no schedule"):
        made.schedule = "sigmoid"
    assert (made.picture, made.schedule) == ("one", "linear")


def test_nothing_is_left_of_a_closed_one():
    widget = noise(picture(), COSINE)
    there = weakref.ref(widget)
    widget.close()
    del widget
    gc.collect()
    assert there() is None


class Rising:
    alpha_bars = torch.linspace(0.1, 0.9, 5)


class Emptied:
    alpha_bars = torch.tensor([0.9, 0.0, 0.0])


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: noise("cat.png", LINEAR), TypeError, r"PIL\.Image\.open"),
        (lambda: noise({"cat": "cat.png"}, LINEAR), TypeError, "'cat' must be a PIL picture"),
        (lambda: noise({}, LINEAR), ValueError, "pictures must be 1 to 6"),
        (lambda: noise({"": picture()}, LINEAR), ValueError, "at least one letter"),
        (lambda: noise(picture(), dict.fromkeys("abcdefg", LINEAR)), ValueError, "1 to 6"),
        (lambda: noise(picture(), "linear"), TypeError, "must have alpha_bars.*NoiseSchedule"),
        (lambda: noise(picture(), Rising()), ValueError, "the other way"),
        (lambda: noise(picture(), Emptied()), ValueError, "must fall"),
        (lambda: noise(picture(), LINEAR, t=1000), ValueError, "t must be .* 0 to 999"),
        (lambda: noise(picture(), LINEAR, t=True), ValueError, "t must be"),
        (lambda: noise(picture(), LINEAR, seed=-1), ValueError, "seed must be"),
        (lambda: noise(picture(), LINEAR, side=512), ValueError, "side must be .* 32 to 256"),
    ],
)
def test_bad_input_is_told(call, error, said):
    with pytest.raises(error, match=said):
        call()
