"""`predict`: commit to an answer first, then let the next cell measure the truth."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from sdlearn.views.choice import Choice


class Guess:
    """A question with a few possible answers, one of which the learner picks."""

    def __init__(self, question: str, options: Sequence[str]) -> None:
        if len(options) < 2 or len(set(options)) < len(options):
            raise ValueError(f"options must be two or more different answers, got {options!r}.")
        self.question = question
        self.options = tuple(options)
        self._choice = Choice(question, self.options)

    @property
    def chosen(self) -> str | None:
        """The answer picked so far."""
        return self._choice.chosen

    def nearest(self, measured: float, stands_for: Sequence[float]) -> str:
        """The option whose number lies nearest to what was measured.

        Args:
            measured: The figure measured.
            stands_for: For each option, in order, the number it stands for.
        """
        if len(stands_for) != len(self.options):
            raise ValueError(
                f"stands_for must hold a number for each of the {len(self.options)} options, "
                f"got {len(stands_for)}."
            )
        if not math.isfinite(measured):
            raise ValueError(f"measured must be a number that there is, got {measured}.")
        gaps = [abs(measured - number) for number in stands_for]
        return self.options[gaps.index(min(gaps))]

    def reveal(self, truth: str, because: str = "") -> Revealed:
        """Set the answer picked beside what was measured.

        Args:
            truth: The option that the measurement says.
            because: What was measured, with its figures.
        """
        if truth not in self.options:
            raise ValueError(f"truth must be one of {self.options}, got {truth!r}.")
        return Revealed(self.chosen, truth, because)

    def __repr__(self) -> str:
        """The question as text."""
        return repr(self._choice)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        return self._choice._repr_mimebundle_(include, exclude)


class Revealed:
    """A guess beside the truth."""

    def __init__(self, chosen: str | None, truth: str, because: str) -> None:
        self.chosen, self.truth, self.because = chosen, truth, because

    @property
    def said(self) -> str:
        """How the guess went, in a few words."""
        if self.chosen is None:
            return ""
        if self.chosen == self.truth:
            return f"You said “{self.chosen}”, and so it is."
        return f"You said “{self.chosen}”. It came out differently."

    def __repr__(self) -> str:
        """Both as text."""
        return f"Measured: {self.truth}. {self.because} {self.said}".strip()

    def _repr_html_(self) -> str:
        # Who has guessed sees the answer at once; who hasn't (a lesson as published, a page of the
        # book) unfolds it.
        unfolded = " open" if self.chosen is not None else ""
        return (
            '<details class="sd-guess" style="border-left:4px solid #005A8C;'
            f'padding:.5em 1em;margin:.5em 0;max-width:46em"{unfolded}>'
            "<summary>What was measured (decide first)</summary>"
            f"<strong>Measured: {html.escape(self.truth)}.</strong> {html.escape(self.because)}"
            f"<br>{html.escape(self.said)}</details>"
        )


def predict(question: str, options: Sequence[str]) -> Guess:
    """Ask before the measurement; show the answer with `Guess.reveal` after it.

    Args:
        question: What is going to be measured.
        options: Possible answers, each short.
    """
    return Guess(question, options)
