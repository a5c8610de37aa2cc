"""The exercises of all lessons: solutions pass, named mistakes are named, others are refused.

What is tried stands in `answersNN.py`, one for each lesson:

- ``SOLUTIONS``: for each exercise the reference answer, as a learner would write it;
- ``SPELLINGS``: other ways to write it, none of which may be refused;
- ``UNKNOWN``: at least two wrong answers each that are no known mistake;
- ``SECRETS``: what no hint may say;
- ``NOT_PRINTED``: a pattern that the lesson must not print from its exercises on.
"""

import importlib
import json
import re
from pathlib import Path

import pytest

from sdlearn.lessons import Exercise, Mistake
from sdlearn.lessons.checker import LESSONS, Checker

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parents[1] / "notebooks"
ANSWERS = {
    path.stem[-2:]: importlib.import_module(path.stem) for path in sorted(HERE.glob("answers*.py"))
}
EXERCISES = {
    exercise.id: exercise
    for lesson in LESSONS
    if lesson.__name__[-2:] in ANSWERS
    for exercise in lesson.EXERCISES
}


def told(name: str) -> dict:
    """One of the tables of all lessons, put together."""
    return {
        key: value for module in ANSWERS.values() for key, value in getattr(module, name).items()
    }


SOLUTIONS, SPELLINGS, UNKNOWN, SECRETS = map(told, ("SOLUTIONS", "SPELLINGS", "UNKNOWN", "SECRETS"))
MISTAKES = [(exercise, mistake) for exercise in EXERCISES.values() for mistake in exercise.mistakes]
NAMES = [f"{exercise.id} {mistake.name}" for exercise, mistake in MISTAKES]


@pytest.fixture
def check():
    return Checker(EXERCISES.values())


def handed_in(exercise: Exercise, mistake: Mistake):
    """A mistake as a learner hands it in."""
    return mistake.answer if exercise.kind == "function" else mistake.answer()


def test_every_exercise_has_a_solution_enough_mistakes_and_wrong_answers():
    assert set(SOLUTIONS) == set(UNKNOWN) == set(SECRETS) == set(EXERCISES)
    assert set(SPELLINGS) <= set(EXERCISES)
    for exercise in EXERCISES.values():
        assert len({mistake.name for mistake in exercise.mistakes}) == len(exercise.mistakes) >= 3
        assert len(UNKNOWN[exercise.id]) >= 2


def test_exercises_are_numbered_by_their_lesson():
    for lesson in LESSONS:
        number = int(lesson.__name__[-2:])
        ids = [exercise.id for exercise in lesson.EXERCISES]
        assert ids == [f"{number}.{i}" for i in range(1, len(ids) + 1)]


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
        assert verdict.outcome == "wrong" and verdict.mistake is None, verdict
        assert verdict.message == exercise.nudge
        assert check(number, answer).message == exercise.stronger_nudge


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda e: e.id)
def test_no_hint_gives_the_solution_away(exercise):
    spoken = [exercise.task, exercise.nudge, exercise.stronger_nudge]
    spoken += [text for m in exercise.mistakes for text in (m.hint, m.stronger)]
    for text in spoken:
        assert not any(secret in text for secret in SECRETS[exercise.id]), text


@pytest.mark.parametrize("number", ANSWERS)
def test_a_lesson_does_not_print_the_answers_of_its_exercises(number):
    (lesson,) = NOTEBOOKS.glob(f"{number}-*.ipynb")
    cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    begin = next(i for i, c in enumerate(cells) if "## Exercises" in "".join(c["source"]))
    for cell in cells[begin:]:
        shown = "".join(cell["source"])
        for output in cell.get("outputs", []):
            shown += "".join(output.get("data", {}).get("text/plain", ""))
        assert not re.search(ANSWERS[number].NOT_PRINTED, shown), shown
