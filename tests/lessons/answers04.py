"""Lesson 04: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import torch

from sdlearn.equations import mixtures, trajectories
from sdlearn.equations.schedules import NoiseSchedule


def step(xt, x0_hat, alpha_bar, alpha_bar_next):
    eps = (xt - alpha_bar**0.5 * x0_hat) / (1 - alpha_bar) ** 0.5
    return alpha_bar_next**0.5 * x0_hat + (1 - alpha_bar_next) ** 0.5 * eps


def order(calls, errors):
    return math.log(errors[0] / errors[1]) / math.log(calls[1] / calls[0])


def heun_calls():
    """By counting: the network is asked by the library's own loop."""
    world, asked = mixtures.two_peaks(), []

    def predict(xt, t, alpha_bar):
        asked.append(t)
        return world.eps(xt, alpha_bar)

    start = torch.randn(4, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in trajectories.trajectory(
        predict, start, NoiseSchedule.scaled_linear().spaced(30), "heun"
    ):
        pass
    return len(asked)


def fresh_share():
    """By the formula of the lesson, in its three moves."""
    noise_std = 0.5 * ((1 - 0.6) / (1 - 0.2)) ** 0.5 * (1 - 0.2 / 0.6) ** 0.5
    return noise_std**2 / (1 - 0.6)


SOLUTIONS = {"4.1": step, "4.2": order, "4.3": heun_calls(), "4.4": fresh_share()}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "4.1": [
        lambda xt, x0, a, b: b.sqrt() * x0 + (1 - b).sqrt() * (xt - a.sqrt() * x0) / (1 - a).sqrt(),
        lambda xt, x0, a, b: (
            math.sqrt((1 - b) / (1 - a)) * xt
            + (math.sqrt(b) - math.sqrt(a * (1 - b) / (1 - a))) * x0
        ),
        lambda xt, x0, a, b: step(xt.float(), x0.float(), a, b),
        lambda xt, x0, a, b: step(xt, x0, float(a), float(b)).numpy(),
    ],
    "4.2": [
        lambda calls, errors: (
            -(np.log(errors[1]) - np.log(errors[0])) / (np.log(calls[1]) - np.log(calls[0]))
        ),
        lambda calls, errors: math.log2(errors[0] / errors[1]) / math.log2(calls[1] / calls[0]),
        lambda calls, errors: math.log(errors[0] / errors[1], calls[1] / calls[0]),
        lambda calls, errors: -np.polyfit(np.log(calls), np.log(errors), 1)[0],
        lambda calls, errors: torch.tensor(order(calls, errors)),
    ],
    "4.3": [30 + 29, 59.0, torch.tensor(59)],
    "4.4": [5 / 24, 0.208, 0.2083, np.float32(5 / 24), Fraction(5, 24), Decimal("0.208")],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "4.1": [lambda xt, x0, a, b: x0, lambda xt, x0, a, b: step(xt, x0, a, b) / 2],
    "4.2": [lambda calls, errors: 2.0, lambda calls, errors: errors[0] / errors[1]],
    "4.3": [90, 0],
    "4.4": [0.9, 0.0],
}

SECRETS = {
    "4.1": ["sqrt(", "** 0.5", "**0.5", "(xt -"],
    "4.2": ["errors[", "log(errors", "log(calls"],
    "4.3": ["59", "2 * 30", "fifty"],
    "4.4": ["0.208", "0.21", "5/24", "5 / 24"],
}

# Numbers that the lesson must not print from its exercises on: they are the answers.
NOT_PRINTED = r"(?<![\d.])(59|0\.20?8\d*|0\.21)(?!\d)"
