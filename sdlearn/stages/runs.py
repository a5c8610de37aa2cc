"""How runs begin and end: from noise, from a picture, into a hole in one.

Random numbers are drawn in the order in which diffusers' pipelines draw them, so that a seed
means the same picture here and there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from sdlearn.stages import checks, handing, latents
from sdlearn.stages.denoising import Denoising
from sdlearn.stages.given import (
    Pictures,
    encoded,
    in_places,
    latents_or_pictures,
    noised,
    own_latent,
    pixels_of,
    shared,
)
from sdlearn.stages.guiding import Guidance
from sdlearn.stages.masking import Mask
from sdlearn.stages.prompting import prompts
from sdlearn.stages.request import Request
from sdlearn.stages.schedule import Schedule
from sdlearn.stages.text import Prompt
from sdlearn.trace import Trace

if TYPE_CHECKING:
    from sdlearn.stages.pipeline import Model


USUAL_STRENGTH = {"sdxl-refiner": 0.3}
"""How much of the way image-to-image walks if nothing is said; 0.8 elsewhere."""


@dataclass(frozen=True, eq=False)
class Start:
    """Where a run begins.

    Attributes:
        kind: What kind of run it is.
        latent: The sampler's first sample.
        schedule: The way from there.
        source: Where samplers that draw noise take it from: it has already given some.
        cond: The prompt, read.
        uncond: Reads the negative prompt when it is needed.
        mask: For inpainting.
    """

    kind: str
    latent: Tensor
    schedule: Schedule
    source: latents.Generators
    cond: Prompt
    uncond: Callable[[], Prompt]
    mask: Mask | None = None


def _taken_down(begin: Callable[..., Trace]) -> Callable[..., Trace]:
    """Let a run's trace hold the warnings that it gave."""

    @functools.wraps(begin)
    def told(*arguments: Any) -> Trace:
        with checks.listening() as heard:
            trace = begin(*arguments)
        trace.warnings = tuple(heard)
        return trace

    return told


@_taken_down
def from_noise(model: Model, prompt: Any, request: Request) -> Trace:
    """Text to image."""
    _refuse_inpainting_unet(model)
    schedule = _schedule(model, request).between(None, request.denoising_end)
    own = own_latent(model, request)
    count = request.count(prompt, 1 if own is None else len(own))
    shape = model.latent_shape(count, *model.sides(request.height, request.width))
    cond, uncond = prompts(model, prompt, request, count)
    source, dtype = latents.generators(request.seed), cond.embeddings.dtype
    if own is None:
        start = latents.noise(shape, source, model.device, dtype)
    else:
        start = shared(own.to(model.device, dtype), count)
    start = start * schedule.scheduler.init_noise_sigma
    return _run(model, request, Start("text-to-image", start, schedule, source, cond, uncond))


@_taken_down
def from_picture(model: Model, picture: Pictures, prompt: Any, request: Request) -> Trace:
    """Image to image; or one model going on where another stopped."""
    _refuse_inpainting_unet(model)
    if request.strength is not None and request.denoising_start is not None:
        raise ValueError(
            "strength and denoising_start both say where the run begins: give one of them. After "
            "denoising_start no noise is added; for strength it is."
        )
    known, pictures = latents_or_pictures(model, picture, request)
    count = request.count(prompt, len(pictures if known is None else known))
    cond, uncond = prompts(model, prompt, request, count)
    schedule = _schedule(model, request)
    going_on = request.denoising_start is not None
    if isinstance(picture, Trace):
        handing.check(picture, model, request.denoising_start)
    if going_on and pictures is not None:
        checks.warn(
            "A picture holds no noise, and denoising_start adds none: the model will take it for a "
            "half-finished run. strength adds the noise that belongs to where it begins."
        )
    if going_on:
        schedule = schedule.between(request.denoising_start, request.denoising_end)
        if isinstance(picture, Trace):
            known = handing.in_scale(picture, schedule)
    else:
        usual = USUAL_STRENGTH.get(model.family.name, 0.8)
        strength = usual if request.strength is None else request.strength
        schedule = schedule.from_strength(strength).between(None, request.denoising_end)
    source = latents.generators(request.seed)
    if known is None:
        if isinstance(source, list):  # each picture from its own seed
            pictures = torch.cat([pictures] * (count // len(pictures)))
        known = encoded(model, pictures, source)
    known = known.to(model.device, cond.embeddings.dtype)
    # Not repeat(), which lays numbers out anew: in another layout sums are rounded otherwise.
    known = torch.cat([known] * (count // len(known)))
    if not going_on:
        eps = latents.noise(tuple(known.shape), source, model.device, known.dtype)
        known = noised(model, schedule, known, eps)
    return _run(model, request, Start("image-to-image", known, schedule, source, cond, uncond))


@_taken_down
def into_hole(model: Model, picture: Any, mask: Any, prompt: Any, request: Request) -> Trace:
    """Inpainting, with a U-Net that is given the mask or with one that knows of none."""
    whole = pixels_of(model, picture, request)  # [1, 3, height, width]
    if len(whole) != 1:
        raise ValueError(f"picture must be one picture to draw into, got {len(whole)}.")
    height, width = whole.shape[-2:]
    if isinstance(mask, Image.Image) and mask.size == checks.pictures(picture)[0].size:
        # brought to the size that was asked for, as the picture was
        mask = mask.resize((width, height), Image.Resampling.LANCZOS).convert("L")
    hole = checks.mask(mask, height, width)
    small = in_places(hole, model.factor)
    count = request.count(prompt)
    cond, uncond = prompts(model, prompt, request, count)
    strength = 1.0 if request.strength is None else request.strength
    schedule = _schedule(model, request).from_strength(strength)
    source, as_channels = latents.generators(request.seed), model.family.inpainting
    shape, dtype = model.latent_shape(count, height, width), cond.embeddings.dtype
    known = None
    if not as_channels or strength < 1:
        known = shared(encoded(model, whole, source), count).to(dtype)
    eps = latents.noise(shape, source, model.device, dtype)
    if strength < 1:
        start = noised(model, schedule, known, eps)
    else:
        start = eps * schedule.scheduler.init_noise_sigma
    # The masked picture is encoded even where nobody looks at it: it takes its share of the random
    # numbers, as in the pipelines, so that samplers that draw noise on the way draw the same.
    masked = encoded(model, whole * (hole < 0.5), source).to(dtype)
    if as_channels:
        known = shared(masked, count)
    small = shared(small.to(model.device, dtype), count)
    inside = Mask(small, known, None if as_channels else eps)
    return _run(model, request, Start("inpainting", start, schedule, source, cond, uncond, inside))


def loop(
    model: Model, prompt: Any, latent: Tensor, schedule: Schedule, request: Request
) -> Denoising:
    """The bare loop from a latent of one's own."""
    _refuse_inpainting_unet(model)
    count = request.count(prompt, len(latent))
    if count != len(latent):
        raise ValueError(f"latent holds {len(latent)} pictures, and {count} were asked for.")
    cond, uncond = prompts(model, prompt, request, count)
    latent = latent.to(model.device, cond.embeddings.dtype, copy=True)  # theirs stays theirs
    source = latents.generators(request.seed)
    return _denoising(model, request, Start("loop", latent, schedule, source, cond, uncond))


def _run(model: Model, request: Request, start: Start) -> Trace:
    """Walk the loop to its end, or as far as the user lets it, and keep what it leaves."""
    walk = _denoising(model, request, start)
    steps, interrupted = [], False
    try:
        for step in walk:
            steps.append(step)
            if request.on_step is not None:
                request.on_step(step)
    except KeyboardInterrupt:
        interrupted = True
        checks.warn(
            f"Stopped after {len(steps)} of {len(start.schedule)} steps; the trace holds those."
        )
    if not bool(walk.sample.isfinite().all()):
        checks.warn(
            "The run ended in numbers that are none (NaN or infinite), and its picture shows "
            "nothing. Numbers may have overflowed in half precision (load the model with "
            'dtype="float32"), the sampler\'s settings may not fit the model, or guidance or an '
            "intervention went too far."
        )
    seen = walk.sample
    if interrupted and steps and steps[-1].x0 is not None:
        seen = steps[-1].x0  # the best guess so far: the sample itself is still noisy
    images: list[Image.Image] = []
    try:
        images = model.draw(seen.to(start.latent.dtype))
    except KeyboardInterrupt:
        interrupted = True
        checks.warn("Stopped while the picture was drawn; model.to_image(trace.latent) draws it.")
    uncond = walk.uncond if isinstance(walk.uncond, Prompt) else None
    return Trace(
        steps=tuple(steps),
        latent=walk.sample,
        images=images,
        prompts=start.cond.texts,
        negative_prompts=() if uncond is None else uncond.texts,
        settings=request.settings(
            model, start.kind, start.schedule, start.latent, start.cond, uncond
        ),
        attention=walk.attention(),
        tokens=start.cond.all_tokens,
        interrupted=interrupted,
        look=model.look,
    )


def _denoising(model: Model, request: Request, start: Start) -> Denoising:
    guidance = Guidance(request.guidance(model.family), request.guidance_rescale)
    pixels = tuple(side * model.factor for side in start.latent.shape[-2:])
    record = request.fitted(model.parts, start.schedule, start.latent, guidance.halves)
    if (record.attention or record.self_attention) and not start.cond.all_tokens:
        record = replace(record, attention=False, self_attention=False)
        checks.warn("The prompt is zeros and has no words to look at: no attention is kept.")
    looked_at = record.attention or request.interventions
    if looked_at and len({tuple(t.text for t in e.tokens) for e in start.cond.encoders}) > 1:
        checks.warn(
            "prompt_2 stands in the same columns as the prompt: a word's map, or a change to it, "
            "is that of both texts at its position."
        )
    return Denoising(
        parts=model.parts,
        cond=start.cond,
        uncond=start.uncond,
        sample=start.latent,
        schedule=start.schedule,
        guidance=guidance,
        sizes=request.sizes(model.family, pixels, start.kind),
        generator=start.source,
        eta=request.eta,
        mask=start.mask,
        record=record,
        interventions=request.interventions,
        look=model.look,
    )


def _schedule(model: Model, request: Request) -> Schedule:
    return model.schedule(request.steps, request.sampler, karras=request.karras)


def _refuse_inpainting_unet(model: Model) -> None:
    if model.family.inpainting:
        raise ValueError(
            f"{model.name} is an inpainting model: its U-Net is given a mask and the masked "
            "picture. Use model.inpaint(picture, mask, prompt)."
        )
