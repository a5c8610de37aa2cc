"""The generation explorer: move a setting, and the picture follows; or a grid over two of them.

Drawing happens on a thread beside the kernel's, so that other cells run meanwhile. That thread
tells the page itself, as ipywidgets' own manual does it: a kernel's messages may be sent from any
thread, and would otherwise wait for the end of the cell that runs.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import traitlets
from PIL import Image

from sdlearn.trace.silence import silently
from sdlearn.views.figure import Figure
from sdlearn.views.widgets import settings as doors
from sdlearn.views.widgets import sheets
from sdlearn.views.widgets.widget import Widget, source
from sdlearn.views.widgets.working import Cancelled, Job, Worker

SIDE, CELL = 512, 160
"""The longest side of the picture, and of those in the grid, as they travel to the page."""
RESTING = {"doing": "", "said": "", "error": ""}

Judge = Callable[[Image.Image, str], object]
"""``judge(picture, prompt)``: what is to be said of a picture; its text is shown below it."""


class GenerationExplorer(Widget):
    """A picture that follows its settings.

    Attributes:
        settings: What is asked for now.
        samplers: The samplers on offer.
        shown: The settings of the picture that is shown, how long it took, its verdict.
        picture: It, as WebP.
        grid: The grid's two settings with their values, the other settings, what is in each cell.
        sheet: The grid's pictures, as one WebP.
        progress: What is being done, how far it is, what came of it.
        preview: The picture in the making, red, green and blue of each place of the latent.
    """

    _esm = source("generation", "js")
    _css = source("generation", "css")
    settings = traitlets.Dict().tag(sync=True)
    samplers = traitlets.List().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)
    picture = traitlets.Bytes(b"").tag(sync=True)
    grid = traitlets.Dict().tag(sync=True)
    sheet = traitlets.Bytes(b"").tag(sync=True)
    progress = traitlets.Dict(RESTING).tag(sync=True)
    preview = traitlets.Bytes(b"").tag(sync=True)

    def __init__(
        self,
        model: Any,
        settings: Mapping[str, Any],
        samplers: Sequence[str],
        judge: Judge | None,
        sides: tuple[int, int],
    ) -> None:
        # Hooks and changes of the model in a cell must not meet those of the thread.
        self._model, self._judge = model.twin(), judge
        self._sides = dict(zip(("height", "width"), sides, strict=True))
        self._own_sampler: str = model.schedule(2).name
        self._lock, self._worker = threading.RLock(), Worker()
        self._failed: Exception | None = None
        self._ended = True  # the last job, by itself
        self._image: Image.Image | None = None
        self._cells: list[Image.Image | None] = []
        offered = dict.fromkeys(
            [self._own_sampler, *(self._checked("sampler", s) for s in samplers)]
        )
        checked = {name: self._checked(name, settings[name]) for name in doors.CHECKS}
        offered[checked["sampler"]] = None
        super().__init__(settings=checked, samplers=list(offered))

    # -- what one can ask for -----------------------------------------------------------------

    def draw(self, **changes: Any) -> None:
        """Begin to draw, with some settings changed; a drawing in progress is given up."""
        self._begin(partial(self._draw, self._changed(changes)))

    def fill(self, grid: Mapping[str, Sequence[Any]], **changes: Any) -> None:
        """Begin to draw a grid of two settings, the rows' first: ``{"steps": [4, 8], ...}``.

        Args:
            grid: The two settings, and their values.
            **changes: Other settings that change for it, and stay changed.
        """
        axes = doors.axes(grid, self._checked)
        self._offer(axes.get("sampler", ()))
        self._begin(partial(self._fill, axes, self._changed(changes)))

    def stop(self) -> None:
        """Give up what is being drawn, before its next step."""
        self._worker.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is drawn; what went wrong is raised here. Ctrl-C stops the drawing.

        Returns:
            Whether it came to its end: not if `timeout` seconds were too few, or it was stopped.
        """
        try:
            done = self._worker.join(timeout)
        except KeyboardInterrupt:
            self.stop()
            self._worker.join()
            return False
        if done and self._failed is not None:
            raise self._failed
        return done and self._ended

    @property
    def image(self) -> Image.Image:
        """The picture, as the model drew it."""
        if self._image is None:
            raise ValueError("Nothing is drawn yet: .draw() begins, .wait() waits for it.")
        return self._image

    def close(self) -> None:
        """Stop, and let go of the model."""
        self.stop()
        self._model = self._judge = self._failed = None
        super().close()

    def answer(self, what: str, **given: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Answer "draw" (settings), "fill" (two settings and their values as typed) and "stop"."""
        if what == "draw":
            self.draw(**given)
        elif what == "fill":
            names = doors.known(given["rows"]), doors.known(given["columns"])
            if names[0] == names[1]:
                raise ValueError(f"Rows and columns are both {names[0]}: choose two settings.")
            typed = given["row_values"], given["column_values"]
            axes = {n: doors.read(n, t) for n, t in zip(names, typed, strict=True)}
            self.fill(axes, **given.get("settings", {}))
        elif what == "stop":
            self.stop()
        else:
            return super().answer(what, **given)
        return {}, []

    # -- where scripts don't run ----------------------------------------------------------------

    def figure(self) -> Figure | None:
        """The grid; without one the picture."""
        if any(picture is not None for picture in self._cells):
            return sheets.figure_of_grid(self._cells, self.grid)
        return None if self._image is None else sheets.figure_of_one(self._image, self.shown)

    def said(self) -> str:
        """What it shows, in a line of text."""
        done = sum(picture is not None for picture in self._cells)
        more = f", and a grid of {done} pictures" if done else ""
        return f"[Generation explorer: “{self.settings['prompt']}”{more}]"

    # -- what the thread does -------------------------------------------------------------------

    def _begin(self, job: Job) -> None:
        if self._model is None:
            raise ValueError("This explorer is closed. Make another: model.explore(...).")
        self._failed, self._ended = None, False
        self._worker.start(partial(self._guarded, job))

    def _guarded(self, job: Job, cancelled: threading.Event) -> None:
        """A job, and what became of it."""
        try:
            job(cancelled)
            self._ended = not self._worker.superseded  # else the next one's end is waited for
        except Cancelled:
            if not self._worker.superseded:
                self._rest(said="Stopped.")
        except Exception as error:  # whatever it is, the page and `wait` must learn of it
            self._failed = error.with_traceback(None)  # its frames would keep the model
            self._rest(error=str(error) or type(error).__name__)

    def _draw(self, settings: dict[str, Any], cancelled: threading.Event) -> None:
        began = time.perf_counter()
        trace = self._generated(settings, cancelled, {"doing": "picture"})
        self._image, seconds = trace.image, time.perf_counter() - began
        shown = {
            **settings,
            "seconds": round(seconds, 2),
            "verdict": self._judged(trace.image, settings["prompt"]),
            "notes": [*trace.warnings, *_unheard(settings)],
        }
        self._tell(picture=sheets.webp(sheets.within(trace.image, SIDE), 90), shown=shown)
        self._rest(said=f"Drawn in {seconds:.1f} s.")

    def _fill(
        self, axes: dict[str, list[Any]], settings: dict[str, Any], cancelled: threading.Event
    ) -> None:
        combinations = list(itertools.product(*axes.values()))
        count = len(combinations)
        self._cells = [None] * count
        grid = {
            "axes": [{"name": name, "values": values} for name, values in axes.items()],
            "settings": {name: v for name, v in settings.items() if name not in axes},
            "cells": [None] * count,
        }
        self._tell(grid=grid, sheet=b"")
        for place, values in enumerate(combinations):
            asked = {**settings, **dict(zip(axes, values, strict=True))}
            told = {"doing": "grid", "cell": place, "cells": count}
            picture = self._generated(asked, cancelled, told).image
            self._cells[place] = sheets.within(picture, CELL)
            verdict = self._judged(picture, asked["prompt"])
            cells = [*grid["cells"][:place], {"verdict": verdict}, *grid["cells"][place + 1 :]]
            grid = {**grid, "cells": cells, "size": list(self._cells[0].size)}
            self._tell(grid=grid, sheet=sheets.sheet(self._cells, len(axes[list(axes)[1]])))
        self._rest(said=f"All {count} pictures of the grid are drawn.")

    def _generated(
        self, settings: dict[str, Any], cancelled: threading.Event, told: dict[str, Any]
    ) -> Any:
        """The run; the page is told of each step, and may cancel it before the next."""
        steps = settings["steps"]

        def on_step(step: Any) -> None:
            if cancelled.is_set():
                raise Cancelled
            preview = step.preview("x0").convert("RGB")
            at = {"step": step.index + 1, "steps": max(steps, step.index + 1)}
            self._tell(
                preview=np.asarray(preview).tobytes(),
                progress={**RESTING, **told, **at, "size": list(preview.size)},
            )

        model = self._model
        if cancelled.is_set() or model is None:
            raise Cancelled
        with silently():  # the page shows what a run has to say, and no cell asked for it
            return self._run(model, settings, on_step)

    def _run(self, model: Any, settings: dict[str, Any], on_step: Callable[[Any], None]) -> Any:
        own = settings["sampler"] == self._own_sampler
        return model.generate(
            settings["prompt"],
            negative_prompt=None if _unheard(settings) else settings["negative_prompt"] or None,
            guidance_scale=settings["guidance_scale"],
            sampler=None if own else settings["sampler"],
            steps=settings["steps"],
            seed=settings["seed"],
            **self._sides,
            record=("latents",),
            on_step=on_step,
        )

    def _judged(self, picture: Image.Image, prompt: str) -> str:
        judge = self._judge
        if judge is None:
            return ""
        try:
            return str(judge(picture, prompt))
        except Exception as error:  # a picture that can't be judged is still a picture
            return f"Not judged: {error}"

    def _rest(self, **outcome: str) -> None:
        self._tell(progress={**RESTING, **outcome}, preview=b"")

    def _tell(self, **traits: Any) -> None:
        """Set what the page sees, in one message."""
        with self._lock:
            if self._model is not None:
                with self.hold_sync():
                    for name, value in traits.items():
                        setattr(self, name, value)

    def _changed(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """All settings, with some of them changed; the page shows them."""
        changed = {doors.known(n): self._checked(n, value) for n, value in changes.items()}
        settings = {**self.settings, **changed}
        self._offer([settings["sampler"]])
        self._tell(settings=settings)
        return settings

    def _offer(self, samplers: Sequence[str]) -> None:
        """A sampler that was asked for can be chosen in the page from now on."""
        offered = list(dict.fromkeys([*self.samplers, *samplers]))
        if offered != self.samplers:
            self._tell(samplers=offered)

    def _checked(self, name: str, value: Any) -> Any:
        """A setting's value as it is used; of a sampler the model knows whether there is one."""
        if name == "sampler" and value is None:
            return self._own_sampler
        value = doors.CHECKS[name](value)
        if name == "sampler" and value != self._own_sampler:
            self._model.schedule(2, sampler=value)
        return value


def generation(
    model: Any,
    prompt: str,
    *,
    negative_prompt: str = "",
    guidance_scale: float | None = None,
    sampler: str | None = None,
    steps: int = 12,
    seed: int = 0,
    height: int | None = None,
    width: int | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    samplers: Sequence[str] = doors.SAMPLERS,
    judge: Judge | None = None,
) -> GenerationExplorer:
    """A widget to draw with: every setting can be moved, and the picture follows.

    The first picture, and the grid if there is one, are drawn before this returns, so that they
    lie in the notebook: the book shows them without a kernel.

    Args:
        model: From `sd.load`.
        prompt: What to draw at first.
        negative_prompt: What to go away from.
        guidance_scale: 0 ignores the prompt, 1 is no guidance; None is the family's usual one.
        sampler: A name, or None for the model's own.
        steps: How many steps the sampler takes.
        seed: Where the noise comes from.
        height: In pixels, or None for what the model learnt; so also ``width``.
        width: In pixels.
        grid: Two settings and their values, the rows' first, such as
            ``{"guidance_scale": [1, 4, 8], "seed": [0, 1, 2]}``.
        samplers: The names on offer.
        judge: ``judge(picture, prompt)`` says something of a picture: its text is shown below.
    """
    if judge is not None and not callable(judge):
        raise TypeError(
            "judge must be a function of a picture and its prompt, such as lambda picture, prompt: "
            f"world.check(picture, world.parse(prompt), 'stated'), got a {type(judge).__name__}."
        )
    if isinstance(samplers, str) or not isinstance(samplers, Sequence):
        raise TypeError(f'samplers must be names, such as ["ddim", "heun"], got {samplers!r:.60}.')
    sides = model.sides(height, width)
    if guidance_scale is None:
        guidance_scale = model.family.guidance
    given = {
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "guidance_scale": guidance_scale,
        "sampler": sampler,
        "steps": steps,
        "seed": seed,
    }
    explorer = GenerationExplorer(model, given, samplers, judge, sides)
    try:
        axes = None if grid is None else doors.axes(grid, explorer._checked)
        explorer.draw()
        if explorer.wait() and axes is not None:
            explorer.fill(axes)
            explorer.wait()
    except BaseException:
        explorer.close()  # nobody else will: what raised has no name
        raise
    return explorer


def _unheard(settings: Mapping[str, Any]) -> list[str]:
    """What is to be said of a negative prompt that can do nothing.

    The model would warn of it, at every picture and in whichever cell comes next.
    """
    if settings["negative_prompt"] and settings["guidance_scale"] == 1:
        return ["At guidance 1 the negative prompt does nothing: there is nothing to go away from."]
    return []
