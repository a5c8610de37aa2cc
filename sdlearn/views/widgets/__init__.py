"""Widgets: what a notebook, and the book without a kernel, can play with.

Each is a small ES module beside its Python file; the data is packed once and lies in the page, so
that dragging a slider asks nobody.
"""

from sdlearn.views.widgets.explorer import TraceExplorer, explore

__all__ = ["TraceExplorer", "explore"]
