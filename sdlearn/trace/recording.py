"""What to keep of a run, and what that costs: said before the run, thinned when it is too much."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from sdlearn.trace import markup
from sdlearn.trace.layers import Layer, chosen
from sdlearn.trace.memory import PARTS, Cost
from sdlearn.trace.whole import is_whole

HALVES = ("uncond", "cond")
DTYPES = ("float16", "bfloat16", "float32")

SHARE = 4
"""Without a budget, a recording may take one part in so many of the free memory."""
MOST = 4 * 1024**3
"""And never more than this."""
COARSEST = 8
"""Thinning takes steps this many times further apart, and no more, before it looks elsewhere."""


@dataclass(frozen=True)
class Record:
    """What a run keeps.

    Attributes:
        latents: The sample before and after each step, and the clean latent x0 it aimed at.
        noise: The noise that the network saw: without the prompt, with it, and after guidance.
        attention: How much each place looked at each token.
        self_attention: How much each place looked at each other place. Large.
        heads: ``"mean"`` of the heads of a layer, or ``"each"`` of them.
        halves: Of which halves of guidance: ``"uncond"``, ``"cond"`` or both.
        layers: Names of layers, or beginnings of names (``"up"``, ``"down.1"``); None for all.
        every: Attention is kept at step 0, at step `every`, at twice that, and so on.
        dtype: Numbers of the attention: ``"float16"``, ``"bfloat16"`` or ``"float32"``.
        latents_dtype: Numbers of latents and noise; None leaves them as the model has them.
        budget: Bytes that it may take; None for a quarter of the free memory, at most 4 GiB.
        over: What happens above that: ``"thin"`` out the attention, or ``"refuse"`` to run.
    """

    latents: bool = True
    noise: bool = True
    attention: bool = True
    self_attention: bool = False
    heads: Literal["mean", "each"] = "mean"
    halves: tuple[str, ...] = ("cond",)
    layers: tuple[str, ...] | None = None
    every: int = 1
    dtype: str = "float16"
    latents_dtype: str | None = None
    budget: int | None = None
    over: Literal["thin", "refuse"] = "thin"

    def __post_init__(self) -> None:
        for name in PARTS:
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}.")
        for name in ("halves", "layers"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        _among("heads", self.heads, ("mean", "each"))
        _among("over", self.over, ("thin", "refuse"))
        _among("dtype", self.dtype, DTYPES)
        if self.latents_dtype is not None:
            _among("latents_dtype", self.latents_dtype, DTYPES)
        for half in self.halves:
            _among("halves", half, HALVES)
        if not self.halves or self.layers == ():
            what = "halves" if not self.halves else "layers"
            raise ValueError(f"{what} is empty. To keep no attention, write attention=False.")
        if not all(isinstance(name, str) for name in self.layers or ()):
            raise TypeError(f"layers must be names of layers, got {self.layers!r}.")
        object.__setattr__(self, "every", _whole("every", self.every, 1))
        if self.budget is not None:
            object.__setattr__(self, "budget", _whole("budget", self.budget, 0))

    @classmethod
    def of(cls, value: str | Iterable[str] | Record | None) -> Record:
        """Returns a record of what is named: ``"latents"``, ``("latents", "noise")``, ``()``."""
        if isinstance(value, Record):
            return value
        if isinstance(value, bool) or not (value is None or isinstance(value, Iterable)):
            raise TypeError(
                f"record must name what to keep, of {_listed(PARTS)}, or be a Record(...) or "
                f"None for nothing; got {value!r}."
            )
        names = () if value is None else (value,) if isinstance(value, str) else tuple(value)
        for name in names:
            _among("record", name, PARTS)
        return cls(**{name: name in names for name in PARTS})

    def __bool__(self) -> bool:
        """Whether it keeps anything at all."""
        return any(getattr(self, name) for name in PARTS)

    def takes(self, step: int) -> bool:
        """Whether attention is kept at a step, counted from 0."""
        return (self.attention or self.self_attention) and step % self.every == 0

    def chosen(self, layers: Sequence[Layer]) -> tuple[Layer, ...]:
        """Returns the layers that it keeps, of all that there are."""
        if self.layers is None:
            return tuple(layers)
        return tuple(layers[i] for i in chosen(layers, self.layers))

    def cost(
        self,
        *,
        steps: int,
        calls: int | Sequence[int],
        latent_shape: Sequence[int],
        halves: Sequence[str],
        layers: Sequence[Layer],
        tokens: int,
        dtype: str | torch.dtype = "float32",
    ) -> Cost:
        """Returns what a run would take, before it begins.

        Args:
            steps: Steps of the run.
            calls: How often the sampler asks the network in a step (Heun: 2), or in each of them.
            latent_shape: ``[batch, C, h, w]``.
            halves: The halves that the run computes: ``("cond",)`` without guidance.
            layers: All layers of the network that look at the text.
            tokens: Positions of the text, 77 for CLIP.
            dtype: The latents' own numbers.
        """
        own = self.latents_dtype or (str(dtype).removeprefix("torch."))
        latent = math.prod(latent_shape) * _bytes(own)
        # sample_next of a step is sample of the next one, kept once; x0 is another for each step
        samples = 2 * steps + 1
        noises = steps * (3 if "uncond" in halves else 1)  # eps is eps_cond without guidance
        asked = [calls] * steps if isinstance(calls, int) else list(calls)
        maps = sum(asked[:: self.every]) * len(set(self.halves) & set(halves))
        maps *= latent_shape[0] * _bytes(self.dtype)
        text = places = 0
        if self.attention or self.self_attention:
            for layer in self.chosen(layers):
                looking = layer.rows * layer.columns * (layer.heads if self.heads == "each" else 1)
                text += looking * tokens
                places += looking * layer.rows * layer.columns
        return Cost(
            latents=self.latents * samples * latent,
            noise=self.noise * noises * latent,
            attention=self.attention * maps * text,
            self_attention=self.self_attention * maps * places,
        )

    def fitted(
        self, *, free: int, warn: Callable[[str], object] | None = None, **run: Any
    ) -> Record:
        """Returns a record that stays within the budget: itself, or a thinner one with a warning.

        Thinned out is attention only: fewer steps, then the mean of the heads, then fewer
        layers, then none. A MemoryError says that not even the latents fit, or that
        ``over="refuse"`` and it would have had to thin.

        Args:
            free: Bytes of memory that are free.
            warn: What says the warning; None is Python's own.
            **run: The arguments of `cost`.
        """
        budget = min(free // SHARE, MOST) if self.budget is None else self.budget
        wanted = self.cost(**run)
        if wanted.total <= budget:
            return self
        excess = (
            f"Recording this run would take {wanted}, and {markup.amount(budget)} may be used"
            f"{'' if self.budget is not None else ' (a quarter of the free memory, at most 4 GiB)'}"
        )
        advice = (
            "To keep more, give record=Record(budget=...) more bytes, or choose what matters: "
            'layers=("up",), every=4, heads="mean", attention=False, latents_dtype="float16".'
        )
        if self.over == "refuse":
            raise MemoryError(f'{excess}; over="refuse" forbids to thin it out. {advice}')
        for thinner in self._thinner(run["steps"], run["layers"]):
            cost = thinner.cost(**run)
            if cost.total <= budget:
                said = thinner._said(self, layers=run["layers"])
                kept = f"Kept instead, in {markup.amount(cost.total)}: {said}."
                message = f"{excess}. {kept} {advice}"
                if warn is None:
                    warnings.warn(message, UserWarning, stacklevel=2)
                else:
                    warn(message)
                return thinner
        rest = replace(self, attention=False, self_attention=False).cost(**run)
        raise MemoryError(f"{excess}; even without attention it would be {rest}. {advice}")

    def _thinner(self, steps: int, layers: Sequence[Layer]) -> Iterator[Record]:
        """Ever thinner records: fewer steps, the mean of heads, fewer layers, no attention."""
        if not (self.attention or self.self_attention):
            return
        now = self
        while now.every * 2 < steps and now.every < COARSEST * self.every:
            now = replace(now, every=now.every * 2)
            yield now
        if now.heads == "each":
            now = replace(now, heads="mean")
            yield now
        left = sorted(now.chosen(layers), key=lambda layer: layer.rows * layer.columns)
        while len(left) > 1:
            left.pop()  # the finest grid costs most
            now = replace(now, layers=tuple(layer.name for layer in layers if layer in left))
            yield now
        if self.self_attention:  # give that up, and try again to keep the words
            now = replace(self, self_attention=False)
            yield now
            yield from now._thinner(steps, layers)
        else:
            yield replace(now, attention=False)

    def _said(self, before: Record, *, layers: Sequence[Layer]) -> str:
        """What is thinner than before, in words."""
        if not (self.attention or self.self_attention):
            return "no attention"
        said = [f"attention at every {_nth(self.every)} step"] * (self.every != before.every)
        said += ["the mean of the heads"] * (self.heads != before.heads)
        if self.layers != before.layers:
            kept = self.chosen(layers)
            said += [f"the {len(kept)} coarsest of {len(before.chosen(layers))} layers"]
        return ", ".join(
            said + ["no self-attention"] * (before.self_attention > self.self_attention)
        )


def _bytes(dtype: str) -> int:
    found = getattr(torch, dtype, None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"dtype must be a torch dtype such as 'float32', got {dtype!r}.")
    return found.itemsize


def _nth(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"


def _among(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        close = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{name} must be one of {_listed(allowed)}, got {value!r}.{hint}")


def _whole(name: str, value: Any, least: int) -> int:
    if not is_whole(value) or value < least:
        raise ValueError(f"{name} must be a whole number from {least}, got {value!r}.")
    return int(value)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
