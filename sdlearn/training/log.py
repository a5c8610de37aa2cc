"""The log of a stage: one line of a CSV for each step."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

HEAD = ["step", "loss", "per_second", "rate", "figures"]


class Log:
    """Writes a stage's log; lines after the checkpoint that is resumed from are cut off.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, begin: int) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        with open(draft, "w", newline="") as file:
            kept = [row for row in _rows(path) if int(row[0]) <= begin]
            csv.writer(file).writerows([HEAD, *kept])
        os.replace(draft, path)

    def write(
        self, step: int, loss: float, speed: float, rate: float, figures: Mapping[str, float]
    ) -> None:
        """Add a step: its number, loss, samples a second, learning rate, and other figures."""
        said = " ".join(f"{name}={value:.5g}" for name, value in figures.items())
        with open(self.path, "a", newline="") as file:
            row = [step, f"{loss:.6f}", f"{speed:.1f}", f"{rate:.2e}", said]
            csv.writer(file).writerow(row)


def read(path: Path) -> dict[str, Sequence[float]]:
    """A log's columns by name: ``step``, ``loss``, and each of the stage's own figures."""
    columns: dict[str, list[float]] = {"step": [], "loss": []}
    for row in _rows(path):
        columns["step"].append(int(row[0]))
        columns["loss"].append(float(row[1]))
        for figure in row[4].split():
            name, _, value = figure.partition("=")
            columns.setdefault(name, []).append(float(value))
    length = len(columns["step"])
    return {name: values for name, values in columns.items() if len(values) == length}


def hours(path: Path, batch: int) -> float:
    """How long the logged steps took, each of `batch` samples."""
    return sum(batch / max(float(row[2]), 1e-9) for row in _rows(path)) / 3600


def _rows(path: Path) -> list[list[str]]:
    """The whole lines: one that was cut short by a crash is left out."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return [row for row in csv.reader(file) if len(row) == len(HEAD) and row[0].isdigit()]
