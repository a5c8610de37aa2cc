"""What loads when. Counted in modules, not in seconds: a busy machine must not fail a test."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    *("torch", "diffusers", "transformers", "accelerate", "numpy", "matplotlib", "PIL"),
    *("sklearn", "skimage", "ipywidgets", "anywidget", "IPython", "jupyterlab", "safetensors"),
}


def loaded_after(code: str) -> set[str]:
    """Run `code` in a fresh Python, and return the top-level modules that are loaded then."""
    program = (
        f"{code}\nimport json, sys\n"
        "print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import sdlearn",
        "import sdlearn; dir(sdlearn); sdlearn.__version__",
        "import sdlearn.cli; sdlearn.cli.main([])",
        "import sdlearn.cli; sdlearn.cli.main(['doctor'])",
        "from sdlearn import _lab; _lab.command",
    ],
)
def test_nothing_heavy_is_loaded(code):
    assert loaded_after(code) & HEAVY == set()


def test_a_name_arrives_when_it_is_used():
    assert "torch" in loaded_after("import sdlearn; sdlearn.equations")
    assert "torch" in loaded_after("from sdlearn import equations")


def test_the_lazy_names_are_announced():
    import sdlearn

    assert set(sdlearn._LAZY) <= set(dir(sdlearn))
    assert set(sdlearn.__all__) == {"__version__", *sdlearn._LAZY}


def test_editors_are_told_of_every_lazy_name():
    import ast
    import inspect

    import sdlearn

    tree = ast.parse(inspect.getsource(sdlearn))
    guarded = [node for node in tree.body if isinstance(node, ast.If)]
    names = {
        alias.asname or alias.name
        for block in guarded
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert names == set(sdlearn._LAZY)


def test_an_unknown_name_is_answered_with_near_ones():
    import sdlearn

    with pytest.raises(AttributeError, match=r"'equation'\. Did you mean equations\?"):
        sdlearn.equation  # noqa: B018
    with pytest.raises(ImportError):
        from sdlearn import no_such_thing  # noqa: F401
    assert not hasattr(sdlearn, "no_such_thing")


def test_an_object_in_a_module_can_be_a_lazy_name(monkeypatch):
    import sdlearn

    monkeypatch.setitem(sdlearn._LAZY, "half", "fractions:Fraction")
    assert sdlearn.half.__name__ == "Fraction"
    monkeypatch.delattr(sdlearn, "half")
