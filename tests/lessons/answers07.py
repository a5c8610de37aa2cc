"""Lesson 07: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

import math

import numpy as np
import torch


def attention(q, k, v):
    scores = q @ k.T / q.shape[-1] ** 0.5
    shares = scores.exp() / scores.exp().sum(-1, keepdim=True)
    return shares @ v


def attention_place_by_place(q, k, v):
    """With loops, as one who doesn't think in tables."""
    result = []
    for query in q:
        scores = torch.stack([(query * key).sum() for key in k]) / math.sqrt(len(query))
        shares = torch.softmax(scores, dim=0)
        result.append(sum(share * value for share, value in zip(shares, v, strict=True)))
    return torch.stack(result)


def iou(looked, thing):
    return (looked & thing).sum() / (looked | thing).sum()


def iou_by_counting(looked, thing):
    both = either = 0
    for a, b in zip(looked.flatten().tolist(), thing.flatten().tolist(), strict=True):
        both += a and b
        either += a or b
    return both / either


def numbers():
    """By making the map, and counting."""
    latent = 768 // 8, 512 // 8
    return torch.empty(8, latent[0] // 2, latent[1] // 2, 77).numel()


def scaled(shares, position, factor):
    shares[:, position] *= factor
    return shares / shares.sum(-1, keepdim=True)


def scaled_by_scores(shares, position, factor):
    scores = shares.log()
    scores[:, position] += math.log(factor)
    return scores.softmax(-1)


SOLUTIONS = {"7.1": attention, "7.2": iou, "7.3": numbers(), "7.4": scaled}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "7.1": [
        attention_place_by_place,
        lambda q, k, v: torch.softmax(q @ k.T / math.sqrt(q.size(1)), dim=1) @ v,
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v),
        lambda q, k, v: attention(q.float(), k.float(), v.float()).numpy(),
        lambda q, k, v: torch.einsum("pw,wd->pd", (q @ k.T * len(q[0]) ** -0.5).softmax(-1), v),
    ],
    "7.2": [
        iou_by_counting,
        lambda a, b: (a & b).mean() / (a | b).mean(),
        lambda a, b: np.sum(a & b) / np.sum(a | b),
        lambda a, b: (a.astype(float) * b).sum() / np.maximum(a, b).astype(float).sum(),
        lambda a, b: (torch.from_numpy(a) & torch.from_numpy(b)).sum() / (a | b).sum(),
        lambda a, b: float((a & b).sum()) / float((a | b).sum()),
        lambda a, b: (a * b).sum() / (a + b).sum(),
        lambda a, b: (a & b).sum() / (a.sum() + b.sum() - (a & b).sum()),
    ],
    "7.3": [8 * 48 * 32 * 77, 77 * 8 * (96 // 2) * (64 // 2), float(numbers())],
    "7.4": [
        scaled_by_scores,
        lambda shares, position, factor: scaled(shares.float(), position, factor).numpy(),
        lambda shares, position, factor: list(scaled(shares, position, factor)),
    ],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "7.1": [
        lambda q, k, v: q,
        lambda q, k, v: v.mean(0).expand(len(q), -1),
    ],
    "7.2": [lambda a, b: 0.5, lambda a, b: 1 - iou(a, b)],
    "7.3": [77, 1_000_000],
    "7.4": [
        lambda shares, position, factor: scaled(shares, position + 1, factor),
        lambda shares, position, factor: (shares * factor).softmax(-1),
    ],
}

SECRETS = {
    "7.1": ["softmax(", "sqrt", "** 0.5", ".T", "square root"],
    "7.2": ["&", "|", "logical", "union"],
    "7.3": ["946", "48", "32", "* 8", "77"],
    "7.4": ["sum(", "[:, position]", "keepdim", "/ shares"],
}

# Numbers that the lesson must not print from its exercises on: they are the answers.
NOT_PRINTED = r"946[,._]?176"
