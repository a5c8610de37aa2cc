"""The family explorer in Python: in step by noise level, answers as given, parts as counted."""

import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

import sdlearn as sd
from sdlearn.views.widgets import family
from sdlearn.views.widgets.in_step import levels_of, nearest_in, velocity
from tests import tiny

PROMPT, OTHER = "a red cat on the grass", "a cat dream"
KINDS = {"one": "sd1", "two": "sd2-v", "xl": "sdxl"}
STEPS = {"one": 5, "two": 7, "xl": 12}


@pytest.fixture(scope="module")
def models():
    return {name: sd.wrap(tiny.pipeline(kind)) for name, kind in KINDS.items()}


@pytest.fixture(scope="module")
def refiner():
    return sd.wrap(tiny.pipeline("sdxl-refiner"))


@pytest.fixture(scope="module")
def anatomies(models):
    return {name: model.anatomy() for name, model in models.items()}


@pytest.fixture(scope="module")
def runs(models):
    return {
        name: [
            model.generate(prompt, steps=STEPS[name], seed=3, sampler="ddim")
            for prompt in (PROMPT, OTHER)
        ]
        for name, model in models.items()
    }


@pytest.fixture(scope="module")
def widget(runs, anatomies):
    return family(runs, anatomies, frames=8)


@pytest.fixture(scope="module")
def handed(models, refiner):
    """A run of the base, and the refiner's that goes on."""
    base = models["xl"].generate(PROMPT, steps=10, seed=3, denoising_end=0.8)
    return base, refiner.image_to_image(base, PROMPT, steps=10, denoising_start=0.8)


def cut(widget, place):
    return widget.blob[place[0] : place[0] + place[1]]


def unpacked(widget, run, part):
    """The small pictures of a part, [frame, row, column, colour], as the page takes them out."""
    rows, columns = run["latent"]
    sheet = np.asarray(Image.open(io.BytesIO(cut(widget, run["planes"][part]))).convert("L"))
    planes = sheet.reshape(3, rows, -1, columns)
    return planes.transpose(2, 1, 3, 0)


def values(side, label):
    return next(line["values"] for line in side["parts"] if line["label"] == label)


def test_levels_are_all_noise_levels_once_and_falling():
    assert levels_of([2.0, 9.0, 1.0, 2.0001, 9.0]) == [9.0, 2.0001, 1.0]
    assert levels_of([math.inf, 0.0, 1.0]) == [math.inf, 1.0, 0.0]


@pytest.mark.parametrize("level", [14.0, 2.2, 0.5, 0.03, math.inf, 0.0])
def test_the_nearest_step_is_the_nearest_by_ratio(level):
    sigmas = [12.0, 4.0, 1.0, 0.2, 0.05]
    far = [abs(math.log(s / min(max(level, 1e-4), 1e4))) for s in sigmas]
    assert nearest_in(sigmas, [level]) == [far.index(min(far))]


def test_the_page_can_stop_at_every_step_that_is_shown(widget):
    told = json.loads(json.dumps([widget.levels, widget.sides]))
    levels, sides = told
    assert levels == sorted(levels, reverse=True)
    for side in sides:
        for run in side["runs"]:
            sigmas = [step["sigma"] for step in run["steps"]]
            assert len(sigmas) == min(8, STEPS[side["name"]])
            assert set(run["at"]) == set(range(len(sigmas)))
            assert run["at"] == sorted(run["at"])
            for place, level in enumerate(levels):
                chosen = sigmas[run["at"][place]]
                gaps = [abs(math.log(sigma / level)) for sigma in sigmas]
                assert abs(math.log(chosen / level)) == min(gaps)


def test_the_velocity_is_what_the_network_answered(models):
    answered = []
    hook = models["two"].parts.unet.register_forward_hook(
        lambda module, given, out: answered.append(out[0])
    )
    try:
        run = models["two"].generate(PROMPT, steps=4, sampler="ddim", guidance_scale=3.0)
    finally:
        hook.remove()
    assert len(answered) == len(run)
    for step, out in zip(run.steps, answered, strict=True):
        assert torch.allclose(velocity(step, step.eps_cond), out[1:2], atol=1e-4)
        assert not torch.allclose(step.eps_cond, out[1:2], atol=1e-2)  # or it would say nothing


def test_with_no_signal_left_the_velocity_is_the_pictures_negative():
    shape = (1, 4, 2, 2)
    x0, eps = torch.randn(shape), torch.randn(shape)
    step = sd.trace.Step(0, 999, 0.0, 0.5, 1.0, sample=eps, x0=x0, eps=eps)
    assert torch.equal(velocity(step, eps), -x0)


@pytest.mark.parametrize("name", KINDS)
def test_small_pictures_are_the_previews(widget, runs, name):
    side = next(side for side in widget.sides if side["name"] == name)
    for run, trace in zip(side["runs"], runs[name], strict=True):
        for part in ("xt", "x0"):
            shown = unpacked(widget, run, part)
            for picture, told in zip(shown, run["steps"], strict=True):
                expected = np.asarray(trace.steps[told["index"]].preview(part), dtype=float)
                assert np.abs(picture - expected).mean() < 7, part  # WebP is not exact
        answers = unpacked(widget, run, "answer")
        step = trace.steps[run["steps"][-1]["index"]]
        answer = velocity(step, step.eps_cond) if name == "two" else step.eps_cond
        expected = np.asarray(trace.look.preview(answer), dtype=float)
        assert np.abs(answers[-1] - expected).mean() < 7


def test_maps_are_the_words_own(widget, runs):
    for side in widget.sides:
        for run, trace in zip(side["runs"], runs[side["name"]], strict=True):
            assert [word["text"] for word in run["words"]] == list(trace.attention.words)
            for word in run["words"]:
                kept = np.frombuffer(cut(widget, word["at"]), np.uint8).reshape(word["grid"])
                expected = trace.attention[word["text"]].mean().values
                told = 255 * (expected.double() / expected.double().max()).numpy()
                # Rounded from float32: a value halfway between two bytes may fall by its last bit.
                assert np.abs(kept - told).max() <= 0.5 + 1e-3


def test_the_parts_are_the_anatomys(widget, anatomies):
    for side in widget.sides:
        one = anatomies[side["name"]]
        assert values(side, "family") == [str(one.family)]
        assert values(side, "U-Net") == [f"{one.unet.parameters:,} parameters"]
        assert values(side, "a word comes as") == [f"{one.context} numbers"]
        assert values(side, "latent") == [" x ".join(map(str, one.latent))]
    encoders = [len(values(side, "reads the prompt with")) for side in widget.sides]
    assert encoders == [1, 1, 2]
    answers = [values(side, "answers")[0] for side in widget.sides]
    assert answers == ["the noise (eps)", "the velocity (v)", "the noise (eps)"]
    assert [run["answers"] for run in widget.sides[1]["runs"][0]["steps"]] == ["v"] * 7


def test_a_refiner_goes_on_in_the_same_panel(models, refiner, handed):
    base, refined = handed
    both = family({"both": [base, refined]}, {"both": [models["xl"], refiner]}, frames=50)
    (side,) = both.sides
    (run,) = side["runs"]
    assert [step["index"] for step in run["steps"]] == [*range(len(base)), *range(len(refined))]
    assert {step["by"] for step in run["steps"]} == {models["xl"].name, refiner.name}
    assert values(side, "family") == ["SDXL", "then: SDXL refiner"]
    assert values(side, "answers") == ["the noise (eps)"]
    sent = Image.open(io.BytesIO(cut(both, run["picture"]["at"]))).convert("RGB")
    apart = np.abs(np.asarray(sent, float) - np.asarray(refined.image, float)).mean()
    assert apart < 12


def test_a_run_from_a_file_will_do(runs, anatomies, tmp_path):
    runs["one"][0].save(tmp_path / "run.safetensors")
    loaded = sd.Trace.load(tmp_path / "run.safetensors")
    made = family({"one": loaded}, {"one": anatomies["one"]})
    assert set(made.sides[0]["runs"][0]["planes"]) == {"xt", "x0", "answer"}


def test_without_noise_or_attention_the_rest_is_shown(models, anatomies):
    plain = models["one"].generate(PROMPT, steps=3, record=("latents",))
    (run,) = family({"one": plain}, {"one": anatomies["one"]}).sides[0]["runs"]
    assert set(run["planes"]) == {"xt", "x0"} and run["words"] == []


def test_words_that_were_cut_off_have_no_map(models, anatomies):
    with pytest.warns(UserWarning, match="never sees"):
        long = models["one"].generate("a red cat " * 40 + "beach", steps=2)
    (run,) = family({"one": long}, {"one": anatomies["one"]}).sides[0]["runs"]
    assert [word["text"] for word in run["words"]] == ["a", "red", "cat"]


def test_where_widgets_cannot_run_there_is_a_figure(widget):
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert '<img alt="“a red cat on the grass”, drawn by one, two, xl' in data["text/html"]
    assert len(data["text/html"]) < 100_000
    assert data["text/plain"].startswith("[Family explorer: “a red cat on the grass” and “a cat")


def test_any_name_can_stand_in_the_figure(runs, anatomies):
    name = "$a$ <b>model</b> " * 9
    made = family({name: runs["one"][0]}, {name: anatomies["one"]})
    bundle = made._repr_mimebundle_()
    assert "<b>model" not in (bundle[0] if isinstance(bundle, tuple) else bundle)["text/html"]


def test_a_lesson_stays_light():
    """Three models and two prompts at the pocket family's sizes."""
    model = sd.load("pocket-sd15")
    anatomy, prompts = model.anatomy(), ("a red cat on the grass", "a blue robot at night")
    sides = {"pocket-sd15": 128, "pocket-sd21": 128, "pocket-sdxl": 256}
    runs = {
        name: [model.generate(prompt, steps=10, height=side, width=side) for prompt in prompts]
        for name, side in sides.items()
    }
    made = family(runs, dict.fromkeys(runs, anatomy))
    header = json.dumps([made.sides, made.levels, made.prompts])
    assert len(made.blob) * 4 / 3 + len(header) < 250_000


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda r, m: family({}, m), TypeError, "1 to 6 names"),
        (lambda r, m: family(r["one"][0], m), TypeError, "got a Trace"),
        (lambda r, m: family({"one": []}, m), TypeError, "a run or a list"),
        (lambda r, m: family({"one": [3]}, m), TypeError, "got a int"),
        (lambda r, m: family({"": r["one"]}, {"": m["one"]}), TypeError, "at least one letter"),
        (lambda r, m: family(r, m, frames=1), ValueError, "frames must be"),
        (lambda r, m: family(r, m, frames=True), ValueError, "frames must be"),
        (lambda r, m: family(r, {"one": m["one"]}), ValueError, "'two' is missing"),
        (lambda r, m: family(r, None), ValueError, "models must hold"),
        (lambda r, m: family({"one": r["one"]}, {"one": "sd15"}), TypeError, "got a str"),
        (lambda r, m: family({"one": r["one"]}, {"one": m["xl"]}), ValueError, "SDXL"),
        (lambda r, m: family({"one": [r["one"][0]] * 2}, m), ValueError, "does not go on"),
        (lambda r, m: family({"one": r["one"]}, {"one": [m["one"]] * 2}), ValueError, "2 models"),
        (lambda r, m: family({**r, "xl": r["xl"][:1]}, m), ValueError, "the same prompts"),
        (lambda r, m: family(r, m, word="dog"), ValueError, "red, cat"),
    ],
)
def test_bad_input_is_told(runs, anatomies, call, error, said):
    with pytest.raises(error, match=said):
        call(runs, anatomies)


def test_a_run_without_latents_or_of_a_batch_is_told(models, anatomies):
    for options, said in (({"record": ()}, "kept no latents"), ({"seed": [1, 2]}, "2 pictures")):
        run = models["one"].generate(PROMPT, steps=1, **options)
        with pytest.raises(ValueError, match=said):
            family({"one": run}, anatomies)
