"""Stable Diffusion of every family with a few thousand random weights, as diffusers' own pipelines.

    pipe = tiny.pipeline("sdxl")
    folder = tiny.save("sd2-v", tmp_path)      # a folder in diffusers' layout

They are wired as the published models are: f=8, penultimate layers, pooled text, size conditioning.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import diffusers
import torch
from tokenizers import pre_tokenizers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

KINDS = (
    *("sd1", "sd2-v", "sd2-eps", "sdxl", "sdxl-refiner"),
    *("sd1-inpainting", "sdxl-inpainting", "sd-turbo", "sdxl-turbo"),
)

START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = ("a", "red", "cat", "on", "the", "grass", "dream", "beach")
SIZES = {"sd1": 24, "sd2": 32}  # how wide the text encoders are, by whose they are

BETAS = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


@cache
def _vocabulary() -> tuple[dict[str, int], tuple[str, ...]]:
    """In CLIP's order: bytes ("!" is number 0), bytes that end a word, pairs, start and end."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(code) for code in printable]
    letters += sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(letters))
    tokens, merges = [*letters, *(letter + "</w>" for letter in letters)], []
    for word in WORDS:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            merges.append(f"{pieces[0]} {pieces[1]}")
            pieces[:2] = [pieces[0] + pieces[1]]
            tokens.append(pieces[0])
    return {
        token: number for number, token in enumerate(dict.fromkeys([*tokens, START, END]))
    }, tuple(dict.fromkeys(merges))


def tokenizer(pad: str = END) -> CLIPTokenizer:
    """A tokenizer that knows eight words whole and spells out the rest."""
    vocabulary, merges = _vocabulary()
    with TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        lines = "\n".join(["#version: 0.2", *merges])
        (path / "merges.txt").write_text(lines + "\n", encoding="utf-8")
        special = {"unk_token": END, "bos_token": START, "eos_token": END, "pad_token": pad}
        return CLIPTokenizer(
            str(path / "vocab.json"), str(path / "merges.txt"), **special, model_max_length=77
        )


def text_encoder(kind: str, projection: bool = False) -> torch.nn.Module:
    """A text encoder: OpenAI's kind ("sd1") or OpenCLIP's ("sd2"), with a projection for SDXL."""
    width = SIZES[kind]
    config = CLIPTextConfig(
        vocab_size=len(_vocabulary()[0]),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=4,
        hidden_act="quick_gelu" if kind == "sd1" else "gelu",
        projection_dim=width,
        bos_token_id=0,
        eos_token_id=2,  # as published: it means "the greatest number", not the token 2
        pad_token_id=1,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def unet(family: str, in_channels: int = 4) -> diffusers.UNet2DConditionModel:
    """A U-Net of "sd1", "sd2", "sdxl" or "sdxl-refiner"."""
    first, second = SIZES["sd1"], SIZES["sd2"]
    shape = {
        "sd1": {"cross_attention_dim": first, "attention_head_dim": 4},
        "sd2": {
            "cross_attention_dim": second,
            "attention_head_dim": (2, 4, 4),
            "use_linear_projection": True,
        },
    }
    shape["sdxl"] = shape["sd2"] | {
        "cross_attention_dim": first + second,
        "transformer_layers_per_block": (1, 1, 2),
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": second + 6 * 8,
    }
    shape["sdxl-refiner"] = shape["sdxl"] | {
        "cross_attention_dim": second,
        "projection_class_embeddings_input_dim": second + 5 * 8,
    }
    words, none = "CrossAttnDownBlock2D", "DownBlock2D"
    down = (none, words, words) if family.startswith("sdxl") else (words, words, none)
    return diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=in_channels,
        layers_per_block=2,
        block_out_channels=(16, 32, 32),
        norm_num_groups=8,
        down_block_types=down,
        up_block_types=tuple(block.replace("Down", "Up") for block in reversed(down)),
        **shape[family],
    ).eval()


def vae(scaling_factor: float = 0.18215) -> diffusers.AutoencoderKL:
    """An autoencoder that makes each side 8 times smaller."""
    return diffusers.AutoencoderKL(
        sample_size=64,
        latent_channels=4,
        block_out_channels=(8, 8, 16, 16),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        scaling_factor=scaling_factor,
    ).eval()


def scheduler(kind: str) -> diffusers.SchedulerMixin:
    """The scheduler that the published model of this kind comes with."""
    if kind == "sd-turbo":
        return diffusers.EulerDiscreteScheduler(**BETAS, timestep_spacing="trailing")
    if kind == "sdxl-turbo":
        return diffusers.EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="trailing")
    if kind.startswith("sdxl"):
        return diffusers.EulerDiscreteScheduler(**BETAS, timestep_spacing="leading")
    prediction = "v_prediction" if kind == "sd2-v" else "epsilon"
    return diffusers.PNDMScheduler(
        **BETAS, skip_prk_steps=True, set_alpha_to_one=False, prediction_type=prediction
    )


def family_of(kind: str) -> str:
    """The family's name of a kind."""
    if kind.startswith("sdxl"):
        return "sdxl-refiner" if "refiner" in kind else "sdxl"
    return "sd1" if kind.startswith("sd1") else "sd2"


def pipeline(kind: str, seed: int = 0) -> diffusers.DiffusionPipeline:
    """A whole pipeline, its weights drawn with a seed; the same every time."""
    pipe = _pipeline(kind, seed)
    if kind.endswith("turbo"):  # in a pipeline that somebody holds, its name alone tells it
        pipe.register_to_config(_name_or_path=f"tiny/{kind}")
    return pipe


def _pipeline(kind: str, seed: int) -> diffusers.DiffusionPipeline:
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r}; there are {', '.join(KINDS)}")
    family = family_of(kind)
    inpainting = kind.endswith("inpainting")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = {
            "unet": unet(family, 9 if inpainting else 4),
            "vae": vae(0.13025 if family.startswith("sdxl") else 0.18215),
            "scheduler": scheduler(kind),
        }
        if family.startswith("sdxl"):
            both = family == "sdxl"
            parts["text_encoder"] = text_encoder("sd1") if both else None
            parts["tokenizer"] = tokenizer() if both else None
            parts["text_encoder_2"] = text_encoder("sd2", projection=True)
            parts["tokenizer_2"] = tokenizer("!")
        else:
            parts["text_encoder"] = text_encoder(family)
            parts["tokenizer"] = tokenizer(END if family == "sd1" else "!")
    if family == "sdxl-refiner":
        return diffusers.StableDiffusionXLImg2ImgPipeline(
            **parts, requires_aesthetics_score=True, force_zeros_for_empty_prompt=False
        )
    if family == "sdxl":
        made = (
            diffusers.StableDiffusionXLInpaintPipeline
            if inpainting
            else diffusers.StableDiffusionXLPipeline
        )
        return made(**parts)
    made = (
        diffusers.StableDiffusionInpaintPipeline
        if inpainting
        else diffusers.StableDiffusionPipeline
    )
    return made(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)


def save(kind: str, folder: Path, seed: int = 0, **options: object) -> Path:
    """Write a pipeline as diffusers does, below a folder, and return where it lies."""
    target = folder / kind
    pipeline(kind, seed).save_pretrained(target, **options)
    return target
