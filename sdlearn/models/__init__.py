"""Which weights: the pocket models, the published ones, a folder, a file, a pipeline at hand.

    import sdlearn as sd

    sd.models()                     # a table of the known names, and what is on this machine
    sd.load("pocket-sd15")          # a model, ready to be asked
    sd.models.published_configs("sdxl")
    sd.models.clip.load()           # the model's text encoder with the half that sees pictures

Nothing is downloaded unless `load(..., download=True)` asks for it, and no file is ever opened
that could run code. The names below arrive on first use, so that the table needs no torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdlearn.models import clip
    from sdlearn.models.anatomies import anatomy, compare
    from sdlearn.models.anatomies_machine import can_run
    from sdlearn.models.configs import published_configs
    from sdlearn.models.loading import load, parts, wrap
    from sdlearn.models.table import Row, Table, models

__all__ = [
    "Row",
    "Table",
    "anatomy",
    "can_run",
    "clip",
    "compare",
    "load",
    "models",
    "parts",
    "published_configs",
    "wrap",
]

_HOME = {
    "Row": "table",
    "Table": "table",
    "anatomy": "anatomies",
    "can_run": "anatomies_machine",
    "compare": "anatomies",
    "load": "loading",
    "models": "table",
    "parts": "loading",
    "published_configs": "configs",
    "wrap": "loading",
}


def __getattr__(name: str) -> Any:
    if name == "clip":
        return import_module("sdlearn.models.clip")
    if name not in _HOME:
        raise AttributeError(f"sdlearn.models has no {name!r}; it has {', '.join(__all__)}.")
    return getattr(import_module(f"sdlearn.models.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Callable(ModuleType):
    """`sd.models` is this package and, called, the table: Python has one name for both."""

    def __call__(self) -> Table:
        return import_module("sdlearn.models.table").models()


sys.modules[__name__].__class__ = _Callable
