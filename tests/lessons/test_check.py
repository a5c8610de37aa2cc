"""The exercises: reference solutions pass, named mistakes are named, other mistakes are not."""

import dataclasses
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sdlearn.equations import schedules
from sdlearn.lessons import Exercise, Mistake, lesson02
from sdlearn.lessons.checker import Checker

check = Checker(lesson02.EXERCISES)  # later lessons' exercises have tests of their own

# --- reference solutions, written as a learner would write them ------------------------------


def noisy(x0, eps, alpha_bar):
    return alpha_bar**0.5 * x0 + (1 - alpha_bar) ** 0.5 * eps


def alpha_bars(betas):
    left, result = 1.0, []
    for beta in betas.tolist():
        left *= 1 - beta
        result.append(left)
    return torch.tensor(result)


def ten_to_one():
    snr = schedules.NoiseSchedule.scaled_linear().snr.tolist()
    return next(t for t, ratio in enumerate(snr) if ratio < 0.1)


def leftover():
    card = torch.full((3,), 0.5)
    late = schedules.NoiseSchedule.scaled_linear().alpha_bars[900].item()
    return noisy(card, torch.zeros(3), late).mean().item()


SOLUTIONS = {"2.1": noisy, "2.2": alpha_bars, "2.3": ten_to_one(), "2.4": leftover()}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "2.1": [
        lambda x0, eps, a: a.sqrt() * x0 + (1 - a).sqrt() * eps,
        lambda x0, eps, a: torch.sqrt(a) * x0 + torch.sqrt(1 - a) * eps,
        lambda x0, eps, a: math.sqrt(a) * x0 + math.sqrt(1 - a) * eps,
        lambda x0, eps, a: np.sqrt(a.item()) * x0.numpy() + np.sqrt(1 - a.item()) * eps.numpy(),
        lambda x0, eps, a: noisy(x0.float(), eps.float(), a),
    ],
    "2.2": [
        lambda betas: (1 - betas).cumprod(0),
        lambda betas: np.cumprod(1 - betas.numpy()),
        lambda betas: (1 - betas).log().cumsum(0).exp(),
        lambda betas: alpha_bars(betas).tolist(),
        lambda betas: list(alpha_bars(betas)),
        lambda betas: alpha_bars(betas).float(),
    ],
    "2.3": [np.int64(ten_to_one()), torch.tensor(ten_to_one()), float(ten_to_one())],
    "2.4": [round(leftover(), 3), torch.tensor(leftover()), np.float32(leftover())],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "2.1": [
        lambda x0, eps, a: x0 - eps,
        lambda x0, eps, a: (a**0.5 * x0 + (1 - a) ** 0.5 * eps) * 2,
    ],
    "2.2": [lambda betas: betas, lambda betas: torch.cumprod(1 - betas / 2, 0)],
    "2.3": [12, 250],
    "2.4": [0.3, -0.2],
}


@pytest.fixture(autouse=True)
def fresh():
    check.reset()
    yield
    check.reset()


def handed_in(exercise: Exercise, mistake: Mistake):
    """A mistake as a learner hands it in."""
    return mistake.answer if exercise.kind == "function" else mistake.answer()


MISTAKES = [(e, m) for e in check.exercises.values() for m in e.mistakes]
NAMES = [f"{e.id} {m.name}" for e, m in MISTAKES]


def test_every_exercise_has_a_solution_and_enough_mistakes():
    assert set(SOLUTIONS) == set(UNKNOWN) == set(check.exercises)
    for exercise in check.exercises.values():
        assert len(exercise.mistakes) >= 3
        assert len({m.name for m in exercise.mistakes}) == len(exercise.mistakes)
        assert len(UNKNOWN[exercise.id]) >= 2


@pytest.mark.parametrize("number", SOLUTIONS)
def test_the_reference_solution_passes(number):
    verdict = check(number, SOLUTIONS[number])
    assert verdict and verdict.outcome == "right", verdict


@pytest.mark.parametrize("number", SPELLINGS)
def test_the_solution_may_be_spelled_in_many_ways(number):
    for answer in SPELLINGS[number]:
        assert check(number, answer), check(number, answer)


def test_the_lesson_does_not_print_the_answers_to_its_exercises():
    lesson = next((Path(__file__).parents[2] / "notebooks").glob("02-*.ipynb"))
    texts = []
    for cell in json.loads(lesson.read_text(encoding="utf-8"))["cells"]:
        texts.append("".join(cell["source"]))
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts += ["".join(output.get("text", "")), "".join(data.get("text/plain", ""))]
    for answer in (str(SOLUTIONS["2.3"]), f"{SOLUTIONS['2.4']:.3f}"):
        assert not [text for text in texts if re.search(rf"(?<![\d.]){answer}(?!\d)", text)]


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES, ids=NAMES)
def test_a_named_mistake_is_called_by_its_name(exercise, mistake):
    verdict = check(exercise.id, handed_in(exercise, mistake))
    assert verdict.outcome == "mistake" and not verdict
    assert verdict.mistake == mistake.name
    assert verdict.message == mistake.hint


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES, ids=NAMES)
def test_the_second_try_gets_a_stronger_hint(exercise, mistake):
    first = check(exercise.id, handed_in(exercise, mistake))
    second = check(exercise.id, handed_in(exercise, mistake))
    assert first.message != second.message == mistake.stronger
    assert (first.tries, second.tries) == (1, 2)


@pytest.mark.parametrize("number", UNKNOWN)
def test_other_wrong_answers_are_refused_without_a_false_diagnosis(number):
    exercise = check.exercises[number]
    for answer in UNKNOWN[number]:
        check.reset()
        verdict = check(number, answer)
        assert verdict.outcome == "wrong" and verdict.mistake is None
        assert verdict.message == exercise.nudge
        assert check(number, answer).message == exercise.stronger_nudge


@pytest.mark.parametrize("exercise", check.exercises.values(), ids=lambda e: e.id)
def test_no_hint_gives_the_solution_away(exercise):
    spoken = [exercise.nudge, exercise.stronger_nudge, exercise.task]
    spoken += [text for m in exercise.mistakes for text in (m.hint, m.stronger)]
    secrets = {
        "2.1": ["sqrt(alpha_bar)", "sqrt(1 - alpha_bar)", "** 0.5", "**0.5"],
        "2.2": ["cumprod"],
        "2.3": [str(SOLUTIONS["2.3"])],
        "2.4": [f"{SOLUTIONS['2.4']:.3f}", f"{SOLUTIONS['2.4']:.2f}"],
    }[exercise.id]
    for text in spoken:
        assert not any(secret in text for secret in secrets), text


# --- answers that can't be compared ----------------------------------------------------------


@pytest.mark.parametrize("number", SOLUTIONS)
def test_an_empty_answer_is_not_counted_as_a_try(number):
    for blank in (None, ...):
        verdict = check(number, blank)
        assert verdict.outcome == "unanswered" and verdict.tries == 0


def test_a_function_without_a_return_is_not_answered_yet():
    assert check("2.1", lambda x0, eps, alpha_bar: None).outcome == "unanswered"
    assert check("2.1", lambda x0, eps, alpha_bar: ...).outcome == "unanswered"


@pytest.mark.parametrize(
    ("number", "answer", "says"),
    [
        ("2.1", 3.0, "wants a function"),
        ("2.1", lambda: 0, "stopped with TypeError"),
        ("2.1", lambda x0, eps, a: 1 / 0, "ZeroDivisionError"),
        ("2.1", lambda x0, eps, a: x0[0], "shape"),
        ("2.1", lambda x0, eps, a: sys.exit(), "stopped with SystemExit"),
        ("2.1", lambda x0, eps, a: x0 * float("nan"), "NaN"),
        ("2.1", lambda x0, eps, a: "a cat", "str came"),
        ("2.1", lambda x0, eps, a: (x0, eps), "1 parts; 2 came"),
        ("2.2", lambda betas: betas[:3], "shape"),
        ("2.3", "354", "str came"),
        ("2.3", [354], "one single number"),
        ("2.3", noisy, "must be a number"),
        ("2.4", float("inf"), "infinity"),
        ("2.4", [0.1, 0.2], "shape"),
        ("2.4", True, "bool came"),
    ],
)
def test_an_unusable_answer_is_told_why(number, answer, says):
    verdict = check(number, answer)
    assert verdict.outcome == "unusable" and says in verdict.message
    assert verdict.tries == 0


def test_a_learners_function_can_not_change_the_question():
    def greedy(x0, eps, alpha_bar):
        x0.mul_(0)
        return noisy(x0, eps, alpha_bar)

    assert not check("2.1", greedy)
    assert check("2.1", noisy)


def test_a_right_answer_forgets_the_tries():
    check("2.3", 999)
    assert check("2.3", SOLUTIONS["2.3"]).tries == 0
    assert check("2.3", 999).tries == 1


@pytest.mark.parametrize("number", ["9.9", "", 2.1, None])
def test_an_unknown_exercise_is_named(number):
    with pytest.raises(ValueError, match="exercise must be the number"):
        check(number, 1)


def test_verdicts_escape_what_a_learner_wrote():
    def hostile(x0, eps, alpha_bar):
        raise RuntimeError("<script>alert(1)</script>")

    shown = check("2.1", hostile)._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_two_checkers_count_apart():
    other = Checker(check.exercises.values())
    check("2.3", 999)
    assert other("2.3", 999).tries == 1


# --- answers in words ------------------------------------------------------------------------

ORDER = Exercise(
    id="0.1",
    task="In which order?",
    kind="words",
    expected=lambda: ["one", "two"],
    mistakes=(Mistake("turned round", "hint", "stronger", lambda: ["two", "one"]),),
    nudge="no",
    stronger_nudge="no, no",
    praise="yes",
)
WHICH = dataclasses.replace(
    ORDER,
    id="0.2",
    expected=lambda: {"one", "two"},
    mistakes=(Mistake("one too many", "hint", "stronger", lambda: {"one", "two", "three"}),),
)
ONE = dataclasses.replace(ORDER, id="0.3", expected=lambda: "one", mistakes=())
SAYS = dataclasses.replace(
    ORDER,
    id="0.4",
    kind="function",
    expected=lambda text: text.split(),
    mistakes=(Mistake("reversed", "hint", "stronger", lambda text: text.split()[::-1]),),
    probes=lambda: [("a b",), ("c d",)],
)
words = Checker([ORDER, WHICH, ONE, SAYS])


@pytest.mark.parametrize(
    ("number", "answer", "outcome"),
    [
        ("0.1", ["One", " two "], "right"),
        ("0.1", ("one", "two"), "right"),
        ("0.1", ["two", "one"], "mistake"),
        ("0.1", ["one"], "wrong"),
        ("0.1", {"one", "two"}, "unusable"),  # a set has no order
        ("0.1", 3, "unusable"),
        ("0.1", ["one", 2], "unusable"),
        ("0.1", [], "unusable"),
        ("0.2", ["two", "one"], "right"),
        ("0.2", {"one", "two"}, "right"),
        ("0.2", {"one", "two", "three"}, "mistake"),
        ("0.2", "one", "wrong"),
        ("0.3", "ONE", "right"),
        ("0.3", ["one"], "unusable"),
        ("0.3", "two", "wrong"),
        ("0.3", None, "unanswered"),
        ("0.4", str.split, "right"),
        ("0.4", lambda text: text.split()[::-1], "mistake"),
        ("0.4", lambda text: len(text), "unusable"),
        ("0.4", lambda text: ["x", "y"], "wrong"),
    ],
)
def test_answers_may_be_words(number, answer, outcome):
    words.reset()
    verdict = words(number, answer)
    assert verdict.outcome == outcome, verdict


def test_words_for_a_number_are_unusable():
    assert check("2.2", "a lot").outcome == "unusable"
