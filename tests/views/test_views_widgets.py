"""What a widget is given: nothing lost that matters, and a figure where it can't run."""

import gc
import io
import json
import re
import weakref

import pytest
import torch
from PIL import Image

import sdlearn as sd
from sdlearn.views.widgets.explorer import PARTS
from sdlearn.views.widgets.packing import Blob, pack
from sdlearn.views.widgets.widget import source


@pytest.fixture(scope="module")
def trace(model):
    return model.generate("a red cat on the grass", steps=5)


@pytest.fixture(scope="module")
def packed(trace):
    blob = Blob()
    return pack(trace, blob), blob.bytes()


def cut(data, place):
    return data[place[0] : place[0] + place[1]]


def test_the_header_is_json_and_says_what_the_steps_were(packed, trace):
    header = json.loads(json.dumps(packed[0]))
    assert header["prompt"] == "a red cat on the grass"
    assert [step["t"] for step in header["steps"]] == [step.t for step in trace.steps]
    assert header["latent"] == list(trace.latent.shape[1:])
    assert header["total"] == 5


def test_a_sprite_holds_every_step(packed, trace):
    header, data = packed
    for sprite in header["pictures"].values():
        sheet = Image.open(io.BytesIO(cut(data, sprite["at"])))
        assert sheet.format == "WEBP"
        assert sheet.size == (sprite["size"][0] * 5, sprite["size"][1])
        assert sprite["decoded"] is True


def test_latents_are_within_half_a_level(packed, trace):
    header, data = packed
    assert set(header["latents"]) == {"xt", "x0", "eps_cond", "eps_uncond", "eps"}
    for name, kept in header["latents"].items():
        levels = torch.frombuffer(bytearray(cut(data, kept["at"])), dtype=torch.uint8)
        levels = levels.view(5, *header["latent"]).float()
        for i, step in enumerate(trace.steps):
            low, high = kept["low"][i], kept["high"][i]
            back = low + (high - low) * levels[i] / 255
            assert (back - getattr(step, name)[0]).abs().max() <= (high - low) / 255 * 0.51 + 2e-5


def test_a_word_with_and_without_a_capital_is_one(model):
    packed = pack(model.generate("A cat and a dog", steps=1), Blob())
    assert [word["text"] for word in packed["words"]] == ["A", "cat", "and", "dog"]


def test_maps_are_the_words_own(packed, trace):
    header, data = packed
    assert [word["text"] for word in header["words"]] == list(dict.fromkeys(trace.attention.words))
    (cat,) = [word for word in header["words"] if word["text"] == "cat"]
    levels = torch.frombuffer(bytearray(cut(data, cat["steps_at"])), dtype=torch.uint8)
    maps = levels.view(5, *cat["grid"]).float() / 255 * cat["peak"]
    expected = trace.attention["cat"].at(step=2).mean().values
    assert (maps[2] - expected).abs().max() <= cat["peak"] / 255
    assert len(cut(data, cat["layers_at"])) == len(cat["layers"]) * cat["grid"][0] * cat["grid"][1]


@pytest.mark.filterwarnings("ignore:.*too long|.*cut off|.*longer than")
def test_words_that_were_cut_off_have_no_map(model):
    long = model.generate(" ".join(["a red cat on the grass"] * 20) + " unread", steps=2)
    words = [word["text"] for word in pack(long, Blob())["words"]]
    assert "cat" in words and "unread" not in words


def test_many_steps_are_thinned_out(model):
    long = model.generate("a cat", steps=40)
    header = pack(long, Blob(), frames=8)
    indices = [step["index"] for step in header["steps"]]
    assert len(indices) == 8 and indices[0] == 0 and indices[-1] == 39


def test_a_run_without_attention_or_noise_can_be_explored(model):
    plain = model.generate("a cat", steps=3, record=("latents",))
    header = pack(plain, Blob())
    assert header["words"] == [] and set(header["latents"]) == {"xt", "x0"}


def test_where_widgets_cannot_run_there_is_a_figure(trace):
    bundle = trace.explore()._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "<img alt=" in data["text/html"]
    assert "a red cat on the grass" in data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_run_that_was_loaded_without_its_model_shows_previews(trace, tmp_path):
    trace.save(tmp_path / "run.safetensors")
    loaded = sd.Trace.load(tmp_path / "run.safetensors")
    bundle = loaded.explore()._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "<img alt=" in data["text/html"]
    assert loaded.plot(words=["cat"]) is not None
    with pytest.raises(ValueError, match="came without its model"):
        loaded.plot(decoded=True)


def test_a_closed_one_lets_go_of_its_run(model):
    run = model.generate("a cat", steps=2)
    explorer, there = run.explore(), weakref.ref(run)
    explorer.close()
    del run
    gc.collect()
    assert there() is None and explorer.figure() is None


def test_a_word_can_be_lit_from_the_beginning(trace):
    assert trace.explore(word="cat").word == "cat"


def test_a_phrase_has_a_button_and_maps_of_its_own(trace):
    explorer = trace.explore(word="red cat")
    (phrase,) = [word for word in explorer.sides[0]["words"] if word["text"] == "red cat"]
    levels = torch.frombuffer(bytearray(cut(explorer.blob, phrase["steps_at"])), dtype=torch.uint8)
    maps = levels.view(5, *phrase["grid"]).float() / 255 * phrase["peak"]
    expected = trace.attention["red cat"].at(step=2).mean().values
    assert (maps[2] - expected).abs().max() <= phrase["peak"] / 255
    explorer.word = "CAT"
    explorer.word = ""


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda t, m: t.explore(word="dog"), (ValueError, KeyError), "dog"),
        (lambda t, m: t.explore(frames=1), ValueError, "frames"),
        (lambda t, m: t.explore(frames="all"), ValueError, "frames"),
        (lambda t, m: t.explore("a cat"), TypeError, "other must be a Trace"),
        (
            lambda t, m: m.generate(["a cat", "a dog"], steps=1).explore(),
            ValueError,
            "2 pictures",
        ),
        (
            lambda t, m: m.generate("a cat", steps=1, record=()).explore(),
            ValueError,
            "kept no latents",
        ),
    ],
)
def test_bad_input_is_told(trace, model, call, error, said):
    with pytest.raises(error, match=said):
        call(trace, model)


@pytest.mark.parametrize(
    ("trait", "value", "said"),
    [
        ("place", -1, "from 0 to 4"),
        ("place", 5, "5 steps are kept"),
        ("part", "x1", "x0, xt, eps"),
        ("word", "dog", "'dog'. It shows a, red, cat, on, the, grass"),
    ],
)
def test_what_is_not_there_cannot_be_shown(trace, trait, value, said):
    explorer = trace.explore()
    before = getattr(explorer, trait)
    with pytest.raises(ValueError, match=said):
        setattr(explorer, trait, value)
    assert getattr(explorer, trait) == before
    explorer.place, explorer.part = 0, "eps"
    assert (explorer.place, explorer.part) == (0, "eps")


def test_python_and_the_page_name_the_same_parts():
    (named,) = re.findall(r"const PARTS = {(.*?)};", source("explorer", "js"), re.DOTALL)
    assert tuple(re.findall(r"^  (\w+):", named, re.MULTILINE)) == PARTS
