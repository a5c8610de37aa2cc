"""Where every word looked: the attention of a run, asked by word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from torch import Tensor

from sdlearn.trace import cards, markup
from sdlearn.trace.kept import Key, check, check_one, summed, whole_calls
from sdlearn.trace.layers import Layer, chosen
from sdlearn.trace.memory import held
from sdlearn.trace.records import one_of
from sdlearn.trace.tokens import Tokens
from sdlearn.trace.whole import is_whole
from sdlearn.trace.wordmap import WordMap
from sdlearn.trace.words import Words

__all__ = ["Attention", "Key", "Layer", "WordMap"]


@dataclass(frozen=True, eq=False, repr=False)
class Attention:
    """The attention of a run: ``attention["cat"]`` is the map of a word.

    ``["cat", 1]`` is its second occurrence only, ``["red cat"]`` a phrase, ``[5]`` a position of
    the text. Whoever asks gets a `WordMap` of probabilities: at every place of the picture, those
    of all positions together are 1. Of a run of several pictures, choose one first:
    ``attention.of(0)["cat"]``.

    Attributes:
        layers: The recorded layers.
        tokens: The prompt of every picture.
        negative: The negative prompt of every picture.
        steps: Which steps were recorded.
        halves: Which halves of guidance: ``"uncond"``, ``"cond"``, or both.
        heads: Whether the heads were averaged (``"mean"``) or kept (``"each"``).
        kept: The probabilities, ``[pictures, heads or 1, rows * columns, keys]``. A sampler that
            asks the network twice in a step (Heun) leaves two calls of it.
        kept_self: The same for self-attention, where keys are the places of the picture.
        chosen: The half that is asked; `half` gives another one.
        missing: Why a half was not kept, where the run itself is the reason.
    """

    layers: tuple[Layer, ...]
    tokens: tuple[Tokens, ...]
    negative: tuple[Tokens, ...] = ()
    steps: tuple[int, ...] = ()
    halves: tuple[str, ...] = ("cond",)
    heads: Literal["mean", "each"] = "mean"
    kept: Mapping[Key, Tensor] = field(default_factory=dict)
    kept_self: Mapping[Key, Tensor] = field(default_factory=dict)
    chosen: str = ""
    missing: str = ""

    def __post_init__(self) -> None:
        for name in ("layers", "tokens", "negative", "steps", "halves"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.tokens:
            raise ValueError("tokens must hold the prompt of every picture; it is empty.")
        if not self.chosen:
            preferred = "cond" if "cond" in self.halves else (*self.halves, "cond")[0]
            object.__setattr__(self, "chosen", preferred)
        for kept, text in ((self.kept, True), (self.kept_self, False)):
            for key, maps in kept.items():
                check(key, maps, self, text=text)

    # Asking by word

    def __getitem__(self, asked: str | tuple[str, int] | int) -> WordMap:
        tokens = self._read()
        if is_whole(asked):
            if not -len(tokens) <= asked < len(tokens):
                raise IndexError(
                    f"there is no position {asked}: the text has {len(tokens)}, from 0 to "
                    f"{len(tokens) - 1}. attention.words lists which are which word's."
                )
            token = tokens[asked]
            return self._map(f"{token.piece} (position {token.position})", (token.position,))
        positions = tokens.words[asked]
        name = asked if isinstance(asked, str) else f"{asked[0]} ({_ordinal(asked)})"
        return self._map(name, positions)

    @property
    def start(self) -> WordMap:
        """Where the start token is looked at: mostly the places that need no word."""
        return self._map("(start)", self._read().start)

    @property
    def end(self) -> WordMap:
        """Where the end token is looked at; it has read the whole prompt."""
        return self._map("(end)", self._read().end)

    @property
    def padding(self) -> WordMap:
        """Where the padding is looked at, all of it together."""
        positions = self._read().padding
        if not positions:
            raise ValueError("this prompt has no padding: it fills all places of the text.")
        return self._map("(padding)", positions)

    @property
    def is_read(self) -> bool:
        """Whether the chosen half had words: what SDXL takes for no prompt has none."""
        return self.chosen != "uncond" or len(self.negative) == len(self.tokens)

    @property
    def words(self) -> Words:
        """The words that can be asked for."""
        return self._read().words

    # Asking for a part

    def of(self, picture: int) -> Attention:
        """Returns the attention of one picture of the batch: the same memory."""
        index = one_of(picture, len(self.tokens))

        def cut(kept: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
            return {key: maps[index : index + 1] for key, maps in kept.items()}

        negative = self.negative[index : index + 1]
        return replace(
            self,
            tokens=(self.tokens[index],),
            negative=negative,
            kept=cut(self.kept),
            kept_self=cut(self.kept_self),
        )

    def half(self, name: str) -> Attention:
        """Returns the attention of one half of guidance: its words are those of its prompt."""
        if name not in self.halves:
            only = f", only {' and '.join(map(repr, self.halves))}" if self.halves else ""
            ask = 'Ask for it before the run: record=Record(halves=("uncond", "cond")).'
            raise ValueError(f"the half {name!r} was not recorded{only}. {self.missing or ask}")
        if name == "uncond" and len(self.negative) != len(self.tokens):
            raise ValueError(
                "this run kept no negative prompt, so the words of uncond are unknown."
            )
        return replace(self, chosen=name)

    def raw(
        self, step: int, layer: str | int, half: str | None = None, call: int = 0, picture: int = 0
    ) -> Tensor:
        """Returns the probabilities as recorded: ``[heads, rows, columns, keys]``."""
        where, maps = self._one(self.kept, step, layer, half, call)
        maps = maps[one_of(picture, len(maps))]
        return maps.unflatten(1, (where.rows, where.columns))

    def self_attention(self, step: int, layer: str | int, row: int, column: int) -> Tensor:
        """Returns where one place of the picture looks: ``[rows, columns]``, which sum to 1.

        It is the mean over heads.
        """
        if not self.kept_self:
            raise ValueError(
                "self-attention was not recorded. Ask for it before the run: "
                'record=("attention", "self_attention"); it is large, so choose layers too.'
            )
        where, maps = self._one(self.kept_self, step, layer, None, 0)
        if not (0 <= row < where.rows and 0 <= column < where.columns):
            raise IndexError(
                f"layer {where.name} has {where.rows} rows and {where.columns} columns; there is "
                f"no place ({row}, {column})."
            )
        check_one(len(self.tokens))
        looks = maps[0, :, row * where.columns + column].float().mean(0)
        return looks.unflatten(0, (where.rows, where.columns))

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return held(self.tensors())

    def tensors(self) -> list[Tensor]:
        """Returns everything that was kept."""
        return [*self.kept.values(), *self.kept_self.values()]

    # Inside

    def _read(self) -> Tokens:
        """The tokens of the chosen half, if all pictures read the same ones."""
        prompts = self.negative if self.chosen == "uncond" else self.tokens
        if len(prompts) != len(self.tokens):
            raise ValueError(
                "this run kept no negative prompt, so the words of uncond are unknown."
            )
        if any(tokens != prompts[0] for tokens in prompts):
            raise ValueError(
                f"these are {len(prompts)} pictures of different prompts, whose words stand in "
                "different places. Choose one first: attention.of(0)."
            )
        return prompts[0]

    def _one(
        self, kept: Mapping[Key, Tensor], step: int, layer: str | int, half: str | None, call: int
    ) -> tuple[Layer, Tensor]:
        index = chosen(self.layers, layer, single=True)[0]
        key = (step, call, half or self.chosen, index)
        if key not in kept:
            steps = sorted({s for s, *_ in kept})
            halves = sorted({h for _, _, h, _ in kept})
            calls = sorted({c for s, c, *_ in kept if s == step})
            raise ValueError(
                f"nothing was recorded for step={step}, call={call}, half={key[2]!r}, "
                f"layer={self.layers[index].name!r}. Recorded: steps {_listed(steps)}; "
                f"halves {_listed(halves)}; calls in that step: {_listed(calls)}."
            )
        return self.layers[index], kept[key]

    @cached_property
    def _calls(self) -> dict[int, list[int]]:
        return whole_calls(self.kept, self.chosen, len(self.layers))

    def _map(self, word: str, positions: tuple[int, ...]) -> WordMap:
        if not self._calls:
            ask = 'Ask for it before the run: record=("attention",), or Record(attention=True).'
            why = self.missing if self.chosen not in self.halves else ""
            raise ValueError(
                f"no attention to the words was recorded, not of one whole step. {why or ask}"
            )
        check_one(len(self.tokens))
        typed = self._read().typed
        every_word = set(positions) <= set(typed)
        axes = ("steps", "layers", *(["heads"] * (self.heads == "each")), "rows", "columns")
        return WordMap(
            word=word,
            axes=axes,
            parts=self._sums(positions),
            steps=tuple(self._calls),
            layers=self.layers,
            all_words=self._sums(typed) if every_word else None,
        )

    def _sums(self, positions: tuple[int, ...]) -> tuple[Tensor, ...]:
        """What the positions get together, for each layer: [steps, (heads,) rows, columns]."""
        parts = summed(self.kept, self._calls, self.chosen, len(self.layers), positions)
        grids = [(layer.rows, layer.columns) for layer in self.layers]
        parts = [part.unflatten(-1, grid) for part, grid in zip(parts, grids, strict=True)]
        return tuple(part.squeeze(1) if self.heads == "mean" else part for part in parts)

    def __repr__(self) -> str:
        count = len(self.tokens)
        several = f"{count} pictures: .of(0) is the first, " if count > 1 else ""
        return (
            f"Attention({several}{len(self.steps)} steps, {len(self.layers)} layers, "
            f"{' and '.join(self.halves) or 'no half'}, heads={self.heads!r}, "
            f"{markup.amount(self.nbytes)})"
        )

    def _repr_html_(self) -> str:
        return cards.attention_html(self)


def _ordinal(asked: tuple[str, int]) -> str:
    which = asked[1]
    return f"number {which + 1}" if which >= 0 else "the last" if which == -1 else f"{which}"


def _listed(values: list) -> str:
    return ", ".join(map(str, values)) or "none"
