"""One step ahead: while a step is computed, another thread makes the next step's batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(make: Callable[[int], T], steps: Iterable[int]) -> Iterator[T]:
    """Yield ``make(step)`` for each step, in order, each made while the one before is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="batch") as thread:
        coming = None
        for step in steps:
            made, coming = coming, thread.submit(make, step)
            if made is not None:
                yield made.result()
        if coming is not None:
            yield coming.result()
