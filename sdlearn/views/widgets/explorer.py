"""The trace explorer: scrub through a run, light up its words, read its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from sdlearn.trace import Trace
from sdlearn.views.runs import run
from sdlearn.views.widgets.packing import Blob, pack

HERE = Path(__file__).parent


class TraceExplorer(anywidget.AnyWidget):
    """One run to look around in, or two in step.

    Where widgets can't run (a page on the web that shows notebooks), a figure takes its place.

    Attributes:
        sides: The header of each run.
        blob: The bytes of all of them.
        place: Which of the kept steps is shown, from 0.
        part: What is shown of it.
        word: The word whose attention is laid over the picture, or "".
    """

    _esm = HERE / "explorer.js"
    _css = HERE / "explorer.css"
    sides = traitlets.List().tag(sync=True)
    blob = traitlets.Bytes(b"").tag(sync=True)
    place = traitlets.Int(0).tag(sync=True)
    part = traitlets.Unicode("x0").tag(sync=True)
    word = traitlets.Unicode("").tag(sync=True)

    def __init__(self, traces: tuple[Trace, ...], *, frames: int, word: str) -> None:
        blob = Blob()
        sides = [pack(trace, blob, frames=frames) for trace in traces]
        last = max(len(side["steps"]) for side in sides) - 1
        super().__init__(sides=sides, blob=blob.bytes(), place=last, word=word)
        self._first = traces[0]

    def _repr_mimebundle_(self, **options: Any) -> Any:
        made = super()._repr_mimebundle_(**options)
        data, more = made if isinstance(made, tuple) else (made, {})
        figure = run(self._first)._repr_mimebundle_()
        return {**(data or {}), **figure, "text/plain": self._said()}, more

    def _said(self) -> str:
        prompts = " and ".join(f"“{side['prompt']}”" for side in self.sides)
        return f"[Trace explorer: {len(self.sides[0]['steps'])} steps of the run for {prompts}]"


def explore(
    trace: Trace, other: Trace | None = None, *, frames: int = 32, word: str = ""
) -> TraceExplorer:
    """A widget to look around in a run: its steps, parts, words and numbers.

    Args:
        trace: The run of one picture; of a batch, take ``trace.of(0)``.
        other: A second run, shown beside it and moved in step.
        frames: At most so many steps, evenly chosen.
        word: A word to light up at the beginning.
    """
    if isinstance(frames, bool) or not isinstance(frames, int) or not 2 <= frames <= 100:
        raise ValueError(f"frames must be a whole number from 2 to 100, got {frames!r}.")
    for name, given in (("trace", trace), ("other", other)):
        if not isinstance(given, Trace) and not (name == "other" and given is None):
            raise TypeError(f"{name} must be a Trace, got a {type(given).__name__}.")
    traces = (trace,) if other is None else (trace, other)
    if word:
        for one in traces:
            one.attention[word]  # says which words there are, if this is none of them
    return TraceExplorer(traces, frames=frames, word=word)
