"""How Stable Diffusion works, in parts that can be held, run and measured.

    import sdlearn as sd

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
    "equations": "sdlearn.equations",
    "lessons": "sdlearn.lessons",
    "views": "sdlearn.views",
    "world": "sdlearn.world",
}

if TYPE_CHECKING:  # never runs: it tells editors and type checkers the names that arrive lazily
    from sdlearn import equations, lessons, views, world

__all__ = ["__version__", "equations", "lessons", "views", "world"]


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
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the lazy names too, so that completion finds them before they are loaded."""
    return sorted(set(globals()) | set(_LAZY))
