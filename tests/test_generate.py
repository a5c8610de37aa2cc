"""`sdlearn generate`: pictures that carry their settings, the trace and the strip beside them."""

import json

import ldm_layout
import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from sdlearn import _generate
from sdlearn import models as sd_models
from sdlearn.cli import main
from sdlearn.trace import Trace
from tests import tiny

PROMPT = "a red cat on the grass"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model with random weights, as a folder."""
    return tiny.save("sd1", tmp_path_factory.mktemp("model") / "tiny")


def draw(folder, *more):
    options = ("--model", str(folder), "--steps", "2", "--quiet", "--device", "cpu")
    return main(["generate", PROMPT, *options, *map(str, more)])


def test_a_picture_can_be_drawn_again_from_what_is_written_in_it(folder, tmp_path, capsys):
    out = tmp_path / "cat.png"
    options = ("--seed", 3, "--guidance", 4, "--sampler", "Euler a", "--negative", "a beach")
    assert draw(folder, "--out", out, *options) == 0
    assert capsys.readouterr().out.strip() == str(out)
    told = _generate.read_settings(out)
    assert told["prompt"] == PROMPT
    assert told["negative_prompt"] == "a beach"
    assert told["sampler"] == "euler_ancestral"
    wanted = ("steps", "seed", "guidance_scale", "sampler", "height", "width", "negative_prompt")
    again = sd_models.load(folder, device="cpu").generate(
        told["prompt"], **{name: told[name] for name in wanted}
    )
    assert np.array_equal(again.image, Image.open(out))


def test_several_seeds_are_several_files(folder, tmp_path):
    assert draw(folder, "--out", tmp_path / "cat.png", "--seed", 4, 5) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cat-0.png", "cat-1.png"]
    assert [_generate.read_settings(tmp_path / f"cat-{i}.png")["seed"] for i in (0, 1)] == [4, 5]


def test_trace_and_strip_lie_beside_the_picture(folder, tmp_path):
    trace, strip = tmp_path / "run.safetensors", tmp_path / "strip.png"
    options = ("--out", tmp_path / "cat.png", "--trace", trace, "--strip", strip)
    assert draw(folder, *options, "--words", "cat") == 0
    kept = Trace.load(trace)
    assert np.array_equal(kept.image, Image.open(tmp_path / "cat.png"))
    assert kept.attention["cat"].mean().values.ndim == 2
    assert Image.open(strip).width > 500
    assert not [p for p in tmp_path.iterdir() if "draft" in p.name]


def test_from_a_picture_and_into_one(folder, tmp_path):
    model = sd_models.load(folder, device="cpu")
    height, width = model.size
    picture, mask = tmp_path / "in.png", tmp_path / "mask.png"
    Image.new("RGB", (width, height), "orange").save(picture)
    hole = Image.new("L", (width, height))
    hole.paste(255, (0, 0, width // 2, height))
    hole.save(mask)
    out = tmp_path / "out.png"
    assert draw(folder, "--image", picture, "--strength", 0.5, "--out", out) == 0
    assert _generate.read_settings(out)["kind"] == "image-to-image"
    assert draw(folder, "--image", picture, "--mask", mask, "--out", out) == 0
    assert _generate.read_settings(out)["kind"] == "inpainting"


def test_a_picture_in_a_hole_says_which_of_its_seeds_pictures_it_is(folder, tmp_path):
    """The known picture is encoded by the first seed, so the second seed alone draws another."""
    height, width = sd_models.load(folder, device="cpu").size
    picture, mask = tmp_path / "in.png", tmp_path / "mask.png"
    Image.new("RGB", (width, height), "orange").save(picture)
    Image.new("L", (width, height), 255).save(mask)
    out = tmp_path / "out.png"
    assert draw(folder, "--image", picture, "--mask", mask, "--out", out, "--seed", 4, 5) == 0
    told = [_generate.read_settings(tmp_path / f"out-{i}.png") for i in (0, 1)]
    assert [(one["seed"], one["picture"]) for one in told] == [([4, 5], 0), ([4, 5], 1)]


def test_pictures_and_masks_are_taken_as_they_are_looked_at(tmp_path):
    """A camera that was held upright writes the picture lying down, and says so."""
    upright = np.zeros((24, 16), dtype=np.uint8)
    upright[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees, clockwise, to see it
    path = tmp_path / "camera.png"
    Image.fromarray(np.rot90(upright)).save(path, exif=exif)
    assert Image.open(path).size == (24, 16)
    seen = _generate._opened(str(path))
    assert seen.mode == "L" and np.array_equal(seen, upright)


def test_a_format_that_no_strip_has_is_refused_before_the_work(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sd_models, "load", lambda *_, **__: pytest.fail("it went to work"))
    out = tmp_path / "cat.png"
    assert main(["generate", PROMPT, "--strip", str(tmp_path / "s.foo"), "--out", str(out)]) == 1
    assert "--strip must end in one of .png, .svg" in capsys.readouterr().err


def test_every_format_of_a_strip_can_be_written(folder, tmp_path):
    trace = sd_models.load(folder, device="cpu").generate(PROMPT, steps=1)
    for ending in _generate.STRIPS:
        _generate._save_figure(trace, tmp_path / f"strip{ending}", [])
    assert {path.suffix for path in tmp_path.iterdir()} == set(_generate.STRIPS)
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())


def test_nothing_that_was_given_is_written_over(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sd_models, "load", lambda *_, **__: pytest.fail("it went to work"))
    monkeypatch.chdir(tmp_path)
    for name in ("picture.png", "a.png", "b-1.png"):
        Image.new("RGB", (8, 8), "red").save(name)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for options, complaint in (
        (("--image", "picture.png"), "picture.png is what --image names, and --out would"),
        (("--image", "a.png", "--out", "./a.png"), "a.png is what --image names"),
        (("--image", "a.png", "--mask", "picture.png"), "picture.png is what --mask names"),
        (("--image", "b-1.png", "--out", "b.png", "--seed", "4", "5"), "b-1.png is what --image"),
        (("--image", "a.png", "--out", "c.png", "--strip", "a.png"), "and --strip would write"),
        (("--out", "c.png", "--strip", "c.png"), "c.png is what --out names"),
    ):
        assert main(["generate", PROMPT, *options]) == 1
        assert complaint in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_single_file_takes_its_tokenizer_from_the_command_line(folder, tmp_path, capsys):
    loaded = sd_models.parts(folder, device="cpu")
    file = tmp_path / "model.safetensors"
    weights = ldm_layout.checkpoint(loaded.networks, "sd1")
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, file)
    alone, out = ("--model", file, "--config", folder), tmp_path / "cat.png"
    assert draw(folder, *alone, "--tokenizer", folder, "--out", out) == 0
    assert draw(folder, "--out", tmp_path / "same.png") == 0
    assert np.array_equal(Image.open(out), Image.open(tmp_path / "same.png"))
    assert draw(folder, "--model", "sdxl", "--out", out) == 1
    assert "(Here: --download.)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (("--out", "cat.jpg"), "must be a .png"),
        (("--trace", "run.pt"), "must end in .safetensors"),
        (("--mask", "m.png"), "--image"),
        (("--strength", "0.5"), "give a picture"),
        (("--words", "cat"), "--strip"),
        (("--words", "dog", "--strip", "s.png"), "'dog'"),
        (("--out", "."), "must be a .png"),
        (("--strip", "s.png", "--seed", "1", "2"), "give one --seed"),
        (("--out", "nowhere/cat.png"), "There is no folder nowhere"),
        (("--sampler", "eulr"), "Did you mean 'euler'"),
        (("--height", "100"), "multiple of 8"),
        (("--image", "nothing.png"), "nothing.png"),
        (("--guidance", "nan"), "guidance_scale"),
        (("--device", "toaster"), "toaster"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(more, complaint, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert draw(folder, *more) == 1
    told = capsys.readouterr()
    assert complaint in told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_was_stopped_leaves_what_it_has(folder, tmp_path, monkeypatch, capsys):
    steps = []

    class Bar:
        def __init__(self, **options):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self):
            steps.append(1)
            raise KeyboardInterrupt

    monkeypatch.setattr("tqdm.tqdm", Bar)
    out = tmp_path / "cat.png"
    with pytest.warns(UserWarning, match="Stopped after 1 of 2 steps"):
        assert draw(folder, "--out", out) == 130
    assert _generate.read_settings(out)["interrupted_after"] == 1


def test_settings_of_other_pictures_are_empty_not_errors(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    for name, text in (("plain", None), ("strange", "{"), ("list", "[1]")):
        info = PngInfo()
        if text:
            info.add_text(_generate.KEY, text)
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png", pnginfo=info)
        assert _generate.read_settings(tmp_path / f"{name}.png") == {}


def test_letters_of_every_kind_survive(folder, tmp_path):
    out = tmp_path / "cat.png"
    prompt = 'a "rouge" chat 🐈 <b>'
    options = ["--model", str(folder), "--steps", "1", "--quiet", "--out", str(out)]
    assert main(["generate", prompt, *options, "--device", "cpu"]) == 0
    assert _generate.read_settings(out)["prompt"] == prompt
    assert json.loads(Image.open(out).text[_generate.KEY])["prompt"] == prompt


def test_a_folder_is_no_file(folder, tmp_path, capsys):
    for option, name in (("--trace", "run.safetensors"), ("--strip", "s.png"), ("--out", "o.png")):
        (tmp_path / name).mkdir()
        assert draw(folder, option, tmp_path / name) == 1
        assert "is a folder: name a file in it" in capsys.readouterr().err


def test_stopped_while_loading(monkeypatch, capsys):
    def press(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sd_models, "load", press)
    assert main(["generate", PROMPT, "--quiet"]) == 130
    assert "stopped" in capsys.readouterr().err


@pytest.mark.parametrize("error", [LookupError("None of these repositories"), ImportError("scipy")])
def test_what_the_hub_or_a_package_lacks_is_said_in_one_line(error, folder, monkeypatch, capsys):
    def lacking(*given, **options):
        raise error

    monkeypatch.setattr("sdlearn.models.load", lacking)
    assert draw(folder) == 1
    told = capsys.readouterr().err
    assert str(error) in told and "Traceback" not in told


def test_a_picture_too_large_to_be_opened(tmp_path, capsys):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    out = tmp_path / "out.png"
    line = ["generate", "a red cat", "--image", str(tmp_path / "huge.png"), "--out", str(out)]
    assert main(line) == 1
    assert "is too large" in capsys.readouterr().err and not out.exists()
