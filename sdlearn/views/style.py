"""The house style, set in one place: fonts, lines, and colours that everybody tells apart.

The colours are those of Okabe and Ito, but for their pale purple, which red-blind readers take
for sky blue: a wine red stands in its place (a test simulates it).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
SKY = "#56B4E9"
WINE = "#882255"
ORANGE = "#E69F00"
INK = "#1F2430"
MUTED = "#5E6675"
PAPER = "#FFFFFF"
RULE = "#D9DDE4"

CYCLE = (BLUE, VERMILION, GREEN, WINE, ORANGE, SKY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))

DENSITY_MAP = "viridis"
WIDTH = 8.0
"""Width of a figure in inches: a lesson's column."""


def plain(text: str) -> str:
    """A text for an axis: between two dollars matplotlib would read mathematics."""
    return text.replace("$", r"\$")


_SETTINGS = {
    "figure.dpi": 100,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "font.family": "DejaVu Sans",  # travels with matplotlib: the same letters on every machine
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
    "image.interpolation": "nearest",
    "svg.hashsalt": "sdlearn",
}


@contextmanager
def house() -> Iterator[None]:
    """Draw in the house style, and leave matplotlib's own settings as they were."""
    import matplotlib
    from cycler import cycler

    # From matplotlib's own settings, and not from those of the notebook: in a dark style's
    # colours nothing of ours could be read.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_SETTINGS, "axes.prop_cycle": cycler(color=CYCLE)})
        yield


def use() -> None:
    """Draw everything from now on in the house style (for scripts and a learner's own plots)."""
    import matplotlib
    from cycler import cycler

    matplotlib.rcParams.update({**_SETTINGS, "axes.prop_cycle": cycler(color=CYCLE)})
