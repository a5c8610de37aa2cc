"""`check`: looks at a learner's answer, and says *why* it is wrong.

An answer is compared with the library's, and, where they differ, with what typical mistakes
would have given. A second wrong answer gets a stronger hint; the solution is never shown.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sdlearn.lessons.exercises import Exercise
from sdlearn.lessons.verdicts import Verdict
from sdlearn.lessons.words import Words

Value = list[Tensor] | Words
LESSONS = tuple(import_module(f"sdlearn.lessons.lesson{number:02}") for number in range(1, 13))
"""The modules of the course, in order; each has its `EXERCISES`."""


class Checker:
    """A set of exercises and the tries that were made at them in this session."""

    def __init__(self, exercises: Iterable[Exercise]) -> None:
        self.exercises = {exercise.id: exercise for exercise in exercises}
        self._tries: dict[str, int] = {}

    def __call__(self, exercise: str, answer: object) -> Verdict:
        """Check an answer.

        Args:
            exercise: Its number, as in the heading above it: "2.1".
            answer: What the exercise asks for: a number, or a function.
        """
        task = self._find(exercise)
        outcome, message, mistake = _judge(task, answer, tries=self._tries.get(task.id, 0) + 1)
        if outcome in ("mistake", "wrong"):
            self._tries[task.id] = self._tries.get(task.id, 0) + 1
        if outcome == "right":
            self._tries.pop(task.id, None)
        return Verdict(task.id, outcome, message, mistake, self._tries.get(task.id, 0))

    def reset(self) -> None:
        """Forget all tries: the next hint is a first hint again."""
        self._tries.clear()

    def _find(self, exercise: object) -> Exercise:
        if not isinstance(exercise, str) or exercise not in self.exercises:
            known = ", ".join(self.exercises)
            near = difflib.get_close_matches(str(exercise), self.exercises, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"exercise must be the number of an exercise, one of {known}; got {exercise!r}."
                f"{hint}"
            )
        return self.exercises[exercise]


check = Checker(exercise for lesson in LESSONS for exercise in lesson.EXERCISES)


def _judge(exercise: Exercise, answer: object, tries: int) -> tuple[str, str, str | None]:
    """Outcome, message, and the mistake's name if it has one."""
    if _is_blank(answer):
        return "unanswered", f"{exercise.task} Fill in the cell above and run it again.", None
    if exercise.kind == "function" and not callable(answer):
        kind = type(answer).__name__
        return "unusable", f"This exercise wants a function; a {kind} came. Pass it by name.", None
    probes = exercise.probes()
    expected = _made(exercise.expected, probes)
    try:
        given = [
            _answer(exercise, answer, probe, like)
            for probe, like in zip(probes, expected, strict=True)
        ]
    except _Unusable as problem:
        return problem.outcome, str(problem), None
    trouble = _shape_trouble(given, expected)
    if not trouble and _distance(given, expected) <= exercise.tolerance:
        return "right", exercise.praise, None
    found = [  # the nearest one counts: two may lie close together
        (_distance(given, _made(mistake.answer, probes)), mistake) for mistake in exercise.mistakes
    ]
    distance, mistake = min(found, key=lambda pair: pair[0], default=(float("inf"), None))
    if mistake is not None and distance <= exercise.tolerance:
        return "mistake", mistake.hint if tries == 1 else mistake.stronger, mistake.name
    if trouble:  # of a shape that no mistake has
        return "unusable", trouble, None
    return "wrong", exercise.nudge if tries == 1 else exercise.stronger_nudge, None


def _made(function: Callable[..., Any], probes: list[tuple[Any, ...]]) -> list[Value]:
    return [_read(function(*_fresh(probe))) for probe in probes]


class _Unusable(Exception):
    def __init__(self, message: str, outcome: str = "unusable") -> None:
        super().__init__(message)
        self.outcome = outcome


def _answer(exercise: Exercise, answer: Any, probe: tuple[Any, ...], like: Value) -> Value:
    if exercise.kind == "function":
        answer = _call(answer, probe)
        if _is_blank(answer):
            raise _Unusable(
                f"{exercise.task} Your function returns nothing so far: end it with a return.",
                "unanswered",
            )
    if isinstance(like, Words):
        return _as_words(answer, like, "return" if exercise.kind == "function" else "be")
    if not any(part.ndim for part in like):
        answer = _several(answer) if len(like) > 1 else answer
    elif isinstance(answer, tuple) and len(like) == 1 and len(answer) == len(like[0]) > 1:
        answer = list(answer)  # one row of numbers is wanted: round brackets are as good
    try:
        return _flat(answer)
    except (TypeError, ValueError, RuntimeError, OverflowError, NotImplementedError):
        kind = type(answer).__name__
        function = exercise.kind == "function"
        wanted = "return a number, a tensor or a picture" if function else "be a number"
        raise _Unusable(f"The answer must {wanted}; a {kind} came.") from None


def _several(answer: Any) -> Any:
    """Several numbers: a list or an array of them, or pairs in brackets, are as good as a tuple."""
    if isinstance(answer, Tensor | np.ndarray) and answer.ndim == 1:
        return tuple(answer.tolist())
    if isinstance(answer, list | tuple):
        pairs = [one if isinstance(one, list | tuple) else (one,) for one in answer]
        return tuple(number for pair in pairs for number in pair)
    return answer


def _call(function: Callable[..., Any], probe: tuple[Any, ...]) -> Any:
    try:
        return function(*_fresh(probe))
    except NotImplementedError:
        return None
    except (Exception, SystemExit) as error:  # a learner's function may raise anything at all
        raise _Unusable(
            f"Your function stopped with {type(error).__name__}: {error}. "
            f"It was called with {len(probe)} arguments, as the exercise says."
        ) from error


def _fresh(probe: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments anew, so that a function that changes them changes nobody else's."""
    return copy.deepcopy(probe)


def _is_blank(answer: object) -> bool:
    return answer is None or answer is Ellipsis


def _read(answer: object) -> Value:
    words = Words.of(answer)
    return words if words is not None else _flat(answer)


def _as_words(answer: object, like: Words, verb: str) -> Words:
    words = Words.of(answer)
    wanted = "one text in quotes" if like.single else f"a {like.kind} of texts in quotes"
    if words is None:
        came = type(answer).__name__
        raise _Unusable(f"The answer must {verb} {wanted}; a {came} came.")
    if like.ordered and not words.ordered:
        raise _Unusable("Here the order counts, and a set has none: use square brackets.")
    if words.single and not like.single and (like.ordered or "," in words.parts[0]):
        raise _Unusable(
            f"A {like.kind} of texts is wanted, and one text came: put each into quotes of its "
            "own, within square brackets."
        )
    if like.ordered and len(words.parts) != len(like.parts) and words.joined == like.joined:
        raise _Unusable(
            f"The words are right, but not how they are cut: {len(like.parts)} texts are wanted, "
            f"and {len(words.parts)} came. Put each into quotes of its own."
        )
    if like.single and not words.single:
        raise _Unusable(f"The answer must {verb} {wanted}; {len(words.parts)} came.")
    return words if like.ordered else words.without_order()


def _flat(answer: object) -> list[Tensor]:
    parts = answer if isinstance(answer, tuple) and answer else [answer]
    if isinstance(answer, list) and any(isinstance(part, Tensor) for part in answer):
        parts = [torch.stack([torch.as_tensor(part) for part in answer])]
    if any(isinstance(part, (str, bytes, bool)) for part in parts):
        raise TypeError("text is no number")
    parts = [np.array(part) if isinstance(part, Image.Image) else part for part in parts]
    parts = [float(part) if isinstance(part, Fraction | Decimal) else part for part in parts]
    tensors = [torch.as_tensor(part).detach().cpu() for part in parts]
    if any(tensor.is_complex() for tensor in tensors):
        raise TypeError("a complex number has two parts, and one is asked for")
    return [tensor.double() for tensor in tensors]


def _shape_trouble(given: list[Value], expected: list[Value]) -> str:
    for ours, theirs in zip(given, expected, strict=True):
        if isinstance(theirs, Words):
            continue
        if len(ours) != len(theirs):
            if len(theirs) == 1:
                return f"One answer is wanted; {len(ours)} came. What makes one of them?"
            return f"The answer must have {len(theirs)} parts; {len(ours)} came."
        for mine, wanted in zip(ours, theirs, strict=True):
            if mine.shape != wanted.shape:
                said = f"The answer has the shape {tuple(mine.shape)}, and "
                if not wanted.ndim:
                    return said + "one single number is wanted."
                return said + f"{tuple(wanted.shape)} is wanted. Print the shapes on the way."
            if not bool(torch.isfinite(mine).all()):
                return (
                    "The answer holds NaN or infinity. Look for a division by zero, or for the "
                    "root or logarithm of something that isn't positive."
                )
    return ""


def _distance(given: list[Value], wanted: list[Value]) -> float:
    """The largest difference, relative to what is wanted; infinite for other shapes and for NaN."""
    largest = 0.0
    for ours, theirs in zip(given, wanted, strict=True):
        if isinstance(ours, Words) or isinstance(theirs, Words):
            if ours != theirs:
                return float("inf")
            continue
        if len(ours) != len(theirs):
            return float("inf")
        for mine, other in zip(ours, theirs, strict=True):
            if mine.shape != other.shape or not bool(torch.isfinite(mine).all()):
                return float("inf")
            scale = max(float(other.abs().max()), 1e-12)
            largest = max(largest, float((mine - other).abs().max()) / scale)
    return largest
