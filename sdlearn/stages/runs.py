"""How runs begin and end: from noise, from a picture, into a hole in one.

Random numbers are drawn in the order in which diffusers' pipelines draw them, so that a seed
means the same picture here and there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from sdlearn.stages import checks, handing, latents, text
from sdlearn.stages.denoising import Denoising
from sdlearn.stages.guiding import Guidance
from sdlearn.stages.masking import Mask
from sdlearn.stages.request import Request
from sdlearn.stages.schedule import Schedule
from sdlearn.stages.text import Prompt
from sdlearn.trace import Trace

if TYPE_CHECKING:
    from sdlearn.stages.pipeline import Model

Pictures = Image.Image | Sequence[Image.Image] | Tensor | Trace

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
    own = _own_latent(model, request)
    count = request.count(prompt, 1 if own is None else len(own))
    shape = model.latent_shape(count, *model.sides(request.height, request.width))
    cond, uncond = _prompts(model, prompt, request, count)
    source, dtype = latents.generators(request.seed), cond.embeddings.dtype
    if own is None:
        start = latents.noise(shape, source, model.device, dtype)
    else:
        start = _shared(own.to(model.device, dtype), count)
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
    known, pictures = _latents_or_pictures(model, picture, request)
    count = request.count(prompt, len(pictures if known is None else known))
    cond, uncond = _prompts(model, prompt, request, count)
    schedule = _schedule(model, request)
    going_on = request.denoising_start is not None
    if isinstance(picture, Trace):
        handing.check(picture, model, request.denoising_start)
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
        known = _encoded(model, pictures, source)
    known = known.to(model.device, cond.embeddings.dtype)
    # Not repeat(), which lays numbers out anew: in another layout sums are rounded otherwise.
    known = torch.cat([known] * (count // len(known)))
    if not going_on:
        eps = latents.noise(tuple(known.shape), source, model.device, known.dtype)
        known = _noised(model, schedule, known, eps)
    return _run(model, request, Start("image-to-image", known, schedule, source, cond, uncond))


@_taken_down
def into_hole(model: Model, picture: Any, mask: Any, prompt: Any, request: Request) -> Trace:
    """Inpainting, with a U-Net that is given the mask or with one that knows of none."""
    whole = _pixels(model, picture, request)  # [1, 3, height, width]
    if len(whole) != 1:
        raise ValueError(f"picture must be one picture to draw into, got {len(whole)}.")
    height, width = whole.shape[-2:]
    if isinstance(mask, Image.Image) and mask.size == checks.pictures(picture)[0].size:
        # brought to the size that was asked for, as the picture was
        mask = mask.convert("L").resize((width, height), Image.Resampling.LANCZOS)
    hole = checks.mask(mask, height, width)
    small = _in_places(hole, model.factor)
    count = request.count(prompt)
    cond, uncond = _prompts(model, prompt, request, count)
    strength = 1.0 if request.strength is None else request.strength
    schedule = _schedule(model, request).from_strength(strength)
    source, as_channels = latents.generators(request.seed), model.family.inpainting
    shape, dtype = model.latent_shape(count, height, width), cond.embeddings.dtype
    known = None
    if not as_channels or strength < 1:
        known = _shared(_encoded(model, whole, source), count).to(dtype)
    eps = latents.noise(shape, source, model.device, dtype)
    if strength < 1:
        start = _noised(model, schedule, known, eps)
    else:
        start = eps * schedule.scheduler.init_noise_sigma
    # The masked picture is encoded even where nobody looks at it: it takes its share of the random
    # numbers, as in the pipelines, so that samplers that draw noise on the way draw the same.
    masked = _encoded(model, whole * (hole < 0.5), source).to(dtype)
    if as_channels:
        known = _shared(masked, count)
    small = _shared(small.to(model.device, dtype), count)
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
    cond, uncond = _prompts(model, prompt, request, count)
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
        settings=request.settings(model, start.kind, start.schedule, start.latent),
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


def _prompts(
    model: Model, prompt: Any, request: Request, count: int
) -> tuple[Prompt, Callable[[], Prompt]]:
    """The prompt, read, and a function that reads the negative one when it is needed."""
    negative, negative_2 = request.negative_prompt, request.negative_prompt_2
    for name, read, other in (
        ("prompt", prompt, request.prompt_2),
        ("negative_prompt", negative, negative_2),
    ):
        if isinstance(read, Prompt):
            _check_read(model, name, read, other, count)
    cond = prompt
    if not isinstance(prompt, Prompt):
        cond = text.encode(model.parts, prompt, request.prompt_2)
    each = count // len(cond)
    zeros = model.family.is_sdxl and model.parts.settings.get("force_zeros_for_empty_prompt")

    def uncond() -> Prompt:
        if isinstance(negative, Prompt):
            return negative.repeated(count // len(negative))
        if negative is None and zeros:
            return cond.zeros().repeated(each)
        texts = _for_each("negative_prompt", "" if negative is None else negative, len(cond))
        texts_2 = None
        if negative_2 is not None:
            texts_2 = _for_each("negative_prompt_2", negative_2, len(cond))
        return text.encode(model.parts, texts, texts_2).repeated(each)

    if negative is not None and not isinstance(negative, Prompt):
        _for_each("negative_prompt", negative, len(cond))  # wrong ones are refused at the door
    if negative is None and negative_2 is not None and zeros:
        checks.warn(
            "negative_prompt_2 alone does nothing: without a negative_prompt this model goes away "
            'from zeros, not from a text. Say negative_prompt="" as well.'
        )
    if model.family.turbo and request.guidance_scale == 0:
        checks.warn(
            "guidance_scale=0 ignores the prompt here. Elsewhere a Turbo model is asked for 0 to "
            "draw without guidance; here that is 1: leave guidance_scale out."
        )
    guided = request.guidance(model.family) != 1.0 or request.interventions
    if negative not in (None, "") and not guided:
        checks.warn(
            "negative_prompt does nothing at guidance_scale=1: there is nothing to go away from. "
            "Guide a little (2 or more), or leave it out."
        )
    return cond.repeated(each), uncond


def _check_read(model: Model, name: str, read: Prompt, other: Any, count: int) -> None:
    """Refuse a prompt that was read before, if it does not fit the run."""
    if other is not None:
        raise ValueError(
            f"{name} was read already, so {name}_2 comes too late: model.encode(..., prompt_2=...)."
        )
    if count % len(read):
        raise ValueError(
            f"{name} holds {len(read)} texts, which can't be shared out over {count} pictures."
        )
    wanted, width = model.parts.unet.config.cross_attention_dim, read.embeddings.shape[-1]
    if isinstance(wanted, int) and width != wanted:
        raise ValueError(
            f"{name} was read by another model: its vectors hold {width} numbers, and this U-Net "
            f"looks at {wanted}. Read it with this one: model.encode(...)."
        )


def _for_each(name: str, texts: Any, count: int) -> tuple[str, ...]:
    """One text for all prompts, or one for each."""
    texts = text.check_texts(name, texts)
    if len(texts) not in (1, count):
        raise ValueError(f"There are {count} prompts and {len(texts)} of {name}.")
    return texts * count if len(texts) == 1 else texts


def _own_latent(model: Model, request: Request) -> Tensor | None:
    """Noise that the user brought, if it fits."""
    latent = request.latent
    if latent is None:
        return None
    model.check_latent(latent)
    _check_sides(model, latent, request)
    return latent


def _check_sides(model: Model, latent: Tensor, request: Request) -> None:
    """Refuse a size that is not the latent's."""
    sides = [side * model.factor for side in latent.shape[-2:]]
    for name, asked, has in (
        ("height", request.height, sides[0]),
        ("width", request.width, sides[1]),
    ):
        if asked not in (None, has):
            raise ValueError(f"latent is for a {name} of {has}, and {name}={asked} was asked for.")


def _latents_or_pictures(
    model: Model, picture: Pictures, request: Request
) -> tuple[Tensor | None, Tensor | None]:
    if isinstance(picture, Trace):
        picture = picture.latent
    if isinstance(picture, Tensor):
        model.check_latent(picture)
        _check_sides(model, picture, request)
        return picture, None
    return None, _pixels(model, picture, request)


def _pixels(model: Model, picture: Any, request: Request) -> Tensor:
    """Pictures as numbers, [pictures, 3, height, width], in the size asked for or their own."""
    several = checks.pictures(picture)
    height = several[0].height if request.height is None else request.height
    width = several[0].width if request.width is None else request.width
    height = checks.side("height", height, model.factor)
    width = checks.side("width", width, model.factor)
    return torch.cat([latents.from_pil(one, (height, width)) for one in several])


def _encoded(model: Model, pictures: Tensor, source: latents.Generators) -> Tensor:
    """A latent for each picture, drawn from its cloud."""
    upcast = model.family.is_sdxl
    if isinstance(source, torch.Generator):
        return latents.encode(model.vae, pictures, upcast=upcast).sample(source)
    drawn = [
        latents.encode(model.vae, pictures[i : i + 1], upcast=upcast).sample(source[i])
        for i in range(len(pictures))
    ]
    return torch.cat(drawn)


def _noised(model: Model, schedule: Schedule, known: Tensor, eps: Tensor) -> Tensor:
    """Latents brought to the noise level at which a schedule begins."""
    scheduler = schedule.fresh(model.device)
    t = scheduler.timesteps[schedule.begin : schedule.begin + 1].repeat(len(known))
    return scheduler.add_noise(known, eps, t)


def _in_places(hole: Tensor, factor: int) -> Tensor:
    """A mask of pixels as a mask of a latent's places."""
    size = tuple(side // factor for side in hole.shape[-2:])
    small = torch.nn.functional.interpolate(hole, size=size)
    if not bool(small.any()):
        raise ValueError(
            f"mask marks less than one of the latent's places, which are {factor} x {factor} "
            "pixels, so nothing new would be drawn. Make it larger."
        )
    return small


def _shared(one: Tensor, count: int) -> Tensor:
    return one.repeat(count // len(one), 1, 1, 1)


def _refuse_inpainting_unet(model: Model) -> None:
    if model.family.inpainting:
        raise ValueError(
            f"{model.name} is an inpainting model: its U-Net is given a mask and the masked "
            "picture. Use model.inpaint(picture, mask, prompt)."
        )
