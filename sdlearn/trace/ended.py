"""A run that somebody broke off leaves what it has; who needs the whole one stops as well."""

from __future__ import annotations

from sdlearn.trace.trace import Trace


def ended(trace: Trace) -> Trace:
    """A trace as it came, if its run came to its end.

    Args:
        trace: What a run left.

    Raises:
        KeyboardInterrupt: The run was interrupted: half of a picture is none, and nobody who
            pressed Ctrl-C wants the next one begun.
    """
    if trace.interrupted:
        raise KeyboardInterrupt
    return trace
