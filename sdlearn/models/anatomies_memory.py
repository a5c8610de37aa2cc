"""How much memory a model needs: the one rule, and what of it a machine has free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdlearn import _machine

if TYPE_CHECKING:
    from sdlearn.models.anatomies import Part

GIB = 2**30

MARGIN = GIB
"""What comes on top of what is counted: Python with torch, diffusers and transformers takes 0.4 GiB
when nothing is loaded yet, and the kernels' own scratch space was 0.2 GiB at most when we ran an
SD 1.5 of random numbers on a CPU and watched. The rest is for what a machine does meanwhile."""

RULE = (
    "Needed = all weights together + what lives beside them at the worst moment (a step of the "
    "U-Net, or the decoder's last layers; counted in a rehearsal on shapes) + "
    f"{MARGIN // GIB} GiB for Python, PyTorch and its scratch space."
)
"""The rule, in words."""

SIZES = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of a number."""


@dataclass(frozen=True)
class Fit:
    """Whether a model fits into a memory, at a precision.

    Attributes:
        dtype: "float32", "float16" or "bfloat16".
        weights: Bytes of all weights.
        working: Bytes of the hungriest call beside them.
        memory: Bytes that there are; None where the machine doesn't say.
        margin: Bytes for Python, the libraries and their scratch space.
    """

    dtype: str
    weights: int
    working: int
    memory: int | None
    margin: int = MARGIN

    @classmethod
    def of(cls, parts: Sequence[Part], dtype: str, memory: float | None) -> Fit:
        """What the parts of a model need.

        Args:
            parts: As in an anatomy.
            dtype: The precision.
            memory: Bytes that there are; None where nobody knows.
        """
        if dtype not in SIZES:
            raise ValueError(f"dtype must be one of {', '.join(SIZES)}, got {dtype!r}.")
        weights = SIZES[dtype] * sum(part.parameters for part in parts)
        working = max(_beside(part, dtype) for part in parts)
        return cls(dtype, weights, working, None if memory is None else int(memory))

    @property
    def needed(self) -> int:
        """Weights, work and margin together."""
        return self.weights + self.working + self.margin

    @property
    def ok(self) -> bool | None:
        """Whether it fits; None where nobody knows."""
        return None if self.memory is None else self.needed <= self.memory


def _beside(part: Part, dtype: str) -> int:
    """The most bytes beside all weights while a part works."""
    if part.in_full and dtype == "float16":  # its weights become single precision meanwhile
        return part.working + part.parameters * (SIZES["float32"] - SIZES[dtype])
    return part.working * SIZES[dtype] // SIZES["float32"]


def positive(memory: float) -> float:
    """A number of bytes that somebody gave, if it can be one."""
    wrong = isinstance(memory, bool) or not isinstance(memory, (int, float))
    if wrong or not 0 < memory < math.inf:
        raise ValueError(
            f"memory must be a positive number of bytes, got {memory!r}. Eight gigabytes are 8e9."
        )
    return memory


def free_memory() -> int | None:
    """Bytes of memory that programs can still have; None where the system doesn't say."""
    return _machine.memory()[0]
