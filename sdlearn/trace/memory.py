"""How much memory a recording takes: reckoned before the run, counted after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from sdlearn.trace import markup

PARTS = ("latents", "noise", "attention", "self_attention")
"""What a run can keep."""


@dataclass(frozen=True)
class Cost:
    """What a recording takes, in bytes by part."""

    latents: int = 0
    noise: int = 0
    attention: int = 0
    self_attention: int = 0

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(getattr(self, name) for name in PARTS)

    def __str__(self) -> str:
        parts = {name: getattr(self, name) for name in PARTS}
        listed = ", ".join(f"{name} {markup.amount(b)}" for name, b in parts.items() if b)
        return f"{markup.amount(self.total)}" + (f" ({listed})" if listed else "")

    def _repr_html_(self) -> str:
        rows = [(name, markup.amount(getattr(self, name))) for name in (*PARTS, "total")]
        return markup.table(rows, head=("recorded", "memory"))


def held(tensors: Iterable[Tensor]) -> int:
    """Returns the bytes that the tensors keep from being freed.

    Two views of one tensor count once, and a view of a part counts whole: it keeps all of it.
    """
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({(s.device, s.data_ptr()): s.nbytes() for s in storages}.values())


def same_place(tensor: Tensor) -> tuple:
    """Returns what two tensors have in common exactly if they are the same numbers in memory."""
    return (
        tensor.device,
        tensor.data_ptr(),
        tensor.dtype,
        tuple(tensor.shape),
        tensor.stride(),
    )
