"""A recipe so small that all its stages are trained in seconds; the loop is the real one."""

from __future__ import annotations

import dataclasses

from sdlearn.training.recipes import POCKET_SD15, Plan, Recipe


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
            "vae": Plan(steps=8, batch=4, rate=1e-3, **plan),
            "unet": Plan(steps=8, batch=4, rate=1e-3, **plan),
            "decoder": Plan(steps=4, batch=4, rate=1e-3, warmup=2, ema=0.9),
        },
    )
    return dataclasses.replace(recipe, **changes)
