"""The checker: what can't be compared is told why, tries are counted, nothing leaks."""

import dataclasses
import sys
from fractions import Fraction

import pytest
import torch
from answers02 import SOLUTIONS, noisy

from sdlearn.lessons import Exercise, Mistake, lesson02
from sdlearn.lessons.checker import Checker

check = Checker(lesson02.EXERCISES)


@pytest.fixture(autouse=True)
def fresh():
    check.reset()
    yield
    check.reset()


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
        ("2.1", lambda x0, eps, a: (x0, eps), "One answer is wanted; 2 came"),
        ("2.2", lambda betas: betas[:3], "shape"),
        ("2.3", "354", "str came"),
        ("2.3", [354], "one single number"),
        ("2.3", noisy, "must be a number"),
        ("2.4", float("inf"), "infinity"),
        ("2.4", [0.1, 0.2], "shape"),
        ("2.4", True, "bool came"),
        ("2.3", complex(354, 5), "complex came"),
        ("2.3", Fraction(10**400), "Fraction came"),
        ("2.3", torch.zeros((), device="meta"), "Tensor came"),
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
        ("0.1", "one two", "unusable"),  # one text for all of it
        ("0.1", 3, "unusable"),
        ("0.1", ["one", 2], "unusable"),
        ("0.1", [], "wrong"),
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


def test_right_words_that_are_cut_otherwise_are_called_right():
    words.reset()
    verdict = words("0.1", ["one two"])
    assert "2 texts are wanted, and 1 came. Put each into quotes" in str(verdict)


def test_words_for_a_number_are_unusable():
    assert check("2.2", "a lot").outcome == "unusable"
