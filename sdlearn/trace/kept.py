"""The probabilities as a run left them: one tensor for each step, call, half and layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sdlearn.trace.maps import Attention
    from sdlearn.trace.records import Step

Key = tuple[int, int, str, int]
"""(step, call, half, index of the layer): where one tensor of probabilities belongs."""

NEVER_ASKED = {
    0: (
        "cond",
        "At guidance_scale=0 the network is never asked with the prompt, so no place looks at its "
        'words. Guide with more than 0, or keep what is asked: record=Record(halves="uncond").',
    ),
    1: (
        "uncond",
        "At guidance_scale=1 the network is never asked without the prompt. Guide with another "
        'scale, or keep what is asked: record=Record(halves="cond").',
    ),
}
"""By the scale that needs one half of guidance only: the other half, and what to say of it."""


def check(key: Key, maps: Tensor, attention: Attention, *, text: bool) -> None:
    """Refuses a tensor that isn't where it belongs, or not of its layer's shape.

    Args:
        key: Where it is kept.
        maps: The probabilities.
        attention: What they are a part of.
        text: Whether the keys are positions of the text, or places of the picture.
    """
    step, _, half, index = key
    layers = attention.layers
    there = step in attention.steps and half in attention.halves and 0 <= index < len(layers)
    if not there:
        raise ValueError(
            f"attention is kept under (step, call, half, layer) = {key}, which is none of steps "
            f"{attention.steps}, halves {attention.halves} and {len(layers)} layers."
        )
    layer = layers[index]
    places = layer.rows * layer.columns
    heads = 1 if attention.heads == "mean" else layer.heads
    keys = len(attention.tokens[0]) if text else places
    expected = [len(attention.tokens), heads, places, keys]
    if list(maps.shape) != expected:
        raise ValueError(
            f"the maps of layer {layer.name} must be [pictures, heads, rows * columns, keys] "
            f"= {expected}, got {list(maps.shape)}."
        )


def whole_calls(kept: Mapping[Key, Tensor], half: str, layers: int) -> dict[int, list[int]]:
    """Returns the calls of each step in which every layer was recorded.

    A run that was interrupted leaves a last call that only some layers saw.
    """
    seen: dict[tuple[int, int], int] = {}
    for step, call, whose, _ in kept:
        if whose == half:
            seen[step, call] = seen.get((step, call), 0) + 1
    calls: dict[int, list[int]] = {}
    for step, call in sorted(place for place, count in seen.items() if count == layers):
        calls.setdefault(step, []).append(call)
    return calls


def summed(
    kept: Mapping[Key, Tensor],
    calls: Mapping[int, Sequence[int]],
    half: str,
    layers: int,
    positions: Sequence[int],
) -> list[Tensor]:
    """Returns what some positions get together, for each layer: [steps, heads, rows * columns].

    It is the mean over the calls of a step, of the first picture.
    """
    chosen = list(positions)

    def of_step(step: int, layer: int) -> Tensor:
        maps = (kept[step, call, half, layer] for call in calls[step])
        return torch.stack([m[0][..., chosen].float().sum(-1) for m in maps]).mean(0)

    return [torch.stack([of_step(s, layer) for s in calls]) for layer in range(layers)]


def explained(attention: Attention | None, steps: Sequence[Step]) -> Attention | None:
    """Returns the attention, told why a half of guidance is missing if the run never asked it."""
    scales = {step.guidance_scale for step in steps}
    half, why = NEVER_ASKED.get(scales.pop(), ("", "")) if len(scales) == 1 else ("", "")
    if attention is None or not why or half in attention.halves:
        return attention
    return replace(attention, missing=why)


def check_one(count: int) -> None:
    """Refuses to mix pictures: each has a cat elsewhere, and their mean has it nowhere."""
    if count > 1:
        raise ValueError(
            f"these are {count} pictures, each with maps of its own. Choose one first: "
            f"attention.of(0), up to attention.of({count - 1})."
        )
