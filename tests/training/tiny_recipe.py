"""A recipe so small that all its stages are trained in seconds; the loop is the real one."""

from __future__ import annotations

import dataclasses

from sdlearn.training.plans import Frames, Plan, Recipe
from sdlearn.training.recipes import (
    OPENCLIP_TEXT,
    POCKET_SD15,
    POCKET_SD21,
    POCKET_SDXL,
    POCKET_SDXL_REFINER,
    RECIPES,
)


def tiny(**changes: object) -> Recipe:
    """A Stable Diffusion of a few thousand weights."""
    plan = {"warmup": 2, "weight_decay": 0.05, "ema": 0.9}
    recipe = dataclasses.replace(
        POCKET_SD15,
        name="tiny",
        pictures=24,
        size=64,
        vocabulary=700,
        crop=32,
        projection=16,
        text=POCKET_SD15.text
        | {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1},
        vision=POCKET_SD15.vision
        | {
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "image_size": 64,
        },
        vae=POCKET_SD15.vae
        | {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4, "sample_size": 64},
        unet=POCKET_SD15.unet
        | {
            "sample_size": 8,
            "block_out_channels": (16, 16, 16),
            "cross_attention_dim": 32,
            "attention_head_dim": 2,
            "norm_num_groups": 4,
        },
        plans={
            "clip": Plan(steps=8, batch=8, rate=1e-3, **plan),
            "text": Plan(steps=8, batch=8, rate=1e-3, **plan),
            "sides": Plan(steps=8, batch=8, rate=1e-3, **plan),
            "sight": Plan(steps=8, batch=8, rate=3e-4, **plan),
            "vae": Plan(steps=8, batch=4, rate=1e-3, **plan),
            "unet": Plan(steps=8, batch=4, rate=1e-3, **plan),
            "decoder": Plan(steps=4, batch=4, rate=1e-3, warmup=2, ema=0.9),
        },
    )
    return dataclasses.replace(recipe, **changes)


def family() -> dict[str, Recipe]:
    """The later generations, as small: they share the first one's parts, as the real ones do."""
    plan = {"warmup": 1, "ema": 0.9}
    text = OPENCLIP_TEXT | {"hidden_size": 40, "intermediate_size": 40}
    shared = {
        name: {part: place.replace("pocket-sd15", "tiny") for part, place in recipe.shared.items()}
        for name, recipe in RECIPES.items()
    }
    small = {"pictures": 24, "size": 64, "vocabulary": 700, "projection": 16, "text": text}
    small |= {"vision": tiny().vision, "vae": tiny().vae}
    frames = Frames(count=12, size=128, sides=(32, 64, 128))
    unet = {"sample_size": 8, "norm_num_groups": 4, "block_out_channels": (16, 16, 16)}
    sd21 = dataclasses.replace(
        POCKET_SD21,
        **small,
        shared=shared["pocket-sd21"],
        unet=POCKET_SD21.unet | unet | {"cross_attention_dim": 40, "attention_head_dim": (1, 2, 4)},
        plans={
            "clip": Plan(steps=4, batch=6, rate=1e-3, **plan),
            "unet": Plan(steps=4, batch=4, rate=1e-3, **plan),
        },
    )
    wide = {"addition_time_embed_dim": 8, "attention_head_dim": (1, 2, 4)}
    sdxl = dataclasses.replace(
        POCKET_SDXL,
        **small,
        frames=frames,
        shared=shared["pocket-sdxl"],
        unet=POCKET_SDXL.unet
        | unet
        | wide
        | {
            "sample_size": 16,
            "cross_attention_dim": 32 + 40,
            "projection_class_embeddings_input_dim": 16 + 6 * 8,
        },
        plans={
            "unet": Plan(steps=4, batch=4, rate=1e-3, **plan),
            "grow": Plan(steps=4, batch=4, rate=1e-3, **plan),
        },
    )
    refiner = dataclasses.replace(
        POCKET_SDXL_REFINER,
        **small,
        frames=frames,
        shared=shared["pocket-sdxl-refiner"],
        unet=POCKET_SDXL_REFINER.unet
        | wide
        | {
            "block_out_channels": (16, 16, 16, 16),
            "norm_num_groups": 4,
            "sample_size": 16,
            "attention_head_dim": (1, 2, 2, 2),
            "cross_attention_dim": 40,
            "projection_class_embeddings_input_dim": 16 + 5 * 8,
        },
        plans={"unet": Plan(steps=4, batch=4, rate=1e-3, **plan)},
    )
    return {recipe.name: recipe for recipe in (sd21, sdxl, refiner)}
