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
        (["doctor", "--", "--x"], "unrecognized arguments: "),
        (["generate"], "the following arguments are required: PROMPT"),
        (["generate", "--seed", "3", "4"], "the following arguments are required: PROMPT"),
        (["generate", "--words", "cat"], "the following arguments are required: PROMPT"),
        (["generate", "a cat", "--seed", "3", "x"], "argument --seed: a whole number, not 'x'"),
        (["generate", "--seed", "x", "a cat"], "argument --seed: a whole number, not 'x'"),
        (["generate", "a cat", "a dog"], "unrecognized arguments: a dog"),
        (["train", "--stage", "unet"], "the following arguments are required: MODEL"),
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
    monkeypatch.setattr(_lab, "prepare", lambda folder, blank: tmp_path / (folder or "default"))
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


@pytest.mark.parametrize(
    ("arguments", "blank"), [([], None), (["--blank"], True), (["mine", "--no-blank"], False)]
)
def test_lab_hands_on_whether_lessons_are_blank(opened, monkeypatch, tmp_path, arguments, blank):
    told = []
    monkeypatch.setattr(_lab, "prepare", lambda folder, blank: told.append(blank) or tmp_path)
    assert cli.main(["lab", *arguments]) == 0
    assert told == [blank]


def test_labs_help_says_what_it_does_with_an_example_that_works(capsys):
    with pytest.raises(SystemExit):
        cli.main(["lab", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Copy the lessons to a folder (default: sdlearn-lessons)" in said
    example = re.search(r"sdlearn lab -- (--(\w+)\.(\w+)=\w+)", said)
    from jupyter_server.serverapp import ServerApp

    assert example[2] == "ServerApp" and ServerApp.class_traits(config=True)[example[3]]


@pytest.fixture
def asked(monkeypatch):
    """Catch what `generate` and `train` would do, instead of doing it."""
    from sdlearn import _generate, _train

    calls = []
    monkeypatch.setattr(_generate, "generate", lambda arguments: calls.append(arguments) or True)
    monkeypatch.setattr(_train, "train", lambda *arguments: calls.append(arguments))
    return calls


CAT = "a red cat"


@pytest.mark.parametrize(
    ("line", "prompt", "seed", "words"),
    [
        ([CAT], CAT, [0], []),
        ([CAT, "--seed", "3", "4"], CAT, [3, 4], []),
        (["--seed", "3", CAT], CAT, [3], []),
        (["--seed", "3", "4", CAT, "--steps", "2"], CAT, [3, 4], []),
        (["--steps", "2", CAT, "--seed", "-1"], CAT, [-1], []),
        ([CAT, "--words", "cat", "grass"], CAT, [0], ["cat", "grass"]),
        (["--words", "cat", "grass", CAT, "--seed", "3", "4"], CAT, [3, 4], ["cat", "grass"]),
        (["--seed", "3", CAT, "--words", "red", "cat"], CAT, [3], ["red", "cat"]),
        (["--words", "red", "cat", "--seed", "3", CAT], CAT, [3], ["red", "cat"]),
        (["--seed", "3", "4", "--", "7"], "7", [3, 4], []),
        (["7", "--seed", "3"], "7", [3], []),
        (["--words", "cat", "--", "--a-cat"], "--a-cat", [0], ["cat"]),
        (["--seed", "3", "--", "-cat"], "-cat", [3], []),
    ],
)
def test_the_prompt_may_stand_before_and_behind_the_options(asked, line, prompt, seed, words):
    assert cli.main(["generate", *line]) == 0
    (found,) = asked
    assert (found.prompt, found.seed, found.words) == (prompt, seed, words)


@pytest.mark.parametrize(
    "line",
    [
        ["pocket-sd15", "--stage", "vae", "unet"],
        ["--stage", "vae", "unet", "pocket-sd15"],
        ["--stage", "vae", "unet", "--", "pocket-sd15"],
        ["--stage", "vae", "unet", "--go-on", "pocket-sd15"],
    ],
)
def test_so_may_the_model_that_is_trained(asked, line):
    assert cli.main(["train", *line]) == 0
    assert asked[0][:2] == ("pocket-sd15", ["vae", "unet"])


def test_copy_only_opens_nothing(opened):
    assert cli.main(["lab", "mine", "--copy-only"]) == 0
    assert opened == []


def test_copy_only_needs_a_folder(opened, capsys):
    assert cli.main(["lab", "--copy-only"]) == 1
    assert "sdlearn lab my-lessons --copy-only" in capsys.readouterr().err


def test_a_problem_is_one_line_and_no_traceback(monkeypatch, capsys):
    def fail(folder, blank):
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


def test_who_reads_only_the_beginning_sees_no_traceback():
    line = [sys.executable, "-m", "sdlearn", "models"]
    asked = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    asked.stdout.close()
    assert asked.stderr.read() == "" and asked.wait() == 0
