"""Guidance: two answers of the network, and one out of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sdlearn.equations import guidance

HALVES = ("uncond", "cond")  # in the order in which they lie in the network's batch


@dataclass(frozen=True)
class Guidance:
    """How far to go from the unprompted answer to the prompted one, and beyond.

    Attributes:
        scale: 0 ignores the prompt, 1 is the prompted answer alone.
        rescale: How much of the prompted answer's contrast is given back, 0 to 1.
    """

    scale: float
    rescale: float = 0.0

    @property
    def halves(self) -> tuple[str, ...]:
        """What the network must be asked: both, or only the half that counts."""
        return {0.0: ("uncond",), 1.0: ("cond",)}.get(self.scale, HALVES)

    def guided(self, answers: Mapping[str, Tensor]) -> Tensor:
        """One answer out of both."""
        if len(answers) == 1:
            return next(iter(answers.values()))
        both = answers["uncond"], answers["cond"]
        answer = guidance.classifier_free_guidance(*both, self.scale)
        if self.rescale:
            answer = guidance.rescale_guidance(answer, answers["cond"], self.rescale)
        return answer
