"""An orderly end: Ctrl-C, or a cluster that takes its machine back, finds a checkpoint written."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

PATIENCE = 1.0
"""Seconds within which a repeated signal is the same wish: launchers pass on what the keyboard
has already sent to everybody."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """A training was asked to end, and has ended with a checkpoint. Its text says how to go on."""


class Asked:
    """Listens for Ctrl-C and for the signal to end. A second Ctrl-C ends at once.

    Attributes:
        yes: Whether the end was asked for.
    """

    def __init__(self) -> None:
        self.yes = False

    def __enter__(self) -> Asked:
        # Only the main thread may listen; elsewhere a signal keeps its usual effect.
        here = threading.current_thread() is threading.main_thread()
        self._before = {s: signal.signal(s, self._hear) for s in _SIGNALS} if here else {}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.yes:
            self.yes, self._since = True, now
        elif number == signal.SIGINT and now - self._since > PATIENCE:
            raise KeyboardInterrupt
