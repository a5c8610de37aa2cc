"""What makes a training faster and changes nothing of what is learnt."""

from __future__ import annotations

import ctypes
import shutil
import sys
import time

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


def bfloat16_learns_faster(device: torch.device) -> bool:
    """Whether a convolution, there and back, takes less time in bfloat16 than in float32.

    On a CPU that is measured, in half a second. Having instructions for it says too little: two
    processors that have them multiplied matrices in half the time, and one of them took a quarter
    of the time for a convolution, the other half as long again. Convolutions are most of our work.
    """
    if device.type != "cpu" or not bfloat16_is_quick(device):
        return bfloat16_is_quick(device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several wait for each other where something else runs, too
    try:
        both = [(convolving(torch.bfloat16), convolving(torch.float32)) for _ in range(8)]
    finally:
        torch.set_num_threads(threads)
    half, full = zip(*both, strict=True)
    return min(half) < min(full)  # the best of each, for the same reason


def convolving(dtype: torch.dtype) -> float:
    """Seconds that a convolution takes on the CPU, there and back."""
    weight = torch.ones(64, 64, 3, 3, dtype=dtype, requires_grad=True)
    x = torch.ones(8, 64, 32, 32, dtype=dtype, requires_grad=True)
    pixels = x.contiguous(memory_format=torch.channels_last)
    begin = time.perf_counter()
    y = nn.functional.conv2d(pixels, weight, padding=1)
    torch.autograd.grad(y, (pixels, weight), torch.ones_like(y))
    return time.perf_counter() - begin


def bfloat16_is_quick(device: torch.device) -> bool:
    """Whether a device multiplies matrices in bfloat16 by itself, not by way of float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # A private question, the only one there is: where torch doesn't know it, do without.
    asks = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return asks is not None and asks()
