"""The command line: what it takes, what it says, and that it hands on what it was given."""

import re
import subprocess
import sys

import pytest

import sdlearn
from sdlearn import _book, _lab, _resources, cli


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"sdlearn {sdlearn.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_names_every_command_and_no_other(arguments, capsys):
    try:
        code = cli.main(arguments)
    except SystemExit as stop:
        code = stop.code
    assert code == 0
    listed = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert listed == ["lab", "generate", "models", "train", "eval", "book", "doctor"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["lba"], "invalid choice: 'lba'"),
        (["lab", "--port", "http"], "a port is a number from 0 to 65535, not 'http'"),
        (["lab", "--port", "70000"], "a port is a number"),
        (["doctor", "--", "--x"], "only `sdlearn lab` takes options after --"),
        (["lab", "one", "two"], "unrecognized arguments: two"),
    ],
)
def test_wrong_arguments_are_explained(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Catch what `lab` would open, instead of opening it."""
    calls = []
    monkeypatch.setattr(_lab, "prepare", lambda folder: tmp_path / (folder or "default"))
    monkeypatch.setattr(_lab, "run", lambda folder, options: calls.append((folder, options)) or 0)
    return calls


@pytest.mark.parametrize(
    ("arguments", "folder", "options"),
    [
        ([], "default", []),
        (["mine"], "mine", []),
        (["--no-browser", "--port", "8899"], "default", ["--no-browser", "--port=8899"]),
        (["--port", "8899", "mine"], "mine", ["--port=8899"]),
        (["--ip", "0.0.0.0"], "default", ["--ip=0.0.0.0"]),
        (["mine", "--", "--debug", "-y"], "mine", ["--debug", "-y"]),
        (["--", "--debug"], "default", ["--debug"]),
    ],
)
def test_lab_hands_its_options_on(opened, tmp_path, arguments, folder, options):
    assert cli.main(["lab", *arguments]) == 0
    assert opened == [(tmp_path / folder, options)]


def test_copy_only_opens_nothing(opened):
    assert cli.main(["lab", "mine", "--copy-only"]) == 0
    assert opened == []


def test_copy_only_needs_a_folder(opened, capsys):
    assert cli.main(["lab", "--copy-only"]) == 1
    assert "sdlearn lab my-lessons --copy-only" in capsys.readouterr().err


def test_a_problem_is_one_line_and_no_traceback(monkeypatch, capsys):
    def fail(folder):
        raise _lab.LabError("there is a reason")

    monkeypatch.setattr(_lab, "prepare", fail)
    assert cli.main(["lab"]) == 1
    assert capsys.readouterr().err == "sdlearn: there is a reason\n"


def test_the_book_needs_a_checkout(monkeypatch, capsys):
    monkeypatch.setattr(_resources, "checkout", lambda: None)
    assert cli.main(["book"]) == 1
    assert "checkout" in capsys.readouterr().err


def test_the_book_needs_sphinx(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(_resources, "checkout", lambda: tmp_path)
    monkeypatch.setattr(_book.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["book"]) == 1
    assert '".[book]"' in capsys.readouterr().err


def test_it_runs_as_a_module_too():
    line = [sys.executable, "-m", "sdlearn.cli", "--version"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"sdlearn {sdlearn.__version__}"
