"""Lesson 05: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

import math

import numpy as np
import torch


def latent_shape(height, width):
    return 4, height // 8, width // 8


def times_fewer():
    """By counting, as the lesson does."""
    return (1024 * 1024 * 3) / (16 * 128 * 128)


def psnr_of_tensors(a, b):
    error = ((a - b) ** 2).mean()
    return 10 * torch.log10(2**2 / error)


def decode_ready(latent, variance):
    return latent * variance**0.5


SOLUTIONS = {
    "5.1": latent_shape,
    "5.2": times_fewer(),
    "5.3": psnr_of_tensors,
    "5.4": decode_ready,
}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "5.1": [
        lambda height, width: (4, height / 8, width / 8),
        lambda height, width: [4, height // 8, width // 8],
        lambda height, width: torch.Size([4, height // 8, width // 8]),
        lambda height, width: torch.zeros(4, height // 8, width // 8).shape,
        lambda height, width: torch.tensor([4, height // 8, width // 8]),
        lambda height, width: (4, (height // 8, width // 8)),
    ],
    "5.2": [12, 3 * 64 / 16, torch.tensor(12.0), np.float32(12)],
    "5.3": [
        lambda a, b: 20 * torch.log10(2 / ((a - b) ** 2).mean().sqrt()),
        lambda a, b: 10 * math.log10(4 / ((a - b) ** 2).mean()),
        lambda a, b: -10 * np.log10((((a - b) / 2) ** 2).mean().item()),
        lambda a, b: 10 * torch.log10(255**2 / (((a - b) * 127.5) ** 2).mean()),
        lambda a, b: psnr_of_tensors(a.float(), b.float()),
        lambda a, b: psnr_of_tensors(a.clamp(-1, 1), b.clamp(-1, 1)),
    ],
    "5.4": [
        lambda latent, variance: latent * math.sqrt(variance),
        lambda latent, variance: latent / (1 / variance.sqrt()),
        lambda latent, variance: (latent.float() * variance.sqrt()).numpy(),
    ],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "5.1": [
        lambda height, width: (4, height - 8, width - 8),
        lambda height, width: (8, height // 8, width // 8),
    ],
    "5.2": [10, 0.0],
    "5.3": [lambda a, b: ((a - b) ** 2).mean(), lambda a, b: psnr_of_tensors(a, b) + 1],
    "5.4": [lambda latent, variance: latent * 5, lambda latent, variance: latent - variance],
}

SECRETS = {
    "5.1": ["4, ", "// 8", "/ 8", "by 8"],
    "5.2": ["12", "192", "/ 16", "64 *"],
    "5.3": ["4 /", "2**2", "2 **", "is 2?!", "log10(4", "peak of 2", "peak is 2"],
    "5.4": ["sqrt(", "** 0.5", "**0.5", "* variance", "5.4"],
}

# A number that the lesson must not print from its exercises on: it is an answer.
NOT_PRINTED = r"(?<![\d.])12(?!\d)"
