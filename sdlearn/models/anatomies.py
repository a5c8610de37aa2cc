"""The anatomy of a model: its blocks, its sizes, its work, without a single weight.

    sd.anatomy("sdxl")                  # blocks, channels, heads, parameters, work, memory
    sd.compare("sd15", "sdxl")          # side by side
    sd.can_run()                        # which of them fit into this machine

Each network is made from its config and run on shapes (`anatomies_counted.py`), so nothing here is
copied from a table: it is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from typing import Any, ClassVar

from sdlearn.models import configs as facts
from sdlearn.models.anatomies_memory import Fit
from sdlearn.models.catalogue import Published, entry_of
from sdlearn.models.checkpoints import checkpoint_configs
from sdlearn.models.loading import find
from sdlearn.stages.families import Family

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
        flops_of_transformers: Of it, what its transformers do.
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
    flops_of_transformers: int

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
            U-Net's for a step.
        in_full: Whether it works in full precision even where the rest is in float16: SDXL's
            autoencoder, whose numbers grow too large for half precision.
    """

    name: str
    title: str
    parameters: int
    flops: int
    working: int
    in_full: bool = False


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
    def calls(self) -> int:
        """How often the U-Net answers in a step: twice for guidance, but a Turbo does without."""
        return 1 if self.family.turbo else GUIDED

    @property
    def flops_per_step(self) -> int:
        """Work of a step, all calls of the U-Net together."""
        return self.calls * self.unet.flops

    def memory(self, dtype: str = "float32") -> Fit:
        """What it needs, by the rule of `fits`.

        Args:
            dtype: "float32", "float16" or "bfloat16".
        """
        return Fit.of(self.parts, dtype, None)

    def fits(self, memory: float | None = None) -> tuple[Fit, Fit]:
        """Does it fit into a memory? In full and in half precision.

        The rule: all weights lie in memory together; beside them what lives at the worst moment
        of the hungriest call, a step of the U-Net or the decoder's last layers; and a margin of
        1 GiB for Python, PyTorch and the scratch space of its kernels.

        Args:
            memory: Bytes that there are; None asks this machine what is free.
        """
        from sdlearn.models.anatomies_memory import free_memory, positive

        there = free_memory() if memory is None else positive(memory)
        return Fit.of(self.parts, "float32", there), Fit.of(self.parts, "float16", there)

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
    from sdlearn.models.anatomies_counted import of_configs, of_parts

    named = which is None or isinstance(which, (str, PathLike))
    parts = None if named else getattr(which, "parts", None)  # a Path has parts of its own
    if parts is not None:
        return of_parts(parts, getattr(which, "name", "a model"))
    if not named:
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
    from sdlearn.models.anatomies_counted import of_configs

    return of_configs(facts.published_configs(name), name)


def compare(*which: str | PathLike[str] | Any) -> Comparison:
    """Models side by side, line by line; `.plot()` draws their U-Nets to one scale.

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
        """The U-Nets as drawings beside each other, to one scale."""
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
