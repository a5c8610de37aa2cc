"""Going back: what a run held before a step, for a step that is broken off in its middle.

A scheduler remembers where it is, and some remember half a step: Heun's first derivative, the
sample that PLMS tries its first step from. With the sample alone put back, the step would be taken
anew by a scheduler that stands in the middle of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Before:
    """A moment to go back to.

    Args:
        scheduler: Its tensors are copied, as it may write into them.
        others: Objects whose tensors nobody writes into; their lists and dicts are copied.
        source: The generators that the scheduler draws from: one, a list of them, or None.
    """

    def __init__(self, scheduler: Any, others: Sequence[Any], source: Any) -> None:
        self._held = [(scheduler, {name: _whole(v) for name, v in vars(scheduler).items()})]
        self._held += [(one, {name: _own(v) for name, v in vars(one).items()}) for one in others]
        drawn = source if isinstance(source, list) else [source]
        drawn = [one for one in drawn if isinstance(one, torch.Generator)]
        self._states = [(one, one.get_state()) for one in drawn]

    def restore(self) -> None:
        """Put everything back."""
        for one, held in self._held:
            vars(one).clear()
            vars(one).update(held)
        for generator, state in self._states:
            generator.set_state(state)


def _own(value: Any) -> Any:
    """A list or dict of one's own, with the same things in it."""
    return value.copy() if type(value) in (list, dict) else value


def _whole(value: Any) -> Any:
    """The same with copies of the tensors in it."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    return [_whole(one) for one in value] if type(value) is list else value
