"""How Stable Diffusion works, in parts that can be held, run and measured.

    import sdlearn as sd

    model = sd.load("pocket-sd15")                      # or any Stable Diffusion of yours
    trace = model.generate("a red cat on the grass")    # the picture, and how it came about

    sd.equations    # one function = one formula of one paper
    sd.world        # Pocket World: captioned pictures whose truth is known

Importing this package loads none of the heavy libraries: every name below arrives on first use
(PEP 562), so that `import sdlearn`, `sdlearn --help` and an editor's completion are instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# name -> where it lives: "package.module" is a module, "package.module:name" an object in one.
# A new public name is one line here, and one below for the editors.
_LAZY = {
    "Record": "sdlearn.trace:Record",
    "Trace": "sdlearn.trace:Trace",
    "anatomy": "sdlearn.models.anatomies:anatomy",
    "can_run": "sdlearn.models.anatomies_machine:can_run",
    "compare": "sdlearn.models.anatomies:compare",
    "equations": "sdlearn.equations",
    "interventions": "sdlearn.stages.interventions",
    "lessons": "sdlearn.lessons",
    "load": "sdlearn.models:load",
    "models": "sdlearn.models",
    "views": "sdlearn.views",
    "world": "sdlearn.world",
    "wrap": "sdlearn.models:wrap",
}

if TYPE_CHECKING:  # never runs: it tells editors and type checkers the names that arrive lazily
    from sdlearn import equations, lessons, views, world
    from sdlearn.models import load, models, wrap
    from sdlearn.models.anatomies import anatomy, compare
    from sdlearn.models.anatomies_machine import can_run
    from sdlearn.stages import interventions
    from sdlearn.trace import Record, Trace

__all__ = [
    "Record",
    "Trace",
    "__version__",
    "anatomy",
    "can_run",
    "compare",
    "equations",
    "interventions",
    "lessons",
    "load",
    "models",
    "views",
    "world",
    "wrap",
]


def __getattr__(name: str) -> Any:
    """Import what `name` stands for, once, and keep it."""
    if name not in _LAZY:
        from difflib import get_close_matches

        near = get_close_matches(name, _LAZY, n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise AttributeError(f"sdlearn has no {name!r}.{hint} It has: {', '.join(sorted(_LAZY))}.")
    module, _, attribute = _LAZY[name].partition(":")
    value = import_module(module)
    if attribute:
        value = getattr(value, attribute)
    if name in ("Trace", "load", "wrap"):
        _teach_to_draw()
    if name in ("anatomy", "can_run", "compare"):
        _teach_anatomy_to_draw()
    globals()[name] = value
    return value


def _view(name: str, where: str = "sdlearn.views") -> Any:
    """A view that is imported when something is shown, and not before."""
    return lambda shown, *others, **options: getattr(import_module(where), name)(
        shown, *others, **options
    )


def _teach_to_draw() -> None:
    """Let traces, schedules and models show themselves, though they know no view: see here."""
    from sdlearn.stages.pipeline import Model
    from sdlearn.stages.schedule import Schedule
    from sdlearn.stages.text import Prompt
    from sdlearn.trace import Trace

    Model.viewers.setdefault("anatomy", _view("anatomy", "sdlearn"))
    Model.viewers.setdefault("explore", _view("generation", "sdlearn.views.widgets"))
    Trace.viewers.setdefault("plot", _view("run"))
    Trace.viewers.setdefault("explore", _view("explore", "sdlearn.views.widgets"))
    Prompt.viewers.setdefault("explore", _view("prompt", "sdlearn.views.widgets"))
    Schedule.viewer = Schedule.viewer or _view("stations")


def _teach_anatomy_to_draw() -> None:
    from sdlearn.models.anatomies import Anatomy

    Anatomy.viewer = Anatomy.viewer or _view("unets")


def __dir__() -> list[str]:
    """List the lazy names too, so that completion finds them before they are loaded."""
    return sorted(set(globals()) | set(_LAZY))
