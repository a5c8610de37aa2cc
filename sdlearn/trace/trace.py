"""A run as it was: its steps, its attention, its pictures and its settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, ClassVar

from PIL import Image
from torch import Tensor

from sdlearn.trace import cards, files, kept, markup
from sdlearn.trace.diff import Difference, difference
from sdlearn.trace.look import Look, MatrixLook, checked_matrix
from sdlearn.trace.maps import Attention
from sdlearn.trace.memory import held
from sdlearn.trace.records import KEPT_BY, Step, one_of
from sdlearn.trace.tokens import Tokens


class Trace:
    """What a run leaves behind. ``len(trace)`` and iterating give its steps.

    Attributes:
        steps: A record of each step.
        latent: The last sample, ``[pictures, C, h, w]``; what the decoder made the pictures of.
        images: The pictures.
        prompts: The prompt of each picture.
        negative_prompts: The negative prompt of each picture; empty where there was no guidance.
        settings: Model, sampler, steps, guidance_scale, seed and the rest, as JSON.
        tokens: The prompt of each picture as tokens and words.
        interrupted: Whether it was stopped before its last step.
        warnings: What the run had to say.
        look: What turns latents into pictures: the model's own look, or the preview matrix.
    """

    viewers: ClassVar[dict[str, Callable[..., Any]]] = {}
    """How a trace is drawn: ``sdlearn`` puts the views' functions here when ``sd.load``,
    ``sd.wrap`` or ``sd.Trace`` is first named."""

    def __init__(
        self,
        *,
        steps: Iterable[Step],
        latent: Tensor,
        images: Iterable[Image.Image] = (),
        prompts: str | Sequence[str] = ("",),
        negative_prompts: str | Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        tokens: Sequence[Tokens] = (),
        attention: Attention | None = None,
        interrupted: bool = False,
        warnings: Iterable[str] = (),
        preview_matrix: Tensor | None = None,
        look: Look | None = None,
    ) -> None:
        if not isinstance(latent, Tensor) or latent.ndim != 4:
            got = list(latent.shape) if isinstance(latent, Tensor) else type(latent).__name__
            raise ValueError(f"latent must be a tensor [pictures, C, h, w], got {got}.")
        self.latent = latent
        self.prompts = _texts(prompts)
        self.negative_prompts = _texts(negative_prompts)
        self.images = list(images)
        self.settings = _json(settings or {})
        self.tokens = tuple(tokens)
        self.interrupted = bool(interrupted)
        self.warnings = tuple(warnings)
        self._matrix = None if preview_matrix is None else checked_matrix(preview_matrix)
        self.look = look if look is not None else MatrixLook(self._matrix)
        self.steps = tuple(s if s.look is not None else replace(s, look=self.look) for s in steps)
        self._attention = kept.explained(attention, self.steps)
        self._check()

    def _check(self) -> None:
        pictures = len(self.latent)
        counts = {
            "prompts": (self.prompts, False),
            "negative_prompts": (self.negative_prompts, True),
            "images": (self.images, True),
            "tokens": (self.tokens, True),
            "attention.tokens": (self._attention.tokens if self._attention else (), True),
        }
        for name, (values, optional) in counts.items():
            if len(values) != pictures and not (optional and not values):
                raise ValueError(
                    f"{name} must hold one for each of the {pictures} pictures of latent, "
                    f"got {len(values)}."
                )

    # Pictures

    @property
    def image(self) -> Image.Image:
        """The picture, where there is one."""
        if len(self.images) == 1:
            return self.images[0]
        if not self.images:
            why = " It was interrupted." if self.interrupted else ""
            raise ValueError(
                f"this run made no picture.{why} Its last latent is trace.latent; "
                "model.to_image(trace.latent) decodes it."
            )
        raise ValueError(
            f"this run made {len(self.images)} pictures. Take them from trace.images, or one "
            "picture's whole trace: trace.of(0)."
        )

    def of(self, picture: int) -> Trace:
        """Returns the trace of one picture of the batch: the same memory, nothing is copied.

        Where no seed of its own draws it again (one seed for all; or inpainting, which encodes
        the known picture by the first seed), its settings say which ``"picture"`` it is.
        """
        index = one_of(picture, len(self.latent))
        one = slice(index, index + 1)
        return Trace(
            steps=[step.of(index) for step in self.steps],
            latent=self.latent[one],
            images=self.images[one],
            prompts=self.prompts[one],
            negative_prompts=self.negative_prompts[one],
            settings={**self.settings, **self._which(index)},
            tokens=self.tokens[one],
            attention=None if self._attention is None else self._attention.of(index),
            interrupted=self.interrupted,
            warnings=self.warnings,
            preview_matrix=self._matrix,
            look=self.look,
        )

    def _which(self, index: int) -> dict[str, Any]:
        """What tells one picture from the others of its batch: its seed, or its number."""
        seed, count = self.settings.get("seed"), len(self.latent)
        own = isinstance(seed, list) and len(seed) == count
        if own and (count == 1 or self.settings.get("kind") != "inpainting"):
            return {"seed": seed[index]}
        return {"picture": index} if count > 1 else {}

    @property
    def preview_matrix(self) -> Tensor | None:
        """``[C, 3]`` or ``[C + 1, 3]``: what shows latents where the model isn't at hand."""
        return self._matrix if self._matrix is not None else getattr(self.look, "matrix", None)

    # What was recorded

    @property
    def attention(self) -> Attention:
        """Where the words looked: ``trace.attention["cat"]``."""
        if self._attention is None:
            raise ValueError(
                "this run recorded no attention. Generate again with "
                'record=("latents", "noise", "attention").'
            )
        return self._attention

    @property
    def recorded(self) -> tuple[str, ...]:
        """What was recorded, by the names of ``record=``."""
        found = {KEPT_BY[name] for step in self.steps for name in step.tensors()}
        if self._attention is not None:
            found |= {"attention"} if self._attention.kept else set()
            found |= {"self_attention"} if self._attention.kept_self else set()
        return tuple(n for n in ("latents", "noise", "attention", "self_attention") if n in found)

    @property
    def changes(self) -> tuple[str, ...]:
        """What interventions changed, in words."""
        return tuple(f"step {s.index}: {change}" for s in self.steps for change in s.changes)

    @property
    def nbytes(self) -> int:
        """The memory that its tensors take; what two of them share counts once."""
        tensors = [self.latent, *(t for step in self.steps for t in step.tensors().values())]
        if self._attention is not None:
            tensors += self._attention.tensors()
        return held(tensors)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, index: Any) -> Any:
        return self.steps[index]

    # Files and comparison

    def save(self, path: str | PathLike[str]) -> None:
        """Writes everything to one safetensors file; an interruption leaves the old file whole."""
        files.write(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str], model: Any = None) -> Trace:
        """Reads a file that `save` wrote.

        Args:
            path: The file.
            model: The model of the run, so that ``step.image()`` can decode; without it there is
                still ``step.preview()``.
        """
        return files.read(path, model)

    def diff(self, other: Trace) -> Difference:
        """Returns where two runs part ways: in their settings, step by step, in their pictures."""
        return difference(self, other)

    # Shown

    def plot(self, **options: Any) -> Any:
        """Returns a figure of the run."""
        return self._viewer("plot")(self, **options)

    def explore(self, other: Trace | None = None, **options: Any) -> Any:
        """Returns a widget to look around in the run, or in two of them in step."""
        return self._viewer("explore")(self, other, **options)

    def _viewer(self, name: str) -> Callable[..., Any]:
        if name not in self.viewers:
            raise ValueError(
                f"trace.{name}() is drawn by sdlearn.views, which a trace by itself doesn't know. "
                f"Write `import sdlearn as sd; sd.Trace`, and call trace.{name}() again."
            )
        return self.viewers[name]

    def __repr__(self) -> str:
        prompt = self.prompts[0] if len(self.prompts) == 1 else f"{len(self.prompts)} prompts"
        stopped = ", interrupted" if self.interrupted else ""
        return (
            f"Trace({prompt!r:.60}, {len(self)} steps{stopped}, "
            f"{', '.join(self.recorded) or 'nothing recorded'}, {markup.amount(self.nbytes)})"
        )

    def _repr_html_(self) -> str:
        return cards.trace_html(self)


def _texts(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(text) for text in value)


def _json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they will come back from a file: lists for tuples, plain numbers."""

    def plain(value: Any) -> Any:
        if hasattr(value, "item"):  # a number of numpy's or torch's
            return value.item()
        raise TypeError(
            f"settings must be numbers, texts, lists and dictionaries (JSON), and hold a "
            f"{type(value).__name__}: {value!r:.60}."
        )

    return json.loads(json.dumps(dict(settings), default=plain))
