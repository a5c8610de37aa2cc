"""A prompt, read: tokens, words, vectors; as diffusers reads it, and safe to show."""

import warnings
from dataclasses import replace

import diffusers
import pytest
import tiny
import torch
from side_by_side import MODELS, PROMPT, model, pipeline, same, theirs

from sdlearn.equations import mixtures, schedules, trajectories
from sdlearn.models import wrap
from sdlearn.stages import text

OTHER = "the dream beach"
HOSTILE = """<script>alert('x')</script> "> <img src=x onerror=alert(1)> & </td>"""


# --- vectors


@pytest.mark.parametrize("kind", ["sd1", "sd2-v"])
def test_vectors_are_the_pipelines(kind):
    expected, negative = pipeline(kind).encode_prompt(
        [PROMPT, OTHER], torch.device("cpu"), 1, True, ["", "a beach"]
    )
    assert torch.equal(model(kind).encode([PROMPT, OTHER]).embeddings, expected)
    assert torch.equal(model(kind).encode(["", "a beach"]).embeddings, negative)


@pytest.mark.parametrize("kind", ["sdxl", "sdxl-refiner"])
def test_vectors_are_sdxls(kind):
    pipe = pipeline(kind, "image" if "refiner" in kind else "noise")
    expected, _, pooled, _ = pipe.encode_prompt(PROMPT)
    prompt = model(kind).encode(PROMPT)
    assert torch.equal(prompt.embeddings, expected) and torch.equal(prompt.pooled, pooled)


def test_two_encoders_side_by_side():
    prompt = model("sdxl").encode(PROMPT, prompt_2=OTHER)
    first, second = prompt.encoders
    assert (first.name, second.name) == ("text_encoder", "text_encoder_2")
    assert first.tokens[0].text == PROMPT and second.tokens[0].text == OTHER
    assert torch.equal(prompt.embeddings, torch.cat([first.embeddings, second.embeddings], -1))
    assert prompt.pooled is second.pooled
    assert torch.equal(first.embeddings, model("sdxl").encode(PROMPT).encoders[0].embeddings)
    assert torch.equal(second.embeddings, model("sdxl").encode(OTHER).encoders[1].embeddings)


def test_layer_by_layer():
    made = model("sd1")
    prompt, encoder = made.encode(PROMPT), made.parts.text_encoder
    (encoded,) = prompt.encoders
    assert len(encoded.layers) == 1 + encoder.config.num_hidden_layers
    before = encoder.text_model.embeddings if hasattr(encoder, "text_model") else encoder.embeddings
    with torch.no_grad():
        assert torch.equal(encoded.before, before(encoded.ids))
    assert torch.equal(prompt.layer(0), encoded.before)
    # The U-Net is given the last layer, normalised once more.
    norm = getattr(encoder, "text_model", encoder).final_layer_norm
    with torch.no_grad():
        torch.testing.assert_close(norm(prompt.layer(-1)), prompt.embeddings)
    # A token knows only what stands before it.
    other = made.encode("a red dream on the grass")
    same = torch.isclose(other.layer(-1), prompt.layer(-1)).all(-1)[0]
    assert same[:3].all() and not same[3:].any()
    with pytest.raises(IndexError, match=r"0 \(before the first\) to 3, got 4"):
        prompt.layer(4)


def test_one_prompt_or_several():
    prompt = model("sd1").encode(PROMPT)
    assert len(prompt) == 1 and prompt.text == PROMPT and prompt.tokens.text == PROMPT
    assert list(prompt.words) == PROMPT.split()
    several = model("sd1").encode((PROMPT, OTHER))
    assert several.texts == (PROMPT, OTHER)
    for name, plural in (("text", "texts"), ("tokens", "all_tokens"), ("words", "all_tokens")):
        with pytest.raises(ValueError, match=rf"2 prompts.*\.{plural}"):
            getattr(several, name)


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_repeated_for_several_pictures(kind):
    two = model(kind).encode([PROMPT, OTHER])
    four = two.repeated(2)
    assert four.texts == (PROMPT, PROMPT, OTHER, OTHER)
    assert torch.equal(four.embeddings, two.embeddings[[0, 0, 1, 1]])
    assert torch.equal(four.pooled, two.pooled[[0, 0, 1, 1]])
    assert [tokens.text for tokens in four.all_tokens] == list(four.texts)
    for encoded, single in zip(four.encoders, two.encoders, strict=True):
        assert torch.equal(encoded.embeddings, single.embeddings[[0, 0, 1, 1]])
        assert torch.equal(encoded.ids, single.ids[[0, 0, 1, 1]])
    assert two.repeated(1) is two


def test_vectors_of_ones_own():
    prompt = model("sdxl").encode(PROMPT)
    mine = prompt.with_embeddings(2 * prompt.embeddings.double(), pooled=-prompt.pooled)
    assert torch.equal(mine.embeddings, 2 * prompt.embeddings)
    assert torch.equal(mine.pooled, -prompt.pooled)
    assert mine.tokens is prompt.tokens
    assert prompt.with_embeddings(prompt.embeddings).pooled is prompt.pooled
    for wrong in (prompt.embeddings[:, :5], prompt.embeddings[0], [1.0], None):
        with pytest.raises((ValueError, TypeError), match="embeddings must be"):
            prompt.with_embeddings(wrong)
    with pytest.raises(ValueError, match="pooled must be"):
        prompt.with_embeddings(prompt.embeddings, pooled=torch.zeros(3))


def test_sdxls_empty_prompt_is_zeros():
    zeros = model("sdxl").encode([PROMPT, OTHER]).zeros()
    assert zeros.texts == ("", "") and not zeros.embeddings.any() and not zeros.pooled.any()
    assert zeros.all_tokens == ()


# --- what is odd


@pytest.mark.parametrize(
    "prompt",
    ["", " ", "🐱", "a 🐱 on the 🌿", "naïve café", "猫", "don't; re-do 3.5%", "\n\t", "a" * 70],
)
def test_odd_prompts_are_read_and_drawn(prompt):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = model("sd1").encode(prompt)
    assert made.embeddings.isfinite().all()
    assert made.tokens.text == prompt
    expected, _ = pipeline("sd1").encode_prompt(prompt, torch.device("cpu"), 1, False)
    assert torch.equal(made.embeddings, expected)
    assert all(prompt[a:b] == word.text for word in made.words.items for a, b in [word.span])


def test_ten_thousand_words_are_cut_and_said():
    long = "red " * 9_999 + "cat"
    with pytest.warns(UserWarning, match=r"longer than 77 tokens.*never sees.*red red") as caught:
        trace = model("sd1").generate(long, steps=1)
    (said,) = (w for w in caught if w.category is UserWarning)
    assert said.filename == __file__  # it points at the caller, not into the package
    assert len(str(said.message)) < 400
    assert trace.image.size == (64, 64)
    assert len(trace.tokens[0].words["red"]) == 75
    with pytest.raises(KeyError, match="cut off"):
        trace.attention["cat"]


def test_it_is_said_of_the_second_encoders_prompt_too():
    with pytest.warns(UserWarning, match="never sees") as caught:
        model("sdxl").encode(PROMPT, prompt_2="grass " * 100)
    assert [w.filename for w in caught if w.category is UserWarning] == [__file__]


# --- shown


def test_its_html_is_escaped():
    for kind in ("sd1", "sdxl"):
        shown = model(kind).encode([HOSTILE, OTHER])._repr_html_()
        for tag in ("<script", "<img", "</script"):
            assert tag not in shown
        assert shown.count("<table") == shown.count("</table>") == (2 if kind == "sd1" else 4)
        assert "text_encoder_2" in shown or kind == "sd1"


def test_it_shows_itself_in_a_terminal():
    assert repr(model("sd1").encode(PROMPT)) == f"Prompt({PROMPT!r}, embeddings [1, 77, 24])"
    assert len(repr(model("sd1").encode(["a"] * 500))) < 200


# --- wrong ones


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((None,), TypeError, 'prompt must be a text.*NoneType.*say ""'),
        ((b"a cat",), TypeError, "prompt must be a text.*bytes"),
        ((3,), TypeError, "prompt must be a text.*int"),
        (([],), ValueError, "prompt is an empty list"),
        ((["a cat", 3],), TypeError, "prompt must hold texts, and 3 is none"),
        (("a cat", "a dog"), ValueError, "prompt_2 is for SDXL"),
        (("a cat", ["a", "b"]), ValueError, "1 prompts and 2 of prompt_2"),
        (("a cat", 5), TypeError, "prompt_2 must be a text"),
    ],
)
def test_wrong_prompts(arguments, error, says):
    with pytest.raises(error, match=says):
        text.encode(model("sd1").parts, *arguments)


def test_a_refiner_reads_one_prompt():
    with pytest.raises(ValueError, match="prompt_2 is for SDXL's second text encoder"):
        model("sdxl-refiner").encode(PROMPT, prompt_2=OTHER)


def test_parts_that_are_missing():
    parts = model("sd1").parts
    with pytest.raises(ValueError, match="without a text encoder"):
        text.encode(replace(parts, text_encoder=None), PROMPT)
    with pytest.raises(ValueError, match="no tokenizer"):
        text.encode(replace(parts, tokenizer=None), PROMPT)


# --- without the last layers


@pytest.mark.parametrize("skip", [1, 2])
@pytest.mark.parametrize("kind", ["sd1", "sd2-v", "pocket-sd15", "pocket-sd21"])
def test_layers_are_left_out_as_the_pipelines_do(kind, skip, monkeypatch):
    name_the_text_model(pipeline(kind), monkeypatch)
    expected, _ = pipeline(kind).encode_prompt(
        [PROMPT, OTHER], torch.device("cpu"), 1, False, clip_skip=skip
    )
    prompt = model(kind).encode([PROMPT, OTHER], skip=skip)
    assert torch.equal(prompt.embeddings, expected)
    plain = model(kind).encode([PROMPT, OTHER])
    assert not torch.allclose(plain.embeddings, expected, atol=1e-3)
    assert torch.equal(prompt.pooled, plain.pooled)


@pytest.mark.parametrize("kind", ["sdxl", "pocket-sdxl"])
def test_layers_are_left_out_as_sdxls_do(kind):
    expected, _, pooled, _ = sdxl(kind).encode_prompt(PROMPT, clip_skip=1)
    prompt = model(kind).encode(PROMPT, skip=1)
    assert torch.equal(prompt.embeddings, expected) and torch.equal(prompt.pooled, pooled)
    assert not torch.allclose(model(kind).encode(PROMPT).embeddings, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["pocket-sd15", "pocket-sdxl"])
def test_a_picture_without_the_last_layer_is_the_pipelines(kind, monkeypatch):
    pipe = sdxl(kind) if "xl" in kind else pipeline(kind)
    name_the_text_model(pipe, monkeypatch)
    run = theirs(pipe, PROMPT, steps=2, clip_skip=1)
    made = model(kind)
    same(made.generate(made.encode(PROMPT, skip=1), steps=2), run)


def name_the_text_model(pipe, monkeypatch):
    """diffusers asks for encoder.text_model, which transformers 5 has merged into the encoder."""
    if not hasattr(pipe.text_encoder, "text_model"):
        monkeypatch.setitem(vars(pipe.text_encoder), "text_model", pipe.text_encoder)


def sdxl(kind):
    if not kind.startswith("pocket-"):
        return pipeline(kind)
    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(MODELS / kind)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_all_vectors_of_a_learned_word_are_read_as_the_pipelines_read_them():
    pipe = tiny.pipeline("sd1")
    pipe.tokenizer.add_tokens(["<cat>", "<cat>_1", "<cat>_2", "<dog>"])
    pipe.text_encoder.resize_token_embeddings(len(pipe.tokenizer))
    learned = wrap(pipe)
    for said in ("a <cat> on the beach", "a <dog>", "<cat> and <cat>"):
        expected, _ = pipe.encode_prompt(said, torch.device("cpu"), 1, False)
        assert torch.equal(learned.encode(said).embeddings, expected)
    (tokens,) = learned.encode("a <cat>").encoders[0].tokens
    assert [token.piece for token in tokens if token.kind == "word"][1:] == [
        "<cat>",
        "<cat>_1",
        "<cat>_2",
    ]


def test_everything_held_shows_itself_in_a_line():
    one = model("sd1")
    prompt = one.encode("a red cat")
    noise = schedules.NoiseSchedule.scaled_linear()
    stations = noise.spaced(4, "leading", steps_offset=1, final="first")
    (step, *_) = trajectories.trajectory(lambda xt, t, a: xt, torch.ones(300, 2), stations)
    held = [prompt.encoders[0], noise, stations, step, one.parts, mixtures.moons()]
    for thing in held:
        assert "\n" not in repr(thing) and len(repr(thing)) < 500 and "tensor(" not in repr(thing)


def test_zeros_have_no_tokens():
    with pytest.raises(ValueError, match="read from no text"):
        _ = model("sd1").encode("a red cat").zeros().tokens
