"""A bar that grows while something is being trained."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Iterator

EVERY = 0.1
"""Seconds between two movements of the bar: drawing it must cost nothing."""


class Progress:
    """Passes on the losses of a training, and shows how far it has got.

    Attributes:
        losses: What the training says after each of its steps.
        steps: How many steps there will be.
        what: What is being trained, for the label.
    """

    def __init__(self, losses: Iterable[float], steps: int, what: str) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps must be a whole number, 1 or above, got {steps!r}.")
        self.losses, self.steps, self.what = losses, steps, what
        self._bar = None

    def widget(self) -> object:
        """The widget: label, bar, and the loss so far."""
        from ipywidgets import HTML, HBox, IntProgress, Layout

        if self._bar is None:
            self._bar = IntProgress(max=self.steps, layout=Layout(width="40%", min_width="6em"))
            self._said = HTML("")
            self._box = HBox([HTML(html.escape(self.what)), self._bar, self._said])
        return self._box

    def __iter__(self) -> Iterator[float]:
        """The losses, one by one; the bar moves as they are taken."""
        from IPython.display import display

        self.widget()
        display(self)
        recent, moved = 0.0, 0.0
        for step, loss in enumerate(self.losses, start=1):
            recent += (loss - recent) / min(step, 50)  # a single loss jumps about
            if step == self.steps or time.monotonic() - moved > EVERY:
                self._bar.value = step
                self._said.value = f"step {step:,} of {self.steps:,}, loss {recent:.3f}"
                moved = time.monotonic()
            yield loss

    def __repr__(self) -> str:
        """What is being trained, as text."""
        return f"[Training: {self.what}, {self.steps:,} steps]"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        shown = dict(self.widget()._repr_mimebundle_())
        shown["text/plain"] = repr(self)
        shown["text/html"] = f"<div class='sd-progress'>{html.escape(repr(self)[1:-1])}</div>"
        return shown


def progress(losses: Iterable[float], steps: int, what: str) -> Progress:
    """Watch a training: go through its losses in a ``for`` loop, and a bar shows how far it is.

    Args:
        losses: A training that yields its loss after every step.
        steps: How many steps it takes.
        what: What is being trained, in a few words.
    """
    return Progress(losses, steps, what)
