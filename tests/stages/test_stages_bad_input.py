"""Wrong calls: each is refused at the door, with the argument's name and what to do instead."""

import math
from dataclasses import fields

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from side_by_side import PROMPT, hole, model, photo

from sdlearn.stages import checks
from sdlearn.stages.families import Family
from sdlearn.stages.request import Request
from sdlearn.trace import Record

NAN, INF = math.nan, math.inf


def generate(prompt=PROMPT, kind="sd1", **settings):
    return lambda: model(kind).generate(prompt, **{"steps": 2, "record": (), **settings})


def change(picture=None, prompt=PROMPT, kind="sd1", **settings):
    given = photo() if picture is None else picture
    return lambda: model(kind).image_to_image(given, prompt, **{"steps": 2, **settings})


def fill(mask=None, picture=None, prompt=PROMPT, kind="sd1", **settings):
    given = (photo() if picture is None else picture, hole() if mask is None else mask)
    return lambda: model(kind).inpaint(*given, prompt, **{"steps": 2, **settings})


def denoise(latent=None, schedule=None, prompt=PROMPT, kind="sd1", **settings):
    def call():
        made = model(kind)
        given = made.noise() if latent is None else latent
        return made.denoise(
            prompt, given, made.schedule(2) if schedule is None else schedule, **settings
        )

    return call


def read_by(kind):
    """A prompt that another model read; read when it is needed."""
    return lambda: model("sd1").generate(model(kind).encode(PROMPT), steps=1)


# what is wrong -> the error, what its message must say, the call
WRONG = {
    # --- prompts
    "prompt None": (TypeError, 'prompt must be a text.*say ""', generate(None)),
    "prompt bytes": (TypeError, "prompt must be a text.*bytes", generate(b"a cat")),
    "prompt number": (TypeError, "prompt must be a text.*int", generate(3)),
    "prompt with half a character": (ValueError, "half a character", generate("a \ud83d cat")),
    "prompt with a number": (TypeError, "prompt must hold texts.*3", generate(["a", 3])),
    "prompt empty list": (ValueError, "prompt is an empty list", generate([])),
    "prompt of another model": (ValueError, "another model.*56.*24", read_by("sdxl")),
    "negative_prompt number": (TypeError, "negative_prompt must be", generate(negative_prompt=3)),
    "negative_prompt count": (
        ValueError,
        "1 prompts and 2 of negative_prompt",
        generate(negative_prompt=["a", "b"]),
    ),
    "negative_prompt of another model": (
        ValueError,
        "negative_prompt was read by another model",
        lambda: model("sd1").generate(PROMPT, negative_prompt=model("sdxl").encode("a"), steps=1),
    ),
    "negative_prompt read, count": (
        ValueError,
        "negative_prompt holds 2 texts",
        lambda: model("sd1").generate(PROMPT, negative_prompt=model("sd1").encode(["a", "b"])),
    ),
    "prompt read, and prompt_2": (
        ValueError,
        r"prompt_2 comes too late: model\.encode",
        lambda: model("sdxl").generate(model("sdxl").encode("a"), prompt_2="b"),
    ),
    # --- steps
    "steps 0": (ValueError, "steps must be at least 1, got 0", generate(steps=0)),
    "steps negative": (ValueError, "steps must be at least 1, got -1", generate(steps=-1)),
    "steps fraction": (TypeError, "steps must be a whole number, got 2.5", generate(steps=2.5)),
    "steps True": (TypeError, "steps must be a whole number, got True", generate(steps=True)),
    "steps too many": (ValueError, "steps must be at most 1000.*5000", generate(steps=5000)),
    # --- sizes
    "height 100": (ValueError, "height must be a multiple of 8.*96 or 104", generate(height=100)),
    "width 0": (ValueError, "width must be at least 8, got 0", generate(width=0)),
    "width negative": (ValueError, "width must be at least 8", generate(width=-64)),
    "height fraction": (TypeError, "height must be a whole number", generate(height=64.0)),
    "picture's size": (ValueError, "height must be a multiple of 8", change(photo(100, 64))),
    # --- guidance
    "guidance NaN": (ValueError, "guidance_scale must be.*nan", generate(guidance_scale=NAN)),
    "guidance infinite": (ValueError, "guidance_scale must be.*inf", generate(guidance_scale=INF)),
    "guidance negative": (
        ValueError,
        "guidance_scale must be at least 0",
        generate(guidance_scale=-1),
    ),
    "guidance text": (TypeError, "guidance_scale must be a number", generate(guidance_scale="7")),
    "rescale 2": (ValueError, "guidance_rescale must be from 0 to 1", generate(guidance_rescale=2)),
    "eta negative": (ValueError, "eta must be from 0 to 1, got -0.1", generate(eta=-0.1)),
    "eta 2": (ValueError, "eta must be from 0 to 1, got 2.*DDIM's share", generate(eta=2)),
    "eta 2 by hand": (ValueError, "eta must be from 0 to 1", denoise(eta=2)),
    # --- samplers
    "sampler misspelt": (
        ValueError,
        "sampler='eulr'.*Did you mean.*'euler'",
        generate(sampler="eulr"),
    ),
    "sampler a class": (TypeError, "scheduler object", generate(sampler=diffusers.DDIMScheduler)),
    "sampler a number": (TypeError, "sampler must be a name", generate(sampler=7)),
    "sampler a schedule": (
        TypeError,
        r"sampler must be a name.*schedule\.scheduler",
        lambda: model("sd1").generate(PROMPT, sampler=model("sd1").schedule(2)),
    ),
    "sampler of another kind": (
        ValueError,
        "FlowMatchEuler.*rectified flow",
        generate(sampler=diffusers.FlowMatchEulerDiscreteScheduler()),
    ),
    "Karras with DDIM": (ValueError, "Karras.*dpmpp_2m", generate(sampler="ddim", karras=True)),
    "Karras with its own": (ValueError, "PNDMScheduler.*Karras", generate(karras=True)),
    "karras a text": (TypeError, "karras must be True or False", generate(karras="yes")),
    # --- seeds
    "seed text": (TypeError, "seed must be a whole number, got '3'", generate(seed="3")),
    "seed fraction": (TypeError, "seed must be a whole number, got 2.5", generate(seed=2.5)),
    "seed empty": (ValueError, "seed is an empty list", generate(seed=[])),
    "seed negative": (ValueError, "seed must be from 0", generate(seed=-1)),
    "seed with a text": (TypeError, "seed must be a whole number", generate(seed=[1, "2"])),
    "seed count": (ValueError, "2 seeds for 3 pictures", generate(["a", "b", "c"], seed=[1, 2])),
    "seeds that don't share": (
        ValueError,
        "2 prompts can't be shared out over 3 pictures",
        generate(["a", "b"], seed=[1, 2, 3]),
    ),
    "noise of two seeds for five": (
        ValueError,
        r"2 seeds for 5 pictures.*seed=3, count=5",
        lambda: model("sd1").noise([3, 4], count=5),
    ),
    "seed a generator": (
        TypeError,
        "seed must be a whole number",
        generate(seed=torch.Generator()),
    ),
    # --- latents
    "latent of 3 channels": (
        ValueError,
        r"latent is a tensor.*4.*\(1, 3, 8, 8\)",
        generate(latent=torch.zeros(1, 3, 8, 8)),
    ),
    "latent of 3 axes": (ValueError, "latent is a tensor", generate(latent=torch.zeros(4, 8, 8))),
    "latent NaN": (ValueError, "latent holds.*NaN", generate(latent=torch.full((1, 4, 8, 8), NAN))),
    "latent a list": (ValueError, "latent is a tensor.*got list", generate(latent=[1.0])),
    "latent and height": (
        ValueError,
        "latent is for a height of 64, and height=72",
        generate(latent=torch.zeros(1, 4, 8, 8), height=72),
    ),
    "latents that don't share": (
        ValueError,
        "2 pictures can't be shared out over 3",
        generate(["a", "b", "c"], latent=torch.zeros(2, 4, 8, 8)),
    ),
    # --- names
    "num_inference_steps": (
        TypeError,
        "num_inference_steps is called steps here",
        generate(num_inference_steps=5),
    ),
    "generator": (TypeError, "generator is called seed here", generate(generator=1)),
    "scheduler": (TypeError, "scheduler is called sampler here", generate(scheduler="ddim")),
    "num_images_per_prompt": (
        TypeError,
        r"called seed=\[0, 1, 2\]",
        generate(num_images_per_prompt=2),
    ),
    "latents": (TypeError, "latents is called latent here", generate(latents=1)),
    "output_type": (TypeError, r"output_type.*\.image and \.latent", generate(output_type="pt")),
    "callback": (TypeError, "called on_step.*intervene", generate(callback=print)),
    "crops_coords_top_left": (
        TypeError,
        "crops_coords_top_left is called crop here",
        generate(kind="sdxl", crops_coords_top_left=(0, 0)),
    ),
    "negative_crops_coords_top_left": (
        TypeError,
        "called negative_crop here",
        generate(kind="sdxl", negative_crops_coords_top_left=(0, 0)),
    ),
    "timesteps": (TypeError, r"no argument timesteps here.*\.scheduler", generate(timesteps=[9])),
    "sigmas": (TypeError, r"no argument sigmas here.*model\.schedule", generate(sigmas=[1.0])),
    "timestep_spacing": (
        TypeError,
        'sampler=model.schedule.*timestep_spacing="trailing"',
        generate(timestep_spacing="trailing"),
    ),
    "clip_skip": (TypeError, r"no argument clip_skip.*skip=1", generate(clip_skip=1)),
    "more layers skipped than there are": (
        ValueError,
        "skip must be from 0 to 3, got 4",
        lambda: model("sd1").encode(PROMPT, skip=4),
    ),
    "more layers of SDXL skipped than there are": (
        ValueError,
        "skip must be from 0 to 2, got 3",
        lambda: model("sdxl").encode(PROMPT, skip=3),
    ),
    "skip a text": (
        TypeError,
        "skip must be a whole number",
        lambda: model("sd1").encode(PROMPT, skip="1"),
    ),
    "misspelt": (TypeError, "no argument guidance_scal.*guidance_scale", generate(guidance_scal=3)),
    "unknown": (TypeError, "no argument xyz", generate(xyz=3)),
    "strength of noise": (
        TypeError,
        "strength.*image_to_image and inpaint",
        generate(strength=0.5),
    ),
    "latent of a picture": (TypeError, "latent.*generate", change(latent=1)),
    "denoising_start of noise": (
        TypeError,
        "denoising_start.*image_to_image",
        generate(denoising_start=0.5),
    ),
    "steps of a loop": (TypeError, "steps.*generate", denoise(steps=3)),
    # --- records, functions
    "record unknown": (
        ValueError,
        "record must be.*'latent'.*'latents'",
        generate(record="latent"),
    ),
    "record number": (TypeError, "record must name", generate(record=3)),
    "record True": (TypeError, "record must name", generate(record=True)),
    "intervene number": (TypeError, "intervene must be a function", generate(intervene=3)),
    "intervene text": (TypeError, "intervene must be a function.*'up'", generate(intervene=["up"])),
    "on_step number": (TypeError, "on_step must be a function", generate(on_step=3)),
    # --- families
    "crop on SD 1": (ValueError, "crop is for SDXL; this is.*SD 1", generate(crop=(0, 0))),
    "prompt_2 on SD 1": (ValueError, "prompt_2 is for SDXL", generate(prompt_2="a dog")),
    "the same prompt_2": (ValueError, "prompt_2 is for SDXL", generate(prompt_2=PROMPT)),
    "original_size on SD 2": (
        ValueError,
        "original_size is for SDXL",
        generate(kind="sd2-v", original_size=(64, 64)),
    ),
    "score on SD 1": (ValueError, "aesthetic_score is for SDXL", generate(aesthetic_score=6.0)),
    "score on SDXL": (
        ValueError,
        "aesthetic_score is for SDXL's refiner",
        generate(kind="sdxl", aesthetic_score=6.0),
    ),
    "score a text": (
        TypeError,
        "aesthetic_score must be a number",
        change(kind="sdxl-refiner", aesthetic_score="high"),
    ),
    "prompt_2 on the refiner": (
        ValueError,
        "prompt_2 is for SDXL's second",
        change(kind="sdxl-refiner", prompt_2="a dog"),
    ),
    "crop a number": (TypeError, "crop must be two whole numbers", generate(kind="sdxl", crop=8)),
    "crop negative": (ValueError, "crop must be at least 0", generate(kind="sdxl", crop=(-8, 0))),
    "crop of three": (TypeError, "crop must be two", generate(kind="sdxl", crop=(0, 0, 8))),
    "target_size 0": (
        ValueError,
        "target_size must be at least 1",
        generate(kind="sdxl", target_size=(0, 8)),
    ),
    "from noise with an inpainting model": (
        ValueError,
        r"inpainting model.*model\.inpaint",
        generate(kind="sd1-inpainting"),
    ),
    "from a picture with one": (ValueError, r"model\.inpaint", change(kind="sd1-inpainting")),
    "the loop with one": (ValueError, r"model\.inpaint", denoise(kind="sd1-inpainting")),
    # --- pictures and masks
    "strength 2": (ValueError, "strength must be from 0 to 1, got 2", change(strength=2)),
    "strength 0": (ValueError, "strength=0 of 2 steps leaves none.*0.5", change(strength=0)),
    "strength NaN": (ValueError, "strength must be.*nan", change(strength=NAN)),
    "strength text": (TypeError, "strength must be a number", change(strength="half")),
    "strength too little": (ValueError, "leaves none", fill(strength=0.1)),
    "picture a path": (TypeError, r"picture must be.*str.*PIL\.Image\.open", change("cat.png")),
    "picture an array": (TypeError, "picture must be.*ndarray", change(np.zeros((64, 64, 3)))),
    "no picture": (ValueError, "picture is an empty list", change([])),
    "pictures of two sizes": (ValueError, "of one size", change([photo(), photo(48)])),
    "pictures that don't share": (
        ValueError,
        "2 pictures can't be shared out over 3",
        change([photo(), photo()], ["a", "b", "c"]),
    ),
    "a latent for a picture": (ValueError, "latent is a tensor", change(torch.zeros(1, 3, 8, 8))),
    "two pictures to fill": (ValueError, "picture must be one picture", fill(None, [photo()] * 2)),
    "mask of another size": (
        ValueError,
        "mask is 48 x 64, the picture is 64 x 64",
        fill(hole(48, 64)),
    ),
    "mask empty": (ValueError, "mask is empty", fill(Image.new("L", (64, 64)))),
    "mask NaN": (ValueError, "mask holds.*NaN", fill(np.full((64, 64), NAN))),
    "mask a text": (TypeError, "mask must be a picture.*str", fill("mask.png")),
    "mask of 3 axes": (ValueError, "mask is 1 x 64 x 64", fill(np.ones((1, 64, 64)))),
    "mask of one pixel": (
        ValueError,
        "mask marks less than one.*8 x 8",
        fill(np.eye(64)[3][None] * np.eye(64)[:, 3:4]),
    ),
    # --- base and refiner
    "end before start": (
        ValueError,
        "denoising_start=0.9 and denoising_end=0.5 leave none",
        change(kind="sdxl", denoising_start=0.9, denoising_end=0.5),
    ),
    "end 0": (ValueError, "denoising_end=0.* leave none", generate(kind="sdxl", denoising_end=0)),
    "end 3": (
        ValueError,
        "denoising_end must be from 0 to 1",
        generate(kind="sdxl", denoising_end=3),
    ),
    "start 0": (
        ValueError,
        "denoising_start must be above 0.*strength=1",
        change(kind="sdxl", denoising_start=0.0),
    ),
    "start and strength": (
        ValueError,
        "strength and denoising_start.*give one",
        change(kind="sdxl-refiner", denoising_start=0.5, strength=0.5),
    ),
    # --- moving it
    "to no device": (ValueError, "'gpu' is no device", lambda: model("sd1").to("gpu")),
    "to no precision": (
        ValueError,
        "dtype='int4' is not one",
        lambda: model("sd1").to(dtype="int4"),
    ),
    "to two precisions": (
        TypeError,
        "Two precisions",
        lambda: model("sd1").to(torch.float16, torch.float32),
    ),
    # --- the loop by hand
    "no schedule": (TypeError, r"schedule must come from model\.schedule", denoise(schedule=20)),
    "loop's latent": (ValueError, "latent is a tensor", denoise(torch.zeros(4, 8, 8))),
    "loop's prompts": (ValueError, "latent holds 1 pictures, and 2", denoise(prompt=["a", "b"])),
    "loop's seeds": (ValueError, "latent holds 1 pictures, and 2|seeds", denoise(seed=[1, 2])),
    # --- attention
    "layers that are not there": (
        ValueError,
        r"'side'.*The layers: down\.0\.0\.0",
        lambda: model("sd1").generate(PROMPT, steps=1, record=Record(layers=("side",))),
    ),
    "half a name": (
        ValueError,
        "'dow'",
        lambda: model("sd1").generate(PROMPT, steps=1, record=Record(layers=("dow",))),
    ),
    "a word that is not in the prompt": (
        KeyError,
        "'dog' is not in the prompt.*cat",
        lambda: model("sd1").generate(PROMPT, steps=1).attention["dog"],
    ),
    "attention that was not kept": (
        ValueError,
        "recorded no attention",
        lambda: model("sd1").generate(PROMPT, steps=1, record="latents").attention,
    ),
}


def test_there_are_enough():
    assert len(WRONG) >= 50


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_are_explained(name):
    error, says, call = WRONG[name]
    with pytest.raises(error, match=says) as caught:
        call()
    assert type(caught.value) is error or error is KeyError
    message = str(caught.value)
    assert len(message) < 600 and message.strip("\"'").rstrip().endswith((".", "?", ")"))


@pytest.mark.parametrize("name", ["height 100", "steps too many", "sampler misspelt", "mask empty"])
def test_nothing_is_computed_before(name, monkeypatch):
    def computed(*arguments, **more):
        raise AssertionError("a network was asked")

    for network in model("sd1").parts.networks.values():
        monkeypatch.setattr(type(network), "__call__", computed)
    error, says, call = WRONG[name]
    with pytest.raises(error, match=says):
        call()


def test_numbers_of_other_libraries_are_numbers():
    trace = model("sd1").generate(
        PROMPT,
        steps=np.int64(2),
        guidance_scale=np.float32(3),
        seed=np.arange(2),
        height=np.int32(64),
        record=(),
    )
    same = model("sd1").generate(PROMPT, steps=2, guidance_scale=3, seed=[0, 1], record=())
    assert torch.equal(trace.latent, same.latent) and trace.settings == same.settings


def test_every_argument_is_known_to_some_method():
    """What a request holds can be asked for; what only some methods take is told of them."""
    for field in fields(Request):
        for method in ("generate", "image_to_image", "inpaint", "denoise"):
            try:
                Request.of(method, {field.name: field.default}, Family("sdxl-refiner"))
            except TypeError as refused:
                assert field.name in str(refused)


def test_masks_of_numbers_are_masks_in_every_form():
    one, numbers = np.zeros((64, 64), "float32"), torch.zeros(64, 64)
    one[8:40, 8:40], numbers[8:40, 8:40] = 1, 1
    expected = checks.mask(one, 64, 64)
    forms = [Image.fromarray(one), Image.fromarray(one.astype("int32")), numbers.requires_grad_()]
    forms += [Image.fromarray((one * 255).astype("uint8")), (one * 255).astype("int64"), one > 0]
    for form in forms:
        assert torch.equal(checks.mask(form, 64, 64), expected)
