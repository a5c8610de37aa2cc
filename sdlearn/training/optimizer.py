"""The optimizer: Muon for the matrices inside a network, Adam for everything else.

Adam looks at each number of a matrix alone. Muon looks at the whole: it takes the step that
Adam's momentum would take and makes all its directions equally long, so that the many small ones
are learnt as fast as the few large ones. On our autoencoder that saves three steps out of four.

Muon is Keller Jordan's (2024); that a step's length is matched to Adam's, so that one learning
rate serves both, is from "Muon is Scalable for LLM Training", 2502.16982.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

THIN = 16  # a matrix with fewer rows or columns has too few directions to make equal
ADAM_LENGTH = 0.2  # the usual root mean square of Adam's step, in learning rates
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Muon for the weights of linear and convolutional layers, AdamW for the rest.

    Args:
        model: What learns.
        rate: The learning rate of both.
        momentum: How much of the last step's direction stays in Muon's.
        betas: Adam's two memories.
        weight_decay: What share of a weight goes at each step, in learning rates.
    """

    def __init__(
        self,
        model: nn.Module,
        rate: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        inner = {id(weight) for weight in matrices(model)}
        every = list(model.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in every if id(p) in inner], "matrices": True},
            {"params": [p for p in every if id(p) not in inner], "matrices": False},
        ]
        settings = {
            "lr": rate,
            "momentum": momentum,
            "betas": betas,
            "weight_decay": weight_decay,
        }
        super().__init__([group for group in groups if group["params"]], settings)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            move = self._muon if group["matrices"] else self._adam
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.sub_(move(weight.grad, self.state[weight], group), alpha=group["lr"])

    @staticmethod
    def _muon(gradient: Tensor, memory: dict[str, Any], group: dict[str, Any]) -> Tensor:
        if not memory:
            memory["momentum"] = torch.zeros_like(gradient)
        memory["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(memory["momentum"], group["momentum"])
        direction = evened(ahead.flatten(1))
        length = ADAM_LENGTH * math.sqrt(max(direction.shape))
        return (direction * length).view_as(gradient).to(gradient)

    @staticmethod
    def _adam(gradient: Tensor, memory: dict[str, Any], group: dict[str, Any]) -> Tensor:
        if not memory:
            memory["step"] = torch.zeros(())
            memory["mean"] = torch.zeros_like(gradient)
            memory["square"] = torch.zeros_like(gradient)
        first, second = group["betas"]
        memory["step"] += 1
        step = memory["step"].item()
        memory["mean"].lerp_(gradient, 1 - first)
        memory["square"].lerp_(gradient.square(), 1 - second)
        mean = memory["mean"] / (1 - first**step)
        square = memory["square"] / (1 - second**step)
        return mean / (square.sqrt() + 1e-8)


def matrices(model: nn.Module) -> Iterator[Tensor]:
    """The weights that Muon moves: of layers inside the network, not of its thin ends."""
    for layer in model.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        rows, columns = layer.weight.shape[:2]
        if min(rows, columns) >= THIN:
            yield layer.weight


def evened(matrix: Tensor, rounds: int = 5) -> Tensor:
    """The matrix with all its singular values near 1: U V^T, where the matrix is U S V^T.

    A few rounds of a polynomial do it (Newton and Schulz), with matrix products alone and no
    decomposition; between 0.7 and 1.2 is near enough, and bfloat16 exact enough.
    """
    a, b, c = COEFFICIENTS
    upright = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if upright else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if upright else x
