"""Lesson 03: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

import math

import numpy as np
import torch


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
        lambda weights, keep: tuple(averaged(weights, keep).tolist()),
        lambda weights, keep: [weights[0], *averaged(weights, keep).tolist()[1:]],
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

SECRETS = {
    "3.1": ["sqrt(alpha_bar)", "sqrt(1 - alpha_bar)", "** 0.5", "**0.5"],
    "3.2": ["0.4 ", "0.40", "0.4."],
    "3.3": ["keep *", "lerp", "(1 - keep)"],
    "3.4": ["0.17", "5.67"],
}

# Numbers that the lesson must not print from its exercises on: they are the answers.
NOT_PRINTED = r"(?<![\d.])0\.(40?|17)(?!\d)"
