"""What an exercise is: a question, how to recognise its answer, and what people get wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["number", "words", "function"]


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer, and what to say to somebody who gave it.

    Attributes:
        name: What went wrong, as one would say it: "square root forgotten".
        hint: For the first try: names the mistake and says where to look.
        stronger: For later tries: leads closer, without giving the answer away.
        answer: The wrong answer itself, made as the learner would make it: for a function
            exercise a function of the same arguments, otherwise a function of none.
    """

    name: str
    hint: str
    stronger: str
    answer: Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lesson.

    Attributes:
        id: Lesson and number, "2.1".
        task: What is asked, in a sentence.
        kind: Whether the learner hands in a number, words (a text, or a list or set of them), or
            a function that returns one of those.
        expected: The library's own way to the answer; never shown.
        mistakes: Typical wrong answers, at least three.
        nudge: What to say to a wrong answer that is none of them, on the first try.
        stronger_nudge: The same, on later tries.
        praise: What the right answer shows, as a sentence.
        probes: Arguments with which a function is tried; called when needed.
        tolerance: How far off an answer may be, relative to its size.
    """

    id: str
    task: str
    kind: Kind
    expected: Callable[..., Any]
    mistakes: tuple[Mistake, ...]
    nudge: str
    stronger_nudge: str
    praise: str
    probes: Callable[[], list[tuple[Any, ...]]] = lambda: [()]
    tolerance: float = 1e-4
