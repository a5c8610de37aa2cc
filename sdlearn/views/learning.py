"""How a training went: its loss and other figures over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sdlearn.views import style
from sdlearn.views.figure import Figure
from sdlearn.views.values import numbers


def learning(
    steps: Sequence[float], figures: Mapping[str, Sequence[float]], *, title: str, alt: str = ""
) -> Figure:
    """One panel for each figure: every step faint, and a running mean that can be followed.

    Args:
        steps: The steps' numbers, shape [n].
        figures: For each name its value at every step, shape [n]; a ``loss`` is shown in
            factors of ten.
        title: What was trained.
        alt: What it shows, in words; by default the first and last values.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    if not figures or len(steps) < 2:
        raise ValueError("figures must hold at least one line of at least two steps.")
    smooth = {name: _running_mean(numbers(values)) for name, values in figures.items()}
    with style.house():
        drawing = MatplotlibFigure(
            figsize=(style.WIDTH, 1.9 * len(figures) + 0.5), layout="constrained"
        )
        axes = drawing.subplots(len(figures), 1, sharex=True, squeeze=False)[:, 0]
        for number, (axis, (name, values)) in enumerate(zip(axes, figures.items(), strict=True)):
            colour = style.CYCLE[number % len(style.CYCLE)]
            axis.plot(steps, values, color=colour, alpha=0.25, lw=0.8)
            axis.plot(steps, smooth[name], color=colour)
            axis.set_ylabel(name)
            if name == "loss":
                axis.set_yscale("log")
        axes[0].set_title(title)
        axes[-1].set_xlabel("step")
    told = [f"{name} from {line[0]:.3g} to {line[-1]:.3g}" for name, line in smooth.items()]
    said = alt or f"{title} over {steps[-1]:.0f} steps: {', '.join(told)}."
    return Figure(drawing, said)


def _running_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the steps around each step, as far as there are any."""
    reach = max(1, len(values) // 100)
    total = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(0, places - reach), np.minimum(len(values), places + reach + 1)
    return (total[high] - total[low]) / (high - low)
