"""The later pocket models: small, of the anatomy that they mirror, drawing what diffusers does."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import load_file

import sdlearn as sd
from sdlearn import world
from sdlearn.training import card, folders
from sdlearn.training.recipes import RECIPES

MODELS = Path(__file__).resolve().parents[2] / "data" / "models"
NAMES = ("pocket-sd21", "pocket-sdxl", "pocket-sdxl-refiner")
FAMILIES = dict(zip(NAMES, ("SD 2.x (v-prediction)", "SDXL", "SDXL refiner"), strict=True))
PIPELINES = {
    "pocket-sd21": StableDiffusionPipeline,
    "pocket-sdxl": StableDiffusionXLPipeline,
    "pocket-sdxl-refiner": StableDiffusionXLImg2ImgPipeline,
}
MIB = 2**20
PROMPT = "a big red cat wearing a crown, on the grass"
STEPS = 3
RECORDS = [(), ("latents", "noise", "attention")]


@pytest.fixture(scope="module")
def pipes():
    made = {name: kind.from_pretrained(MODELS / name) for name, kind in PIPELINES.items()}
    for pipe in made.values():
        pipe.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def models():
    return {name: sd.load(name, device="cpu") for name in NAMES}


def theirs(pipe, **settings):
    generator = torch.Generator().manual_seed(7)
    told = {"prompt": PROMPT, "num_inference_steps": STEPS, "generator": generator}
    return pipe(**told, **settings)


@pytest.mark.parametrize("record", RECORDS, ids=["plain", "recorded"])
def test_sd21_draws_the_pipelines_picture(pipes, models, record):
    ours = models["pocket-sd21"].generate(PROMPT, steps=STEPS, seed=7, record=record)
    assert np.array_equal(ours.image, theirs(pipes["pocket-sd21"]).images[0])


@pytest.mark.parametrize("record", RECORDS, ids=["plain", "recorded"])
@pytest.mark.parametrize(
    ("ours", "others"),
    [
        ({}, {}),
        (
            {"original_size": (64, 64), "crop": (8, 48), "negative_prompt": "a dog"},
            {
                "original_size": (64, 64),
                "crops_coords_top_left": (8, 48),
                "negative_prompt": "a dog",
            },
        ),
    ],
    ids=["plain", "told"],
)
def test_sdxl_draws_the_pipelines_picture(pipes, models, ours, others, record):
    settings = {"guidance_scale": 5.0, "steps": STEPS, "seed": 7, "record": record}
    trace = models["pocket-sdxl"].generate(PROMPT, **settings, **ours)
    picture = theirs(pipes["pocket-sdxl"], guidance_scale=5.0, **others).images[0]
    assert np.array_equal(trace.image, picture)


def test_base_and_refiner_end_in_the_pipelines_picture(pipes, models):
    both = {"guidance_scale": 5.0, "num_inference_steps": 10, "prompt": PROMPT}
    begun = pipes["pocket-sdxl"](
        **both,
        generator=torch.Generator().manual_seed(7),
        denoising_end=0.8,
        output_type="latent",
    ).images
    ended = pipes["pocket-sdxl-refiner"](
        **both, image=begun, denoising_start=0.8, generator=torch.Generator().manual_seed(7)
    ).images[0]
    settings = {"guidance_scale": 5.0, "steps": 10, "seed": 7}
    base = models["pocket-sdxl"].generate(PROMPT, denoising_end=0.8, **settings)
    trace = models["pocket-sdxl-refiner"].image_to_image(
        base, PROMPT, denoising_start=0.8, **settings
    )
    assert len(base) == 8 and len(trace) == 2
    assert np.array_equal(trace.image, ended)


def test_a_refiner_takes_latents_in_its_bases_scale(models):
    factors = {models[name].parts.vae.config.scaling_factor for name in NAMES[1:]}
    assert len(factors) == 1


@pytest.mark.parametrize("name", NAMES)
def test_words_have_maps_in_each(models, name):
    model = models[name]
    if name.endswith("refiner"):
        picture = world.parse(PROMPT).render(256)
        trace = model.image_to_image(picture, PROMPT, steps=10, strength=0.2, record="attention")
    else:
        trace = model.generate(PROMPT, steps=2, record="attention")
    places = [place for place in model.parts.unet.attn_processors if ".attn2." in place]
    found = trace.attention["crown"]
    assert len(found.layers) == len(places)
    finest = 16 if model.family.is_sdxl else 8  # SDXL has no attention at its top level
    assert found.mean().values.shape == tuple(side // finest for side in model.size)
    assert 0 < float(found.mean().values.min()) < float(found.mean().values.max()) < 1
    assert not torch.equal(found.mean().values, trace.attention["grass"].mean().values)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small_and_nothing_in_it_is_pickled(name):
    own = folders.own_files(MODELS / name)
    assert {path.suffix for path in own} <= {".json", ".txt", ".safetensors", ".md", ".png"}
    assert max(path.stat().st_size for path in own) <= 16 * MIB
    for path in own:
        if path.suffix == ".safetensors":
            assert {tensor.dtype for tensor in load_file(path).values()} <= {torch.float16}


@pytest.mark.parametrize("name", NAMES)
def test_its_anatomy_is_the_recipes(models, name):
    recipe, parts = RECIPES[name], models[name].parts
    for setting, value in recipe.unet.items():
        assert _plain(parts.unet.config[setting]) == _plain(value), setting
    assert str(models[name].family) == FAMILIES[name]
    record = json.loads((MODELS / name / "recipe.json").read_text(encoding="utf-8"))
    assert record["recipe"]["unet"] == json.loads(json.dumps(recipe.unet))
    for stage, plan in recipe.plans.items():
        assert record["stages"][stage]["step"] == plan.steps
    size = recipe.frames.size if recipe.frames else recipe.size
    assert models[name].size == (size, size)
    if isinstance(parts.scheduler, EulerDiscreteScheduler):
        assert recipe.is_sdxl


@pytest.mark.parametrize("name", NAMES)
def test_its_card_says_what_was_measured_and_no_more(name):
    assert (MODELS / name / "README.md").read_text(encoding="utf-8") == card.text(MODELS / name)
    assert "Not measured yet" not in card.text(MODELS / name)


@pytest.mark.parametrize("name", ["pocket-sd21", "pocket-sdxl"])
def test_it_draws_places_and_colours(models, name):
    """A net under the course: a change that ruins the pictures must not pass unseen."""
    scenes = [world.parse(f"a big {colour} {kind}, on the grass") for colour, kind in ASKED]
    trace = models[name].generate(
        [scene.caption() for scene in scenes],
        seed=list(range(len(scenes))),
        guidance_scale=5.0,
        record=(),
    )
    facts = [
        world.check(picture, scene, facts=("colour", "place"))
        for picture, scene in zip(trace.images, scenes, strict=True)
    ]
    right = [fact.ok for one in facts for fact in one.facts]
    assert sum(right) > 0.6 * len(right)


ASKED = (("red", "cat"), ("blue", "car"), ("yellow", "star"), ("purple", "fish"), ("green", "tree"))


def _plain(value):
    return list(value) if isinstance(value, tuple | list) else value


@pytest.mark.parametrize(
    ("clip", "model"), [("pocket-clip", "pocket-sd15"), ("pocket-openclip", "pocket-sd21")]
)
def test_the_half_of_clip_that_sees_has_a_card_that_leads_to_the_pairs(clip, model):
    text = (MODELS / clip / "README.md").read_text(encoding="utf-8")
    assert text == card.half(MODELS / clip, MODELS / model)
    (target,) = re.findall(r"\]\((\S+)\)", text)
    assert (MODELS / clip / target).samefile(MODELS / model / "README.md")
    named = re.findall(r"`(pocket-[a-z0-9]+)(?:/text_encoder)?`", text)
    assert named and all((MODELS / name).is_dir() for name in named)
    assert "CC0" in text
