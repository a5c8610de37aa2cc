"""Lesson 12: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

import numpy as np
import torch


def told(height, width, side):
    scale = side / min(height, width)
    top = (round(height * scale) - side) // 2
    left = (round(width * scale) - side) // 2
    return height, width, top, left, side, side


def base_does(timesteps, handover):
    return (timesteps >= 1000 * (1 - handover)).sum()


SOLUTIONS = {"12.1": told, "12.2": 1280 + 5 * 256, "12.3": base_does, "12.4": 1.5**4}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "12.1": [
        lambda height, width, side: list(told(height, width, side)),
        lambda height, width, side: np.array(told(height, width, side)),
        lambda height, width, side: (
            (height, width),
            told(height, width, side)[2:4],
            [side, side],
        ),
        lambda h, w, side: (
            *(h, w),
            *(int((s * side / min(h, w) - side) / 2) for s in (h, w)),
            *(side, side),
        ),
        lambda h, w, side: tuple(torch.tensor(float(n)) for n in told(h, w, side)),
        lambda h, w, side: (
            (h, w, max(0, (h - w) * side / w / 2), max(0, (w - h) * side / h / 2), side, side)
        ),
    ],
    "12.2": [2560.0, 10 * 256, np.int64(2560), torch.tensor(2560)],
    "12.3": [
        lambda timesteps, handover: sum(int(t) >= 1000 - 1000 * handover for t in timesteps),
        lambda timesteps, handover: len(
            [t for t in timesteps if t >= round(1000 * (1 - handover))]
        ),
        lambda timesteps, handover: len(timesteps) - int((timesteps < 1000 * (1 - handover)).sum()),
        lambda timesteps, handover: (1 - timesteps / 1000 <= handover + 1e-6).float().sum(),
    ],
    "12.4": [5.0625, 5.06, (1536 / 1024) ** 2 * (1536 / 1024) ** 2, np.float32(81 / 16)],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "12.1": [
        lambda height, width, side: (side,) * 6,
        lambda height, width, side: (height, width, 0, 0, side, side),
    ],
    "12.2": [2048, 2817],
    "12.3": [lambda timesteps, handover: len(timesteps), lambda timesteps, handover: 0],
    "12.4": [7, 25.6],
}

SECRETS = {
    "12.1": ["// 2", "/ 2", "256)", "min("],
    "12.2": ["2560", "2,560", "5 * 256", "five"],
    "12.3": [">=", "1000 *", "1 - handover", "sum("],
    "12.4": ["5.06", "81", "** 4", "fourth power"],
}

# Numbers that the lesson must not print from its exercises on: they are the answers.
NOT_PRINTED = r"2,?560|(?<![\d.])5\.06"
