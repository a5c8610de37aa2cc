"""On what a model runs, and in which precision: sensible choices, and errors that say why not.

Loading asks here (`sdlearn.models.places`), and so does moving a model that is loaded.
"""

from __future__ import annotations

import torch

DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "float16": torch.float16,
    "fp16": torch.float16,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
}


def choose_device(asked: str | torch.device | None = None, *, pocket: bool = False) -> torch.device:
    """Return the device that was asked for, or the best that is here: CUDA, then MPS, then CPU.

    Args:
        asked: A device, or None.
        pocket: A pocket model takes a second for a picture on any CPU. It stays there unless
            somebody asks, so that the lessons show the same numbers on every machine.
    """
    if asked is None and pocket:
        return torch.device("cpu")
    if asked is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except (RuntimeError, TypeError, ValueError):
        raise ValueError(
            f"device={asked!r} is no device of torch's. Allowed: 'cpu', 'cuda', 'cuda:1', 'mps', "
            "or None for the best that is here."
        ) from None
    if device.type == "cuda":
        _check_cuda(device)
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(
            "mps was asked for, but this machine has no Apple GPU that this torch can use. "
            "Leave device out, or say 'cpu'."
        )
    elif device.type not in ("cpu", "mps"):
        raise ValueError(f"Models run on cpu, cuda or mps, not on {device.type}.")
    return device


def _check_cuda(device: torch.device) -> None:
    if torch.version.cuda is None and torch.version.hip is None:
        raise ValueError(
            "cuda was asked for, but this torch has no CUDA: it is a build for the CPU. Leave "
            "device out, say 'cpu', or install a CUDA build of torch."
        )
    if not torch.cuda.is_available():
        raise ValueError(
            "cuda was asked for, but torch finds no CUDA GPU or no working driver. Leave device "
            "out, or say 'cpu'."
        )
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        raise ValueError(
            f"{device} was asked for, but there are {count} CUDA GPUs, counted from cuda:0."
        )


def choose_dtype(
    asked: str | torch.dtype | None, device: torch.device, *, pocket: bool
) -> torch.dtype:
    """Return the precision that was asked for, or a sensible one.

    Args:
        asked: A name such as "float16", a dtype of torch's, or None.
        device: Half precision is the default on a GPU; a CPU computes in full.
        pocket: A pocket model is small enough to compute in full precision everywhere, so that
            everybody gets the same pictures.
    """
    if asked is None:
        return torch.float32 if pocket or device.type == "cpu" else torch.float16
    return known_dtype(asked)


def known_dtype(asked: str | torch.dtype) -> torch.dtype:
    """Return a precision that networks compute in, by its name or torch's own object."""
    dtype = DTYPES.get(asked) if isinstance(asked, str) else asked
    if dtype not in DTYPES.values():
        raise ValueError(f"dtype={asked!r} is not one of {', '.join(DTYPES)} (or torch's own).")
    return dtype
