"""Pocket World: a small world of captioned pictures of which we know the whole truth.

A scene has one or two subjects, a place and a style. It can be said, drawn, masked and checked:

    >>> from sdlearn import world
    >>> scene = world.sample(seed=3)
    >>> scene.caption()             # in words;  world.parse(words) gives the scene back
    >>> scene.render(128)           # as a picture
    >>> scene.masks(128)            # where everything is in it
    >>> world.check(picture, scene)  # which of its facts any picture shows

Everything is drawn on the fly and reproducibly: no downloads, no data set, no copyright.
"""

from __future__ import annotations

from typing import Any

from .facts import ACCESSORIES, COLOURS, KINDS, PLACES, RELATIONS, SIZES, STYLES
from .grammar import parse, vocabulary
from .heldout import (
    HELDOUT_ACCESSORIES,
    HELDOUT_COLOURS,
    HELDOUT_RELATIONS,
    heldout_reasons,
    is_heldout,
)
from .render import Masks
from .sampling import sample
from .scene import Scene, Subject
from .sheet import contact_sheet

_CHECKER = ("check", "read", "read_all", "Check", "Fact", "Reading", "Thing")


def __getattr__(name: str) -> Any:
    # The checker is a small network: it alone needs torch, which takes a second to import.
    if name in _CHECKER:
        from . import checker

        return getattr(checker, name)
    raise AttributeError(f"module 'sdlearn.world' has no attribute {name!r}")


__all__ = [
    "ACCESSORIES",
    "COLOURS",
    "HELDOUT_ACCESSORIES",
    "HELDOUT_COLOURS",
    "HELDOUT_RELATIONS",
    "KINDS",
    "PLACES",
    "RELATIONS",
    "SIZES",
    "STYLES",
    "Masks",
    "Scene",
    "Subject",
    "check",
    "contact_sheet",
    "heldout_reasons",
    "is_heldout",
    "parse",
    "read",
    "read_all",
    "sample",
    "vocabulary",
]
