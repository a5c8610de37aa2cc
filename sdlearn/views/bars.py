"""Bars: a few named shares or amounts, longest to be seen at a glance."""

from __future__ import annotations

from collections.abc import Mapping

from sdlearn.views import style
from sdlearn.views.figure import Figure


def bars(
    values: Mapping[str, float],
    *,
    xlabel: str,
    alt: str,
    title: str = "",
    form: str = "{:.2f}",
    level: tuple[float, str] | None = None,
) -> Figure:
    """Named values as horizontal bars, each with its number at its end.

    Args:
        values: For each name its value, from 0 up; drawn from top to bottom.
        xlabel: What is counted to the right.
        alt: What the figure shows, in words.
        title: A title, at best what one should see.
        form: How a number is written, such as ``"{:.0%}"``.
        level: A vertical line with a label, such as (0.1, "by chance").
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    if not values:
        raise ValueError("values must hold at least one bar.")
    if any(not float(value) >= 0 for value in values.values()):  # NaN as well
        raise ValueError(f"values must be numbers from 0 up, got {dict(values)}.")
    amounts = [float(value) for value in values.values()]
    with style.house():
        height = 0.42 * len(amounts) + 0.9 + 0.3 * bool(title)
        drawing = MatplotlibFigure(figsize=(style.WIDTH, height), layout="constrained")
        axis = drawing.subplots()
        drawn = axis.barh(
            [style.plain(name) for name in values], amounts, color=style.BLUE, height=0.62
        )
        slip = {"facecolor": style.PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
        axis.bar_label(drawn, [form.format(amount) for amount in amounts], padding=5, bbox=slip)
        axis.invert_yaxis()  # the first name on top
        axis.margins(x=0.12)
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0, labelcolor=style.INK)
        axis.xaxis.set_major_formatter(lambda amount, _: form.format(amount))
        axis.set_xlabel(xlabel)
        axis.set_title(title)
        if level is not None:
            line = axis.axvline(level[0], color=style.MUTED, lw=1.4, ls="--")
            drawing.legend([line], [level[1]], loc="outside lower right")
    return Figure(drawing, alt)
