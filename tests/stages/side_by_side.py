"""A run of ours next to the diffusers pipeline's, at the end of every step.

pipe = pipeline("sdxl")                       # diffusers' own, tiny, the weights random
run = theirs(pipe, "a red cat", seed=3)       # its latents after every call, its pictures
same(model("sdxl").generate("a red cat", steps=3, seed=3), run)
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import tiny
import torch
from PIL import Image
from torch import Tensor

from sdlearn.models import load, wrap
from sdlearn.stages.pipeline import Model
from sdlearn.trace import Trace

MODELS = Path(__file__).resolve().parents[2] / "data" / "models"
PROMPT = "a red cat on the grass"
STEPS = 3

TASKS = {
    ("sd", "image"): diffusers.StableDiffusionImg2ImgPipeline,
    ("sd", "hole"): diffusers.StableDiffusionInpaintPipeline,
    ("sdxl", "image"): diffusers.StableDiffusionXLImg2ImgPipeline,
    ("sdxl", "hole"): diffusers.StableDiffusionXLInpaintPipeline,
}

# What a name of ours stands for in diffusers, written down a second time on purpose.
COUNTERPARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "plms": ("PNDMScheduler", {"skip_prk_steps": True}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "DPM++ 2M Karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpmpp_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}


@dataclass(frozen=True)
class Run:
    """What a pipeline leaves: its latents after every call of the network, and its pictures."""

    latents: list[Tensor]
    images: list[Image.Image]


@cache
def pipeline(kind: str, task: str = "noise", dtype: torch.dtype = torch.float32) -> Any:
    """A pipeline, tiny or pocket: from "noise", from an "image" or into a "hole"; shared."""
    if task != "noise":
        source = pipeline(kind, dtype=dtype)
        made = TASKS["sdxl" if kind.startswith("sdxl") else "sd", task]
        known = inspect.signature(made.__init__).parameters
        parts = {**source.config, **source.components}
        pipe = made(**{name: part for name, part in parts.items() if name in known})
    elif kind.startswith("pocket-"):
        made = diffusers.StableDiffusionPipeline
        pipe = made.from_pretrained(MODELS / kind, safety_checker=None, torch_dtype=dtype)
    else:
        pipe = tiny.pipeline(kind).to(dtype)
        # As in every published config: latents are no pixels, and not to be clipped to -1 to 1.
        pipe.scheduler.register_to_config(clip_sample=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@cache
def model(kind: str, dtype: torch.dtype = torch.float32) -> Model:
    """The same weights as ours; shared, as every test has to leave it as it was.

    A pocket model is loaded a second time, by our own loading.
    """
    if kind.startswith("pocket-"):
        return load(kind, device="cpu", dtype=dtype)
    return wrap(pipeline(kind, dtype=dtype))


def scheduler(kind: str, name: str | None, **settings: Any) -> Any:
    """A scheduler for the pipeline, by our name of it; None is the one that the model came with."""
    own = model(kind).parts.scheduler
    if name is None:
        return type(own).from_config(own.config, **settings)
    made, more = COUNTERPARTS[name]
    return getattr(diffusers, made).from_config(own.config, **more, **settings)


def theirs(
    pipe: Any,
    prompt: Any,
    *,
    seed: Any = 0,
    steps: int = STEPS,
    sampler: Any = None,
    **settings: Any,
) -> Run:
    """Run a pipeline; `sampler` is the scheduler that it is given for this run."""
    latents: list[Tensor] = []

    def keep(_pipe: Any, _step: int, _t: Any, values: dict[str, Tensor]) -> dict[str, Tensor]:
        latents.append(values["latents"].clone())
        return {}

    before = pipe.scheduler
    pipe.scheduler = type(before).from_config(before.config) if sampler is None else sampler
    try:
        images = pipe(
            prompt,
            num_inference_steps=steps,
            generator=generator(seed),
            callback_on_step_end=keep,
            **settings,
        ).images
    finally:
        pipe.scheduler = before
    return Run(latents, images)


def generator(seed: int | Sequence[int]) -> Any:
    """A seed as the pipelines take it."""
    if isinstance(seed, int):
        return torch.Generator("cpu").manual_seed(seed)
    return [torch.Generator("cpu").manual_seed(one) for one in seed]


def same(trace: Trace, run: Run) -> None:
    """Our run is the pipeline's, to the last bit: at the end of every step, and in its pictures."""
    assert sum(step.calls for step in trace.steps) == len(run.latents)
    assert torch.equal(trace.latent, run.latents[-1])
    seen = -1
    for step in trace.steps:
        seen += step.calls
        if step.sample_next is not None:
            assert torch.equal(step.sample_next, run.latents[seen]), f"step {step.index}"
    same_pictures(trace.images, run.images)


def same_pictures(ours: Sequence[Image.Image], others: Sequence[Image.Image]) -> None:
    """Two lists of pictures hold the same pixels."""
    assert len(ours) == len(others)
    for one, other in zip(ours, others, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))


def photo(height: int = 64, width: int = 64, seed: int = 0) -> Image.Image:
    """A picture to begin with: soft fields of colour."""
    coarse = torch.rand(4, 4, 3, generator=torch.Generator().manual_seed(seed)).mul(255).byte()
    return Image.fromarray(coarse.numpy()).resize((width, height), Image.Resampling.BICUBIC)


def hole(height: int = 64, width: int = 64) -> Image.Image:
    """A mask: something new is to be drawn right of the middle, but for a strip at the bottom."""
    mask = np.zeros((height, width), np.uint8)
    mask[: height - 16, width // 2 :] = 255
    return Image.fromarray(mask)
