"""`sdlearn lab`: bring the lessons to a learner's folder, and open JupyterLab on the first one.

The lessons are copied first, in a checkout too: what a learner tries out must not change what the
tests compare. (Authors open the lessons themselves: `sdlearn lab notebooks`.) One promise: what a
learner wrote is never overwritten. A small manifest in the folder remembers the hash of every file
as it was copied; a file that still has that hash is ours to update, any other is the learner's.
It also remembers whether the lessons came blank, without what they showed when they were run.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from sdlearn import _resources

MANIFEST = ".sdlearn-lessons.json"
DEFAULT_DIR = "sdlearn-lessons"
_SKIPPED = {".ipynb_checkpoints", "__pycache__"}


class LabError(Exception):
    """Something that a person can put right, said in a way that tells how."""


# --- copying ------------------------------------------------------------------------------------


def copy_lessons(source: Path, target: Path, blank: bool | None = None) -> list[str]:
    """Bring every file of `source` into `target`, and return a line on each one that is notable.

    A missing file is copied, an untouched one is updated, a changed one is kept. When a lesson
    that the learner changed has a newer version, that version is put beside it as `NAME.new.ipynb`,
    once. Every file is written whole or not at all.

    Args:
        source: The lessons as they are published.
        target: The learner's folder.
        blank: Whether notebooks come without what they showed when they were run; None for as the
            folder was made, and with it if it is new.
    """
    if source.resolve() in target.resolve().parents:
        raise LabError(f"{target} lies inside the lessons themselves. Choose a folder elsewhere.")
    try:
        target.mkdir(parents=True, exist_ok=True)
        copied = _Copied.read(target)
        if blank not in (None, copied.blank):
            copied.blank = blank
            copied.write()
        said = [_bring(source, target, name, copied) for name in _shipped(source)]
    except OSError as error:
        raise LabError(
            f"The lessons cannot be written to {target} ({error.strerror or error}). "
            "Choose a folder of your own, such as: sdlearn lab my-lessons"
        ) from error
    return [line for line in said if line]


@dataclass
class _Copied:
    """What the manifest of a folder remembers.

    Attributes:
        folder: The learner's.
        files: The hash of every file as it was copied.
        blank: Whether notebooks come without their results.
    """

    folder: Path
    files: dict[str, str] = field(default_factory=dict)
    blank: bool = False

    @classmethod
    def read(cls, folder: Path) -> _Copied:
        try:
            known = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            files = {str(name): str(digest) for name, digest in known["files"].items()}
            return cls(folder, files, known.get("blank") is True)
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return cls(folder)  # then every file that differs counts as theirs: nothing is lost

    def write(self) -> None:
        known = {"blank": self.blank, "files": dict(sorted(self.files.items()))}
        _write(self.folder / MANIFEST, json.dumps(known, indent=1).encode())

    def note(self, name: str, digest: str) -> None:
        """Remember at once what a file was when copied, so that an interruption loses nothing."""
        if self.files.get(name) != digest:
            self.files[name] = digest
            self.write()


def _bring(source: Path, target: Path, name: str, copied: _Copied) -> str:
    """Bring one file, note its hash in `copied`, and say what happened if it is worth a line."""
    theirs, whole = target / name, (source / name).read_bytes()
    blank = _blanked(name, whole)
    ours, versions = blank if copied.blank else whole, {_hash(whole), _hash(blank)}
    new, old, now = _hash(ours), copied.files.get(name), _hash_of(theirs)
    if now == new:
        said = ""
    elif now is None or now == old:
        _write(theirs, ours)
        said = f"copied   {name}" if now is None else f"updated  {name}"
    elif old in versions:  # with its results or without: the same lesson
        return f"kept     {name} (yours; there is no newer version)"
    else:
        return _put_beside(target, name, ours, copied, versions)
    copied.note(name, new)
    return said


def _put_beside(target: Path, name: str, ours: bytes, copied: _Copied, versions: set[str]) -> str:
    """Put the newer version of a lesson that the learner changed next to it, if it is not there."""
    path = Path(name)
    beside = path.with_name(f"{path.stem}.new{path.suffix}").as_posix()
    new, old, now = _hash(ours), copied.files.get(beside), _hash_of(target / beside)
    if now is None and old in versions:
        return f"kept     {name} (yours; you removed its newer version, {beside})"
    if now not in (None, new, old):
        return f"kept     {name} and {beside} (both yours; rename the second to get the newest)"
    if now != new:
        _write(target / beside, ours)
    copied.note(beside, new)
    return f"kept     {name} (yours); its newer version is {beside}"


def _shipped(source: Path) -> Iterator[str]:
    """Yield the relative names of all lesson files, in order."""
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if path.is_file() and not _SKIPPED & set(inside.parts) and not path.name.startswith("."):
            yield inside.as_posix()


def _blanked(name: str, content: bytes) -> bytes:
    """A notebook without what it showed when it was run; any other file as it is."""
    if not name.endswith(".ipynb"):
        return content
    try:
        notebook = json.loads(content)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
                cell["metadata"].pop("execution", None)
        notebook["metadata"].pop("widgets", None)  # what widgets showed is kept here
    except (ValueError, KeyError, TypeError, AttributeError):
        return content  # no notebook, whatever it is called: nothing was shown in it
    return (json.dumps(notebook, ensure_ascii=False, indent=1) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _hash_of(path: Path) -> str | None:
    return _hash(path.read_bytes()) if path.exists() else None


# --- opening ------------------------------------------------------------------------------------


def prepare(folder: str | None, blank: bool | None = None) -> Path:
    """Return the folder to open: a copy brought up to date; the lessons themselves if named.

    Args:
        folder: The learner's; None for the usual one, here.
        blank: As in `copy_lessons`.
    """
    source = _resources.notebooks_dir()
    if not _resources.lessons():
        raise LabError(
            f"There are no lessons in {source}. If this is a checkout, it is incomplete; "
            "if sdlearn was installed, install its wheel again, with pip install --force-reinstall"
        )
    target = Path(folder or DEFAULT_DIR).expanduser().resolve()
    if target == source.resolve():
        if blank:
            raise LabError(
                f"{target} holds the lessons themselves, which keep their results. --blank is for "
                "a copy: sdlearn lab my-lessons --blank"
            )
        return source
    if target.exists() and not target.is_dir():
        raise LabError(f"{target} is a file. Name a folder, new or not: sdlearn lab my-lessons")
    for line in copy_lessons(source, target, blank):
        print(line)
    print(f"The lessons are in {target}", flush=True)
    return target


def command(folder: Path, options: Sequence[str] = ()) -> list[str]:
    """Return the command line that opens JupyterLab on the first lesson in `folder`."""
    first = quote(_resources.lessons()[0].name)
    line = [sys.executable, "-m", "jupyterlab", "--log-level=WARN"]
    line += [f"--ServerApp.root_dir={folder}", f"--LabApp.default_url=/lab/tree/{first}"]
    if not _has_screen() and "--no-browser" not in options:
        line.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # a container: Jupyter would refuse to start
        line.append("--allow-root")
    return [*line, *options]


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Add to `base` our settings (no news, no update checks) and the preference for our kernel."""
    ours = str(Path(__file__).parent / "_jupyter")
    path = os.pathsep.join(part for part in (base.get("JUPYTER_CONFIG_PATH"), ours) if part)
    return {**base, "JUPYTER_CONFIG_PATH": path, "JUPYTER_PREFER_ENV_PATH": "1"}


def run(folder: Path, options: Sequence[str] = ()) -> int:
    """Open JupyterLab, and return its exit code when it ends."""
    line, env = command(folder, options), environment(os.environ)
    print("JupyterLab is starting. Ctrl-C, twice, ends it.", flush=True)
    if os.name != "nt":
        os.execve(line[0], line, env)  # JupyterLab takes our place: Ctrl-C goes straight to it
    return _waited_for(subprocess.Popen(line, env=env))


def _waited_for(process: subprocess.Popen[bytes]) -> int:
    """A process's exit code. Ctrl-C reaches it as well as us: when to end is its own affair."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def _has_screen() -> bool:
    """Say whether a browser window can open: on Linux without a display it cannot."""
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in displays)
