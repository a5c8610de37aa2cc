"""Fair comparisons on a machine that is never quite idle: interleaved pairs, medians."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

HEADER = f"{'':30} {'ours ms':>9} {'theirs ms':>9} {'ratio':>6}   min .. max"


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        title: What was measured.
        ours: Milliseconds here, one for each pair.
        theirs: Milliseconds of what it is compared with.
        goal: The largest ratio that is good enough; None where there is no goal.
        note: What else is worth a line's end.
        limit: The milliseconds that ours may take at most; None where nobody said.
    """

    title: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    goal: float | None = 1.0
    note: str = ""
    limit: float | None = None

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs, pair by pair: what slows the machine down slows both."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    @property
    def misses(self) -> bool:
        """Whether there is a goal or a limit, and it is not kept."""
        return bool(self.complaint)

    @property
    def complaint(self) -> str:
        """Which of them isn't kept, in words."""
        said = []
        if self.goal is not None and median(self.ratios) > self.goal:
            said.append(f"above the goal of {self.goal:g}")
        if self.limit is not None and median(self.ours) > self.limit:
            said.append(f"longer than {self.limit:,.0f} ms")
        return ", ".join(said)

    def __str__(self) -> str:
        """One aligned line."""
        ratio = median(self.ratios)
        return (
            f"{self.title:30} {median(self.ours):9.2f} {median(self.theirs):9.2f} {ratio:6.2f}"
            f"   {min(self.ratios):.2f} .. {max(self.ratios):.2f}"
            f"{self.complaint and f'   {self.complaint}'}"
            f"{self.note and f'   {self.note}'}"
        )


def in_turns(
    functions: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, tuple[float, ...]]:
    """Time several functions by turns; each round begins with another one.

    Args:
        functions: What is timed, by name.
        rounds: How many times; one more goes before to warm up.

    Returns:
        Milliseconds by name, one figure for each round.
    """
    names = list(functions)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            begin = time.perf_counter()
            functions[name]()
            times[name].append((time.perf_counter() - begin) * 1e3)
    return {name: tuple(taken[1:]) for name, taken in times.items()}


def in_pairs(
    title: str,
    ours: Callable[[], object],
    theirs: Callable[[], Callable[[], object]],
    *,
    pairs: int,
    goal: float | None = 1.0,
) -> Row:
    """Time two functions by turns, each going first as often as the other.

    Args:
        title: What is measured.
        ours: The function here.
        theirs: Makes the other function, anew for every pair and outside of the timing.
        pairs: How many times; one more goes before to warm up.
        goal: See `Row`.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs + 1):
        both = [(ours, times[0]), (theirs(), times[1])]
        for function, into in both if pair % 2 else reversed(both):
            begin = time.perf_counter()
            function()
            into.append((time.perf_counter() - begin) * 1e3)
    return Row(title, tuple(times[0][1:]), tuple(times[1][1:]), goal)
