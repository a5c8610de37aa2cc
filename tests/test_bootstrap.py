"""`make setup`: once, again only when it must, and whole after an interruption."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "bootstrap.py")
bootstrap = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bootstrap)


@pytest.fixture
def root(tmp_path):
    """A checkout that has no environment yet."""
    (tmp_path / "requirements.lock").write_text("torch==2.13.0\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


@pytest.fixture
def runs(monkeypatch):
    """Stand in for Python's venv and for pip: note each command, and make what venv would make."""
    commands = []

    def call(line, **_):
        commands.append(line[2:4])
        if line[1:3] == ["-m", "venv"]:
            python = Path(bootstrap.env_python(line[3]))
            python.parent.mkdir(parents=True)
            python.write_text("")
        return 0

    monkeypatch.setattr(bootstrap.subprocess, "call", call)
    return commands


def kinds(commands):
    return [name for name, _ in commands]


def test_it_sets_up_once(root, runs):
    assert bootstrap.main(str(root)) == 0
    assert kinds(runs) == ["venv", "pip", "pip"]
    runs.clear()
    assert bootstrap.main(str(root)) == 0
    assert runs == []


def test_touching_a_file_is_no_change(root, runs):
    bootstrap.main(str(root))
    runs.clear()
    os.utime(root / "requirements.lock", (1, 1))
    bootstrap.main(str(root))
    assert runs == []


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_change_installs_into_the_same_environment(root, runs, name):
    bootstrap.main(str(root))
    runs.clear()
    (root / ".venv" / "mine").write_text("")
    (root / name).write_text("changed")
    bootstrap.main(str(root))
    assert kinds(runs) == ["pip", "pip"]
    assert (root / ".venv" / "mine").exists()


@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_interrupted_setup_is_done_afresh(root, runs, monkeypatch, at):
    call, count = bootstrap.subprocess.call, iter(range(9))

    def pull_the_plug(line, **options):
        if next(count) == at:
            raise KeyboardInterrupt
        return call(line, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(bootstrap.subprocess, "call", pull_the_plug)
        bootstrap.main(str(root))
    assert not (root / ".venv" / "sdlearn-ready").exists()
    (root / ".venv" / "half").write_text("")
    runs.clear()
    bootstrap.main(str(root))
    assert kinds(runs) == ["venv", "pip", "pip"]
    assert not (root / ".venv" / "half").exists()
    runs.clear()
    bootstrap.main(str(root))
    assert runs == []


def test_an_interrupted_update_is_done_afresh(root, runs, monkeypatch):
    bootstrap.main(str(root))
    (root / "requirements.lock").write_text("changed")

    def pull_the_plug(line, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(bootstrap.subprocess, "call", pull_the_plug)
        bootstrap.main(str(root))
    runs.clear()
    bootstrap.main(str(root))
    assert kinds(runs) == ["venv", "pip", "pip"]


def test_when_pip_gives_up_it_says_so_and_keeps_what_is_there(root, runs, monkeypatch):
    with monkeypatch.context() as patch:
        call = bootstrap.subprocess.call
        patch.setattr(bootstrap.subprocess, "call", lambda line, **k: "-r" in line or call(line))
        with pytest.raises(SystemExit, match=r"pip install -r requirements\.lock"):
            bootstrap.main(str(root))
    runs.clear()
    bootstrap.main(str(root))
    assert kinds(runs) == ["pip", "pip"]


def test_an_environment_that_someone_made_by_hand_is_filled(root, runs):
    python = Path(bootstrap.env_python(str(root / ".venv")))
    python.parent.mkdir(parents=True)
    python.write_text("")
    (root / ".venv" / "theirs").write_text("")
    bootstrap.main(str(root))
    assert kinds(runs) == ["pip", "pip"]
    assert (root / ".venv" / "theirs").exists()


def test_an_environment_without_its_python_is_made_again(root, runs):
    bootstrap.main(str(root))
    Path(bootstrap.env_python(str(root / ".venv"))).unlink()
    runs.clear()
    bootstrap.main(str(root))
    assert kinds(runs) == ["venv", "pip", "pip"]


def test_an_environment_that_was_moved_is_made_again(root, runs, tmp_path_factory):
    bootstrap.main(str(root))
    elsewhere = tmp_path_factory.mktemp("base") / "a place with spaces"
    root.rename(elsewhere)
    runs.clear()
    bootstrap.main(str(elsewhere))
    assert kinds(runs) == ["venv", "pip", "pip"]
    runs.clear()
    bootstrap.main(str(elsewhere))
    assert runs == []


def test_an_old_python_is_told_what_to_do():
    with pytest.raises(SystemExit, match=r"needs Python 3\.10 or newer; this is 3\.8"):
        bootstrap.complain_about((3, 8, 1))


def test_a_python_without_venv_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match="apt-get install python3-venv"):
        bootstrap.complain_about((3, 11, 2))


def test_old_pythons_can_read_it():
    """Parse it by the rules of Python 3.7: no walrus, no match, no new syntax at all."""
    import ast

    source = (ROOT / "tools" / "bootstrap.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 7))


def test_make_lists_every_target():
    if not (ROOT / "Makefile").exists() or os.name == "nt":
        pytest.skip("no make on Windows")
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make")}
    targets = {
        "setup",
        "lab",
        "test",
        "lessons",
        "book",
        "doctor",
        "bench",
        "lint",
        "format",
        "lock",
        "clean",
        "help",
    }
    assert listed == targets
