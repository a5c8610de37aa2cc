"""Lesson 06: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

import math

import numpy as np
import torch

import sdlearn as sd
from sdlearn.lessons.lesson06 import COUNTED, LONG


def places_filled():
    """As the exercise allows: by the model's own table."""
    tokens = sd.load("pocket-sd15", device="cpu").encode(COUNTED).tokens
    return len([token for token in tokens if token.kind != "padding"])


def cosine(a, b):
    return (a * b).sum() / ((a * a).sum() ** 0.5 * (b * b).sum() ** 0.5)


def named(picture, captions):
    fits = {text: cosine(picture, vector) for text, vector in captions.items()}
    return max(fits, key=fits.get)


def cut_off():
    """Worked out by hand: words and commas, without the two places of start and end."""
    tokens = LONG.replace(",", " ,").split()
    return tokens[77 - 2 :]


SOLUTIONS = {"6.1": places_filled(), "6.2": cosine, "6.3": named, "6.4": cut_off()}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "6.1": [float(places_filled()), np.int64(places_filled()), torch.tensor(places_filled())],
    "6.2": [
        lambda a, b: torch.cosine_similarity(a, b, dim=0),
        lambda a, b: (
            torch.nn.functional.normalize(a, dim=0) @ torch.nn.functional.normalize(b, dim=0)
        ),
        lambda a, b: float(
            np.dot(a.numpy(), b.numpy()) / np.linalg.norm(a.numpy()) / np.linalg.norm(b.numpy())
        ),
        lambda a, b: (
            sum(x * y for x, y in zip(a, b, strict=True))
            / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
        ),
    ],
    "6.3": [
        # The picture's length is the same for all captions: it may stay.
        lambda picture, captions: max(
            captions, key=lambda text: picture @ captions[text] / captions[text].norm()
        ),
        lambda picture, captions: list(captions)[
            int(
                torch.cosine_similarity(
                    picture[None], torch.stack(list(captions.values())), dim=1
                ).argmax()
            )
        ],
        lambda picture, captions: sorted(
            captions, key=lambda text: cosine(picture, captions[text])
        )[-1],
    ],
    "6.4": [
        tuple(cut_off()),
        [word.upper() for word in cut_off()],
    ],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "6.1": [3, 40],
    "6.2": [lambda a, b: (a + b).sum(), lambda a, b: 1 - cosine(a, b)],
    "6.3": [
        lambda picture, captions: list(captions)[-1],
        # None of these looks at the picture; once they passed.
        lambda picture, captions: min(captions),
        lambda picture, captions: min(captions, key=len),
        lambda picture, captions: sorted(captions)[0] + "!",
    ],
    "6.4": [["cat"], ["a", "red", "cat", "wearing"]],
}

SECRETS = {
    "6.1": ["16", "sixteen"],
    "6.2": ["norm", "sqrt", "** 0.5", "cosine_similarity", "@"],
    "6.3": ["max(", "argmax", "max "],
    "6.4": ["wearing", "crown", "75"],
}

# Numbers that the lesson must not print from its exercises on: they are the answers.
NOT_PRINTED = r"(?<![\d.,])16(?!\d)"
