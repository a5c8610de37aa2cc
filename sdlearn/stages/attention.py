"""Where each word looks: the U-Net's attention, read without being touched, or changed on purpose.

Reading hooks in beside the network: queries and keys are taken as the layers compute them, and
the probabilities are worked out once more from them. The network's own path stays what it was,
so a picture is the same to the last bit with a probe or without. Changing is another matter: for
that, and only while a change is wanted, a layer's attention is computed step by step.

Hooks are there during a call of the network and gone after it, whatever happens in between.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sdlearn.trace import Layer, Record
from sdlearn.trace.layers import chosen
from sdlearn.trace.maps import Key

PLACE = re.compile(
    r"(?P<side>down|mid|up)_blocks?(?:\.(?P<level>\d+))?\.attentions\.(?P<block>\d+)"
    r"\.transformer_blocks\.(?P<depth>\d+)\.attn(?P<kind>[12])$"
)

LARGE = 2**24  # probabilities; more of them are worked out head by head, if their mean will do

Edit = Callable[[Tensor, Layer], Tensor]
"""``edit(probabilities, layer)``: [batch, heads, places, keys] in and out."""


@dataclass(frozen=True, eq=False)
class Place:
    """A layer of attention in a U-Net.

    Attributes:
        name: Such as ``down.0.1.0``: level, block, layer of its transformer; ``mid.0.0``.
        path: The module's path in the U-Net.
        module: The module.
        level: 0 at the latent's own resolution, 1 at half of it.
    """

    name: str
    path: str
    module: nn.Module
    level: int

    def layer(self, height: int, width: int) -> Layer:
        """The layer with its grid, for a latent of this size."""
        for _ in range(self.level):
            height, width = -(-height // 2), -(-width // 2)
        return Layer(self.name, self.path, self.module.heads, height, width)


def places(unet: nn.Module, *, cross: bool = True) -> tuple[Place, ...]:
    """Every layer of attention to the words (or of the picture to itself), in their order.

    Told by what a layer is, not by what it is called: ``is_cross_attention``.
    """
    if hasattr(unet, "_orig_mod"):
        raise ValueError(
            "This U-Net was compiled by torch.compile, which leaves no layer of attention to look "
            'at or to change. Record without it, record=("latents",), or wrap the pipeline with '
            "the U-Net as it was: pipe.unet = pipe.unet._orig_mod"
        )
    found, levels = [], len(unet.config.block_out_channels)
    for path, module in unet.named_modules():
        match = PLACE.match(path)
        if match is None or getattr(module, "is_cross_attention", None) is not cross:
            continue
        side, number = match["side"], int(match["level"] or 0)
        level = {"down": number, "mid": levels - 1, "up": levels - 1 - number}[side]
        parts = [side, *([match["level"]] if match["level"] else []), match["block"]]
        found.append(Place(".".join([*parts, match["depth"]]), path, module, level))
    if not found:
        kind = "to the words" if cross else "of the picture to itself"
        raise ValueError(
            f"No layer of attention {kind} was found in this {type(unet).__name__}: it is not "
            "built as Stable Diffusion's U-Net is."
        )
    order = {"down": 0, "mid": 1, "up": 2}
    return tuple(sorted(found, key=lambda p: order[p.name.partition(".")[0]]))


def refuse_fused(found: Sequence[Place]) -> None:
    """Raise when projections are fused: queries and keys are not computed apart any more."""
    for place in found:
        # Not the module's own flag: diffusers leaves it standing after unfusing.
        if type(place.module.processor).__name__.startswith("Fused"):
            raise ValueError(
                f"The U-Net's projections are fused (see {place.path}), so queries and keys can't "
                "be read apart. Call unet.unfuse_qkv_projections(), or leave attention out of "
                "record=."
            )


class Probe:
    """Reads the attention of one U-Net.

    Attributes:
        record: What is to be kept.
        layers: The layers that are read, for a latent of the run's size.
        kept: Attention to the words: ``(step, call, half, layer)`` to
            [pictures, heads or 1, places, 77].
        kept_self: Attention of the picture to itself, in the same way.
    """

    def __init__(self, unet: nn.Module, record: Record, size: tuple[int, int]) -> None:
        self.record = record
        self.kept: dict[Key, Tensor] = {}
        self.kept_self: dict[Key, Tensor] = {}
        self.layers: tuple[Layer, ...] = ()
        self._readings: list[tuple[dict[Key, Tensor], tuple[Place, ...]]] = []
        for cross, wanted in ((True, record.attention), (False, record.self_attention)):
            if wanted:
                chosen = choose(places(unet, cross=cross), record.layers)
                refuse_fused(chosen)
                self._readings.append((self.kept if cross else self.kept_self, chosen))
                # A block's two kinds of attention share its name; the words' comes first.
                self.layers = self.layers or tuple(place.layer(*size) for place in chosen)
        self._dtype = getattr(torch, record.dtype)

    def wants(self, step: int) -> bool:
        """Whether this step is to be read."""
        return self.record.takes(step)

    def forget(self, step: int) -> None:
        """Drop what was read at a step that was not finished."""
        for kept in (self.kept, self.kept_self):
            for key in [key for key in kept if key[0] == step]:
                del kept[key]

    @contextmanager
    def reading(
        self,
        step: int,
        call: int,
        halves: Sequence[str],
        edits: Mapping[str, Sequence[Edit]] | None = None,
    ) -> Iterator[None]:
        """Read one call of the network, in whose batch the halves lie one after the other.

        What is kept is what the network used: with the edits of each half, where there are some.
        """
        hooks: list[Any] = []
        try:
            for kept, chosen in self._readings:
                changed = (edits or {}) if kept is self.kept else {}
                for index, place in enumerate(chosen):
                    keep = _Keep(self, kept, (step, call), index, tuple(halves), changed)
                    module = place.module
                    hooks.append(module.to_q.register_forward_hook(keep.queries))
                    hooks.append(module.to_k.register_forward_hook(keep.keys))
                    hooks.append(module.register_forward_hook(keep.probabilities))
            yield
        finally:
            for hook in hooks:
                hook.remove()


@dataclass(eq=False)
class _Keep:
    """What the three hooks of one layer share, for one call."""

    probe: Probe
    kept: dict[Key, Tensor]
    moment: tuple[int, int]
    layer: int
    halves: tuple[str, ...]
    edits: Mapping[str, Sequence[Edit]]
    q: Tensor | None = None
    k: Tensor | None = None

    def queries(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self.q = output

    def keys(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self.k = output

    def probabilities(self, module: nn.Module, _inputs: object, _output: Tensor) -> None:
        q, k = self.q.detach(), self.k.detach()
        self.q = self.k = None
        count = len(self.halves)
        for half, q_half, k_half in zip(self.halves, q.chunk(count), k.chunk(count), strict=True):
            if half not in self.probe.record.halves:
                continue
            edits = self.edits.get(half, ())
            large = module.heads * q_half.shape[1] * k_half.shape[1] * len(q_half) > LARGE
            alone = large and self.probe.record.heads == "mean" and not edits
            look = attend_mean if alone else attend
            found = look(module, q_half, k_half)  # [pictures, heads, places, keys]
            for edit in edits:
                found = edit(found, self.probe.layers[self.layer])
            if self.probe.record.heads == "mean":
                found = found.mean(1, keepdim=True)
            self.kept[(*self.moment, half, self.layer)] = found.to(self.probe._dtype)


def attend(module: nn.Module, q: Tensor, k: Tensor) -> Tensor:
    """The probabilities with which each place looks at each key, in single precision."""
    q = q.unflatten(2, (module.heads, -1)).transpose(1, 2)  # [pictures, heads, places, width]
    k = k.unflatten(2, (module.heads, -1)).transpose(1, 2)
    return _probabilities(module, q, k)


def attend_mean(module: nn.Module, q: Tensor, k: Tensor) -> Tensor:
    """The mean of `attend` over the heads, of which only one at a time is in memory."""
    q = q.unflatten(2, (module.heads, -1)).unbind(2)
    k = k.unflatten(2, (module.heads, -1)).unbind(2)
    mean = 0.0
    for one_q, one_k in zip(q, k, strict=True):
        mean = mean + _probabilities(module, one_q, one_k)
    return (mean / module.heads)[:, None]


def _probabilities(module: nn.Module, q: Tensor, k: Tensor) -> Tensor:
    """Shares of attention: "Attention Is All You Need", 1706.03762, eq. 1, without the values."""
    return (q.float() @ k.float().transpose(-1, -2) * module.scale).softmax(dim=-1)


def choose(found: Sequence[Place], wanted: Sequence[str] | None) -> tuple[Place, ...]:
    """The places whose names begin with one of the wanted ones; None wants all."""
    if wanted is None:
        return tuple(found)
    layers = [place.layer(1, 1) for place in found]
    return tuple(found[index] for index in chosen(layers, wanted))


@dataclass(eq=False)
class Edited:
    """An attention processor that lets edits change the probabilities on their way."""

    edits: Sequence[Edit]
    layer: Layer

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """Queries, keys, probabilities, edits, values: one line each."""
        if attention_mask is not None:
            raise ValueError("Attention can't be changed where it is masked.")
        words = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = attn.to_q(hidden_states), attn.to_k(words), attn.to_v(words)
        probabilities = attend(attn, q, k)
        for edit in self.edits:
            probabilities = edit(probabilities, self.layer)
        v = v.unflatten(2, (attn.heads, -1)).transpose(1, 2).float()
        mixed = (probabilities @ v).transpose(1, 2).flatten(2).to(q.dtype)
        return attn.to_out[1](attn.to_out[0](mixed)) / attn.rescale_output_factor


@contextmanager
def changing(
    found: Sequence[Place], edits: Sequence[Edit], size: tuple[int, int]
) -> Iterator[None]:
    """Let edits change the attention of these layers; the layers' own way comes back after."""
    kept = [(place.module, place.module.processor) for place in found]
    try:
        for place in found:
            place.module.processor = Edited(edits, place.layer(*size))
        yield
    finally:
        for module, processor in kept:
            module.processor = processor
