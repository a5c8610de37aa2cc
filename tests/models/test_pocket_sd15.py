"""The model in this package: whole, small, open to others, and drawing what diffusers draws."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline
from safetensors.torch import load_file

import sdlearn as sd
from sdlearn import world
from sdlearn.training import card
from sdlearn.training.recipes import POCKET_SD15

FOLDER = Path(__file__).resolve().parents[2] / "data" / "models" / "pocket-sd15"
MIB = 2**20
PROMPT = "a big red cat wearing a crown, on the grass"


@pytest.fixture(scope="module")
def pipe():
    made = StableDiffusionPipeline.from_pretrained(FOLDER, safety_checker=None)
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def model():
    return sd.load("pocket-sd15", device="cpu")


@pytest.mark.parametrize("sampler", [None, "ddim", "euler"])
@pytest.mark.parametrize("record", [(), ("latents", "noise", "attention")])
def test_its_pictures_are_those_of_the_pipeline(pipe, model, sampler, record):
    own = pipe.scheduler
    others = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler}
    try:
        if sampler:
            pipe.scheduler = others[sampler].from_config(own.config)
        theirs = pipe(PROMPT, num_inference_steps=4, generator=torch.Generator().manual_seed(7))
    finally:
        pipe.scheduler = own
    ours = model.generate(PROMPT, steps=4, seed=7, sampler=sampler, record=record)
    assert np.array_equal(ours.image, theirs.images[0])


def test_it_is_small_and_nothing_in_it_is_pickled():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".txt", ".safetensors", ".md", ".png"}
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert sum(path.stat().st_size for path in files) <= 24 * MIB
    assert max(path.stat().st_size for path in files) <= 16 * MIB
    assert len(weights) == 3
    for path in weights:
        assert {tensor.dtype for tensor in load_file(path).values()} <= {torch.float16}


def test_its_anatomy_is_the_recipes(model):
    unet, vae, text = (model.parts.unet, model.parts.vae, model.parts.text_encoder)
    for name, value in POCKET_SD15.unet.items():
        assert _plain(unet.config[name]) == _plain(value), name
    for name, value in POCKET_SD15.vae.items():
        assert _plain(vae.config[name]) == _plain(value), name
    for name, value in POCKET_SD15.text.items():
        assert getattr(text.config, name) == value, name
    record = json.loads((FOLDER / "recipe.json").read_text(encoding="utf-8"))
    assert vae.config.scaling_factor == pytest.approx(record["stages"]["vae"]["scaling_factor"])
    assert record["recipe"] == json.loads(json.dumps(asdict(POCKET_SD15)))
    assert str(model.family) == "SD 1.x"
    assert model.size == (POCKET_SD15.size, POCKET_SD15.size)


def test_its_latents_have_the_spread_that_the_scaling_factor_promises(model):
    pictures = [world.sample(seed=10**8 + i).render(128) for i in range(24)]
    posterior = model.to_latent(pictures)
    assert float(posterior.sample(0).std()) == pytest.approx(1.0, abs=0.1)
    assert float(posterior.std.median()) < 0.5  # more picture than chance


def test_its_card_says_what_was_measured_and_no_more():
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == card.text(FOLDER)
    assert "Not measured yet" not in card.text(FOLDER)


def test_it_draws_what_it_is_asked_for_more_often_than_not(model):
    """A net under the course: a change that ruins the pictures must not pass unseen."""
    scenes = [world.parse(f"a big {colour} {kind}, on the grass") for colour, kind in ASKED]
    trace = model.generate(
        [scene.caption() for scene in scenes], seed=list(range(len(scenes))), record=()
    )
    right = [
        world.check(picture, scene, facts=("kind", "colour", "place")).ok
        for picture, scene in zip(trace.images, scenes, strict=True)
    ]
    assert sum(right) > len(right) / 2


ASKED = (("red", "cat"), ("blue", "car"), ("yellow", "star"), ("purple", "fish"), ("green", "tree"))


def test_another_process_draws_the_same_picture(model, tmp_path):
    out = tmp_path / "cat.png"
    command = [
        sys.executable,
        "-m",
        "sdlearn",
        "generate",
        PROMPT,
        "--steps",
        "2",
        "--out",
        str(out),
        "--quiet",
    ]
    subprocess.run(command, check=True, capture_output=True)
    from PIL import Image

    here = model.generate(PROMPT, steps=2, record=()).image
    there = np.asarray(Image.open(out), dtype=int)
    assert np.abs(there - np.asarray(here, dtype=int)).max() <= 1  # its number of threads differs


def _plain(value):
    return list(value) if isinstance(value, tuple | list) else value
