"""The anatomy of a model: its blocks, its sizes, its work, without a single weight.

    sd.anatomy("sdxl")                  # blocks, channels, heads, parameters, work, memory
    sd.compare("sd15", "sdxl")          # side by side
    sd.anatomy("sdxl").fits()           # can my machine run it?

Each network is made from its config and run on shapes (`rehearsal.py`), so nothing here is copied
from a table: it is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from typing import Any, ClassVar

import torch

from sdlearn.models import configs as facts
from sdlearn.models.catalogue import Published, entry_of
from sdlearn.models.checkpoints import checkpoint_configs
from sdlearn.models.loading import find
from sdlearn.models.rehearsal import Rehearsed, rehearse
from sdlearn.stages.families import Family, recognise

PIECES = 77
"""Positions of a prompt."""

GUIDED = 2
"""The U-Net's calls in a guided step: with the prompt, and without."""


@dataclass(frozen=True)
class Block:
    """One block of a U-Net.

    Attributes:
        side: "down", "mid" or "up".
        number: Which of that side, from 0.
        level: 0 at the latent's own resolution, 1 at half of it.
        rows: Rows of its grid, and
        columns: its columns.
        channels: How wide it is.
        resnets: How many residual blocks.
        transformers: The depth of each of its transformers; none: no words come in here.
        heads: Heads of each attention; 0 without one.
        parameters: Numbers learnt.
        flops: Work of one call for one picture.
    """

    side: str
    number: int
    level: int
    rows: int
    columns: int
    channels: int
    resnets: int
    transformers: tuple[int, ...]
    heads: int
    parameters: int
    flops: int

    @property
    def name(self) -> str:
        """Such as "down 0"."""
        return "mid" if self.side == "mid" else f"{self.side} {self.number}"

    @property
    def attentions(self) -> int:
        """How many layers in it look at the words (and as many look at the picture itself)."""
        return sum(self.transformers)

    @property
    def head_width(self) -> int:
        """Numbers in each head's queries and keys."""
        return self.channels // self.heads if self.heads else 0


@dataclass(frozen=True)
class Part:
    """One network of a model.

    Attributes:
        name: As diffusers names it: "unet", "vae", "text_encoder", "text_encoder_2".
        title: What it is, in words.
        parameters: Numbers learnt.
        flops: Work of one call: a U-Net's one answer, a decoder's one picture, one prompt.
        working: The most bytes that live at once beside the weights, at 4 bytes a number; the
            U-Net's for a guided step.
    """

    name: str
    title: str
    parameters: int
    flops: int
    working: int


@dataclass(frozen=True)
class Fit:
    """Whether a model fits into a memory, at a precision.

    Attributes:
        dtype: "float32" or "float16".
        weights: Bytes of all weights.
        working: Bytes of the hungriest call beside them.
        memory: Bytes that there are; None where the machine doesn't say.
    """

    dtype: str
    weights: int
    working: int
    memory: int | None

    @property
    def needed(self) -> int:
        """Weights and work together."""
        return self.weights + self.working

    @property
    def ok(self) -> bool | None:
        """Whether it fits; None where nobody knows."""
        return None if self.memory is None else self.needed <= self.memory


@dataclass(frozen=True)
class Anatomy:
    """What a model is made of.

    Attributes:
        name: What it is called.
        family: Which Stable Diffusion it is.
        latent: Shape of its latents: channels, rows, columns.
        picture: Height and width of its pictures.
        context: Width of the vectors that the words come in.
        conditions: What the U-Net is told beside the words and the time, in words.
        parts: Its networks.
        blocks: The blocks of its U-Net, in the order in which a latent passes.
    """

    name: str
    family: Family
    latent: tuple[int, int, int]
    picture: tuple[int, int]
    context: int
    conditions: str
    parts: tuple[Part, ...]
    blocks: tuple[Block, ...]

    viewer: ClassVar[Callable[..., Any] | None] = None

    def plot(self) -> Any:
        """The U-Net as a drawing; `sdlearn.views.unets` draws it."""
        return _drawn(self)

    @property
    def unet(self) -> Part:
        """The U-Net."""
        return next(part for part in self.parts if part.name == "unet")

    @property
    def parameters(self) -> int:
        """Numbers learnt, of all parts."""
        return sum(part.parameters for part in self.parts)

    @property
    def attentions(self) -> int:
        """How many layers look at the words."""
        return sum(block.attentions for block in self.blocks)

    @property
    def flops_per_step(self) -> int:
        """Work of a guided step: the U-Net answers twice."""
        return GUIDED * self.unet.flops

    def memory(self, dtype: str = "float32") -> Fit:
        """What it needs: all weights at once, and the hungriest call beside them."""
        return self._fit(dtype, None)

    def fits(self, memory: float | None = None) -> tuple[Fit, Fit]:
        """Can a machine run it? In full and in half precision.

        The rule: all weights lie in memory together, and beside them what lives at the worst
        moment of the hungriest call: a guided step of the U-Net, or the decoder's last layers.
        What Python and the libraries take themselves (about half a gigabyte) comes on top.

        Args:
            memory: Bytes that there are; None asks this machine what is free.
        """
        from sdlearn import _machine

        if memory is None:
            memory = _machine.memory()[0]
        elif isinstance(memory, bool) or not isinstance(memory, (int, float)) or not memory > 0:
            raise ValueError(f"memory must be a positive number of bytes, got {memory!r}: 8e9?")
        return self._fit("float32", memory), self._fit("float16", memory)

    def _fit(self, dtype: str, memory: float | None) -> Fit:
        sizes = {"float32": 4, "float16": 2, "bfloat16": 2}
        if dtype not in sizes:
            raise ValueError(f"dtype must be one of {', '.join(sizes)}, got {dtype!r}.")
        size = sizes[dtype]
        working = max(part.working for part in self.parts) * size // 4
        return Fit(dtype, self.parameters * size, working, int(memory) if memory else None)

    def __str__(self) -> str:
        from sdlearn.models import anatomies_text

        return anatomies_text.told(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from sdlearn.models import anatomies_text

        return anatomies_text.html_of(self)


def anatomy(which: str | PathLike[str] | Any = None) -> Anatomy:
    """The anatomy of a model: its blocks, its sizes, its work; no weights are needed or read.

    Args:
        which: A published name ("sd15", "sdxl-refiner", ...) whether it is on this machine or
            not; a pocket model; a folder, a .safetensors checkpoint; or a model at hand.
    """
    parts = getattr(which, "parts", None)
    if parts is not None:
        return of_parts(parts, getattr(which, "name", "a model"))
    if which is not None and not isinstance(which, (str, PathLike)):
        raise TypeError(
            f"anatomy() takes a name, a folder, a file or a model, got {type(which).__name__}. "
            "A pipeline goes through wrap() first."
        )
    entry = entry_of(which) if isinstance(which, str) else None
    if isinstance(entry, Published):
        return _published(entry.name)
    found = find(which)
    if found.path.is_dir():
        return of_configs(facts.folder_configs(found.path), found.name)
    return of_configs(checkpoint_configs(found.path), found.name)


@lru_cache(maxsize=32)
def _published(name: str) -> Anatomy:
    return of_configs(facts.published_configs(name), name)


def of_parts(parts: Any, name: str) -> Anatomy:
    """The anatomy of parts at hand, told by their configs."""
    given = {part: dict(network.config) for part, network in parts.networks.items()
             if part in ("unet", "vae")}  # fmt: skip
    for part in ("text_encoder", "text_encoder_2"):
        if part in parts.networks:
            given[part] = parts.networks[part].config.to_dict()
    given["scheduler"] = {"_class_name": type(parts.scheduler).__name__, **parts.scheduler.config}
    given["settings"] = dict(parts.settings)
    return of_configs(given, name)


def of_configs(given: Mapping[str, Mapping[str, Any]], name: str) -> Anatomy:
    """The anatomy that configs tell, by part: "unet", "vae", "text_encoder", ...

    Args:
        given: The configs.
        name: What the model is called.
    """
    if "unet" not in given:
        raise ValueError(f"{name} has no U-Net, so it is no Stable Diffusion.")
    family = recognise(
        given["unet"],
        given.get("scheduler", {}),
        given.get("text_encoder"),
        given.get("text_encoder_2"),
        name=name,
    )
    made = dict(_rehearsed(given, family))
    unet = made["unet"]
    channels, side = unet.network.config.out_channels, unet.network.config.sample_size
    factor = _factor(made.get("vae"))
    rows, columns = (side, side) if isinstance(side, int) else side
    return Anatomy(
        name=name,
        family=family,
        latent=(channels, rows, columns),
        picture=(rows * factor, columns * factor),
        context=unet.network.config.cross_attention_dim,
        conditions=_conditions(family),
        parts=tuple(_part(part, one) for part, one in made.items()),
        blocks=tuple(_blocks(unet, rows, columns)),
    )


def _rehearsed(
    given: Mapping[str, Mapping[str, Any]], family: Family
) -> Iterator[tuple[str, Rehearsed]]:
    pooled = given.get("text_encoder_2", {}).get("projection_dim", 0)
    for part in ("text_encoder", "text_encoder_2"):
        if part in given:
            yield part, rehearse(part, given[part], _read)
    unet = rehearse("unet", given["unet"], _denoise(family, pooled), batch=GUIDED)
    yield "unet", unet
    if "vae" in given:
        side = unet.network.config.sample_size
        yield "vae", rehearse("vae", given["vae"], _decode(side))


def _read(network: Any, batch: int) -> object:
    return network(torch.zeros(batch, PIECES, dtype=torch.long))


def _decode(side: int | tuple[int, int]) -> Any:
    rows, columns = (side, side) if isinstance(side, int) else side

    def call(network: Any, batch: int) -> object:
        return network.decode(torch.zeros(batch, network.config.latent_channels, rows, columns))

    return call


def _denoise(family: Family, pooled: int) -> Any:
    def call(network: Any, batch: int) -> object:
        side = network.config.sample_size
        rows, columns = (side, side) if isinstance(side, int) else side
        xt = torch.zeros(batch, network.config.in_channels, rows, columns)
        words = torch.zeros(batch, PIECES, network.config.cross_attention_dim)
        added = None
        if family.is_sdxl:
            times = network.config.projection_class_embeddings_input_dim - pooled
            count = times // network.config.addition_time_embed_dim
            added = {
                "text_embeds": torch.zeros(batch, pooled),
                "time_ids": torch.zeros(batch, count),
            }
        return network(xt, torch.zeros(batch), words, added_cond_kwargs=added)

    return call


def _part(name: str, made: Rehearsed) -> Part:
    config = made.network.config
    if name == "unet":
        title = f"U-Net, {len(config.block_out_channels)} levels"
    elif name == "vae":
        title = f"autoencoder, {_factor(made)}x smaller, {config.latent_channels} channels"
    else:
        title = f"text encoder, {config.num_hidden_layers} layers of width {config.hidden_size}"
    return Part(name, title, made.parameters, made.flops[""], made.working)


def _factor(vae: Rehearsed | None) -> int:
    return 2 ** (len(vae.network.config.block_out_channels) - 1) if vae else 8


def _conditions(family: Family) -> str:
    told = []
    if family.name == "sdxl":
        told.append("pooled text, original size, crop, target size")
    if family.name == "sdxl-refiner":
        told.append("pooled text, original size, crop, aesthetic score")
    if family.inpainting:
        told.append("mask and masked picture, in 5 more channels")
    return "; ".join(told) or "nothing"


def _blocks(unet: Rehearsed, rows: int, columns: int) -> Iterator[Block]:
    network = unet.network
    levels = len(network.config.block_out_channels)
    for path, side, number in _places(network):
        level = {"down": number, "mid": levels - 1, "up": levels - 1 - number}[side]
        module = network.get_submodule(path)
        transformers = getattr(module, "attentions", None) or []
        depths = tuple(len(one.transformer_blocks) for one in transformers)
        first = transformers[0].transformer_blocks[0].attn1 if depths else None
        yield Block(
            side=side,
            number=number,
            level=level,
            rows=-(-rows // 2**level),
            columns=-(-columns // 2**level),
            channels=network.config.block_out_channels[level],
            resnets=len(module.resnets),
            transformers=depths,
            heads=first.heads if first else 0,
            parameters=sum(p.numel() for p in module.parameters()),
            flops=unet.flops.get(path, 0),
        )


def _places(network: Any) -> Iterator[tuple[str, str, int]]:
    for number in range(len(network.down_blocks)):
        yield f"down_blocks.{number}", "down", number
    if network.mid_block is not None:
        yield "mid_block", "mid", 0
    for number in range(len(network.up_blocks)):
        yield f"up_blocks.{number}", "up", number


def compare(*which: str | PathLike[str] | Any) -> Comparison:
    """Models side by side, line by line.

    Args:
        *which: Two models or more, each as for `anatomy`, or an anatomy.
    """
    if len(which) < 2:
        raise ValueError(
            f'compare() takes two models or more, got {len(which)}: compare("sd15", "sdxl").'
        )
    return Comparison(tuple(one if isinstance(one, Anatomy) else anatomy(one) for one in which))


@dataclass(frozen=True)
class Comparison:
    """Anatomies side by side.

    Attributes:
        anatomies: The models.
    """

    anatomies: tuple[Anatomy, ...]

    def plot(self) -> Any:
        """The U-Nets as drawings, one below the other."""
        return _drawn(*self.anatomies)

    def __str__(self) -> str:
        from sdlearn.models import anatomies_text

        return anatomies_text.compared(self.anatomies)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from sdlearn.models import anatomies_text

        return anatomies_text.html_compared(self.anatomies)


def _drawn(*anatomies: Anatomy) -> Any:
    if Anatomy.viewer is None:
        raise RuntimeError("Nothing here draws: sdlearn.views.unets(anatomy) does.")
    return Anatomy.viewer(*anatomies)
