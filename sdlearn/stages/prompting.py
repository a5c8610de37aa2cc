"""What a run is asked: its prompt and its negative prompt, read once for all its pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sdlearn.stages import checks, text
from sdlearn.stages.request import Request
from sdlearn.stages.text import Prompt

if TYPE_CHECKING:
    from sdlearn.stages.pipeline import Model


def prompts(
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
    zeros = text.forces_zeros(model.parts)

    def uncond() -> Prompt:
        if isinstance(negative, Prompt):
            return negative.repeated(count // len(negative))
        if negative is None and zeros:
            return cond.zeros().repeated(each)
        texts = _for_each("negative_prompt", "" if negative is None else negative, len(cond))
        texts_2 = None
        if negative_2 not in (None, ""):  # as in diffusers, where "" is the same as the first
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
    if request.guidance_rescale and not guided:
        checks.warn("guidance_rescale does nothing at guidance_scale=1: nothing was guided.")
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
