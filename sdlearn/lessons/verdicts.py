"""What comes back from a check: shown as a card in a notebook, as text in a terminal."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["right", "mistake", "wrong", "unusable", "unanswered"]

_HEADINGS = {
    "right": ("✓", "Right", "#00704F"),
    "mistake": ("→", "Not yet", "#A84300"),
    "wrong": ("→", "Not yet", "#A84300"),
    "unusable": ("!", "Can't be checked yet", "#A84300"),
    "unanswered": ("…", "Your turn", "#005A8C"),
}


@dataclass(frozen=True)
class Verdict:
    """The reaction to an answer; true where the answer is right.

    Attributes:
        exercise: The exercise's id.
        outcome: ``right``; ``mistake`` (one that is known by name); ``wrong``; ``unusable``
            (it can't be compared at all); ``unanswered``.
        message: What to tell the learner.
        mistake: The name of the mistake, if it was recognised.
        tries: How many wrong answers came so far, this one included.
    """

    exercise: str
    outcome: Outcome
    message: str
    mistake: str | None = None
    tries: int = 0

    def __bool__(self) -> bool:
        """Whether the answer is right."""
        return self.outcome == "right"

    def __repr__(self) -> str:
        """The reaction as text."""
        sign, heading, _ = _HEADINGS[self.outcome]
        named = f": {self.mistake}" if self.mistake else ""
        return f"{sign} Exercise {self.exercise}. {heading}{named}. {self.message}"

    def _repr_html_(self) -> str:
        sign, heading, colour = _HEADINGS[self.outcome]
        named = f": {html.escape(self.mistake)}" if self.mistake else ""
        return (
            f'<div class="sd-verdict" role="status" style="border-left:4px solid {colour};'
            'padding:.5em 1em;margin:.5em 0;max-width:46em">'
            f'<strong style="color:color-mix(in srgb, {colour} 60%, currentColor)">{sign} Exercise '
            f"{html.escape(self.exercise)}. {heading}{named}</strong>"
            f"<br>{html.escape(self.message)}</div>"
        )
