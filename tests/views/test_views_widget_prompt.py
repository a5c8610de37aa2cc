"""The prompt explorer, without a page: what it packs, what it answers, and what it refuses."""

import json
import warnings
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import sdlearn as sd
from sdlearn.views.widgets import prompt
from tests import tiny

TEXT = "a red cat on the grass"


@pytest.fixture(scope="module")
def explorer(model):
    return prompt(model, TEXT, "the beach")


def cut(widget, place, kind):
    return np.frombuffer(widget.blob[place[0] : place[0] + place[1]], kind)


def test_its_rules_spell_the_whole_vocabulary(explorer, model):
    told = json.loads(json.dumps(explorer.vocabulary))
    spelled = {number: piece for piece, number in told["pieces"].items()}
    rules = cut(explorer, told["rules"], "<u2").reshape(-1, 3).tolist()
    for one, two, glued in rules:
        spelled[glued] = spelled[one] + spelled[two]
    spelled |= {number: content for content, number, _ in told["added"]}
    assert {piece: n for n, piece in spelled.items()} == model.parts.tokenizer.get_vocab()
    assert len(rules) > 10


def test_directions_are_within_a_hundredth(explorer, model):
    rows = model.parts.text_encoder.get_input_embeddings().weight.detach()
    levels = cut(explorer, explorer.table["at"], np.int8).reshape(rows.shape)
    packed = torch.tensor(levels, dtype=torch.float32)
    unit, exact = (torch.nn.functional.normalize(one, dim=1) for one in (packed, rows))
    assert (unit @ unit.T - exact @ exact.T).abs().max() < 0.02
    lengths = cut(explorer, explorer.table["lengths"], "<f4")
    assert np.allclose(lengths, rows.norm(dim=1).numpy())


def test_near_words_are_whole_words_and_the_nearest(explorer, model):
    tokenizer = model.parts.tokenizer
    rows = model.parts.text_encoder.get_input_embeddings().weight.detach()
    cat = tokenizer.convert_tokens_to_ids("cat</w>")
    found = explorer.near(cat)
    values = [cosine for _, cosine in found]
    assert len(found) == 8 and values == sorted(values, reverse=True)
    pieces = tokenizer.convert_ids_to_tokens([number for number, _ in found])
    assert all(piece.endswith("</w>") for piece in pieces) and "cat</w>" not in pieces
    for number, cosine in found:
        expected = torch.cosine_similarity(rows[cat], rows[int(number)], dim=0).item()
        assert cosine == pytest.approx(expected, abs=1e-5)
    whole = [n for piece, n in tokenizer.get_vocab().items() if piece in ("red</w>", "on</w>")]
    assert set(whole) <= set(cut(explorer, explorer.table["words"], "<u2").tolist())
    half = tokenizer.get_vocab()["Ã</w>"]  # the first byte of é: no word ends in it
    assert half not in cut(explorer, explorer.table["words"], "<u2")


def test_it_compares_what_the_unet_would_get(explorer, model):
    told, (levels,) = explorer.answer("compare", first=TEXT, second="the beach")
    read = model.encode([TEXT, "the beach"])
    one, two = torch.nn.functional.normalize(read.embeddings, dim=-1)
    assert told["shape"] == [8, 4] and told["clip"] is None
    expected = one[:8] @ two[:4].T
    packed = np.frombuffer(levels, "<i2").reshape(8, 4) / 32767
    assert np.abs(packed - expected.numpy()).max() < 1e-4
    pooled = torch.cosine_similarity(*read.pooled, dim=0).item()
    assert told["pooled"] == pytest.approx(pooled, abs=1e-6)
    (known,) = explorer.known
    assert known["second"] == "the beach" and known["pooled"] == told["pooled"]
    assert explorer.blob[known["at"][0] :][: known["at"][1]] == levels


def test_a_clip_gives_its_verdict(model):
    vectors = {TEXT: [1.0, 0.0], "the beach": [0.6, 0.8]}
    clip = SimpleNamespace(captions=lambda texts: torch.tensor([vectors[one] for one in texts]))
    (known,) = prompt(model, TEXT, "the beach", clip=clip).known
    assert known["clip"] == pytest.approx(0.6)


def test_too_long_a_prompt_is_no_warning(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        long = prompt(model, TEXT * 30, "a cat " * 100)
    assert "Cut off" in long.figure().alt


@pytest.mark.parametrize("kind", tiny.KINDS[:5])
def test_every_family_can_be_explored(kind):
    widget = prompt(sd.wrap(tiny.pipeline(kind)), TEXT, "the beach")
    told, _ = widget.answer("compare", first="a cat", second="a cat")
    assert told["shape"] == [4, 4]
    assert told["pooled"] is None or told["pooled"] == pytest.approx(1.0, abs=1e-5)
    padding = widget.vocabulary["pieces"].get("!") == widget.vocabulary["padding"]
    assert padding == (kind in ("sd2-v", "sd2-eps", "sdxl-refiner"))


def test_a_page_with_it_stays_light(model):
    pocket = sd.load("pocket-sd15", device="cpu")
    widget = prompt(pocket, TEXT, "a blue boat")
    assert len(widget.blob) + len(json.dumps(widget.get_state(["vocabulary"]))) < 400_000


def test_a_large_table_stays_at_home(model, monkeypatch):
    monkeypatch.setattr(import_module("sdlearn.views.widgets.prompt"), "PAGE", 1000)
    widget = prompt(model, TEXT)
    assert widget.table == {"width": 24} and len(widget.blob) < 1000
    assert len(widget.answer("near", id=5)[0]["near"]) == 8


def test_where_widgets_cannot_run_there_is_a_figure(explorer):
    bundle = explorer._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "<img alt=" in data["text/html"] and "red&lt;/w&gt;" in data["text/html"]
    assert TEXT in data["text/plain"] and "the beach" in data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data


def test_the_figure_draws_any_text(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in ("", "$x_1$ \\frac", "<b>猫</b> 🙂", "w" * 200):
            assert prompt(model, text).figure().webp()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda m: prompt("pocket-sd15"), TypeError, "sdlearn.load"),
        (lambda m: prompt(m, 5), TypeError, "text must be a text, got a int"),
        (lambda m: prompt(m, TEXT, ["a cat", None]), TypeError, "other must be a text"),
        (lambda m: prompt(m, TEXT, 5), TypeError, "other must be a text"),
        (lambda m: prompt(m, TEXT, clip="pocket-clip"), TypeError, "clip.load"),
        (lambda m: prompt(m).answer("draw"), ValueError, "draw"),
        (lambda m: prompt(m).answer("near", id=10**6), ValueError, "from 0 to 532"),
        (lambda m: prompt(m).answer("compare", first="a", second=None), TypeError, "second"),
    ],
)
def test_bad_input_is_told(model, call, error, said):
    with pytest.raises(error, match=said):
        call(model)


def test_a_model_without_a_text_encoder_is_told(model):
    parts = SimpleNamespace(tokenizer=model.parts.tokenizer, text_encoder=None)
    with pytest.raises(ValueError, match="without a text encoder"):
        prompt(SimpleNamespace(parts=parts, encode=model.encode))


def test_another_tokenizer_is_told(model):
    told = json.loads(model.parts.tokenizer.backend_tokenizer.to_str())
    told["normalizer"] = None

    class Other:
        backend_tokenizer = SimpleNamespace(to_str=lambda: json.dumps(told))
        __len__ = model.parts.tokenizer.__len__

    other = Other()
    parts = SimpleNamespace(tokenizer=other, text_encoder=model.parts.text_encoder)
    with pytest.raises(ValueError, match="knows CLIP's tokenizer"):
        prompt(SimpleNamespace(parts=parts, encode=model.encode))


def test_a_prompt_that_was_read_can_be_explored():
    model = sd.wrap(tiny.pipeline("sd1"))
    read = model.encode("a red cat")
    explorer = read.explore("a blue dog")
    assert (explorer.text, explorer.other) == ("a red cat", "a blue dog")
    for unlike in (read.with_embeddings(read.embeddings * 2), read.zeros()):
        with pytest.raises(ValueError, match=r"model\.encode"):
            unlike.explore()
