"""`sdlearn lab`: a learner's work is never overwritten, whatever happens when."""

import json
import os
import sys

import pytest

from sdlearn import _lab, _resources

LESSON = "02-noise.ipynb"
BESIDE = "02-noise.new.ipynb"


@pytest.fixture
def shipped(tmp_path):
    """The lessons as they were published, in version one."""
    folder = tmp_path / "shipped"
    (folder / "images").mkdir(parents=True)
    (folder / LESSON).write_text("one")
    (folder / "images" / "cat.svg").write_text("<svg/>")
    return folder


@pytest.fixture
def mine(tmp_path):
    """A learner's folder, not there yet."""
    return tmp_path / "mine"


def files(folder):
    """Return every file of a folder and what is in it, the manifest apart."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != _lab.MANIFEST)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def test_everything_is_copied(shipped, mine):
    said = _lab.copy_lessons(shipped, mine)
    assert files(mine) == {LESSON: "one", "images/cat.svg": "<svg/>"}
    assert [line.split()[0] for line in said] == ["copied", "copied"]


def test_a_second_copy_changes_nothing_and_says_nothing(shipped, mine):
    _lab.copy_lessons(shipped, mine)
    before = (mine / LESSON).stat().st_mtime_ns
    assert _lab.copy_lessons(shipped, mine) == []
    assert (mine / LESSON).stat().st_mtime_ns == before


def test_an_untouched_lesson_is_updated(shipped, mine):
    _lab.copy_lessons(shipped, mine)
    (shipped / LESSON).write_text("two")
    assert _lab.copy_lessons(shipped, mine) == [f"updated  {LESSON}"]
    assert files(mine)[LESSON] == "two"
    (shipped / LESSON).write_text("three")
    _lab.copy_lessons(shipped, mine)
    assert files(mine)[LESSON] == "three"


def test_a_changed_lesson_is_kept(shipped, mine):
    _lab.copy_lessons(shipped, mine)
    (mine / LESSON).write_text("my answers")
    (line,) = _lab.copy_lessons(shipped, mine)
    assert "kept" in line and "no newer version" in line
    assert files(mine) == {LESSON: "my answers", "images/cat.svg": "<svg/>"}


def test_a_newer_version_of_a_changed_lesson_comes_beside_it(shipped, mine):
    _lab.copy_lessons(shipped, mine)
    (mine / LESSON).write_text("my answers")
    (shipped / LESSON).write_text("two")
    (line,) = _lab.copy_lessons(shipped, mine)
    assert "kept" in line and BESIDE in line
    assert files(mine)[LESSON] == "my answers"
    assert files(mine)[BESIDE] == "two"

    (shipped / LESSON).write_text("three")  # the version beside is untouched: it follows
    _lab.copy_lessons(shipped, mine)
    assert files(mine)[LESSON] == "my answers"
    assert files(mine)[BESIDE] == "three"


def test_a_newer_version_that_was_worked_on_is_kept_too(shipped, mine):
    _lab.copy_lessons(shipped, mine)
    (mine / LESSON).write_text("my answers")
    (shipped / LESSON).write_text("two")
    _lab.copy_lessons(shipped, mine)
    (mine / BESIDE).write_text("my new answers")
    (shipped / LESSON).write_text("three")
    (line,) = _lab.copy_lessons(shipped, mine)
    assert "both yours" in line
    assert files(mine)[LESSON] == "my answers"
    assert files(mine)[BESIDE] == "my new answers"


def test_a_newer_version_that_was_removed_does_not_come_back(shipped, mine):
    _lab.copy_lessons(shipped, mine)
    (mine / LESSON).write_text("my answers")
    (shipped / LESSON).write_text("two")
    _lab.copy_lessons(shipped, mine)
    (mine / BESIDE).unlink()
    (line,) = _lab.copy_lessons(shipped, mine)
    assert "you removed" in line
    assert BESIDE not in files(mine)


def test_a_removed_lesson_comes_back(shipped, mine):
    _lab.copy_lessons(shipped, mine)
    (mine / LESSON).unlink()
    assert _lab.copy_lessons(shipped, mine) == [f"copied   {LESSON}"]


def test_a_file_of_the_same_name_that_we_never_copied_is_kept(shipped, mine):
    mine.mkdir()
    (mine / LESSON).write_text("something else")
    _lab.copy_lessons(shipped, mine)
    assert files(mine)[LESSON] == "something else"
    assert files(mine)[BESIDE] == "one"


@pytest.mark.parametrize("damage", ["", "not json", "[]", '{"files": 3}', '{"files": {"a": 1}}'])
def test_a_damaged_manifest_loses_nothing(shipped, mine, damage):
    _lab.copy_lessons(shipped, mine)
    (mine / LESSON).write_text("my answers")
    (mine / _lab.MANIFEST).write_text(damage)
    (shipped / LESSON).write_text("two")
    _lab.copy_lessons(shipped, mine)
    assert files(mine)[LESSON] == "my answers"


@pytest.mark.parametrize("at", range(4))
def test_an_interrupted_copy_is_finished_by_the_next(shipped, mine, monkeypatch, at):
    """Stop the copy at each of its writes in turn, with the bytes half written."""
    real, calls = _lab.os.replace, []

    def pull_the_plug(part, path):
        if len(calls) == at:
            with open(part, "w") as file:
                file.write("hal")
            raise KeyboardInterrupt
        calls.append(path)
        real(part, path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_lab.os, "replace", pull_the_plug)
        _lab.copy_lessons(shipped, mine)
    whole = {LESSON: "one", "images/cat.svg": "<svg/>"}
    there = {name: text for name, text in files(mine).items() if not name.endswith(".part")}
    assert there.items() <= whole.items()  # what is there is whole

    assert not any("kept" in line for line in _lab.copy_lessons(shipped, mine))
    assert files(mine) == whole
    (shipped / LESSON).write_text("two")  # and it still counts as ours
    _lab.copy_lessons(shipped, mine)
    assert files(mine)[LESSON] == "two"


def test_what_jupyter_leaves_behind_is_not_copied(shipped, mine):
    (shipped / ".ipynb_checkpoints").mkdir()
    (shipped / ".ipynb_checkpoints" / LESSON).write_text("old")
    (shipped / ".hidden").write_text("x")
    _lab.copy_lessons(shipped, mine)
    assert set(files(mine)) == {LESSON, "images/cat.svg"}


def test_the_manifest_names_no_machine(shipped, mine, tmp_path):
    _lab.copy_lessons(shipped, mine)
    manifest = (mine / _lab.MANIFEST).read_text()
    assert str(tmp_path) not in manifest
    assert set(json.loads(manifest)["files"]) == {LESSON, "images/cat.svg"}


def test_the_lessons_are_not_copied_into_themselves(shipped):
    with pytest.raises(_lab.LabError, match="elsewhere"):
        _lab.copy_lessons(shipped, shipped / "mine")


def test_ctrl_c_does_not_kill_jupyter_while_it_ends_by_itself():
    """Where JupyterLab can't take our place (Windows), Ctrl-C reaches both: we wait."""

    class Process:
        interrupts = 2

        def wait(self):
            if self.interrupts:
                self.interrupts -= 1
                raise KeyboardInterrupt
            return 3

    assert _lab._waited_for(Process()) == 3


# --- without results ----------------------------------------------------------------------------


def notebook(source, *outputs):
    """A lesson of one cell, as it was run."""
    ran = {"execution": {"iopub.status.busy": "2026"}}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "Guess — é"},
        {
            **{"cell_type": "code", "execution_count": 3, "metadata": ran},
            **{"source": source, "outputs": list(outputs)},
        },
    ]
    metadata = {"kernelspec": {"name": "python3"}, "widgets": {"state": "a picture"}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def run(shipped):
    """The lessons, with results."""
    (shipped / LESSON).write_text(notebook("1 + 1", {"text": "2"}), encoding="utf-8")
    return shipped


def shows(folder, name=LESSON):
    """Return a lesson's code, and whether it shows any result."""
    found = json.loads((folder / name).read_text(encoding="utf-8"))
    cell = found["cells"][1]
    nothing = cell["outputs"] == [] and cell["execution_count"] is None
    nothing = nothing and "widgets" not in found["metadata"] and cell["metadata"] == {}
    return cell["source"], not nothing


def test_blank_lessons_show_no_results_and_are_otherwise_the_same(run, mine):
    _lab.copy_lessons(run, mine, blank=True)
    assert shows(mine) == ("1 + 1", False)
    assert shows(run) == ("1 + 1", True)
    ours, theirs = (json.loads((f / LESSON).read_text(encoding="utf-8")) for f in (run, mine))
    assert theirs["cells"][0] == ours["cells"][0]
    assert theirs["metadata"] == {"kernelspec": {"name": "python3"}}
    assert files(mine)["images/cat.svg"] == "<svg/>"


def test_a_blank_folder_stays_blank_until_told_otherwise(run, mine):
    _lab.copy_lessons(run, mine, blank=True)
    assert _lab.copy_lessons(run, mine) == []
    (run / LESSON).write_text(notebook("2 + 2", {"text": "4"}), encoding="utf-8")
    assert _lab.copy_lessons(run, mine) == [f"updated  {LESSON}"]
    assert shows(mine) == ("2 + 2", False)
    assert _lab.copy_lessons(run, mine, blank=False) == [f"updated  {LESSON}"]
    assert shows(mine) == ("2 + 2", True)
    assert _lab.copy_lessons(run, mine) == []


def test_untouched_lessons_are_blanked_and_changed_ones_are_kept(run, mine):
    _lab.copy_lessons(run, mine)
    (run / "03-x.ipynb").write_text(notebook("3", {"text": "3"}), encoding="utf-8")
    _lab.copy_lessons(run, mine)
    (mine / LESSON).write_text(notebook("my answer", {"text": "2"}), encoding="utf-8")
    for blank in (True, True, False, None):
        kept = [f for f in _lab.copy_lessons(run, mine, blank=blank) if f.startswith("kept")]
        assert kept == [f"kept     {LESSON} (yours; there is no newer version)"]
        assert shows(mine) == ("my answer", True)
        assert shows(mine, "03-x.ipynb") == ("3", not blank)
        assert BESIDE not in files(mine)


def test_a_newer_version_beside_a_blank_lesson_is_blank_too(run, mine):
    _lab.copy_lessons(run, mine, blank=True)
    (mine / LESSON).write_text("my answers")
    (run / LESSON).write_text(notebook("2 + 2", {"text": "4"}), encoding="utf-8")
    (line,) = _lab.copy_lessons(run, mine)
    assert BESIDE in line and shows(mine, BESIDE) == ("2 + 2", False)
    (mine / BESIDE).unlink()
    (line,) = _lab.copy_lessons(run, mine, blank=False)
    assert "you removed" in line and files(mine)[LESSON] == "my answers"


def test_what_is_no_notebook_is_copied_as_it_is(shipped, mine):
    for number, text in enumerate(("one", "[]", '{"cells": 3}', '{"cells": [{}]}')):
        (shipped / f"{number}.ipynb").write_text(text)
    _lab.copy_lessons(shipped, mine, blank=True)
    assert files(mine) == files(shipped)


def test_every_lesson_can_be_blanked(mine):
    import nbformat

    for path in _resources.lessons():
        whole = path.read_bytes()
        blank = nbformat.reads(_lab._blanked(path.name, whole).decode(), as_version=4)
        nbformat.validate(blank)
        sources = [cell.source for cell in nbformat.reads(whole.decode(), as_version=4).cells]
        assert [cell.source for cell in blank.cells] == sources
        assert not any(cell.get("outputs") for cell in blank.cells)
        assert "widgets" not in blank.metadata


# --- what is opened -----------------------------------------------------------------------------


@pytest.fixture
def published(shipped, monkeypatch):
    """Let `shipped` be the published lessons."""
    (shipped / "01-tour.ipynb").write_text("tour")
    (shipped / "README.md").write_text("read me")
    monkeypatch.setattr(_resources, "notebooks_dir", lambda: shipped)
    return shipped


def test_authors_open_the_lessons_themselves_by_naming_them(published):
    assert _lab.prepare(str(published)) == published
    assert not (published / _lab.MANIFEST).exists()
    with pytest.raises(_lab.LabError, match="sdlearn lab my-lessons --blank"):
        _lab.prepare(str(published), blank=True)


@pytest.mark.parametrize("in_a_checkout", [True, False])
def test_a_learner_gets_a_copy_here(published, monkeypatch, tmp_path, in_a_checkout):
    monkeypatch.setattr(_resources, "checkout", lambda: tmp_path if in_a_checkout else None)
    monkeypatch.chdir(tmp_path)
    assert _lab.prepare(None) == tmp_path / "sdlearn-lessons"
    assert files(tmp_path / "sdlearn-lessons")[LESSON] == "one"


def test_without_lessons_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(_resources, "notebooks_dir", lambda: tmp_path)
    with pytest.raises(_lab.LabError, match="no lessons"):
        _lab.prepare(None)


def test_a_file_is_no_folder(published, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(_lab.LabError, match="is a file"):
        _lab.prepare(str(tmp_path / "taken"))


@pytest.mark.skipif(os.name == "nt", reason="a place where nobody can write, on POSIX")
def test_a_place_where_nothing_can_be_written_is_explained(published):
    with pytest.raises(_lab.LabError, match="Choose a folder of your own"):
        _lab.prepare("/dev/null/lessons")


def test_the_first_lesson_is_opened(published):
    line = _lab.command(published)
    assert line[:3] == [sys.executable, "-m", "jupyterlab"]
    assert "--LabApp.default_url=/lab/tree/01-tour.ipynb" in line
    assert f"--ServerApp.root_dir={published}" in line


def test_options_come_last_so_that_they_win(published):
    assert _lab.command(published, ["--port=1", "--debug"])[-2:] == ["--port=1", "--debug"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux comes without screens")
@pytest.mark.parametrize("screen", ["", ":0"])
def test_a_browser_is_opened_where_there_is_a_screen(published, monkeypatch, screen):
    for name in ("WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", screen)
    assert ("--no-browser" in _lab.command(published)) == (not screen)
    assert _lab.command(published, ["--no-browser"]).count("--no-browser") == 1


def test_the_environment_is_passed_on_and_the_users_settings_come_first():
    env = _lab.environment({"SDLEARN_MODEL": "sd15", "JUPYTER_CONFIG_PATH": "theirs"})
    assert env["SDLEARN_MODEL"] == "sd15"
    first, ours = env["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert first == "theirs"
    assert os.path.isfile(os.path.join(ours, "jupyter_lab_config.json"))


def test_jupyterlab_takes_our_settings(monkeypatch, tmp_path):
    """Ask JupyterLab's own code what it makes of them: no news, no update check, no installer."""
    from jupyterlab.handlers.announcements import NeverCheckForUpdate
    from jupyterlab.labapp import LabApp
    from jupyterlab_server.config import get_page_config

    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    for name, value in _lab.environment({}).items():
        monkeypatch.setenv(name, value)
    app = LabApp()
    app.load_config_file()
    assert app.news_url is None
    assert app.check_for_updates_class is NeverCheckForUpdate
    assert app.extension_manager == "readonly"
    page = get_page_config([], app_settings_dir=str(tmp_path))
    assert "@jupyterlab/apputils-extension:announcements" in page["disabledExtensions"]
