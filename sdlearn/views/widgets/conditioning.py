"""The conditioning explorer: what SDXL draws when it is told another original size, another crop.

In training every picture came with the size that it had before it was scaled, and with the corner
at which it was cropped. Here both are told to the model at will, and all else stays the same.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import traitlets
from PIL import Image

from sdlearn.trace.detail import FINEST, detail_of
from sdlearn.trace.ended import ended
from sdlearn.views.figure import Figure
from sdlearn.views.runs import evenly
from sdlearn.views.strips import strip
from sdlearn.views.widgets import settings as doors
from sdlearn.views.widgets import sheets
from sdlearn.views.widgets.widget import Widget, source

SIDE = 256
"""The longest side of the pictures as they travel to the page."""
ACROSS = 4
"""So many of them stand in a row of the sheet."""
KEPT = 64
"""So many pictures that a page asked for are kept."""
MEANINGS = (
    ("original height", "rows that the picture had, before it was scaled"),
    ("original width", "columns that it had"),
    ("crop top", "rows cut off above, after it was scaled"),
    ("crop left", "columns cut off on the left"),
    ("target height", "rows of the picture that is drawn"),
    ("target width", "columns of it"),
)
"""SDXL's six numbers, in the U-Net's order (2307.01952, sections 2.2 and 2.3)."""

Corner = tuple[int, int]
Told = tuple[int, int, int]
"""What a picture was told: the original's height, the crop's top and left."""


class ConditioningExplorer(Widget):
    """Pictures of one prompt and one seed, told other sizes and crops.

    Attributes:
        prompt: What is drawn.
        given: The model's name, steps, seed, sampler and whatever else was set, in words.
        target: Height and width of the pictures.
        cells: What each picture of the sheet was told: its original height, its crop's top and
            left, the six numbers that this makes, and how much detail was measured in it.
        cell: Width and height of a picture in the sheet.
        across: How many of them stand in a row of it.
        sheet: The pictures, as one WebP.
        meanings: Of each of the six numbers its name, and what it means.
        curve: For each original height the detail of every seed's picture.
        finest: Detail is what repeats within fewer pixels than this.
        size: The original height that is shown.
        top: The crop's top that is shown.
        left: The crop's left that is shown.
    """

    _esm = source("conditioning", "js")
    _css = source("conditioning", "css")
    prompt = traitlets.Unicode("").tag(sync=True)
    given = traitlets.Unicode("").tag(sync=True)
    target = traitlets.List().tag(sync=True)
    cells = traitlets.List().tag(sync=True)
    cell = traitlets.List().tag(sync=True)
    across = traitlets.Int(ACROSS).tag(sync=True)
    sheet = traitlets.Bytes(b"").tag(sync=True)
    meanings = traitlets.List().tag(sync=True)
    curve = traitlets.List().tag(sync=True)
    finest = traitlets.Int(FINEST).tag(sync=True)
    size = traitlets.Int(0, min=0).tag(sync=True)
    top = traitlets.Int(0, min=0).tag(sync=True)
    left = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(
        self,
        model: Any,
        prompt: str,
        sizes: Sequence[int],
        corners: Sequence[Corner],
        seeds: Sequence[int],
        *,
        every: bool,
        settings: dict[str, Any],
    ) -> None:
        self._model, self._prompt, self._settings = model, prompt, settings
        self._target = model.sides(settings.get("height"), settings.get("width"))
        self._seed, whole, uncropped = seeds[0], sizes[-1], corners[0]
        self._asked_for: dict[Told, Image.Image] = {}
        wanted = [(size, *uncropped) for size in sizes]
        wanted += [(size, *corner) for size in (sizes if every else [whole]) for corner in corners]
        self._pictures = {told: self._drawn(told, self._seed) for told in dict.fromkeys(wanted)}
        cells = [self._measured(told, picture) for told, picture in self._pictures.items()]
        curve = {size: [detail_of(self.image(size, *uncropped))] for size in sizes}
        for size, seed in itertools.product(sizes, seeds[1:]):
            curve[size].append(detail_of(self._drawn((size, *uncropped), seed)))
        small = [sheets.within(picture, SIDE) for picture in self._pictures.values()]
        super().__init__(
            prompt=prompt,
            given=_said(model, seeds, settings),
            target=list(self._target),
            cells=cells,
            cell=list(small[0].size),
            sheet=sheets.sheet([*small, *[None] * (-len(small) % ACROSS)], ACROSS),
            meanings=[list(meaning) for meaning in MEANINGS],
            curve=[{"size": s, "details": [round(d, 3) for d in ds]} for s, ds in curve.items()],
            size=whole,
            top=uncropped[0],
            left=uncropped[1],
        )

    def ids(self, size: int, top: int, left: int) -> list[int]:
        """The six numbers that the U-Net is told: ``time_ids``."""
        height, width = self._target
        return [size, self._width(size), top, left, height, width]

    @property
    def details(self) -> dict[int, list[float]]:
        """The measured curve: for each original height, the detail of every seed's picture."""
        return {one["size"]: list(one["details"]) for one in self.curve}

    def image(self, size: int, top: int = 0, left: int = 0) -> Image.Image:
        """The picture that was drawn beforehand for an original height and a corner."""
        told = (size, top, left)
        if told not in self._pictures:
            there = ", ".join(map(str, self._pictures)) or "none, the explorer is closed"
            raise ValueError(
                f"There is no picture for (size, top, left) = {told}. There are: {there}."
            )
        return self._pictures[told]

    def close(self) -> None:
        """Close it, and let go of the model."""
        super().close()
        self._model, self._pictures, self._asked_for = None, {}, {}

    def answer(self, what: str, **given: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Draw a picture for a size and a corner that the page asks for."""
        if what != "draw":
            return super().answer(what, **given)
        if self._model is None:
            raise ValueError("This explorer was closed. Run the cell again.")
        told = (
            doors.whole("size", given.get("size"), 1, 16 * max(self._target)),
            *(doors.whole(n, given.get(n), 0, 16 * max(self._target)) for n in ("top", "left")),
        )
        began = time.perf_counter()
        picture = self._pictures.get(told) or self._asked_for.get(told)
        if picture is None:  # another view, or this one before it was shown again, may have asked
            picture = self._asked_for[told] = self._drawn(told, self._seed)
            if len(self._asked_for) > KEPT:
                del self._asked_for[next(iter(self._asked_for))]
        seconds = time.perf_counter() - began
        said = {**self._measured(told, picture), "seconds": round(seconds, 1)}
        return said, [sheets.webp(sheets.within(picture, 2 * SIDE), 90)]

    # -- where scripts don't run -----------------------------------------------------------------

    def figure(self) -> Figure | None:
        """The pictures of all original sizes, and of the corner that is farthest out."""
        if not self._pictures:
            return None
        first = next(iter(self._pictures))
        plain = [told for told in self._pictures if told[1:] == first[1:]]
        plain = [plain[i] for i in evenly(len(plain), 6)]
        far = max(self._pictures, key=lambda told: (told[0], told[1] + told[2]))
        shown = list(dict.fromkeys([*plain, far]))
        titles = [f"original {size}\ncrop ({top}, {left})" for size, top, left in shown]
        measured = ", ".join(f"{one['details'][0]:.1f} at {one['size']}" for one in self.curve)
        return strip(
            [self._pictures[told] for told in shown],
            titles,
            alt=f"“{self.prompt}”, told original heights of {', '.join(str(t[0]) for t in plain)}, "
            f"and one crop. Detail finer than {FINEST} pixels, in grey levels: {measured}.",
        )

    def said(self) -> str:
        """What it shows, in a line of text."""
        return f"[Conditioning explorer: “{self.prompt}”, {len(self.cells)} pictures]"

    # -- drawing ---------------------------------------------------------------------------------

    def _width(self, size: int) -> int:
        """The original's width: it has the shape of the picture."""
        height, width = self._target
        return max(1, round(size * width / height))

    def _measured(self, told: Told, picture: Image.Image) -> dict[str, Any]:
        return {
            "told": list(told),
            "ids": self.ids(*told),
            "detail": round(detail_of(picture), 3),
        }

    def _drawn(self, told: Told, seed: int) -> Image.Image:
        size, top, left = told
        trace = self._model.generate(
            self._prompt,
            seed=seed,
            original_size=(size, self._width(size)),
            crop=(top, left),
            record=(),
            **self._settings,
        )
        return ended(trace).image


def conditioning(
    model: Any,
    prompt: str,
    *,
    sizes: Sequence[int] | None = None,
    crops: Sequence[int] | None = None,
    seed: int = 0,
    repeats: int = 1,
    every: bool = False,
    steps: int = 12,
    **settings: Any,
) -> ConditioningExplorer:
    """A widget to tell SDXL other original sizes and crops, and see what it draws.

        views.widgets.conditioning(sd.load("pocket-sdxl"), "a red cat on the grass")

    What it shows without a kernel is drawn before this returns: each original size without a crop,
    and each crop at the largest size; with a kernel, every place of the plane can be drawn.

    Args:
        model: From `sd.load`: an SDXL base model.
        prompt: What to draw.
        sizes: Original heights, rising; None is a quarter to the whole of the model's own.
        crops: Where the crop may begin, above and on the left, rising from 0; None is 0, a quarter
            and half of the model's own height. Every pair of them is a corner.
        seed: Where the noise comes from.
        repeats: For the curve, each size is measured on so many seeds, from `seed` on.
        every: Whether to draw each size at each corner beforehand.
        steps: How many steps the sampler takes.
        **settings: As for `model.generate`: guidance_scale, negative_original_size, ...
    """
    family = getattr(getattr(model, "family", None), "name", None)
    if family != "sdxl":
        came = f"a model of {model.family}" if family else f"a {type(model).__name__}"
        raise TypeError(
            "Only an SDXL base model is told an original size, a crop and a target size, such as "
            f'sd.load("pocket-sdxl"); got {came}.'
        )
    taken = {"original_size", "crop", "target_size", "record", "on_step", "latent"} & set(settings)
    if taken:
        raise TypeError(f"{min(taken)} is what the explorer says itself: leave it out.")
    doors.text("prompt", prompt)
    height, _ = model.sides(settings.get("height"), settings.get("width"))
    sizes = [height * part // 8 for part in (2, 3, 4, 6, 8)] if sizes is None else sizes
    crops = [0, height // 4, height // 2] if crops is None else crops
    sizes = _rising("sizes", sizes, 1, 16 * height)
    crops = _rising("crops", crops, 0, 16 * height)
    if crops[0] != 0:
        raise ValueError(f"crops must begin with 0, where nothing is cut off, got {crops}.")
    seed = doors.whole("seed", seed, 0, 2**32 - 1)
    seeds = [seed + i for i in range(doors.whole("repeats", repeats, 1, 32))]
    corners = [(top, left) for top in crops for left in crops]
    count = len(sizes) * len(corners) if every else len(sizes) + len(corners) - 1
    if count > doors.MOST_CELLS:
        raise ValueError(
            f"{len(sizes)} sizes and {len(corners)} corners are {count} pictures, and the page "
            f"holds at most {doors.MOST_CELLS}: give fewer sizes or crops."
        )
    settings = {"steps": doors.whole("steps", steps, 1, 1000), **settings}
    return ConditioningExplorer(
        model, prompt, sizes, corners, seeds, every=every, settings=settings
    )


def _rising(name: str, values: Any, least: int, most: int) -> list[int]:
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise TypeError(
            f"{name} must be a list of whole numbers, such as [64, 128, 256], got {values!r:.60}."
        )
    checked = [doors.whole(f"each of {name}", value, least, most) for value in values]
    if sorted(set(checked)) != checked:
        raise ValueError(f"{name} must rise, each once, got {checked}.")
    return checked


def _said(model: Any, seeds: Sequence[int], settings: dict[str, Any]) -> str:
    """What is the same in all pictures, in words."""
    told = [model.name, doors.said("steps", settings["steps"]), doors.said("seed", seeds[0])]
    for name, value in settings.items():
        if name in ("steps", "height", "width") or value is None:  # said first; in the six numbers
            continue
        known = name in doors.CHECKS
        told.append(doors.said(name, value) if known else f"{name.replace('_', ' ')} {value}")
    return ", ".join(told)
