"""The latent explorer: change a latent's numbers by hand, and see what is decoded from them."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from PIL import Image
from torch import Tensor

from sdlearn.trace import Trace
from sdlearn.views.figure import Figure
from sdlearn.views.runs import evenly
from sdlearn.views.strips import grid, strip
from sdlearn.views.widgets.packing import LONGEST, Blob
from sdlearn.views.widgets.sheets import as_shown
from sdlearn.views.widgets.widget import Widget, source

KINDS = ("linear", "spherical")
LARGEST = 64
"""The longest side of a latent that a page can edit, in places."""
SIDE = 128
"""The longest side of what is decoded beforehand, in pixels."""
LEVELS = 32_767


class LatentExplorer(Widget):
    """A latent to edit, or two to walk between.

    The page shows a fast preview at once; the kernel decodes each edit, the newest first.

    Attributes:
        shape: Channels, rows and columns.
        latents: Where each latent lies, in whole steps of its scale.
        matrix: The preview: each channel's share of red, green and blue, and a constant.
        walks: Where the pictures on the way are, decoded beforehand, for each kind of walk.
        full: Whether those are as large as the model's pictures.
        blob: The bytes of all of them.
        latent: What was decoded last, [1, C, h, w]: take it from here to go on with it.
    """

    _esm = source("latent", "js")
    _css = source("latent", "css")
    shape = traitlets.List().tag(sync=True)
    latents = traitlets.List().tag(sync=True)
    matrix = traitlets.List().tag(sync=True)
    walks = traitlets.Dict().tag(sync=True)
    full = traitlets.Bool(True).tag(sync=True)
    blob = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, model: Any, latents: Sequence[Tensor], frames: int) -> None:
        blob = Blob()
        first, last = latents[0], latents[-1]
        ways = {
            kind: [between(first, last, i / max(frames - 1, 1), kind) for i in range(frames)]
            for kind in (KINDS if frames > 1 else KINDS[:1])
        }
        self._pictures = {
            kind: [model.to_image(one) for one in latents] for kind, latents in ways.items()
        }
        size = self._pictures["linear"][0].size
        super().__init__(
            shape=list(first.shape[1:]),
            latents=[_levels(one, blob) for one in latents],
            matrix=model.look.matrix.tolist(),
            walks={kind: _sheet(some, blob) for kind, some in self._pictures.items()},
            full=max(size) <= SIDE,
            blob=blob.bytes(),
        )
        self.latent: Tensor | None = first
        self._first: Tensor | None = first
        self._model = model

    def answer(self, what: str, **given: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Decode a latent of the page; it comes as one long list of numbers."""
        if what != "decode":
            return super().answer(what, **given)
        if self._model is None:
            raise ValueError("this explorer was closed. Run the cell again.")
        latent = _numbers(given.get("latent"), self.shape)
        picture = self._model.to_image(latent)
        self.latent = latent
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=90)
        return {"size": list(picture.size)}, [buffer.getvalue()]

    def close(self) -> None:
        """Close it, and let go of the model."""
        super().close()
        self._model, self._pictures, self.latent, self._first = None, {}, None, None

    def figure(self) -> Figure | None:
        """The walk in both ways; of a single latent, its channels."""
        if not self._pictures:
            return None
        linear = self._pictures["linear"]
        if len(linear) > 1:
            chosen = evenly(len(linear), 5)
            return grid(
                [[some[i] for i in chosen] for some in self._pictures.values()],
                column_titles=[f"{i / (len(linear) - 1):.0%}" for i in chosen],
                row_titles=list(self._pictures),
                alt=f"{len(chosen)} decoded pictures on the way from one latent to another: above "
                "on a straight line, below on the arc between them.",
            )
        channels = self._first[0].float().cpu() / 3
        return strip(
            [linear[0], *channels],
            ["decoded", *(f"channel {i}" for i in range(len(channels)))],
            alt=f"A decoded picture and, in grey, the {len(channels)} channels of its latent.",
        )

    def said(self) -> str:
        """What it shows, in a line of text."""
        what = " x ".join(map(str, self.shape))
        return f"[Latent explorer: {len(self.latents)} of {what} numbers]"


def latent(model: Any, picture: Any, other: Any = None, *, frames: int = 11) -> LatentExplorer:
    """A widget to edit a latent by hand: its channels, a brush, a walk to another.

        views.widgets.latent(model, scene.render(128), world.sample(1).render(128))

    With a kernel every edit is really decoded; without, in the book, what was decoded beforehand
    and a fast preview are shown, and it says which.

    Args:
        model: What ``sd.load`` gives.
        picture: A picture, a run (its result), or a latent, [1, C, h, w].
        other: Another one of the same size, to walk to.
        frames: So many places on that walk are decoded beforehand, in both ways.
    """
    if not all(hasattr(model, name) for name in ("to_image", "to_latent", "look")):
        raise TypeError(
            f"model must be a model, as sd.load('pocket-sd15') gives it, got a "
            f"{type(model).__name__}."
        )
    if isinstance(frames, bool) or not isinstance(frames, int) or not 2 <= frames <= 41:
        raise ValueError(f"frames must be a whole number from 2 to 41, got {frames!r}.")
    given = {"picture": picture} if other is None else {"picture": picture, "other": other}
    latents = [_latent_of(model, name, one) for name, one in given.items()]
    if len({one.shape for one in latents}) > 1:
        sizes = " and ".join(" x ".join(map(str, one.shape[1:])) for one in latents)
        raise ValueError(
            f"picture and other must be of one size: their latents are {sizes}. "
            "picture.resize((width, height)) makes them alike."
        )
    return LatentExplorer(model, latents, frames if len(latents) > 1 else 1)


def between(a: Tensor, b: Tensor, share: float, kind: str) -> Tensor:
    """A latent on the way from one to another: straight ahead, or along the arc."""
    cosine = float((a * b).sum() / (a.norm() * b.norm()))
    angle = math.acos(min(max(cosine, -1.0), 1.0))
    if kind == "linear" or not math.sin(angle) >= 1e-6:  # of a latent of zeros it is no number
        return (1 - share) * a + share * b
    far, near = math.sin((1 - share) * angle), math.sin(share * angle)
    return (far * a + near * b) / math.sin(angle)


def _latent_of(model: Any, name: str, given: Any) -> Tensor:
    if isinstance(given, Trace):
        found = given.latent
    elif isinstance(given, Tensor):
        found = given[None] if given.ndim == 3 else given
    elif isinstance(given, Image.Image):
        found = model.to_latent(as_shown(given)).mean
    else:
        raise TypeError(
            f"{name} must be a picture, a run or a latent, got a {type(given).__name__}. "
            "PIL.Image.open(path) reads a picture from a file."
        )
    if found.ndim != 4 or len(found) != 1:
        raise ValueError(
            f"{name} must be one latent, [1, C, h, w], got {list(found.shape)}. Of several, take "
            "latents[:1]; of a run of several pictures, trace.of(0)."
        )
    if max(found.shape[2:]) > LARGEST:
        raise ValueError(
            f"{name} has {found.shape[2]} x {found.shape[3]} places, and the page edits at most "
            f"{LARGEST} x {LARGEST}: make the picture smaller with picture.resize(...)."
        )
    found = found.detach().float().cpu()
    if not bool(found.isfinite().all()):
        raise ValueError(f"{name} holds numbers that are none (NaN or infinite).")
    return found


def _numbers(values: Any, shape: Sequence[int]) -> Tensor:
    """The page's list as a latent."""
    count = math.prod(shape)
    if not isinstance(values, list) or len(values) != count:
        got = len(values) if isinstance(values, list) else type(values).__name__
        raise ValueError(f"a latent here is a list of {count} numbers, got {got}.")
    found = torch.tensor(values, dtype=torch.float32).view(1, *shape)
    if not bool(found.isfinite().all()):
        raise ValueError("the latent holds numbers that are none (NaN or infinite).")
    return found


def _levels(latent: Tensor, blob: Blob) -> dict[str, Any]:
    """A latent in whole steps: a 32767th of its largest value is finer than any eye."""
    scale = float(latent.abs().max()) / LEVELS or 1.0
    levels = (latent / scale).round().numpy().astype("<i2")
    return {"at": blob.add(levels.tobytes()), "scale": scale}


def _sheet(pictures: Sequence[Image.Image], blob: Blob) -> dict[str, Any]:
    """Pictures side by side in one file."""
    width, height = pictures[0].size
    scale = min(1.0, min(SIDE, LONGEST // len(pictures)) / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet = Image.new("RGB", (size[0] * len(pictures), size[1]))
    for place, picture in enumerate(pictures):
        sheet.paste(picture.resize(size, Image.Resampling.LANCZOS), (place * size[0], 0))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=75, method=6)
    return {"at": blob.add(buffer.getvalue()), "size": list(size), "count": len(pictures)}
