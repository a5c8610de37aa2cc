"""The exercises of lesson 03: solutions pass, named mistakes are named, others are refused."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from sdlearn.lessons import Exercise, Mistake, lesson03
from sdlearn.lessons.checker import Checker
from sdlearn.lessons.lesson03_network import NoisePredictor

# --- reference solutions, written as a learner would write them ------------------------------


def picture(xt, eps, alpha_bar):
    return (xt - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5


def lazy_loss():
    """By throwing dice, as the exercise allows."""
    dice = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 100_000, generator=dice)
    xt = 0.36**0.5 * x0 + 0.64**0.5 * eps
    return ((eps - xt) ** 2).mean().item()


def averaged(weights, keep):
    average, result = weights[0], []
    for weight in weights:
        average = keep * average + (1 - keep) * weight
        result.append(average)
    return torch.stack(result)


def picture_error():
    """By the function of exercise 3.1: a slip of that size, seen in the picture."""
    level = torch.tensor(0.15, dtype=torch.float64)
    slip = torch.full((1,), 0.03**0.5, dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    return ((picture(zero, slip, level) - picture(zero, zero, level)) ** 2).mean().item()


SOLUTIONS = {"3.1": picture, "3.2": lazy_loss(), "3.3": averaged, "3.4": picture_error()}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "3.1": [
        lambda xt, eps, a: (xt - torch.sqrt(1 - a) * eps) / torch.sqrt(a),
        lambda xt, eps, a: (xt - math.sqrt(1 - a) * eps) * a**-0.5,
        lambda xt, eps, a: xt / a.sqrt() - ((1 - a) / a).sqrt() * eps,
        lambda xt, eps, a: picture(xt.float(), eps.float(), a),
    ],
    "3.2": [0.4, 2 - 2 * 0.64**0.5, np.float32(0.4), torch.tensor(0.4)],
    "3.3": [
        lambda weights, keep: averaged(weights, keep).tolist(),
        lambda weights, keep: list(averaged(weights, keep)),
        lambda weights, keep: averaged(weights.float(), keep).numpy(),
    ],
    "3.4": [0.17, 0.03 * 0.85 / 0.15, torch.tensor(0.17)],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "3.1": [lambda xt, eps, a: xt, lambda xt, eps, a: picture(xt, eps, a) / 2],
    "3.2": [0.5, 0.0],
    "3.3": [
        lambda weights, keep: weights,
        lambda weights, keep: torch.full_like(weights, float(weights.mean())),
    ],
    "3.4": [0.1, 1.0],
}


@pytest.fixture
def check():
    return Checker(lesson03.EXERCISES)


def handed_in(exercise: Exercise, mistake: Mistake):
    """A mistake as a learner hands it in."""
    return mistake.answer if exercise.kind == "function" else mistake.answer()


MISTAKES = [(e, m) for e in lesson03.EXERCISES for m in e.mistakes]
NAMES = [f"{e.id} {m.name}" for e, m in MISTAKES]


def test_every_exercise_has_a_solution_and_enough_mistakes():
    assert set(SOLUTIONS) == set(UNKNOWN) == {e.id for e in lesson03.EXERCISES}
    for exercise in lesson03.EXERCISES:
        assert len({m.name for m in exercise.mistakes}) == len(exercise.mistakes) >= 3
        assert len(UNKNOWN[exercise.id]) >= 2


@pytest.mark.parametrize("number", SOLUTIONS)
def test_the_reference_solution_passes(check, number):
    verdict = check(number, SOLUTIONS[number])
    assert verdict and verdict.outcome == "right", verdict


@pytest.mark.parametrize("number", SPELLINGS)
def test_the_solution_may_be_spelled_in_many_ways(check, number):
    for answer in SPELLINGS[number]:
        assert check(number, answer), check(number, answer)


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES, ids=NAMES)
def test_a_named_mistake_is_called_by_its_name(check, exercise, mistake):
    first = check(exercise.id, handed_in(exercise, mistake))
    assert (first.outcome, first.mistake, first.message) == ("mistake", mistake.name, mistake.hint)
    second = check(exercise.id, handed_in(exercise, mistake))
    assert second.mistake == mistake.name and second.message == mistake.stronger != mistake.hint


@pytest.mark.parametrize("number", UNKNOWN)
def test_other_wrong_answers_are_refused_without_a_false_diagnosis(check, number):
    exercise = check.exercises[number]
    for answer in UNKNOWN[number]:
        check.reset()
        verdict = check(number, answer)
        assert verdict.outcome == "wrong" and verdict.mistake is None
        assert verdict.message == exercise.nudge
        assert check(number, answer).message == exercise.stronger_nudge


@pytest.mark.parametrize("exercise", lesson03.EXERCISES, ids=lambda e: e.id)
def test_no_hint_gives_the_solution_away(exercise):
    spoken = [exercise.task, exercise.nudge, exercise.stronger_nudge]
    spoken += [text for m in exercise.mistakes for text in (m.hint, m.stronger)]
    secrets = {
        "3.1": ["sqrt(alpha_bar)", "sqrt(1 - alpha_bar)", "** 0.5", "**0.5"],
        "3.2": ["0.4 ", "0.40", "0.4."],
        "3.3": ["keep *", "lerp", "(1 - keep)"],
        "3.4": ["0.17", "5.67"],
    }[exercise.id]
    for text in spoken:
        assert not any(secret in text for secret in secrets), text


def test_the_lesson_does_not_print_the_answers_to_its_numbers():
    lesson = next((Path(__file__).parents[2] / "notebooks").glob("03-*.ipynb"))
    cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    begin = next(i for i, c in enumerate(cells) if "## Exercises" in "".join(c["source"]))
    for cell in cells[begin:]:
        shown = "".join(cell["source"])
        for output in cell.get("outputs", []):
            shown += "".join(output.get("data", {}).get("text/plain", ""))
        assert not re.search(r"(?<![\d.])0\.(40?|17)(?!\d)", shown), shown


# --- the lesson's network --------------------------------------------------------------------


def test_the_network_answers_in_the_shape_of_its_question():
    network = NoisePredictor(size=5, width=8)
    xt, t = torch.randn(7, 5), torch.arange(7)
    assert network(xt, t).shape == xt.shape


def test_the_network_looks_at_the_time():
    torch.manual_seed(0)
    network = NoisePredictor(size=2)
    xt = torch.ones(250, 2)
    answers = network(xt, torch.arange(250)).detach()
    assert len({tuple(answer) for answer in answers.tolist()}) == 250  # no two times alike
