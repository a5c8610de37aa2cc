"""Lesson 08: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

import numpy as np
import torch


def guided(eps_uncond, eps_cond, s):
    return eps_uncond + s * (eps_cond - eps_uncond)


def rescaled(x, x_cond, share):
    factor = x_cond.std((1, 2, 3), keepdim=True) / x.std((1, 2, 3), keepdim=True)
    return share * x * factor + (1 - share) * x


def rescaled_one_by_one(x, x_cond, share):
    done = []
    for one, one_cond in zip(x, x_cond, strict=True):
        factor = one_cond.std(unbiased=False) / one.std(unbiased=False)
        done.append(one * (share * factor + 1 - share))
    return torch.stack(done)


SOLUTIONS = {
    "8.1": guided,
    "8.2": (2.4 - 0.2) / (0.6 - 0.2),
    "8.3": ["at night", "a red cat", "at night"],
    "8.4": rescaled,
}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "8.1": [
        lambda eps_uncond, eps_cond, s: (1 - s) * eps_uncond + s * eps_cond,
        lambda eps_uncond, eps_cond, s: torch.lerp(eps_uncond, eps_cond, s),
        lambda eps_uncond, eps_cond, s: eps_cond + (s - 1) * (eps_cond - eps_uncond),
        lambda eps_uncond, eps_cond, s: guided(eps_uncond.float(), eps_cond.float(), s),
    ],
    "8.2": [5.5, np.float32(5.5), torch.tensor(5.5)],
    "8.3": [
        ("at night", "a red cat", "at night"),
        ["At night", "A red cat ", "at  night"],
    ],
    "8.4": [
        rescaled_one_by_one,
        lambda x, x_cond, share: list(rescaled_one_by_one(x, x_cond, share)),
        lambda x, x_cond, share: rescaled(x.float(), x_cond.float(), share),
    ],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "8.1": [
        lambda eps_uncond, eps_cond, s: eps_cond,
        lambda eps_uncond, eps_cond, s: guided(eps_uncond, eps_cond, s**2),
    ],
    "8.2": [3.0, 13.0],
    "8.3": [["a red cat"] * 3, ["at night", "a red cat"]],
    "8.4": [
        lambda x, x_cond, share: x,
        lambda x, x_cond, share: x - x.mean(),
    ],
}

SECRETS = {
    "8.1": ["eps_uncond +", "eps_cond -", "cond - uncond", "(1 - s)"],
    "8.2": ["5.5", "2.2", "0.4"],
    "8.3": ['"at night", "a red cat", "at night"'],
    "8.4": ["x_cond.std", "share *", "(1 - share)"],
}

# Numbers that the lesson must not print from its exercises on: they are the answers.
NOT_PRINTED = r"(?<![\d.])5\.50?(?!\d)"
