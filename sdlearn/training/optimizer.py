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
from torch import Tensor, distributed, nn

from sdlearn.training import speed

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
            moving = [weight for weight in group["params"] if weight.grad is not None]
            moves = self._muon if group["matrices"] else self._adam
            for weight, move in zip(moving, moves(moving, group), strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(move, alpha=group["lr"])

    def _muon(self, weights: list[Tensor], group: dict[str, Any]) -> Iterator[Tensor]:
        ahead = []
        for weight in weights:
            gradient, memory = weight.grad, self.state[weight]
            if not memory:
                memory["momentum"] = torch.zeros_like(gradient)
            memory["momentum"].lerp_(gradient, 1 - group["momentum"])
            ahead.append(gradient.lerp(memory["momentum"], group["momentum"]).flatten(1))
        for weight, direction in zip(weights, all_evened(ahead), strict=True):
            length = ADAM_LENGTH * math.sqrt(max(direction.shape))
            yield (direction.float() * length).view_as(weight).to(weight)

    def _adam(self, weights: list[Tensor], group: dict[str, Any]) -> Iterator[Tensor]:
        for weight in weights:
            yield self._adams_move(weight.grad, self.state[weight], group)

    @staticmethod
    def _adams_move(gradient: Tensor, memory: dict[str, Any], group: dict[str, Any]) -> Tensor:
        if not memory:
            memory["step"] = torch.zeros(())
            memory["mean"] = torch.zeros_like(gradient)
            memory["square"] = torch.zeros_like(gradient)
        first, second = group["betas"]
        memory["step"] = memory["step"].cpu() + 1  # on a GPU somebody would have to wait for it
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


def all_evened(matrices: list[Tensor]) -> list[Tensor]:
    """`evened` of many matrices. Several processes hold the same ones, so they share the work.

    Each fills in its own and leaves zeros elsewhere; the sum of all is the whole, to the last bit.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or not matrices:
        return [evened(matrix) for matrix in matrices]
    rank, count = distributed.get_rank(), distributed.get_world_size()
    every = matrices[0].new_zeros(sum(map(torch.numel, matrices)), dtype=torch.float32)
    places = every.split([matrix.numel() for matrix in matrices])
    costs = [min(matrix.shape) * matrix.numel() for matrix in matrices]
    by_cost = sorted(range(len(matrices)), key=costs.__getitem__)
    for number in by_cost[rank::count]:
        places[number].copy_(evened(matrices[number]).flatten())
    distributed.all_reduce(every)
    return [place.view_as(matrix) for place, matrix in zip(places, matrices, strict=True)]


def evened(matrix: Tensor, rounds: int = 5) -> Tensor:
    """The matrix with all its singular values near 1: U V^T, where the matrix is U S V^T.

    A few rounds of a polynomial do it (Newton and Schulz), with matrix products alone and no
    decomposition; between 0.7 and 1.2 is near enough, and bfloat16 exact enough. Where a machine
    computes in bfloat16 only by a detour, float32 takes less than half the time.
    """
    a, b, c = COEFFICIENTS
    upright = matrix.shape[0] > matrix.shape[1]
    quick = torch.bfloat16 if speed.bfloat16_is_quick(matrix.device) else torch.float32
    x = (matrix.T if upright else matrix).to(quick)
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if upright else x
