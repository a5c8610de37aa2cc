"""`can_run()`: which models fit into this machine or another, and how long a step would take.

sd.can_run()                            # all that have a name, in what is free here
sd.can_run("sdxl", "sd15")              # these
sd.can_run("sdxl", memory=8e9)          # on a machine with 8 gigabytes free
"""

from __future__ import annotations

import html
import time
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch

from sdlearn import _machine
from sdlearn.models import anatomies_text as text
from sdlearn.models.anatomies import Anatomy, anatomy
from sdlearn.models.anatomies_memory import RULE, Fit, free_memory, positive
from sdlearn.models.catalogue import PUBLISHED, pocket_models

PATIENCE = 0.3
"""Seconds for measuring a machine's speed."""
TINTS = {"yes": "#009E7333", "in half": "#E69F0033"}
"""Colours behind what a verdict says."""


@dataclass(frozen=True)
class Place:
    """A memory that a model can lie in, and what computes there.

    Attributes:
        name: Such as "RAM" or "GPU (its name)".
        free: Bytes that there are; None where the system doesn't say.
        computes: What computes with it, such as "CPU"; none: another machine than this.
        dtype: The precision in which a step's time is estimated.
        speed: Floating-point operations in a second, measured; None without a measurement.
        note: What else there is to say of it.
    """

    name: str
    free: int | None
    computes: str = ""
    dtype: str = "float32"
    speed: float | None = None
    note: str = ""

    @property
    def short(self) -> str:
        """Its name without what is in brackets, for the head of a column."""
        return self.name.partition(" (")[0]

    def __str__(self) -> str:
        if self.free is None:
            return f"{self.name}: the system doesn't say how much is free"
        there = f"{text.gibibytes(self.free)} free"
        return f"{self.name}: {there}" if self.computes else f"A memory with {there}"


@dataclass(frozen=True)
class Verdict:
    """Whether one model fits into one place.

    Attributes:
        model: Its anatomy.
        place: The place.
        full: What it needs in full precision.
        half: What it needs in half precision.
    """

    model: Anatomy
    place: Place
    full: Fit
    half: Fit

    @property
    def ok(self) -> bool | None:
        """Whether it fits in some precision; None where nobody knows."""
        return self.half.ok

    @property
    def seconds(self) -> float | None:
        """About how long a step takes: its work at the speed that was measured."""
        fit = self.half if self.place.dtype == "float16" else self.full
        if self.place.speed is None or fit.ok is False:
            return None
        return self.model.flops_per_step / self.place.speed

    def __str__(self) -> str:
        if self.ok is None:
            return "?"
        if not self.ok:
            return "no"
        return "yes" if self.full.ok else "in half"


@dataclass(frozen=True)
class Verdicts:
    """Which models fit where: a table, and the rule that it uses.

    Attributes:
        models: The anatomies, a row each.
        places: The memories, a column each.
    """

    models: tuple[Anatomy, ...]
    places: tuple[Place, ...]

    def __iter__(self) -> Iterator[Verdict]:
        for model in self.models:
            for place in self.places:
                yield self._verdict(model, place)

    def __len__(self) -> int:
        return len(self.models) * len(self.places)

    def __getitem__(self, name: str) -> Verdict:
        """The verdict on a model in the first place, by the model's name."""
        for model in self.models:
            if model.name == name:
                return self._verdict(model, self.places[0])
        raise KeyError(f"no model {name!r}; there are {', '.join(m.name for m in self.models)}")

    @property
    def rule(self) -> str:
        """How it was decided, in words."""
        return " ".join([RULE, *self._notes()])

    def __str__(self) -> str:
        return f"{self._title()}\n\n{text.plain(*self._table())}\n\n{self.rule}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header, rows = self._table()
        numbers = [i for i, name in enumerate(header) if i and not name.startswith("fits")]
        shown = text.table(header, rows, self._title(), numbers=numbers, tints=TINTS)
        return f"{shown}<p>{html.escape(self.rule)}</p>"

    def _title(self) -> str:
        return "; ".join(map(str, self.places))

    def _verdict(self, model: Anatomy, place: Place) -> Verdict:
        fits = (Fit.of(model.parts, dtype, place.free) for dtype in ("float32", "float16"))
        return Verdict(model, place, *fits)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        timed = [place for place in self.places if place.speed]
        header = ["model", "picture", "needs, full", "needs, half"]
        header += [f"fits into {place.short}?" for place in self.places]
        header += [f"a step on the {place.computes}, about" for place in timed]
        rows = []
        for model in self.models:
            verdicts = {place: self._verdict(model, place) for place in self.places}
            full, half = model.memory("float32"), model.memory("float16")
            row = [model.name, "{1} x {0}".format(*model.picture)]
            row += [text.gibibytes(full.needed), text.gibibytes(half.needed)]
            row += [str(verdicts[place]) for place in self.places]
            rows.append([*row, *(_seconds(verdicts[place].seconds) for place in timed)])
        return header, rows

    def _notes(self) -> Iterator[str]:
        yield "“in half”: only in half precision (float16), which is slow on most CPUs."
        if any(place.computes == "GPU" for place in self.places):
            yield (
                "The 1 GiB was found on CPUs. On a GPU it stands for the scratch space of its "
                "kernels, and was not measured."
            )
        for place in self.places:
            if place.note:
                yield place.note
            if place.speed:
                kind = "full" if place.dtype == "float32" else "half"
                yield (
                    f"Times on the {place.computes} are estimates: a step's work at "
                    f"{text.work(place.speed)} a second, which a convolution and a matrix product "
                    f"of SD 1.5's sizes just reached there in {kind} precision."
                )


def can_run(
    *which: str | PathLike[str] | Any, memory: float | None = None, seconds: bool = True
) -> Verdicts:
    """Can a machine run these models? A table, with the rule that it uses.

    The rule: all weights lie in memory together; beside them what lives at the worst moment of
    the hungriest call, counted in a rehearsal on shapes; and 1 GiB for Python, PyTorch and its
    scratch space.

    Args:
        *which: Models, each as for `anatomy`; none: the pocket models and all published ones.
        memory: Bytes that there are; None asks this machine what is free, in its memory and on
            its GPU if it has one.
        seconds: Whether to measure how fast this machine computes, in a second or so, and to
            estimate the time of a step from it. Not for another machine, whose memory is given.
    """
    for one in which:
        if isinstance(one, (int, float)):
            raise TypeError(
                f"can_run() takes models, got {one!r}. Is it a number of bytes? Then say so: "
                f"can_run(memory={one!r})."
            )
    if memory is not None:
        places = (Place("it", int(positive(memory))),)  # "fits into it?"
    else:
        places = tuple(places_here(seconds))
    names = which or (*(pocket.name for pocket in pocket_models()), *PUBLISHED)
    models = tuple(one if isinstance(one, Anatomy) else anatomy(one) for one in names)
    return Verdicts(models, places)


def places_here(seconds: bool = True) -> Iterator[Place]:
    """The memories of this machine: its own, and a CUDA GPU's. Apple's GPU has none of its own.

    Args:
        seconds: Whether to measure their speed.
    """
    here = torch.cuda.is_available()
    fast = _speed("cpu", "float32") if seconds else None
    yield Place("RAM", free_memory(), "CPU", "float32", fast, "" if here else _unused())
    if here:
        yield _gpu(seconds)


def _unused() -> str:
    """What to say of a GPU that is no place of its own; nothing where there is no GPU."""
    if torch.backends.mps.is_available():
        return (
            "Apple's GPU has no memory of its own: models are loaded on it, and lie in RAM. How "
            "fast it is was not measured."
        )
    if _machine.accelerator() != "cuda":
        return ""
    if torch.version.cuda is None:
        why = "this PyTorch is a build for the CPU. With a CUDA build it would be in this table."
    else:
        why = "PyTorch finds none that works. In a terminal, `nvidia-smi` says more."
    return f"There is the driver of an NVIDIA GPU, but {why}"


def _gpu(seconds: bool) -> Place:
    """The GPU that models are loaded on. What it doesn't tell stays unknown, and is said.

    Args:
        seconds: Whether to measure its speed.
    """
    name, free, fast, note = "GPU", None, None, ""
    try:
        name = f"GPU ({torch.cuda.get_device_name()})"
        ours = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # kept, and not in use
        free = torch.cuda.mem_get_info()[0] + ours
        fast = _speed("cuda", "float16") if seconds else None
    except RuntimeError as error:  # another program fills it, or this PyTorch is not made for it
        told = str(error).strip().splitlines() or [type(error).__name__]
        note = f"Asked for its {'memory' if free is None else 'speed'}, the GPU said: {told[0]}"
    return Place(name, free, "GPU", "float16", fast, note)


def _speed(device: str = "cpu", dtype: str = "float32") -> float:
    """Floating-point operations in a second, measured on what most of a U-Net's work is.

    One 3x3 convolution and one matrix product, in the sizes that SD 1.5 has at its second level.

    Args:
        device: Where.
        dtype: In which precision.
    """
    kind = getattr(torch, dtype)
    dice = torch.Generator().manual_seed(0)  # of its own: nobody else's numbers change
    picture = torch.randn(2, 640, 32, 32, generator=dice).to(device, kind)
    kernel = torch.randn(640, 640, 3, 3, generator=dice).to(device, kind) / 76
    pixels = picture.flatten(2).mT.contiguous()  # [2, 1024, 640]
    weights = torch.randn(5120, 640, generator=dice).to(device, kind) / 25
    flops = 2 * picture.numel() * 640 * 9 + 2 * pixels.numel() * 5120

    def once() -> float:
        begin = time.perf_counter()
        with torch.no_grad():
            torch.nn.functional.conv2d(picture, kernel, padding=1)
            torch.nn.functional.linear(pixels, weights)
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    once()  # the first call sets up its kernels
    times = [once()]
    while sum(times) < PATIENCE:
        times.append(once())
    return flops / sorted(times)[len(times) // 2]


def _seconds(number: float | None) -> str:
    if number is None:
        return "-"
    if number < 0.1:  # many small calls, which take longer than their work
        return "under 0.1 s"
    if number >= 120:
        return f"{number / 60:.0f} min"
    return f"{number:.2g} s" if number < 10 else f"{number:.0f} s"
