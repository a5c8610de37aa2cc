"""The recipes: every number of a training run, in one place.

A model card repeats its recipe, and the committed weights come from the committed recipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Plan:
    """How long a stage learns, and how fast.

    Attributes:
        steps: Optimizer steps in all.
        batch: Samples a step, over all processes together.
        rate: The learning rate between warm-up and decay.
        warmup: Steps over which the rate rises.
        decay: The last share of the steps, over which the rate falls to zero.
        weight_decay: What share of a weight goes at each step, in learning rates.
        clip: Gradients longer than this are shortened.
        ema: How much of the averaged weights stays at each step.
    """

    steps: int
    batch: int
    rate: float
    warmup: int = 200
    decay: float = 0.3
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999

    def rate_at(self, step: int) -> float:
        """Up in a straight line, level, and down in a straight line to zero."""
        rising = (step + 1) / self.warmup if self.warmup else 1.0
        falling = (self.steps - step) / max(1, round(self.decay * self.steps))
        return self.rate * min(1.0, rising, falling)


@dataclass(frozen=True)
class Recipe:
    """A pocket model, from the first picture to the last step.

    Attributes:
        name: The model's name.
        mirrors: The published model whose anatomy it has in miniature.
        pictures: How many scenes are drawn for it.
        size: The side of its pictures.
        vocabulary: How many tokens the tokenizer knows.
        text: The text encoder's configuration.
        vision: The picture encoder's.
        vae: The autoencoder's.
        unet: The U-Net's.
        scheduler: The noise schedule's.
        plans: A plan for each stage.
        crop: The side of the pictures' pieces on which the autoencoder learns.
        projection: How wide the space is in which captions and pictures meet.
        captions_dropped: Share of captions that the U-Net doesn't see, for guidance.
        clip_name: Where the half of CLIP goes that sees pictures.
        seed: Where all random numbers of the run come from.
    """

    name: str
    mirrors: str
    pictures: int
    size: int
    vocabulary: int
    text: dict[str, Any]
    vision: dict[str, Any]
    vae: dict[str, Any]
    unet: dict[str, Any]
    scheduler: dict[str, Any]
    plans: dict[str, Plan]
    crop: int = 64
    projection: int = 128
    captions_dropped: float = 0.1
    clip_name: str = "pocket-clip"
    seed: int = 0


POCKET_SD15 = Recipe(
    name="pocket-sd15",
    mirrors="Stable Diffusion 1.4 and 1.5",
    pictures=40_000,
    size=128,
    vocabulary=2_000,
    text={
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "hidden_act": "quick_gelu",
        "max_position_embeddings": 77,
    },
    vision={
        "hidden_size": 192,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "hidden_act": "quick_gelu",
        "image_size": 128,
        "patch_size": 16,
    },
    vae={
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "block_out_channels": (32, 64, 96, 96),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 1,
        "norm_num_groups": 16,
        "mid_block_add_attention": False,
        "sample_size": 128,
    },
    unet={
        "sample_size": 16,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (64, 128, 160),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "cross_attention_dim": 256,
        "attention_head_dim": 4,  # in SD 1.x this setting is the *number* of heads, not their width
        "norm_num_groups": 16,
        "use_linear_projection": False,
    },
    scheduler={
        "num_train_timesteps": 1000,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "prediction_type": "epsilon",
    },
    plans={
        "clip": Plan(steps=1_600, batch=160, rate=1.5e-3, warmup=100, weight_decay=0.05, ema=0.998),
        "vae": Plan(steps=5_000, batch=16, rate=3e-3, warmup=50, decay=0.5, ema=0.998),
        "decoder": Plan(steps=6_000, batch=16, rate=2e-3, warmup=50, decay=0.5, ema=0.998),
        "unet": Plan(steps=2_600, batch=64, rate=2e-3, warmup=100, decay=0.5, ema=0.999),
    },
)

RECIPES = {recipe.name: recipe for recipe in (POCKET_SD15,)}
"""The recipes by name. A new family is a new entry here, not a new loop."""
