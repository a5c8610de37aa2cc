"""What makes a training faster and changes nothing of what is learnt."""

from __future__ import annotations

import ctypes
import shutil
import sys

import torch
from torch import nn

_COMPILERS = ("c++", "g++", "clang++")
# What glibc's mallopt calls these settings; both are in bytes, and an int holds them.
_TRIM, _MAP = -1, -3
_LIMIT = 2**31 - 1


def keep_memory() -> bool:
    """Have the C library keep what a step frees for the next one; return whether it can.

    It gives large blocks back to the system at once, which then clears them page by page when they
    are asked for again. A training step on a CPU does so thousands of times.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library, which has no such settings
        return False
    return bool(adjust(_TRIM, _LIMIT)) and bool(adjust(_MAP, _LIMIT))


def compile_in_place(model: nn.Module, device: torch.device) -> None:
    """Have a model's calls compiled at the first step; its weights stay where they are.

    Raises:
        ValueError: Compiling for the CPU needs a C++ compiler, and there is none.
    """
    if device.type == "cpu" and not any(map(shutil.which, _COMPILERS)):
        raise ValueError(
            "--compile makes C++ of the model, and there is no compiler for it on this machine "
            f"({', '.join(_COMPILERS)}). Install one (Debian: apt-get install g++), or leave "
            "--compile out: the training is the same, and slower."
        )
    model.compile(dynamic=False)


def bfloat16_is_quick(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by itself, and not by way of float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # A private question, the only one there is: where torch doesn't know it, do without.
    asks = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return asks is not None and asks()
