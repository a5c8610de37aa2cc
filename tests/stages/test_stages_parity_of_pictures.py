"""From a picture, into a hole in one, from a base model to its refiner: diffusers' to the bit."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from side_by_side import (
    PROMPT,
    hole,
    model,
    photo,
    pipeline,
    same,
    same_pictures,
    scheduler,
    theirs,
)

OTHER = "the dream beach"


def from_picture(kind, *, sampler=None, picture=None, prompt=PROMPT, **settings):
    """Image to image, ours and theirs."""
    settings = {"steps": 5, "seed": 3, "guidance_scale": 4.0, **settings}
    dtype = settings.pop("dtype", torch.float32)
    picture = photo() if picture is None else picture
    known = {{"crop": "crops_coords_top_left"}.get(k, k): v for k, v in settings.items()}
    if isinstance(settings["seed"], list):
        prompts = 1 if isinstance(prompt, str) else len(prompt)
        known["num_images_per_prompt"] = len(settings["seed"]) // prompts
    trace = model(kind, dtype).image_to_image(picture, prompt, sampler=sampler, **settings)
    pipe = pipeline(kind, "image", dtype)
    same(trace, theirs(pipe, prompt, image=picture, sampler=scheduler(kind, sampler), **known))
    return trace


@pytest.mark.parametrize(
    ("sampler", "strength", "steps"),
    [
        ("ddim", 1.0, 5),
        ("ddim", 0.25, 1),
        (None, 0.8, 4),  # PLMS begins in the middle of its list
        (None, 0.6, 3),
        ("heun", 0.5, 2),
        ("euler", 0.6, 3),
        ("euler_ancestral", 0.7, 3),
        ("dpmpp_2m", 0.6, 3),
        ("unipc", 0.99, 4),
        ("ddpm", 0.5, 2),
        ("lcm", 0.5, 2),
    ],
)
def test_strength_and_sampler(sampler, strength, steps):
    trace = from_picture("sd1", sampler=sampler, strength=strength)
    assert trace.settings["strength"] == strength
    assert len(trace.steps) == steps


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "sd2-v", "sampler": "dpmpp_2m"},
        {"kind": "sd1", "seed": [3, 4], "sampler": "euler_ancestral"},
        {"kind": "sd1", "prompt": [PROMPT, OTHER], "picture": "two"},
        {"kind": "sd1", "dtype": torch.bfloat16, "sampler": "ddim"},
        {"kind": "sd1", "picture": "wide", "negative_prompt": OTHER, "guidance_scale": 7.5},
        {"kind": "sd1", "guidance_scale": 1.0},
        {"kind": "sdxl"},
        {"kind": "sdxl", "crop": (8, 16), "original_size": (32, 40), "picture": "wide"},
        {"kind": "sdxl", "dtype": torch.bfloat16},  # its VAE encodes in single precision
        {"kind": "sdxl", "denoising_end": 0.5, "strength": 0.9},
        {"kind": "sdxl", "seed": [3, 4], "prompt_2": OTHER, "guidance_rescale": 0.5},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_image_to_image(settings):
    pictures = {"wide": photo(72, 88), "two": [photo(), photo(seed=1)]}
    settings = {"strength": 0.5, **settings}
    if isinstance(settings.get("picture"), str):
        settings["picture"] = pictures[settings["picture"]]
    from_picture(**settings)


def test_the_picture_is_brought_to_size():
    large = photo(96, 120)
    settings = {"strength": 0.5, "steps": 2, "record": ()}
    ours = model("sd1").image_to_image(large, PROMPT, height=64, width=72, **settings)
    small = model("sd1").image_to_image(large.resize((72, 64), 1), PROMPT, **settings)
    assert torch.equal(ours.latent, small.latent)  # 1 is Lanczos


# --- trained weights


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sampler", [None, "dpmpp_2m", "euler_ancestral"])
def test_from_a_picture_on_trained_weights(sampler, dtype):
    from_picture("pocket-sd15", sampler=sampler, strength=0.6, dtype=dtype, picture=photo(128, 128))


# --- the refiner


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"strength": 0.6, "aesthetic_score": 7.5, "negative_aesthetic_score": 1.0},
        {"strength": 0.6, "negative_prompt": OTHER, "crop": (8, 16), "picture": photo(48, 64)},
        {"strength": 0.6, "sampler": "heun", "seed": [3, 4]},
        {"strength": 0.6, "dtype": torch.bfloat16},
    ],
    ids=["plain", "scores", "crop", "heun", "bf16"],
)
def test_refiner(settings):
    trace = from_picture("sdxl-refiner", **settings)
    if not settings:
        assert len(trace.steps) == 1  # 0.3 of 5 steps


@pytest.mark.parametrize("sampler", [None, "heun", "dpmpp_2m", "ddim"])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_base_and_refiner_share_the_way(sampler, share):
    settings = {"steps": 5, "seed": 3, "sampler": sampler}
    base = model("sdxl").generate(PROMPT, denoising_end=share, **settings)
    both = {"guidance_scale": 5.0, "steps": 5, "seed": 3}
    first = theirs(
        pipeline("sdxl"), PROMPT, denoising_end=share, sampler=scheduler("sdxl", sampler), **both
    )
    same(base, first)
    refined = model("sdxl-refiner").image_to_image(base, PROMPT, denoising_start=share, **settings)
    run = theirs(
        pipeline("sdxl-refiner", "image"),
        PROMPT,
        image=first.latents[-1],
        denoising_start=share,
        sampler=scheduler("sdxl-refiner", sampler),
        **both,
    )
    same(refined, run)
    if sampler != "heun":  # the pipelines cut its steps in two, and both models take the middle
        assert len(base) + len(refined) == 5
        assert refined.steps[0].alpha_bar == base.steps[-1].alpha_bar_next


# --- inpainting


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "sd1-inpainting"},
        {"kind": "sd1-inpainting", "strength": 0.6, "sampler": "euler"},
        {"kind": "sd1-inpainting", "guidance_scale": 1.0, "sampler": "euler_ancestral"},
        {"kind": "sd1-inpainting", "seed": [3, 4], "size": (72, 88)},
        {"kind": "sd1-inpainting", "dtype": torch.bfloat16, "sampler": "ddim"},
        {"kind": "sd1"},
        {"kind": "sd1", "strength": 0.6, "sampler": "heun"},
        {"kind": "sd1", "strength": 0.6, "sampler": "euler_ancestral", "seed": [3, 4]},
        {"kind": "sd1", "strength": 0.99, "sampler": "dpmpp_2m", "size": (48, 64)},
        {"kind": "sd1", "sampler": "ddpm", "prompt": [PROMPT, OTHER]},
        {"kind": "sd1", "strength": 0.6, "guidance_scale": 1.0, "sampler": "unipc"},
        {"kind": "sd1", "sampler": "lcm", "strength": 0.5},
        {"kind": "sd2-v", "strength": 0.7, "sampler": "ddim"},
        {"kind": "sdxl-inpainting", "strength": 0.8, "crop": (8, 16)},
        {"kind": "sdxl-inpainting", "sampler": "unipc", "negative_prompt": OTHER},
        {"kind": "sdxl", "strength": 0.6, "sampler": "euler"},
        {"kind": "sdxl", "size": (48, 64), "seed": [3, 4]},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_inpainting(settings):
    settings = {"strength": 1.0, "steps": 4, "seed": 3, "guidance_scale": 4.0, **settings}
    kind, sampler = settings.pop("kind"), settings.pop("sampler", None)
    dtype, prompt = settings.pop("dtype", torch.float32), settings.pop("prompt", PROMPT)
    height, width = settings.pop("size", (64, 64))
    picture, mask = photo(height, width), hole(height, width)
    known = {{"crop": "crops_coords_top_left"}.get(k, k): v for k, v in settings.items()}
    if isinstance(settings["seed"], list):
        known["num_images_per_prompt"] = len(settings["seed"])
    trace = model(kind, dtype).inpaint(picture, mask, prompt, sampler=sampler, **settings)
    run = theirs(
        pipeline(kind, "hole", dtype),
        prompt,
        image=picture,
        mask_image=mask,
        height=height,
        width=width,
        sampler=scheduler(kind, sampler),
        **known,
    )
    same(trace, run)


def test_around_the_hole_the_latent_is_the_pictures():
    made, picture, mask = model("sd1"), photo(), hole()
    trace = made.inpaint(picture, mask, PROMPT, steps=3, seed=3, strength=0.7)
    known = made.to_latent(picture).sample(3)  # the first numbers that the seed's generator gives
    outside = ~(torch.from_numpy(np.array(mask))[::8, ::8] > 0)
    assert outside.any() and not outside.all()
    assert torch.equal(trace.latent[..., outside], known[..., outside])
    assert not torch.allclose(trace.latent[..., ~outside], known[..., ~outside], atol=0.1)


def test_a_mask_may_be_an_array():
    made, picture, mask = model("sd1-inpainting"), photo(), hole()
    settings = {"steps": 1, "record": ()}
    values = torch.from_numpy(np.array(mask))
    first, *others = (
        made.inpaint(picture, one, PROMPT, **settings)
        for one in (mask, values > 0, (values > 0).float(), values.numpy(), mask.convert("RGB"))
    )
    for other in others:
        same_pictures(first.images, other.images)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_a_mask_is_brought_to_another_size_as_the_pipeline_does(mode):
    """Pillow takes the nearest pixel where there are but two colours, and so does the pipeline."""
    mask = Image.new("L", (90, 90))
    ImageDraw.Draw(mask).ellipse((11, 23, 70, 61), fill=255)
    mask, picture, size = mask.convert(mode), photo(90, 90), {"height": 64, "width": 64}
    expected = theirs(
        pipeline("sd1", "hole"),
        PROMPT,
        image=picture,
        mask_image=mask,
        steps=2,
        strength=1.0,
        **size,
    )
    same(model("sd1").inpaint(picture, mask, PROMPT, steps=2, **size), expected)


def test_a_picture_far_larger_than_what_the_model_learnt_is_warned_of():
    made = model("sd1")
    height, width = made.size
    large = photo(2 * height + 8, 2 * width)
    with pytest.warns(UserWarning, match=f"learnt from pictures of {width} x {height}: on larger"):
        made.image_to_image(large, PROMPT, steps=2, strength=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.image_to_image(large, PROMPT, steps=2, strength=0.5, height=height, width=width)
        made.image_to_image(photo(2 * height, 2 * width), PROMPT, steps=2, strength=0.5)
