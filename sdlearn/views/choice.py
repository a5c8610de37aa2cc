"""A question with a few answers to choose from."""

from __future__ import annotations

import html
from collections.abc import Sequence


class Choice:
    """Radio buttons in a notebook, a list wherever widgets can't run.

    Attributes:
        question: What is asked.
        options: The answers to choose from.
    """

    def __init__(self, question: str, options: Sequence[str]) -> None:
        self.question = question
        self.options = tuple(options)
        self._buttons = None

    @property
    def chosen(self) -> str | None:
        """The answer chosen so far."""
        return self._buttons.value if self._buttons is not None else None

    def widget(self) -> object:
        """The widget: the question above its radio buttons."""
        from ipywidgets import HTML, Layout, RadioButtons, VBox

        if self._buttons is None:
            wide = Layout(width="auto")
            self._buttons = RadioButtons(options=self.options, value=None, layout=wide)
        heading = HTML(f"<strong>Predict first.</strong> {html.escape(self.question)}")
        return VBox([heading, self._buttons])

    def __repr__(self) -> str:
        """Question and answers as text."""
        answers = "".join(f"\n  ( ) {option}" for option in self.options)
        return f"Predict first. {self.question}{answers}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        answers = "".join(f"<li>{html.escape(option)}</li>" for option in self.options)
        shown = dict(self.widget()._repr_mimebundle_())
        shown["text/plain"] = repr(self)
        shown["text/html"] = (
            f"<div class='sd-predict'><strong>Predict first.</strong> "
            f"{html.escape(self.question)}<ul>{answers}</ul></div>"
        )
        return shown
