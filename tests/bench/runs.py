"""What it costs to look: whole runs here, against the diffusers pipeline's for the same picture.

Also in the table, for comparison: the pipeline with its attention computed step by step and kept,
which is how one usually gets at it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from diffusers import (
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from diffusers.models.attention_processor import AttnProcessor2_0

import sdlearn as sd
from sdlearn import _resources, models
from sdlearn.stages import attention
from tests.bench.imports import milliseconds
from tests.bench.memory import peak
from tests.bench.timing import Row, in_turns

TITLE = "whole runs, against the diffusers pipeline's"
PROMPT = "a big red cat wearing a crown, on the grass"
RECORDS = (
    ("nothing recorded", (), 1.0),
    ("latents and noise", ("latents", "noise"), 1.03),
    ("with attention", ("latents", "noise", "attention"), 1.10),
)
LIMITS = {"pocket-sd15": 1_200.0, "pocket-sdxl": 6_000.0}  # ms for 25 steps, all in all
HANDOVER = 0.8  # from here on the refiner knows the noise
FEW = 3  # rounds of what takes minutes
FIRST_PICTURE = """
import sdlearn as sd
sd.load("pocket-sd15").generate("a red cat").image
"""
LOADING = """
import sdlearn as sd
sd.load("pocket-sd15")
"""
PIPELINE_LOADING = """
from diffusers import StableDiffusionPipeline
StableDiffusionPipeline.from_pretrained({folder!r}, safety_checker=None)
"""


class Run(NamedTuple):
    """The same run twice.

    Attributes:
        pipe: The diffusers pipeline.
        theirs: Draws with it.
        ours: Draws here, told what to record.
    """

    pipe: Any
    theirs: Callable[[], object]
    ours: Callable[[tuple[str, ...]], sd.Trace]


def rows(pairs: int) -> Iterator[Row]:
    """The pocket models; the full-size SD 1.5, with random weights; the beginning of a day."""
    few = max(5, pairs // 4)
    for name in ("pocket-sd15", "pocket-sd21", "pocket-sdxl"):
        run = drawing(sd.load(name, device="cpu"), 25)
        yield from costs(f"{name}, 25 steps", run, few, LIMITS.get(name))
    refiner = sd.load("pocket-sdxl-refiner", device="cpu")
    yield from costs("pocket-sdxl-refiner, the last 5 of 25 steps", refining(refiner, 25), few)
    large = full_size(sd.load("pocket-sd15", device="cpu"))
    yield from costs("SD 1.5, 2 steps", drawing(large, 2, side=512), FEW)
    yield loading(few)
    yield first_picture(few)


def drawing(model: sd.models.Model, steps: int, side: int | None = None) -> Run:
    """A picture from noise alone."""
    side = side or model.size[0]
    pipe = pipeline(model)

    def theirs() -> None:
        generator = torch.Generator().manual_seed(0)
        pipe(PROMPT, num_inference_steps=steps, height=side, width=side, generator=generator)

    def ours(record: tuple[str, ...]) -> sd.Trace:
        return model.generate(PROMPT, steps=steps, height=side, width=side, record=record)

    return Run(pipe, theirs, ours)


def refining(model: sd.models.Model, steps: int) -> Run:
    """The last steps of a picture that somebody else began."""
    pipe = pipeline(model)
    begun = sd.world.parse(PROMPT).render(model.size[0])

    def theirs() -> None:
        generator = torch.Generator().manual_seed(0)
        pipe(
            PROMPT,
            image=begun,
            num_inference_steps=steps,
            denoising_start=HANDOVER,
            generator=generator,
        )

    def ours(record: tuple[str, ...]) -> sd.Trace:
        return model.image_to_image(
            begun, PROMPT, steps=steps, denoising_start=HANDOVER, record=record
        )

    return Run(pipe, theirs, ours)


def costs(name: str, run: Run, rounds: int, limit: float | None = None) -> Iterator[Row]:
    """A row for each thing to record, and one for attention as it is usually got at.

    Args:
        name: What is drawn.
        run: The same run twice.
        rounds: How often each is timed.
        limit: The milliseconds that a run without records may take.
    """
    openly = "explicit softmax, all kept"
    goals: dict[str, float | None] = {openly: None}
    timed: dict[str, Callable[[], object]] = {"the pipeline": run.theirs}
    for what, record, goal in RECORDS:
        trace = run.ours(record)
        title = f"{what} ({trace.nbytes / len(trace.steps) / 2**20:.1f} MiB a step)"
        del trace  # the next one is measured without it
        goals[title], timed[title] = goal, partial(run.ours, record)
    timed[openly] = partial(explicitly, run.pipe, run.theirs)
    taken = in_turns(timed, rounds)
    peaks = {title: peak(drawn) for title, drawn in timed.items()}
    theirs, their_peak = taken.pop("the pipeline"), peaks["the pipeline"]
    for title, ours in taken.items():
        both = peaks[title], their_peak
        note = "" if None in both else "peak {:+.0f} MiB, theirs {:+.0f}".format(*both)
        only = limit if title.startswith(RECORDS[0][0]) else None
        yield Row(f"{name}: {title}", ours, theirs, goals[title], note, only)


def pipeline(model: sd.models.Model) -> Any:
    """The diffusers pipeline of the same parts."""
    parts = ["vae", "unet", "scheduler"]
    encoders = [part for part in ("text_encoder", "text_encoder_2") if getattr(model.parts, part)]
    parts += [*encoders, *(part.replace("text_encoder", "tokenizer") for part in encoders)]
    if encoders == ["text_encoder_2"]:
        pipe = StableDiffusionXLImg2ImgPipeline(
            **{part: getattr(model.parts, part) for part in parts},
            text_encoder=None,
            tokenizer=None,
            **model.parts.settings,
            add_watermarker=False,
        )
    elif model.family.is_sdxl:
        pipe = StableDiffusionXLPipeline(
            **{part: getattr(model.parts, part) for part in parts},
            force_zeros_for_empty_prompt=model.parts.settings["force_zeros_for_empty_prompt"],
            add_watermarker=False,
        )
    else:
        pipe = StableDiffusionPipeline(
            **{part: getattr(model.parts, part) for part in parts},
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def explicitly(pipe: Any, run: Callable[[], None]) -> None:
    """The pipeline's run with every attention to the words computed openly and kept."""
    kept: list[torch.Tensor] = []
    places = attention.places(pipe.unet)
    try:
        for place in places:
            place.module.processor = Keeping(kept)
        run()
    finally:
        for place in places:
            place.module.processor = AttnProcessor2_0()


class Keeping:
    """The attention of a textbook: probabilities in the open, and put aside."""

    def __init__(self, kept: list[torch.Tensor]) -> None:
        self.kept = kept

    def __call__(
        self,
        attn: Any,
        x: torch.Tensor,
        encoder_hidden_states: Any = None,
        attention_mask: Any = None,
    ) -> Any:
        """One layer, one call."""
        q, k, v = attn.to_q(x), attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        q, k, v = (attn.head_to_batch_dim(part) for part in (q, k, v))
        probabilities = attn.get_attention_scores(q, k)
        self.kept.append(probabilities.detach().clone())
        return attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(probabilities @ v)))


def full_size(pocket: Any) -> Any:
    """SD 1.5 at its full size, with the pocket model's tokenizer and weights of no meaning."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    configs = models.published_configs("sd15")
    torch.manual_seed(0)
    pipe = StableDiffusionPipeline(
        unet=UNet2DConditionModel.from_config(configs["unet"]).eval(),
        vae=AutoencoderKL.from_config(configs["vae"]).eval(),
        text_encoder=CLIPTextModel(CLIPTextConfig(**configs["text_encoder"])).eval(),
        tokenizer=pocket.parts.tokenizer,
        scheduler=pocket.parts.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return sd.wrap(pipe)


def loading(pairs: int) -> Row:
    """The pocket model, from `import torch` to ready, against the pipeline on the same files."""
    theirs = PIPELINE_LOADING.format(folder=str(_resources.data_dir() / "models" / "pocket-sd15"))
    both = [(fresh(LOADING, "import torch"), fresh(theirs, "import torch")) for _ in range(pairs)]
    return Row("loading, torch being there", *zip(*both, strict=True), limit=1_500.0)


def first_picture(pairs: int) -> Row:
    """From a fresh Python to the first picture, against `import torch`."""
    fresh(FIRST_PICTURE)
    both = [(fresh(FIRST_PICTURE), milliseconds("import torch")) for _ in range(pairs)]
    return Row("first picture, from a cold start", *zip(*both, strict=True), 3.0)


def fresh(code: str, before: str = "") -> float:
    """Milliseconds that lines of code take in a Python of their own, after `before`."""
    told = "print(time.perf_counter() - t)"
    lines = "\n".join([before, "import time", "t = time.perf_counter()", code, told])
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, check=True)
    return float(done.stdout.split()[-1]) * 1e3
