"""The trace explorer: scrub through a run, light up its words, read its numbers."""

from __future__ import annotations

from typing import Any

import traitlets

from sdlearn.trace import Trace
from sdlearn.views.figure import Figure
from sdlearn.views.runs import run
from sdlearn.views.widgets.packing import Blob, pack
from sdlearn.views.widgets.widget import Widget, source

PARTS = ("x0", "xt", "eps", "eps_cond", "eps_uncond", "difference", "channels")
"""What of a step can be shown; which of them depends on what the run recorded."""


class TraceExplorer(Widget):
    """One run to look around in, or two in step.

    Where widgets can't run (a page on the web that shows notebooks), a figure takes its place.

    Attributes:
        sides: The header of each run.
        blob: The bytes of all of them.
        place: Which of the kept steps is shown, from 0.
        part: What is shown of it, one of `PARTS`.
        word: The word whose attention is laid over the picture, or "".
    """

    _esm = source("explorer", "js")
    _css = source("explorer", "css")
    sides = traitlets.List().tag(sync=True)
    blob = traitlets.Bytes(b"").tag(sync=True)
    place = traitlets.Int(0).tag(sync=True)
    part = traitlets.Unicode("x0").tag(sync=True)
    word = traitlets.Unicode("").tag(sync=True)

    def __init__(self, traces: tuple[Trace, ...], *, frames: int, word: str) -> None:
        blob = Blob()
        sides = [pack(trace, blob, frames=frames, also=word) for trace in traces]
        last = max(len(side["steps"]) for side in sides) - 1
        super().__init__(sides=sides, blob=blob.bytes(), place=last, word=word)
        self._first: Trace | None = traces[0]

    @traitlets.validate("place")
    def _known_place(self, proposal: Any) -> int:
        kept = max((len(side["steps"]) for side in self.sides), default=0)
        if kept and not 0 <= proposal["value"] < kept:
            raise ValueError(
                f"place must be from 0 to {kept - 1}: {kept} steps are kept. "
                f"Got {proposal['value']}."
            )
        return proposal["value"]

    @traitlets.validate("word")
    def _known_word(self, proposal: Any) -> str:
        word = proposal["value"]
        shown = {one["text"].lower(): one["text"] for side in self.sides for one in side["words"]}
        if word and word.lower() not in shown:
            raise ValueError(
                f"word must be one that it shows, or '' for none; got {word!r}. It shows "
                f"{', '.join(shown.values()) or 'none: the run kept no attention'}. A phrase is "
                f"named when it is made: trace.explore(word={word!r})."
            )
        return word

    @traitlets.validate("part")
    def _known_part(self, proposal: Any) -> str:
        if proposal["value"] not in PARTS:
            raise ValueError(f"part must be one of {', '.join(PARTS)}, got {proposal['value']!r}.")
        return proposal["value"]

    def figure(self) -> Figure | None:
        """The first run's steps, in a row."""
        if self._first is None:
            return None
        return run(self._first)

    def close(self) -> None:
        """Close it, and let go of the runs and so of the model."""
        super().close()
        self._first = None

    def said(self) -> str:
        """What it shows, in a line of text."""
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
        word: A word to light up at the beginning, or a phrase: it gets a button of its own.
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
