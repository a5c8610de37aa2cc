"""Lesson 02: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

import math

import numpy as np
import torch

from sdlearn.equations import schedules


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

SECRETS = {
    "2.1": ["sqrt(alpha_bar)", "sqrt(1 - alpha_bar)", "** 0.5", "**0.5"],
    "2.2": ["cumprod"],
    "2.3": [str(SOLUTIONS["2.3"])],
    "2.4": [f"{SOLUTIONS['2.4']:.3f}", f"{SOLUTIONS['2.4']:.2f}"],
}

# What the lesson must not print from its exercises on: the answers.
NOT_PRINTED = rf"(?<![\d.])({SOLUTIONS['2.3']}|{SOLUTIONS['2.4']:.3f})(?!\d)"
