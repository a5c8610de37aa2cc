"""What every widget here is: one small module, shared helpers before it, a figure in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakSet

import anywidget
from IPython import get_ipython

from sdlearn.views.figure import Figure

HERE = Path(__file__).parent


def source(name: str, kind: str) -> str:
    """A widget's script ("js") or style ("css"), with what all of them share before it.

    A long script lies in several files: "name.part.js" goes before "name.js".
    """
    parts = [HERE / f"kit.{kind}", *sorted(HERE.glob(f"{name}.*.{kind}")), HERE / f"{name}.{kind}"]
    return "\n".join(part.read_text("utf-8") for part in parts)


class Widget(anywidget.AnyWidget):
    """A widget that has a figure for pages that can't run it, and answers what it is asked.

    A subclass says ``_esm = source("its file", "js")`` and ``_css`` likewise; the file is named as
    the Python module, which is how the book finds it.
    """

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(self._asked)
        _supersede(self)

    def figure(self) -> Figure | None:
        """What stands in the widget's place where scripts don't run; None if nothing can."""
        return None

    def said(self) -> str:
        """What it is, in a line of text."""
        raise NotImplementedError

    def answer(self, what: str, **given: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Answer the page's question `what`: things that JSON can say, and bytes.

        An error's text goes to the page, which shows it.
        """
        raise ValueError(f"This widget answers no questions, and was asked {what!r}.")

    def _asked(self, _: Any, message: Any, buffers: Any) -> None:
        number = message.get("ask") if isinstance(message, dict) else None
        if number is None:
            return
        try:
            told, data = self.answer(str(message.get("what")), **message.get("given", {}))
        except BaseException as error:  # whatever it is, the page waits for an answer
            self.send({"answer": number, "error": str(error) or type(error).__name__})
            if not isinstance(error, Exception):  # the kernel wants to hear of an interrupt, too
                raise
        else:
            self.send({**told, "answer": number}, data)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        made = super()._repr_mimebundle_(**options)
        data, more = made if isinstance(made, tuple) else (made, {})
        figure = self.figure()
        shown = figure._repr_mimebundle_() if figure is not None else {}
        return {**(data or {}), **shown, "text/plain": self.said()}, more


_of_cells: dict[str, tuple[str, WeakSet[Widget]]] = {}
"""For each cell of the notebook: its last run, and the widgets that this run made."""


def _supersede(widget: Widget) -> None:
    """Close what an earlier run of the cell made: ipywidgets would keep it to the kernel's end.

    With the view that the cell showed, its data, model and threads would have no more use.
    """
    parent = getattr(get_ipython(), "get_parent", dict)()
    cell, run = parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id")
    if not cell or not run:  # a console, a test, another editor
        return
    before, made = _of_cells.get(cell, ("", WeakSet()))
    if before != run:
        for old in list(made):
            old.close()
        made = WeakSet()
        _of_cells[cell] = run, made
    made.add(widget)
