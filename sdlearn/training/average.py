"""Averaged weights: steadier than the weights themselves, and what is kept in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The exponential moving average of a model's weights.

    Attributes:
        keep: How much of the average stays at each step, once the beginning is over.
        weights: The average, by the parameters' names.
    """

    def __init__(self, model: nn.Module, keep: float) -> None:
        self.keep = keep
        self.weights = {n: p.detach().clone().float() for n, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model's weights; quickly at first, when all is still wrong."""
        keep = min(self.keep, (1 + step) / (10 + step))
        now = [p.detach().float() for _, p in model.named_parameters()]
        torch._foreach_lerp_(list(self.weights.values()), now, 1 - keep)

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor]) -> None:
        """Take over weights, by name; in place, so that their layout in memory stays.

        Raises:
            KeyError: They have other names, or other shapes.
        """
        shapes = [{n: t.shape for n, t in one.items()} for one in (weights, self.weights)]
        if other := sorted(n for n, _ in shapes[0].items() ^ shapes[1].items()):
            raise KeyError(f"{other[0]} is not as in the model, and {len(other) - 1} more")
        for name, mine in self.weights.items():
            mine.copy_(weights[name])

    @torch.no_grad()
    def put_into(self, model: nn.Module) -> None:
        """Overwrite a model's weights with the averaged ones."""
        for name, parameter in model.named_parameters():
            parameter.copy_(self.weights[name])

    @contextmanager
    def shown_by(self, model: nn.Module) -> Iterator[None]:
        """Lend the model the averaged weights, to show what it can do."""
        kept = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.put_into(model)
        model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(kept[name])
            model.train()
