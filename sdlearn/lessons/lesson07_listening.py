"""Lesson 07 works a layer of attention out by hand: here is what the layer was given, and gave.

with listening(layer) as heard:
    model.generate(...)
heard[0].picture                # what came from the picture, at the first step
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Heard:
    """One call of a layer of attention.

    Attributes:
        picture: What came from the picture: a vector for each place, [batch, places, C].
        words: What came from the words, [batch, 77, C]; of self-attention None.
        answer: What the layer said, [batch, places, C].
    """

    picture: Tensor
    words: Tensor | None
    answer: Tensor


@contextmanager
def listening(layer: nn.Module) -> Iterator[list[Heard]]:
    """Keep what a layer of attention hears and says; it goes its own way as before.

    With guidance, the batch of each call holds the run without a prompt first, then with it.

    Args:
        layer: One of a U-Net's ``attn1`` (self-attention) or ``attn2`` (cross-attention).
    """
    if not hasattr(layer, "to_q"):
        raise TypeError(
            f"layer must be a layer of attention, which has a to_q; got {type(layer).__name__}. "
            "model.parts.unet.get_submodule(trace.attention.layers[0].module) is one."
        )
    heard: list[Heard] = []

    def keep(
        _layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any], answer: Tensor
    ) -> None:
        words = named.get("encoder_hidden_states")
        heard.append(Heard(given[0], words, answer))

    hook = layer.register_forward_hook(keep, with_kwargs=True)
    try:
        yield heard
    finally:
        hook.remove()
