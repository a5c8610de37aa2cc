"""What the machine has, found by cheap looks: cores, memory, an accelerator. Imports no torch."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def accelerator() -> str | None:
    """Return "cuda" or "mps" when the machine has such a GPU with its driver, else None."""
    driver = Path("/proc/driver/nvidia/version")
    if driver.is_file() or shutil.which("nvidia-smi"):
        return "cuda"
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "mps"
    return None


def memory() -> tuple[int | None, int | None]:
    """Return free and total memory in bytes, or (None, None) where the system does not say."""
    try:
        if sys.platform == "darwin":
            return _memory_mac()
        return _memory_windows() if os.name == "nt" else _memory_linux()
    except (OSError, ValueError, KeyError, AttributeError, subprocess.SubprocessError):
        return None, None


def _memory_linux(root: Path = Path("/")) -> tuple[int, int]:
    lines = (root / "proc" / "meminfo").read_text(encoding="ascii").splitlines()
    kib = {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}
    free, total = kib["MemAvailable"] * 1024, kib["MemTotal"] * 1024
    group = root / "sys" / "fs" / "cgroup"
    limit, used = group / "memory.max", group / "memory.current"
    if limit.is_file() and limit.read_text().strip().isdigit():  # a container with less than all
        total = min(total, int(limit.read_text()))
        stat = (group / "memory.stat").read_text().splitlines()
        parts = {name: int(size) for name, size in (line.split() for line in stat)}
        # Files that were read stay in memory as long as nobody needs it, and are counted as used.
        kept = parts.get("inactive_file", 0) + parts.get("active_file", 0)
        free = max(0, min(free, total - int(used.read_text()) + kept))
    return free, total


def _memory_mac() -> tuple[int, int]:
    total = int(_output("sysctl", "-n", "hw.memsize"))
    page = int(_output("sysctl", "-n", "hw.pagesize"))
    pages = dict(line.split(":") for line in _output("vm_stat").splitlines()[1:] if ":" in line)
    idle = ("Pages free", "Pages inactive", "Pages speculative", "Pages purgeable")
    return sum(int(pages.get(name, "0").strip(" .")) for name in idle) * page, total


def _memory_windows() -> tuple[int, int]:
    fields = (
        "total",
        "free",
        "page_total",
        "page_free",
        "virtual_total",
        "virtual_free",
        "extended",
    )

    class Status(ctypes.Structure):  # MEMORYSTATUSEX
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong) for name in fields
        ]

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return status.free, status.total


def _output(*line: str) -> str:
    return subprocess.run(line, capture_output=True, text=True, timeout=2, check=True).stdout
