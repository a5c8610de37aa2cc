"""A run as a figure: what was there at each step, where the words looked, the stations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sdlearn.trace import Trace
from sdlearn.trace.look import MatrixLook
from sdlearn.views.figure import Figure
from sdlearn.views.plots import curves
from sdlearn.views.strips import grid, strip

ROWS = {"xt": "xt", "x0": "x0, estimated", "x_next": "x_next", "eps": "eps"}


def run(
    trace: Trace,
    parts: Sequence[str] = ("xt", "x0"),
    words: Sequence[str] = (),
    columns: int = 7,
    *,
    decoded: bool | None = None,
    title: str = "",
) -> Figure:
    """Chosen steps of a run side by side: a row for each part, and one for each word.

    Args:
        trace: The run of one picture.
        parts: Of each step: ``xt``, ``x0``, ``x_next``, or ``eps`` (a preview).
        words: Words whose attention is laid over the estimate.
        columns: How many steps, evenly chosen, the first and the last among them.
        decoded: Whether latents go through the decoder; else they are previewed, which is fast.
            None decodes them where the model is at hand: a run that was loaded comes without.
        title: A title above all.
    """
    one_of_a_batch(trace)
    parts, words = several(parts), several(words)
    if not trace.steps:
        raise ValueError("The run was stopped before its first step: there is nothing to draw.")
    decoded = not isinstance(trace.look, MatrixLook) if decoded is None else decoded
    chosen = [trace.steps[i] for i in evenly(len(trace), columns)]
    rows = []
    for part in parts:
        look = "image" if decoded and part != "eps" else "preview"
        rows.append([getattr(step, look)(part) for step in chosen])
    if words:
        shown = "image" if decoded else "preview"
        estimates = [getattr(step, shown)("x0") for step in chosen] if "x0" not in parts else None
        under = estimates or rows[list(parts).index("x0")]
    for word in words:
        maps = trace.attention[word]
        rows.append(
            [
                maps.at(step=nearest(trace.attention.steps, step.index)).mean().overlay(picture)
                for step, picture in zip(chosen, under, strict=True)
            ]
        )
    names = [ROWS.get(part, part) for part in parts] + [f"“{word}”" for word in words]
    told = ", ".join(names)
    return grid(
        rows,
        column_titles=[f"step {s.index + 1}\nt = {s.t:g}" for s in chosen],
        row_titles=names,
        title=title,
        alt=f"A run for “{trace.prompts[0]}” at {len(chosen)} of its {len(trace)} steps, from "
        f"noise on the left to the picture on the right. Rows: {told}.",
    )


def several(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several."""
    return (names,) if isinstance(names, str) else tuple(names)


def word_maps(trace: Trace, words: Sequence[str] = (), *, title: str = "") -> Figure:
    """The picture, and beside it where each word looked, over the whole run.

    Args:
        trace: The run of one picture.
        words: Which words; the first seven of the prompt if none is named.
        title: A title above all.
    """
    one_of_a_batch(trace)
    words = several(words)
    words = words or tuple(dict.fromkeys(word.lower() for word in trace.attention.words))[:7]
    pictures = [trace.attention[word].mean().overlay(trace.image) for word in words]
    return strip(
        [trace.image, *pictures],
        ["the picture", *(f"“{word}”" for word in words)],
        title=title,
        alt=f"The picture for “{trace.prompts[0]}”, and over darkened copies of it where each of "
        f"these words looked: {', '.join(words)}.",
    )


def stations(schedule: Any, *, title: str = "") -> Figure:
    """A schedule's stations: how noisy the sample is when the network is asked."""
    sigmas = schedule.sigmas.tolist()
    shown = [(i, sigma) for i, sigma in enumerate(sigmas) if 0 < sigma < float("inf")]
    if not shown:
        told = ", ".join(f"{sigma:g}" for sigma in sigmas)
        raise ValueError(
            f"This schedule's stations ({told}) have no place on an axis of powers of ten. Take "
            "more steps."
        )
    places, values = (list(column) for column in zip(*shown, strict=True))
    return curves(
        places,
        {schedule.name: values},
        xlabel="step",
        ylabel="sigma",
        logy=True,
        title=title or f"{len(schedule)} steps of {schedule.name}",
        alt=f"The noise per unit of picture in {len(schedule)} steps of {schedule.name}: "
        + (f"it falls from {values[0]:.3g} to " if len(values) > 1 else "")
        + f"{values[-1]:.3g}. What is infinite or 0 has no place here.",
    )


def evenly(count: int, columns: int) -> list[int]:
    """So many indices below `count`, the first and the last among them, without repeats."""
    if columns < 2 or count == 1:
        return [count - 1]
    steps = [round(i * (count - 1) / (columns - 1)) for i in range(columns)]
    return list(dict.fromkeys(steps))


def nearest(kept: Sequence[int], step: int) -> int:
    """The recorded step that lies nearest."""
    return min(kept, key=lambda one: abs(one - step))


def one_of_a_batch(trace: Trace) -> None:
    """Refuse a run of several pictures: a figure shows one."""
    if len(trace.latent) != 1:
        raise ValueError(
            f"This run drew {len(trace.latent)} pictures, and the figure shows one: take "
            "trace.of(0), trace.of(1) and so on."
        )
