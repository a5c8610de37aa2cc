"""The family explorer: one prompt, drawn by several models, looked at noise level by noise level.

Models differ in the size of their latents and in their steps. So what is shown side by side is
what each of them had at the same sigma; the page only looks up what was computed here.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import traitlets
from PIL import Image

from sdlearn.trace import Trace
from sdlearn.views.figure import Figure
from sdlearn.views.runs import evenly, one_of_a_batch
from sdlearn.views.strips import grid
from sdlearn.views.widgets.in_step import (
    Frame,
    Side,
    chosen_frames,
    each,
    finished,
    finite,
    levels_of,
    nearest_in,
    packed,
    parts_list,
    previewed,
    words_of,
)
from sdlearn.views.widgets.packing import Blob
from sdlearn.views.widgets.widget import Widget, source

MOST = 6
"""As many models: there are colours for no more."""
COLUMNS = 5
"""So many noise levels stand in the figure."""


class FamilyExplorer(Widget):
    """Several models' runs for the same prompts, in step.

    Attributes:
        prompts: The prompts.
        levels: The noise levels (sigmas) that the slider stops at, falling; None is endless.
        sides: Of each model: its name, its parts, and for each prompt what lies where in `blob`.
        blob: The bytes of all of them.
        prompt: Which prompt is shown, from 0.
        place: Which level is shown, from 0; as many as there are levels: the finished pictures.
        word: The word whose attention is laid over the pictures, or "".
    """

    _esm = source("family", "js")
    _css = source("family", "css")
    prompts = traitlets.List().tag(sync=True)
    levels = traitlets.List().tag(sync=True)
    sides = traitlets.List().tag(sync=True)
    blob = traitlets.Bytes(b"").tag(sync=True)
    prompt = traitlets.Int(0, min=0).tag(sync=True)
    place = traitlets.Int(0, min=0).tag(sync=True)
    word = traitlets.Unicode("").tag(sync=True)

    def __init__(self, sides: Sequence[Side], *, frames: int, word: str) -> None:
        blob, prompts = Blob(), list(sides[0].runs)
        chosen = [
            [chosen_frames(side, traces, frames) for traces in side.runs.values()] for side in sides
        ]
        levels = levels_of([frame.step.sigma for runs in chosen for run in runs for frame in run])
        super().__init__(
            prompts=prompts,
            levels=[finite(level) for level in levels],
            sides=[
                {
                    "name": side.name,
                    "parts": parts_list(side.anatomies),
                    "runs": [
                        packed(traces, run, levels, blob)
                        for traces, run in zip(side.runs.values(), runs, strict=True)
                    ],
                }
                for side, runs in zip(sides, chosen, strict=True)
            ],
            blob=blob.bytes(),
            place=len(levels),
            word=word,
        )
        self._columns = [levels[i] for i in evenly(len(levels), COLUMNS)]
        self._rows = {
            side.name: _row(runs[0], self._columns)
            for side, runs in zip(sides, chosen, strict=True)
        }

    def figure(self) -> Figure:
        """For the first prompt, each model's estimates at a few noise levels, and its picture."""
        return grid(
            list(self._rows.values()),
            column_titles=[*(f"sigma {level:.3g}" for level in self._columns), "the picture"],
            row_titles=[_title(name) for name in self._rows],
            alt=f"“{self.prompts[0]}”, drawn by {_listed(self._rows)}, a row each: their "
            f"estimates of the latent at {len(self._columns)} falling noise levels, and the "
            "pictures.",
        )

    def said(self) -> str:
        """What it shows, in a line of text."""
        prompts = " and ".join(f"“{prompt}”" for prompt in self.prompts)
        return f"[Family explorer: {prompts}, drawn by {_listed(self._rows)}]"


def family(
    runs: Mapping[str, Trace | Sequence[Trace]],
    models: Mapping[str, Any],
    *,
    frames: int = 10,
    word: str = "",
) -> FamilyExplorer:
    """A widget to see one prompt drawn by several models, side by side and in step.

        models = {name: sd.load(name) for name in ("pocket-sd15", "pocket-sdxl")}
        runs = {name: model.generate(prompt, seed=3) for name, model in models.items()}
        views.widgets.family(runs, models)

    The slider walks over noise levels, not steps: a model's numbers are those of its step whose
    sigma is nearest. A refiner that goes on where a base model stopped is one side with two runs,
    and two models: ``runs["with refiner"] = [base_run, refined]``.

    Args:
        runs: For each name the run of a prompt, or several runs: of other prompts, which all
            names must have, or of the same prompt, one going on where the other stopped.
        models: For each name the model, or its anatomy: the list of parts is made from it. Where
            runs hand over, one for each, in their order.
        frames: At most so many steps of each run, evenly chosen.
        word: A word to light up at the beginning.
    """
    if isinstance(frames, bool) or not isinstance(frames, int) or not 2 <= frames <= 50:
        raise ValueError(f"frames must be a whole number from 2 to 50, got {frames!r}.")
    if not isinstance(runs, Mapping) or not 1 <= len(runs) <= MOST:
        came = f"{len(runs)} names" if isinstance(runs, Mapping) else f"a {type(runs).__name__}"
        raise TypeError(
            f'runs must hold 1 to {MOST} names with their runs, such as {{"pocket-sd15": trace}}, '
            f"got {came}."
        )
    sides = [_side(name, given, _models_of(name, models)) for name, given in runs.items()]
    for side in sides[1:]:
        if set(side.runs) != set(sides[0].runs):
            raise ValueError(
                f"Every name needs runs for the same prompts: {sides[0].name!r} has "
                f"{_listed(sides[0].runs)}, and {side.name!r} has {_listed(side.runs)}."
            )
    ordered = [side._replace(runs={p: side.runs[p] for p in sides[0].runs}) for side in sides]
    if word:
        words = {w.lower(): w for side in sides for w in words_of(next(iter(side.runs.values())))}
        if word.lower() not in words:
            raise ValueError(
                f"word must be one that a run kept attention for: {_listed(words.values())}; "
                f"got {word!r}."
            )
    return FamilyExplorer(ordered, frames=frames, word=word)


# -- what was given ---------------------------------------------------------------------------


def _models_of(name: str, models: Any) -> tuple[Any, ...]:
    """The anatomies under a name."""
    if not isinstance(models, Mapping) or name not in models:
        there = _listed(models) if isinstance(models, Mapping) else f"a {type(models).__name__}"
        raise ValueError(
            f"models must hold the model of each name, as runs does: {name!r} is missing; "
            f"there is {there or 'none'}."
        )
    given = models[name]
    several = given if isinstance(given, (list, tuple)) else [given]
    anatomies = tuple(one.anatomy() if hasattr(one, "anatomy") else one for one in several)
    for one in anatomies:
        if not all(hasattr(one, known) for known in ("unet", "family", "context", "parts")):
            raise TypeError(
                f"models[{name!r}] must be a model, as sd.load(...) gives it, or an anatomy, as "
                f"sd.anatomy(...) does, got a {type(one).__name__}."
            )
    return anatomies


def _side(name: Any, given: Any, anatomies: tuple[Any, ...]) -> Side:
    if not isinstance(name, str) or not name:
        raise TypeError(f"runs must be under names of at least one letter, got {name!r:.60}.")
    traces = [given] if isinstance(given, Trace) else given
    if not isinstance(traces, (list, tuple)) or not traces:
        raise TypeError(f"runs[{name!r}] must be a run or a list of them, got {given!r:.60}.")
    runs: dict[str, list[Trace]] = {}
    for trace in traces:
        runs.setdefault(_checked(name, trace).prompts[0], []).append(trace)
    for prompt, group in runs.items():
        if len(anatomies) not in (1, len(group)):
            raise ValueError(
                f"{name!r} has {len(group)} runs for “{prompt}” and {len(anatomies)} models: give "
                "one model for each run, in the same order."
            )
        _descends(name, prompt, group)
        for trace, anatomy in zip(group, each(anatomies, group), strict=True):
            _drew(name, trace, anatomy)
    return Side(name, anatomies, runs)


def _checked(name: str, trace: Any) -> Trace:
    if not isinstance(trace, Trace):
        raise TypeError(
            f"runs[{name!r}] must hold runs, as model.generate(...) gives them, got a "
            f"{type(trace).__name__}."
        )
    one_of_a_batch(trace)
    if not trace.steps or "latents" not in trace.recorded:
        raise ValueError(
            f"A run of {name!r} kept no latents, so there are no steps to look at. Generate it "
            'again with "latents" in record=.'
        )
    return trace


def _descends(name: str, prompt: str, group: Sequence[Trace]) -> None:
    """Refuse two whole runs of one prompt: the second must go on where the first stopped."""
    for before, after in itertools.pairwise(group):
        ends, begins = before.steps[-1].sigma, after.steps[0].sigma
        if begins >= ends:
            raise ValueError(
                f"{name!r} has two runs for “{prompt}”, and the second begins at sigma "
                f"{begins:.3g}, not below the {ends:.3g} of the first one's last step: it does "
                "not go on. Give each model a name of its own; a refiner goes on with "
                "denoising_start where the base had denoising_end."
            )


def _drew(name: str, trace: Trace, anatomy: Any) -> None:
    """Refuse a run beside the anatomy of another family, as far as the run says its own."""
    told = trace.settings.get("family", str(anatomy.family))
    if told != str(anatomy.family):
        raise ValueError(
            f"The run under {name!r} was drawn by a model of {told}, and models[{name!r}] is one "
            f"of {anatomy.family}. Give the model that drew it."
        )


def _listed(names: Any) -> str:
    return ", ".join(map(str, names))


def _row(run: Sequence[Frame], levels: Sequence[float]) -> list[Image.Image]:
    """A model's row of the figure: what it aimed at, and what came of it."""
    seen = nearest_in([frame.step.sigma for frame in run], levels)
    return [*(previewed(run[i], "x0") for i in seen), finished(run[-1].trace)]


def _title(name: str) -> str:
    words = textwrap.shorten(name, 48, placeholder="…")
    return textwrap.fill(words, 13)
