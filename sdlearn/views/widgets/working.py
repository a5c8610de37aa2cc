"""Work that the page asks for, on a thread beside the kernel's: the newest job alone."""

from __future__ import annotations

import threading
from collections.abc import Callable

Job = Callable[[threading.Event], None]
"""``job(cancelled)`` looks at its event from time to time, and raises `Cancelled` when it is set.
It handles its own errors."""


class Cancelled(Exception):
    """A job was told to stop, and did."""


class Worker:
    """Does one job at a time, and of those that wait only the newest.

    Its thread is there as long as there is work, and no longer: an idle worker is nothing but
    this object.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: tuple[Job, threading.Event] | None = None
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, job: Job) -> None:
        """Do this next; what is being done is cancelled, what waited is forgotten."""
        with self._lock:
            self._cancelled.set()
            self._cancelled = threading.Event()
            self._waiting = job, self._cancelled
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="sdlearn-draws", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Cancel what is being done, and forget what waits."""
        with self._lock:
            self._waiting = None
            self._cancelled.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to do; return whether that came about in time."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return self._thread is None

    @property
    def superseded(self) -> bool:
        """Whether a newer job waits already."""
        return self._waiting is not None

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._waiting is None:
                    self._thread = None
                    return
                (job, cancelled), self._waiting = self._waiting, None
            job(cancelled)
