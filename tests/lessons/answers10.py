"""Lesson 10: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

import math

import numpy as np
import torch
from torch.nn import functional as F

from sdlearn.equations import noising


def steps_done(steps, strength):
    return int(steps * strength)


def masked_step(x_next, x0, eps, keep, alpha_bar, alpha_bar_next):
    noisy = alpha_bar_next**0.5 * x0 + (1 - alpha_bar_next) ** 0.5 * eps
    return keep * noisy + (1 - keep) * x_next


def in_places(mask):
    """Block by block, as one writes it at first."""
    rows, columns = mask.shape[0] // 8, mask.shape[1] // 8
    places = torch.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            places[i, j] = mask[8 * i : 8 * i + 8, 8 * j : 8 * j + 8].max()
    return places


SOLUTIONS = {"10.1": steps_done, "10.2": masked_step, "10.3": in_places, "10.4": 33}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "10.1": [
        lambda steps, strength: math.floor(steps * strength),
        lambda steps, strength: min(int(steps * strength), steps),
        lambda steps, strength: steps * strength // 1,
        lambda steps, strength: np.floor(steps * strength),
        lambda steps, strength: torch.tensor(int(steps * strength)),
    ],
    "10.2": [
        lambda x_next, x0, eps, keep, a, b: torch.where(
            keep > 0, noising.add_noise(x0, eps, b), x_next
        ),
        lambda x_next, x0, eps, keep, a, b: (
            x_next + keep * (b.sqrt() * x0 + torch.sqrt(1 - b) * eps - x_next)
        ),
        lambda x_next, x0, eps, keep, a, b: torch.lerp(
            x_next, math.sqrt(b) * x0 + math.sqrt(1 - b) * eps, keep.expand_as(x0)
        ),
        lambda *given: masked_step(*(one.float() for one in given)),
    ],
    "10.3": [
        lambda mask: F.max_pool2d(mask[None, None], 8)[0, 0],
        lambda mask: mask.reshape(mask.shape[0] // 8, 8, -1, 8).amax((1, 3)),
        lambda mask: mask.numpy().reshape(mask.shape[0] // 8, 8, -1, 8).any((1, 3)),
        lambda mask: (F.avg_pool2d(mask[None], 8)[0] > 0).float(),
        lambda mask: in_places(mask).tolist(),
    ],
    "10.4": [33.0, 2 * 16 + 1, np.int64(33), torch.tensor(33)],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "10.1": [lambda steps, strength: steps, lambda steps, strength: 0],
    "10.2": [
        lambda x_next, x0, eps, keep, a, b: x_next,
        lambda x_next, x0, eps, keep, a, b: keep * eps + (1 - keep) * x_next,
    ],
    "10.3": [
        lambda mask: torch.zeros(mask.shape[0] // 8, mask.shape[1] // 8),
        lambda mask: mask[7::8, 7::8],
    ],
    "10.4": [13, 64],
}

SECRETS = {
    "10.1": ["int(", "floor", "//"],
    "10.2": ["keep *", "(1 - keep)", "sqrt(", "** 0.5", "add_noise"],
    "10.3": ["max", "any(", "reshape", "view("],
    "10.4": ["33", "16 + 1 + 16"],
}

# Numbers that the lesson must not print from its exercises on: they are the answers.
NOT_PRINTED = r"(?<![\d.,])33(?![\d,])"
