"""Views: records and tensors in, figures out. They run no model and open no windows."""

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
    "word_maps",
]
