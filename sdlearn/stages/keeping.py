"""From what happened in a step to its record: what was asked for, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sdlearn.equations import predictions
from sdlearn.stages.schedule import Schedule
from sdlearn.trace import Look, Record, Step


@dataclass(frozen=True, eq=False)
class Answered:
    """One call of the network, and what became of its answer.

    Attributes:
        xt: The sample as it was shown, shape [batch, C, h, w].
        answers: The network's answers, by half.
        answer: The guided one.
        x0: The picture that the sampler took it for; None where it says none.
    """

    xt: Tensor
    answers: Mapping[str, Tensor]
    answer: Tensor
    x0: Tensor | None


class Keeper:
    """Makes the records of one run.

    What two records share (the sample between them) they share in memory, too.
    """

    def __init__(self, record: Record, schedule: Schedule, look: Look | None) -> None:
        self.record, self.schedule, self.look = record, schedule, look
        self._last: tuple[Tensor, Tensor] | None = None

    def step(
        self, first: Answered, sample: Tensor, sample_next: Tensor, alpha_bar: float, **facts: Any
    ) -> Step:
        """The record of a step.

        Args:
            first: The step's first call of the network.
            sample: What the sampler held before.
            sample_next: What it held after.
            alpha_bar: The noise level of `sample`.
            **facts: The rest of `Step`'s fields.
        """
        kept: dict[str, Tensor] = {}
        if self.record.latents:
            kept |= self._latents(first, sample, sample_next, alpha_bar)
        if self.record.noise:
            kept |= self._noise(first, alpha_bar)
        return Step(
            alpha_bar=alpha_bar,
            sigma_space=self.schedule.sigma_space,
            x0_derived=first.x0 is None,
            look=self.look,
            **facts,
            **kept,
        )

    def _latents(
        self, first: Answered, sample: Tensor, sample_next: Tensor, alpha_bar: float
    ) -> dict[str, Tensor]:
        x0 = self._x0(first.xt, first.answer, alpha_bar) if first.x0 is None else first.x0
        same = self._last is not None and self._last[0] is sample  # nobody moved it in between
        before = self._last[1] if same else self._cast(sample)
        self._last = sample_next, self._cast(sample_next)
        if self.record.latents_dtype is None:
            x0 = x0.to(sample.dtype)  # Euler's comes in single precision, whatever the model's is
        return {"sample": before, "sample_next": self._last[1], "x0": self._cast(x0)}

    def _noise(self, first: Answered, alpha_bar: float) -> dict[str, Tensor]:
        kept = {
            f"eps_{half}": self._cast(self._eps(first.xt, answer, alpha_bar))
            for half, answer in first.answers.items()
        }
        if len(kept) == 1:  # without guidance the answer is the guided one
            return kept | {"eps": next(iter(kept.values()))}
        return kept | {"eps": self._cast(self._eps(first.xt, first.answer, alpha_bar))}

    def _x0(self, xt: Tensor, answer: Tensor, alpha_bar: float) -> Tensor:
        return predictions.x0_and_eps(xt, answer, alpha_bar, self.schedule.prediction)[0]

    def _eps(self, xt: Tensor, answer: Tensor, alpha_bar: float) -> Tensor:
        if self.schedule.prediction == "eps":
            return answer
        return predictions.x0_and_eps(xt, answer, alpha_bar, self.schedule.prediction)[1]

    def _cast(self, tensor: Tensor) -> Tensor:
        dtype = self.record.latents_dtype
        return tensor if dtype is None else tensor.to(getattr(torch, dtype))
