"""What the lessons need beside the library: exercises that diagnose, and predictions to commit to.

In a notebook::

    from sdlearn.lessons import check, predict

    guess = predict("How much is left?", ("nothing", "a tenth", "half"))
    guess.reveal("a tenth", because="sqrt(alpha_bar) is 0.07")

    check("2.1", my_function)
"""

from sdlearn.lessons.checker import check
from sdlearn.lessons.exercises import Exercise, Mistake
from sdlearn.lessons.guesses import predict
from sdlearn.lessons.verdicts import Verdict

__all__ = ["Exercise", "Mistake", "Verdict", "check", "predict"]
