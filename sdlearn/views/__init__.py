"""Views: records and tensors in, figures out. They run no model and open no windows.

`views.widgets`, what one can play with, is imported when it is first asked for.
"""

from importlib import import_module
from typing import Any

from sdlearn.views import style
from sdlearn.views.bars import bars
from sdlearn.views.figure import Figure
from sdlearn.views.learning import learning
from sdlearn.views.paths import paths
from sdlearn.views.plots import clouds, curves, density_map, histograms
from sdlearn.views.progress import progress
from sdlearn.views.runs import run, stations, word_maps
from sdlearn.views.strips import grid, strip
from sdlearn.views.tables import matrix
from sdlearn.views.unets import unets

__all__ = [
    "Figure",
    "bars",
    "clouds",
    "curves",
    "density_map",
    "grid",
    "histograms",
    "learning",
    "matrix",
    "paths",
    "progress",
    "run",
    "stations",
    "strip",
    "style",
    "unets",
    "word_maps",
]


def __getattr__(name: str) -> Any:
    if name == "widgets":
        return import_module("sdlearn.views.widgets")
    raise AttributeError(f"sdlearn.views has no {name!r}. It has: {', '.join(__all__)}, widgets.")
