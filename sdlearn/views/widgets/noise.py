"""The noise explorer: what the forward process does to a picture, computed in the page."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from typing import Any

import torch
import traitlets
from PIL import Image, ImageOps
from torch import Tensor

from sdlearn.views.figure import Figure
from sdlearn.views.strips import grid
from sdlearn.views.widgets.packing import Blob
from sdlearn.views.widgets.sheets import as_shown
from sdlearn.views.widgets.widget import Widget, source

MOST = 6
"""As many pictures, and as many schedules: there are colours for no more lines."""


class NoiseExplorer(Widget):
    """Pictures that noise is added to, along schedules.

    Attributes:
        pictures: Name of each picture, and where its bytes lie.
        schedules: Name of each schedule, and where its alpha_bars lie.
        side: The pictures' side, in pixels.
        blob: The bytes of all of them.
        picture: The name of the one that is shown.
        schedule: The name of the schedule that is walked.
        t: The timestep, from 0.
        seed: Where the noise comes from. (It is the page's own, not torch's.)
    """

    _esm = source("noise", "js")
    _css = source("noise", "css")
    pictures = traitlets.List().tag(sync=True)
    schedules = traitlets.List().tag(sync=True)
    side = traitlets.Int(128).tag(sync=True)
    blob = traitlets.Bytes(b"").tag(sync=True)
    picture = traitlets.Unicode("").tag(sync=True)
    schedule = traitlets.Unicode("").tag(sync=True)
    t = traitlets.Int(0, min=0).tag(sync=True)
    seed = traitlets.Int(0, min=0, max=2**31 - 1).tag(sync=True)

    def __init__(
        self,
        pictures: Mapping[str, Image.Image],
        alpha_bars: Mapping[str, Tensor],
        *,
        t: int,
        seed: int,
    ) -> None:
        blob = Blob()
        super().__init__(
            pictures=[{"name": n, "at": blob.add(_file(p))} for n, p in pictures.items()],
            schedules=[{"name": n, "at": blob.add(_doubles(a))} for n, a in alpha_bars.items()],
            side=next(iter(pictures.values())).width,
            picture=next(iter(pictures)),
            schedule=next(iter(alpha_bars)),
            t=t,
            seed=seed,
            blob=blob.bytes(),
        )
        self._first = next(iter(pictures.values()))
        self._alpha_bars = dict(alpha_bars)

    @traitlets.validate("picture", "schedule")
    def _known(self, proposal: Any) -> str:
        name = proposal["trait"].name
        there = [one["name"] for one in getattr(self, f"{name}s")]
        if proposal["value"] not in there:
            raise ValueError(
                f"There is no {name} {proposal['value']!r}; there are: {', '.join(there)}."
            )
        return proposal["value"]

    def figure(self) -> Figure:
        """The first picture at eight timesteps, a row for each schedule."""
        return forward(self._first, self._alpha_bars)

    def said(self) -> str:
        """What it shows, in a line of text."""
        names = [", ".join(one["name"] for one in kind) for kind in (self.pictures, self.schedules)]
        return f"[Noise explorer: {names[0]}; schedules: {names[1]}]"


def noise(
    pictures: Image.Image | Mapping[str, Image.Image],
    schedules: Any,
    *,
    t: int | None = None,
    seed: int = 0,
    side: int = 128,
) -> NoiseExplorer:
    """A widget that adds noise to pictures: any timestep, any of the schedules, any seed.

        views.widgets.noise(
            {"photograph": photo, "Pocket World": scene.render(128)},
            {"scaled linear": NoiseSchedule.scaled_linear(), "cosine": NoiseSchedule.cosine()},
        )

    Whoever looks may also take a picture of their own; it never leaves their page.

    Args:
        pictures: A picture, or several by name; of each the middle square is taken.
        schedules: A noise schedule, or several by name: whatever has ``alpha_bars``, one for
            each timestep, falling.
        t: The timestep to begin with; None is half-way through the first schedule.
        seed: The noise to begin with.
        side: So many pixels of a side are shown.
    """
    side = _whole("side", side, 32, 256)
    pictures = {n: _square(n, p, side) for n, p in _named("pictures", pictures).items()}
    known = {n: _alpha_bars(n, s) for n, s in _named("schedules", schedules).items()}
    last = len(next(iter(known.values()))) - 1
    t = last // 2 if t is None else _whole("t", t, 0, last)
    return NoiseExplorer(pictures, known, t=t, seed=_whole("seed", seed, 0, 2**31 - 1))


def forward(picture: Image.Image, alpha_bars: Mapping[str, Tensor], columns: int = 8) -> Figure:
    """A picture as noise is added, a row for each schedule, the same noise everywhere."""
    x0 = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).double()
    x0 = x0.view(picture.height, picture.width, 3).permute(2, 0, 1) / 127.5 - 1
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0), dtype=x0.dtype)
    shares = [(i + 1) / (columns + 1) for i in range(columns)]
    rows = []
    for values in alpha_bars.values():
        chosen = [values[round(share * (len(values) - 1))] for share in shares]
        rows.append([a.sqrt() * x0 + (1 - a).sqrt() * eps for a in chosen])  # DDPM, eq. 4
    return grid(
        rows,
        column_titles=[f"t at {share:.0%}" for share in shares],
        row_titles=[textwrap.fill(name, 13) for name in alpha_bars],
        alt=f"A picture at {columns} shares of the way, little noise on the left and much on the "
        f"right, a row for each schedule: {', '.join(alpha_bars)}.",
    )


def _named(name: str, given: Any) -> dict[str, Any]:
    """Several by name, or one that gets a name."""
    if not isinstance(given, Mapping):
        return {name[:-1]: given}
    if not 1 <= len(given) <= MOST or not all(isinstance(n, str) and n for n in given):
        raise ValueError(
            f"{name} must be 1 to {MOST}, each under a name of at least one letter, got "
            f"{list(given)!r:.80}."
        )
    return dict(given)


def _square(name: str, picture: Any, side: int) -> Image.Image:
    if not isinstance(picture, Image.Image):
        raise TypeError(
            f"pictures: {name!r} must be a PIL picture, got {type(picture).__name__}. "
            "PIL.Image.open(path) reads one from a file."
        )
    return ImageOps.fit(as_shown(picture), (side, side), Image.Resampling.LANCZOS)


def _alpha_bars(name: str, schedule: Any) -> Tensor:
    """A training's alpha_bars, as float64 on the CPU."""
    values = getattr(schedule, "alpha_bars", None)
    if not isinstance(values, Tensor) or values.ndim != 1:
        raise TypeError(
            f"schedules: {name!r} must have alpha_bars, one for each timestep, got "
            f"{type(schedule).__name__}. For example: "
            "sdlearn.equations.schedules.NoiseSchedule.scaled_linear()."
        )
    values = values.detach().cpu().double()
    if not 2 <= len(values) <= 10_000:
        raise ValueError(f"schedules: {name!r} must have 2 to 10000 steps, got {len(values)}.")
    inside = bool((values[:-1] > 0).all()) and values[-1] >= 0 and values[0] < 1
    if not inside or bool((values.diff() > 0).any()):
        raise ValueError(
            f"schedules: the alpha_bars of {name!r} must fall from below 1 towards 0, got "
            f"{float(values[0]):.3g} to {float(values[-1]):.3g}. A run's schedule goes the other "
            "way: this wants the training's, a NoiseSchedule."
        )
    return values


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r}.")
    return value


def _file(picture: Image.Image) -> bytes:
    """A picture as a WebP that loses nothing: the page computes with these very numbers."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=True, method=6)
    return buffer.getvalue()


def _doubles(values: Tensor) -> bytes:
    return values.numpy().astype("<f8").tobytes()
