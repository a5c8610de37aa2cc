"""Who may import whom. The tables are the rule; the test reads every import and holds it to them.

The design's arrows point from a layer to the layers it may use. They are meant literally, one arrow
at a time, for the layers below (`models` imports `stages` and not what `stages` imports), and the
two layers at the top reach everything under them: `lessons` and `cli` are where all parts meet.
Every import counts: inside functions, under TYPE_CHECKING, relative, and by `import_module("...")`.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# layer -> the layers of ours that it may import (itself always)
ALLOWED = {
    "equations": set(),
    "trace": set(),
    "world": set(),
    "stages": {"equations", "trace", "_machine"},
    "models": {"stages", "_machine", "_resources"},
    "views": {"trace"},
    "training": {"equations", "trace", "stages", "models", "world", "_resources"},
    "lessons": {
        *("training", "views", "world"),
        *("models", "stages", "trace", "equations"),
        "_resources",
    },
    # The commands, and the private modules that do their work. They start nothing heavy.
    "_resources": set(),
    "_machine": set(),
    "_arguments": set(),
    "_lab": {"_resources"},
    "_book": {"_resources"},
    "_doctor": {"models", "_resources", "_machine", "__init__"},  # __init__ for the version
    "_train": {"training", "views"},
    "_generate": {"models", "trace", "views"},
    "__main__": {"cli"},
    "cli": {
        *("lessons", "training", "views", "world", "models", "stages", "trace", "equations"),
        *(
            "_arguments",
            "_book",
            "_doctor",
            "_generate",
            "_lab",
            "_train",
            "_resources",
            "__init__",
        ),
    },
    # `import sdlearn` itself names everything, lazily.
    "__init__": {"equations", "trace", "world", "stages", "models", "views", "training", "lessons"},
}

# layer -> the packages of others that it may import, beside the standard library
OUTSIDE = {
    "equations": {"torch"},
    "trace": {"torch", "numpy", "safetensors", "PIL"},
    "world": {"torch", "numpy", "PIL", "safetensors", "skimage"},
    "stages": {"torch", "numpy", "PIL", "safetensors", "diffusers", "transformers"},
    "models": {"torch", "safetensors", "diffusers", "transformers", "huggingface_hub"},
    "views": {
        *("torch", "numpy", "PIL", "IPython"),
        *("matplotlib", "cycler"),  # cycler is matplotlib's own
        *("ipywidgets", "anywidget", "traitlets"),  # traitlets is theirs
    },
    "training": {
        *("torch", "numpy", "PIL", "safetensors", "tqdm", "sklearn"),
        *("diffusers", "transformers", "tokenizers", "accelerate"),
    },
    "_train": {"tqdm"},
    "_generate": {"PIL", "tqdm"},
    "lessons": {"torch", "numpy", "PIL", "tqdm", "sklearn", "skimage"},
    "_doctor": {"packaging"},
}


def imports(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, full name) for everything that a file imports, wherever in it that stands.

    `from a import b` yields "a.b": b may be a module or an object, and a layer shows in both.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _callee(node) in ("import_module", "__import__"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield node.lineno, _absolute(argument.value, package)


def _callee(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _absolute(name: str, package: list[str]) -> str:
    level = len(name) - len(name.lstrip("."))
    return ".".join([*package[: len(package) - level + 1], name[level:]]) if level else name


def breaches(root: Path) -> list[str]:
    """Return a line for every import below `root`/sdlearn that the tables do not allow."""
    found = []
    for path in sorted((root / "sdlearn").rglob("*.py")):
        inside = path.relative_to(root)
        parts = inside.with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        layer = parts[1]
        if layer not in ALLOWED:
            found.append(f"{inside}: {layer} is in no table of tests/test_architecture.py")
            continue
        for line, name in imports(path.read_text(encoding="utf-8"), module, is_package):
            problem = _problem(layer, name)
            if problem:
                found.append(f"{inside}:{line}: {problem}")
    return found


def _problem(layer: str, name: str) -> str:
    first, *rest = name.split(".")
    if first == "sdlearn":
        # `from sdlearn import __version__` and `import sdlearn` both mean the package's own file
        target = rest[0] if rest and rest[0] in ALLOWED else "__init__"
        allowed = target == layer or target in ALLOWED[layer]
        return "" if allowed else f"{layer} may not import {target} of sdlearn's"
    if first in sys.stdlib_module_names or first in OUTSIDE.get(layer, ()):
        return ""
    return f"{layer} may not import {first}"


def test_every_import_follows_an_arrow_of_the_design():
    assert breaches(ROOT) == []


def test_the_tables_are_of_one_piece():
    named = {target for targets in ALLOWED.values() for target in targets}
    assert named <= set(ALLOWED)
    assert set(OUTSIDE) <= set(ALLOWED)
    drawing = {layer for layer, names in OUTSIDE.items() if "matplotlib" in names}
    running = {layer for layer, names in OUTSIDE.items() if names & {"diffusers", "transformers"}}
    assert drawing == {"views"}
    assert running == {"stages", "models", "training"}


BAD = [
    ("equations/a.py", "import numpy", "equations may not import numpy"),
    ("equations/a.py", "import sdlearn", "equations may not import __init__"),
    ("equations/a.py", "from sdlearn.world import scene", "equations may not import world"),
    ("equations/a.py", "from .. import world", "equations may not import world"),
    ("equations/a.py", "from ..world import scene", "equations may not import world"),
    ("equations/deep/a.py", "from ...world.scene import x", "equations may not import world"),
    ("equations/__init__.py", "from ..trace import Trace", "equations may not import trace"),
    ("trace/a.py", "from sdlearn.equations import noising", "trace may not import equations"),
    ("trace/a.py", "import matplotlib.pyplot as plt", "trace may not import matplotlib"),
    ("world/a.py", "from sdlearn import _resources", "world may not import _resources"),
    ("world/a.py", "from sdlearn import __version__", "world may not import __init__"),
    ("stages/a.py", "from sdlearn import models", "stages may not import models"),
    ("models/a.py", "from sdlearn import equations", "models may not import equations"),
    ("views/a.py", "from sdlearn.stages import text", "views may not import stages"),
    ("views/a.py", "import diffusers", "views may not import diffusers"),
    ("training/a.py", "from sdlearn.views import figures", "training may not import views"),
    ("lessons/a.py", "import transformers", "lessons may not import transformers"),
    ("lessons/a.py", "from sdlearn.cli import main", "lessons may not import cli"),
    ("cli.py", "def f():\n    import torch", "cli may not import torch"),
    ("cli.py", "import sdlearn.lessons, yaml", "cli may not import yaml"),
    (
        "views/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sdlearn.models import Model",
        "views may not import models",
    ),
    (
        "world/a.py",
        "import importlib\nimportlib.import_module('sdlearn.trace')",
        "world may not import trace",
    ),
    (
        "world/a.py",
        "from importlib import import_module as _\nimport_module('..views', __package__)",
        "world may not import views",
    ),
    ("world/a.py", "__import__('matplotlib')", "world may not import matplotlib"),
    ("newlayer/a.py", "", "newlayer is in no table"),
]


@pytest.mark.parametrize(("file", "source", "complaint"), BAD)
def test_a_forbidden_import_is_found(tmp_path, file, source, complaint):
    path = tmp_path / "sdlearn" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    found = breaches(tmp_path)
    assert len(found) == 1
    assert complaint in found[0]


GOOD = [
    ("equations/a.py", "import math, torch\nfrom . import b\nfrom sdlearn.equations import c"),
    ("stages/a.py", "from sdlearn import trace\nfrom ..equations import noising\nimport diffusers"),
    ("models/a.py", "from sdlearn import _resources\nfrom sdlearn.stages import text"),
    ("views/a.py", "from sdlearn.trace import Trace\nimport matplotlib.pyplot as plt"),
    ("training/a.py", "from sdlearn import equations, models, stages, world\nimport accelerate"),
    ("lessons/a.py", "from sdlearn import training, views, world\nfrom sdlearn.equations import x"),
    ("cli.py", "from sdlearn import __version__, lessons, _doctor"),
]


@pytest.mark.parametrize(("file", "source"), GOOD)
def test_an_allowed_import_is_not_complained_of(tmp_path, file, source):
    path = tmp_path / "sdlearn" / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert breaches(tmp_path) == []


def test_nobody_holds_warnings_back_for_all_threads():
    """`warnings.catch_warnings` is no thread's own, and widgets draw on one beside the cells."""
    users = [
        path.name
        for path in (ROOT / "sdlearn").rglob("*.py")
        if re.search(r"catch_warnings\(|import .*catch_warnings", path.read_text("utf-8"))
    ]
    assert users == []
