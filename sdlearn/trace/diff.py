"""Where two runs part ways."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sdlearn.trace import cards, markup

if TYPE_CHECKING:
    from sdlearn.trace.records import Step
    from sdlearn.trace.trace import Trace

COMPARED = ("xt", "x0", "eps")
ROWS = 16
"""So many steps are listed; all of them are in `Difference.steps`."""


@dataclass(frozen=True)
class Apart:
    """How far apart two tensors are: their greatest difference, and its root mean square."""

    greatest: float
    rms: float


@dataclass(frozen=True, eq=False)
class Difference:
    """Two runs side by side; true if they differ at all.

    Attributes:
        settings: Settings and prompts that differ: name -> (this run's, the other's).
        steps: For every step that both have: name (``"xt"``, ``"x0"``, ``"eps"``) -> how far apart.
            What one of them didn't record, or what has another shape, is left out.
        first: The first step that begins with different latents, or that leaves different ones
            behind if it is the last; None if there is none.
        latent: How far apart the last latents are; None if their shapes differ.
        psnr: Peak signal-to-noise ratio of each picture in dB: infinite for equal ones, above 40
            hardly to be seen; None where their sizes differ.
        notes: What stands in the way of the comparison, in words.
        pictures: The pictures, in pairs.
    """

    settings: Mapping[str, tuple[Any, Any]]
    steps: tuple[Mapping[str, Apart], ...]
    first: int | None
    latent: Apart | None
    psnr: tuple[float | None, ...]
    notes: tuple[str, ...] = ()
    pictures: tuple[tuple[Image.Image, Image.Image], ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        """Whether the runs differ at all."""
        apart = self.latent is None or self.latent.greatest > 0 or self.first is not None
        unequal = any(value is None or math.isfinite(value) for value in self.psnr)
        return bool(self.settings or self.notes or apart or unequal or self._apart())

    def __str__(self) -> str:
        lines = [self._headline()]
        lines += [
            f"  {name}: {cards.said(a)} | {cards.said(b)}" for name, (a, b) in self.settings.items()
        ]
        lines += [f"  {note}" for note in self.notes]
        if self._apart():
            heads = (f"{name + ' greatest':>15}{'rms':>10}" for name in COMPARED)
            lines.append("  step " + "".join(heads))
            lines += ["  " + self._line(i) for i in cards.spread(range(len(self.steps)), ROWS)]
        lines += [f"  picture {i}: PSNR {_decibel(value)}" for i, value in enumerate(self.psnr)]
        return "\n".join(lines)

    __repr__ = __str__

    def _line(self, index: int) -> str:
        cells = []
        for name in COMPARED:
            apart = self.steps[index].get(name)
            cells.append(
                f"{apart.greatest:>15.3g}{apart.rms:>10.3g}" if apart else f"{'-':>15}{'-':>10}"
            )
        return f"{index:>4} " + "".join(cells)

    def _headline(self) -> str:
        if not self:
            return "The same run: settings, latents and pictures are equal."
        if self.first is not None:
            return f"The runs part ways at step {self.first}."
        if self.settings and self.latent and self.latent.greatest == 0:
            return "Other settings, and the same latents."
        return "The runs differ."

    def _repr_html_(self) -> str:
        parts = []
        for index, ((ours, theirs), psnr) in enumerate(zip(self.pictures, self.psnr, strict=True)):
            sides = [
                markup.captioned(markup.img(p, f"picture {index}: {whose}", width=192), whose)
                for p, whose in ((ours, "this run"), (theirs, "the other run"))
            ]
            if ours.size == theirs.size:
                alt = f"picture {index}: where they differ, brighter is more"
                drawn = markup.img(_contrast(ours, theirs), alt, width=192)
                sides.append(markup.captioned(drawn, f"difference, PSNR {_decibel(psnr)}"))
            parts.append(markup.row(sides))
        if self.settings:
            rows = [(name, cards.said(a), cards.said(b)) for name, (a, b) in self.settings.items()]
            parts.append(markup.table(rows, head=("setting", "this run", "the other run")))
        parts += [markup.note("", note) for note in self.notes]
        if self._apart():
            parts.append(self._table())
        return markup.card(self._headline(), parts, kind="difference")

    def _apart(self) -> bool:
        """Whether any step differs."""
        return any(apart.greatest > 0 for step in self.steps for apart in step.values())

    def _table(self) -> str:
        """How far apart the steps are: numbers, and bars as long as the column's greatest."""
        names = [name for name in COMPARED if any(name in step for step in self.steps)]
        most = {n: max(step[n].rms for step in self.steps if n in step) for n in names}
        rows = []
        for index in cards.spread(range(len(self.steps)), ROWS):
            step = self.steps[index]
            cells = [_bar(step[name], most[name]) if name in step else "–" for name in names]
            rows.append((index, *cells))
        return markup.table(rows, head=("step", *(f"{n}: rms (greatest)" for n in names)))


def _bar(apart: Apart, most: float) -> str:
    share = 0.0 if not most else 1.0 if apart.rms == most else apart.rms / most
    return markup.bar(share, f"{apart.rms:.3g} ({apart.greatest:.3g})")


def difference(ours: Trace, theirs: Trace) -> Difference:
    """Compares two traces, as far as they have something in common."""
    if not hasattr(theirs, "steps") or not hasattr(theirs, "settings"):
        raise TypeError(f"diff compares two traces; got {type(theirs).__name__}.")
    notes = []
    if len(ours) != len(theirs):
        common = min(len(ours), len(theirs))
        notes.append(
            f"This run has {len(ours)} steps, the other {len(theirs)}: the first {common} are "
            "compared, though they may stand for other timesteps."
        )
    elif any(a.t != b.t for a, b in zip(ours, theirs, strict=True)):
        notes.append("The runs visit different timesteps: steps are compared by their number.")
    if ours.latent.shape != theirs.latent.shape:
        shapes = f"{list(ours.latent.shape)} and {list(theirs.latent.shape)}"
        notes.append(f"The latents have different shapes, {shapes}: they can't be compared.")
    steps = tuple(_step(a, b) for a, b in zip(ours.steps, theirs.steps, strict=False))
    pictures = tuple(zip(ours.images, theirs.images, strict=False))
    return Difference(
        settings=_settings(ours, theirs),
        steps=steps,
        first=_first(ours, theirs),
        latent=_apart(ours.latent, theirs.latent),
        psnr=tuple(_psnr(a, b) for a, b in pictures),
        notes=tuple(notes),
        pictures=pictures,
    )


def _settings(ours: Trace, theirs: Trace) -> dict[str, tuple[Any, Any]]:
    def all_of(trace: Trace) -> dict[str, Any]:
        texts = {"prompts": trace.prompts, "negative prompts": trace.negative_prompts}
        return {
            **texts,
            **trace.settings,
            "changes": trace.changes,
            "interrupted": trace.interrupted,
        }

    a, b = all_of(ours), all_of(theirs)
    return {n: (a.get(n), b.get(n)) for n in {**a, **b} if a.get(n) != b.get(n)}


def _first(ours: Trace, theirs: Trace) -> int | None:
    """The first step that begins with, or ends in, different latents."""
    for a, b in zip(ours.steps, theirs.steps, strict=False):
        for name in ("sample", "sample_next"):
            apart = _apart(getattr(a, name), getattr(b, name))
            if apart is not None and apart.greatest > 0:
                return a.index
    return None


def _step(ours: Step, theirs: Step) -> dict[str, Apart]:
    pairs = {name: _apart(getattr(ours, name), getattr(theirs, name)) for name in COMPARED}
    return {name: apart for name, apart in pairs.items() if apart is not None}


def _apart(ours: Tensor | None, theirs: Tensor | None) -> Apart | None:
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return None
    a, b = ours.detach().cpu().double(), theirs.detach().cpu().double()
    same = (a == b) | (a.isnan() & b.isnan())
    gap = torch.where(same, 0.0, (a - b).abs()).nan_to_num(nan=math.inf)  # numbers from none
    return Apart(float(gap.max()), float(gap.square().mean().sqrt()))


def _psnr(ours: Image.Image, theirs: Image.Image) -> float | None:
    if ours.size != theirs.size:
        return None
    gap = _pixels(ours) - _pixels(theirs)
    error = float(np.square(gap).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def _contrast(ours: Image.Image, theirs: Image.Image) -> Image.Image:
    """Where two pictures differ, stretched so that the greatest difference is white."""
    gap = np.abs(_pixels(ours) - _pixels(theirs)).max(-1)
    return Image.fromarray((gap * (255 / max(gap.max(), 1))).astype(np.uint8))


def _pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), dtype=np.float64)


def _decibel(value: float | None) -> str:
    if value is None:
        return "unknown: their sizes differ"
    return "∞ (equal)" if math.isinf(value) else f"{value:.1f} dB"
