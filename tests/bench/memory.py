"""How much memory a function takes at its peak, above what was in use before."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
FORGET_PEAK = "5"  # what Linux takes as: from now on


def peak(function: Callable[[], object]) -> float | None:
    """MiB that a call needed beyond what was resident before it; None where Linux can't be asked.

    To be asked of a function that was called before: a first call may leave things behind that
    later ones use again.
    """
    gc.collect()
    try:
        RESET.write_text(FORGET_PEAK)
        before = _mebibytes("VmRSS")
        function()
        return _mebibytes("VmHWM") - before
    except OSError:
        return None


def _mebibytes(name: str) -> float:
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024
