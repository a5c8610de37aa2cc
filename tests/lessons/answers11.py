"""Lesson 11: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

import numpy as np
import torch

import sdlearn as sd


def more_weights(channels, before, after):
    grown = 0
    for width in channels:
        grown += 2 * width * (after - before)  # keys and values
    return grown


def picture(xt, v, alpha_bar):
    return alpha_bar**0.5 * xt - (1 - alpha_bar) ** 0.5 * v


def picture_by_algebra(xt, v, alpha_bar):
    """Solve the two formulas for x0 and eps, as a system of equations."""
    a, b = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    mixed = torch.tensor([[a, b], [-b, a]], dtype=xt.dtype)  # [xt, v] from [x0, eps]
    return torch.einsum("k,k...->...", torch.linalg.inv(mixed)[0], torch.stack([xt, v]))


def pointwise(weight, x):
    return (x.movedim(1, -1) @ weight.T).movedim(-1, 1)


def pointwise_in_loops(weight, x):
    batch, _, rows, columns = x.shape
    out = torch.zeros(batch, len(weight), rows, columns, dtype=x.dtype)
    for row in range(rows):
        for column in range(columns):
            out[:, :, row, column] = x[:, :, row, column] @ weight.T
    return out


def in_memory():
    """Each different network once: base and refiner share what has one name, but for the U-Net."""
    once = {}
    for name in ("sdxl", "sdxl-refiner"):
        for part in sd.anatomy(name).parts:
            own = name if part.name == "unet" else ""
            once[own, part.name] = part.parameters
    return sum(once.values()) / 1e9


SOLUTIONS = {
    "11.1": more_weights,
    "11.2": picture,
    "11.3": pointwise,
    "11.4": round(in_memory(), 2),
}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "11.1": [
        lambda channels, before, after: sum(c * (after - before) for c in channels) * 2,
        lambda channels, before, after: float(2 * np.sum(channels) * (after - before)),
        lambda channels, before, after: torch.tensor(channels).sum() * 2 * (after - before),
        lambda channels, before, after: sum(2 * c * after - 2 * c * before for c in channels),
    ],
    "11.2": [
        picture_by_algebra,
        lambda xt, v, alpha_bar: picture(xt.float(), v.float(), alpha_bar),
        lambda xt, v, alpha_bar: np.sqrt(alpha_bar) * xt - np.sqrt(1 - alpha_bar) * v,
        lambda xt, v, alpha_bar: list(picture(xt, v, alpha_bar)),
    ],
    "11.3": [
        pointwise_in_loops,
        lambda weight, x: torch.nn.functional.conv2d(x, weight[:, :, None, None]),
        lambda weight, x: (weight @ x.flatten(2)).view(len(x), len(weight), *x.shape[2:]),
        lambda weight, x: torch.einsum("ij,bjkl->bikl", weight, x),
    ],
    "11.4": [in_memory(), np.float32(in_memory()), torch.tensor(in_memory())],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "11.1": [
        lambda channels, before, after: 0,
        lambda channels, before, after: sum(c * c for c in channels) * (after - before),
    ],
    "11.2": [
        lambda xt, v, alpha_bar: xt,
        lambda xt, v, alpha_bar: v - xt,
    ],
    "11.3": [
        lambda weight, x: x,
        lambda weight, x: pointwise(weight, x) + 1,
    ],
    "11.4": [7.2, 1.0],
}

SECRETS = {
    "11.1": ["2 * ", "after - before", "keys and values"],
    "11.2": ["* xt -", "sqrt(alpha_bar) * xt", "alpha_bar**0.5"],
    "11.3": ["einsum", "movedim(1, -1)", "@ weight.T"],
    "11.4": [f"{in_memory():.2f}", f"{in_memory():.1f}", "5,728"],
}

# Numbers that the lesson must not print from its exercises on: they are the answers.
NOT_PRINTED = r"(?<![\d.])5[.,]7[23]\d*(?!\d)"
