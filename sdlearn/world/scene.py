"""A scene: the facts of one picture, complete, frozen and comparable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import facts as f

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class Subject:
    """One thing in a scene.

    Attributes:
        kind: What it is, one of ``KINDS``.
        colour: One of ``COLOURS``.
        size: ``"small"`` or ``"big"``.
        accessory: One of ``ACCESSORIES``, or None.
    """

    kind: str
    colour: str
    size: str = f.DEFAULT_SIZE
    accessory: str | None = None

    def __post_init__(self) -> None:
        f.one_of("kind", self.kind, f.KINDS)
        f.one_of("colour", self.colour, f.COLOURS)
        f.one_of("size", self.size, f.SIZES)
        f.one_of("accessory", self.accessory, f.ACCESSORIES, optional=True)


@dataclass(frozen=True)
class Scene:
    """Every fact of one picture.

    Two scenes are equal when their facts and their seed are equal; ``same_facts`` leaves the seed
    out. ``stated`` is not a fact of the picture: it says which facts a caption named.

    Attributes:
        subjects: One or two subjects.
        relation: Where the first is, seen from the second: ``RELATIONS``; None for one subject.
        place: One of ``PLACES``.
        style: One of ``STYLES``.
        seed: Fixes pose, small variations of shape, and the backdrop.
        stated: Names of the facts that a caption stated, as in ``fact_names()``. All of them
            unless the scene came from ``parse``.
    """

    subjects: tuple[Subject, ...]
    relation: str | None = None
    place: str = f.DEFAULT_PLACE
    style: str = f.DEFAULT_STYLE
    seed: int = 0
    stated: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.subjects, Subject):
            object.__setattr__(self, "subjects", (self.subjects,))
        if not isinstance(self.subjects, (tuple, list)) or not all(
            isinstance(s, Subject) for s in self.subjects
        ):
            raise TypeError(
                f"subjects must be one or two Subject records, not {self.subjects!r}. "
                'Write Scene((Subject("cat", "red"),)).'
            )
        object.__setattr__(self, "subjects", tuple(self.subjects))
        if len(self.subjects) not in (1, 2):
            raise ValueError(
                f"subjects holds {len(self.subjects)} subjects; a Pocket World scene has 1 or 2."
            )
        if len(self.subjects) == 1 and self.relation is not None:
            raise ValueError(
                f"relation={self.relation!r} needs two subjects, but the scene has one. "
                "Add a second Subject, or leave relation=None."
            )
        if len(self.subjects) == 2:
            if self.relation is None:
                raise ValueError(
                    "relation is missing: two subjects can't stand in one place. It says where the "
                    f"first is, seen from the second: {', '.join(f.RELATIONS)}."
                )
            f.one_of("relation", self.relation, f.RELATIONS)
        f.one_of("place", self.place, f.PLACES)
        f.one_of("style", self.style, f.STYLES)
        object.__setattr__(self, "seed", f.whole_number("seed", self.seed, 0, MAX_SEED))
        known = frozenset(self.fact_names())
        if isinstance(self.stated, str) or not set(self.stated) <= known:
            raise ValueError(
                f"stated={self.stated!r} names facts that this scene does not have. "
                f"It has: {', '.join(sorted(known))}."
            )
        object.__setattr__(self, "stated", frozenset(self.stated) or known)

    def fact_names(self) -> tuple[str, ...]:
        """Returns the names of this scene's facts: ``"1 kind"``, ``"1 colour"``, ``"place"``..."""
        own = [
            f"{i} {what}"
            for i in range(1, len(self.subjects) + 1)
            for what in ("kind", "colour", "size", "accessory")
        ]
        return (*own, *(["relation"] if len(self.subjects) == 2 else []), "place", "style")

    def facts(self) -> dict[str, str | None]:
        """Returns every fact by name, in the order of ``fact_names``."""
        values: list[str | None] = []
        for s in self.subjects:
            values += [s.kind, s.colour, s.size, s.accessory]
        if len(self.subjects) == 2:
            values.append(self.relation)
        return dict(zip(self.fact_names(), [*values, self.place, self.style], strict=True))

    def same_facts(self, other: Scene) -> bool:
        """Says whether two scenes agree in every fact, whatever their seeds."""
        return isinstance(other, Scene) and self.facts() == other.facts()

    def replace(self, **changes: Any) -> Scene:
        """Returns a copy with some attributes changed, as ``dataclasses.replace`` does."""
        if {"subjects", "relation"} & set(changes):
            changes.setdefault("stated", frozenset())
        else:  # what is given now is said from now on
            changes.setdefault("stated", self.stated | ({"place", "style"} & set(changes)))
        return replace(self, **changes)

    def caption(self, seed: int | None = None) -> str:
        """Returns the scene in words.

        Args:
            seed: None gives the canonical caption, which states every fact in a fixed order. A
                number gives one of many wordings; some of those leave facts unsaid.
        """
        from .captions import caption

        return caption(self, seed)

    def render(self, size: int = 128) -> Image.Image:
        """Draws the scene as an RGB picture of ``size`` x ``size`` pixels (32 to 512)."""
        from .render import render

        return render(self, size)

    def masks(self, size: int = 128) -> Mapping[str, np.ndarray]:
        """Returns where everything is in ``render(size)``: name -> boolean array [size, size].

        The masks do not overlap, and together they cover the picture: one for each subject
        (without its accessory), one for each accessory, and ``"background"``. Two subjects of a
        kind are ``"cat 1"`` and ``"cat 2"``, in the scene's order.
        """
        from .render import masks

        return masks(self, size)

    def _repr_html_(self) -> str:
        from .sheet import scene_html

        return scene_html(self)
