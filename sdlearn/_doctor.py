"""`sdlearn doctor`: what is here, what is missing, and what to do about it.

It answers at once because it looks without importing: package versions come from their metadata,
a GPU from its driver's files. Each check takes what it looks at as an argument, so that tests can
show it a machine that is broken.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sdlearn import __version__, _machine, _resources
from sdlearn.models import hub
from sdlearn.models.catalogue import PUBLISHED

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)  # between them it is tested
GIB = 1024**3
_MODULES = {"pillow": "PIL", "scikit-image": "skimage", "scikit-learn": "sklearn"}


@dataclass(frozen=True)
class Finding:
    """One line of the report: `level` is "ok", "note" (nothing is lost) or "problem"."""

    topic: str
    level: str
    text: str
    advice: str = ""


def examine() -> list[Finding]:
    """Look at this machine."""
    found = [python(sys.version_info[:3], sys.executable)]
    found += packages(_requirements("sdlearn"), _version)
    found += [torch_build(_version("torch"), _torch_cuda(), _machine.accelerator())]
    found += [memory(*_machine.memory()), disk(shutil.disk_usage(Path.cwd()).free)]
    found += [lessons(_resources.lessons(), _resources.notebooks_dir())]
    found += weights(_resources.data_dir() / "models", hub.cache_dir())
    return found


def report(findings: Iterable[Finding]) -> str:
    """Lay the findings out for a terminal, with the advice under each."""
    findings = list(findings)
    lines = [f"sdlearn {__version__} on {platform.system()} {platform.machine()}", ""]
    for finding in findings:
        mark = {"ok": "ok", "note": "-", "problem": "PROBLEM"}[finding.level]
        lines.append(f"{finding.topic:<13}{mark:<9}{finding.text}")
        lines += [f"{'':<22}{line}" for line in finding.advice.splitlines()]
    problems = sum(finding.level == "problem" for finding in findings)
    lines += ["", f"{problems} problem{'s' * (problems != 1)} to put right." if problems else ""]
    return "\n".join(lines).rstrip() + (
        "" if problems else "\n\nEverything that is needed is here."
    )


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 1 when something keeps the lessons from running."""
    return int(any(finding.level == "problem" for finding in findings))


# --- the checks ---------------------------------------------------------------------------------


def python(version: tuple[int, ...], executable: str) -> Finding:
    """Is this Python new enough?"""
    text = f"{'.'.join(map(str, version))} ({executable})"
    if version[:2] > NEWEST_PYTHON:
        advice = "Newer than what is tested, 3.10 to 3.13. If a package fails, take one of those."
        return Finding("python", "note", text, advice)
    if version[:2] >= OLDEST_PYTHON:
        return Finding("python", "ok", text)
    return Finding("python", "problem", text, "sdlearn needs Python 3.10 or newer: install one.")


def packages(
    required: list[str] | None, version_of: Callable[[str], str | None]
) -> Iterator[Finding]:
    """Is everything that the package declares here, in a version that it accepts?"""
    if required is None:
        advice = "In the checkout: make setup. Without make: pip install ."
        yield Finding("packages", "problem", "sdlearn itself is not installed here", advice)
        return
    wrong, good, extras = [], 0, {}
    for line in required:
        name, accepted, extra = _parse(line)
        version = version_of(name)
        if extra:
            extras.setdefault(extra, []).append((name, version))
        elif version is None:
            wrong.append((name, f"{name} is missing"))
        elif not accepted(version):
            wrong.append((name, f"{name} is {version}; needed is {line}"))
        else:
            good += 1
    for name, text in wrong:
        advice = f"In the checkout: make setup. Without make: pip install --upgrade {name}"
        yield Finding("packages", "problem", text, advice)
    if not wrong:
        yield Finding("packages", "ok", f"all {good} that the lessons need")
    for extra, members in extras.items():
        absent = [name for name, version in members if version is None]
        if absent:
            what = {"book": "building the book", "dev": "running the tests"}.get(extra, extra)
            advice = f'Only needed for {what}. In the checkout: pip install -e ".[{extra}]"'
            yield Finding("packages", "note", f"not here: {', '.join(absent)}", advice)
    vision = version_of("torchvision")
    yield Finding("torchvision", "note", f"{vision or 'not here'}; nothing uses it, either is fine")


def torch_build(version: str | None, cuda: str | None, device: str | None) -> Finding:
    """On what will the networks run? The lessons are made for the CPU; a GPU is a bonus."""
    cores = _machine.cores()
    text = f"CPU, {cores} core{'s' * (cores != 1)}; no lesson needs more"
    if version is None:
        return Finding("device", "note", "unknown until torch is installed")
    if device == "cuda" and cuda:
        return Finding("device", "ok", f"{text}. A CUDA GPU is here, and this torch can use it")
    if device == "cuda":
        advice = "To use it, install a CUDA build of torch; the lessons do not ask for it."
        return Finding(
            "device", "ok", f"{text}. A CUDA GPU is here; this torch is CPU-only", advice
        )
    if device == "mps":
        return Finding("device", "ok", f"{text}. An Apple GPU (MPS) is here")
    return Finding("device", "ok", text)


def memory(free: int | None, total: int | None) -> Finding:
    """Is there room for torch and a pocket model (about 1 GiB)?"""
    if free is None or total is None:
        return Finding("memory", "note", "this system does not say; 2 GiB free are comfortable")
    text = f"{free / GIB:.1f} GiB free of {total / GIB:.1f}"
    if free < GIB:
        return Finding(
            "memory", "problem", text, "Close other programs: a lesson takes about 1 GiB."
        )
    if free < 2 * GIB:
        advice = "Enough for one lesson at a time: shut down the kernels of the others."
        return Finding("memory", "note", text, advice)
    return Finding("memory", "ok", text)


def disk(free: int) -> Finding:
    """Is there room for copied lessons and saved runs?"""
    text = f"{free / GIB:.1f} GiB free here"
    if free < GIB // 5:
        return Finding("disk", "problem", text, "Free some space: notebooks cannot be saved.")
    return Finding("disk", "ok", text)


def lessons(found: list[Path], folder: Path) -> Finding:
    """Are the lessons here?"""
    if found:
        return Finding("lessons", "ok", f"{len(found)} in {folder}")
    advice = "Get the checkout whole, or install its wheel again: pip install --force-reinstall"
    return Finding("lessons", "problem", f"none in {folder}", advice)


def weights(models: Path, cache: Path) -> Iterator[Finding]:
    """Which weights are on this disk, and how large are they?"""
    pocket = [folder for folder in sorted(models.glob("*")) if any(folder.rglob("*.safetensors"))]
    for folder in pocket:
        if where := _unlinked(folder):
            text = f"{folder.name} in {models}: {where} should be a link, and is a file"
            yield Finding("weights", "problem", text, _resources.WITHOUT_LINKS)
        else:
            yield Finding("weights", "ok", f"{folder.name}, {_size(folder)}, in {models}")
    if not pocket:
        yield Finding("weights", "note", f"no pocket models in {models}")
    absent = []
    for name, entry in PUBLISHED.items():
        known = entry.repositories, entry.revision, cache
        whole, begun = hub.cached(*known), hub.begun(*known)
        if folder := whole or begun:
            folder = folder.parent.parent  # of the repository, with the files themselves
        if whole:
            yield Finding("weights", "ok", f"{name}, {_size(folder)}, in {folder}")
        elif begun:
            advice = f"sd.load({name!r}, download=True) goes on with the download."
            text = f"{name}, only in part, {_size(folder)}, in {folder}"
            yield Finding("weights", "note", text, advice)
        else:
            absent.append(name)
    if absent:
        advice = (
            "These are the published weights: gigabytes, and optional. Nothing fetches them "
            f"unasked; sd.load({absent[0]!r}, download=True) does."
        )
        yield Finding("weights", "note", f"not in the Hub's cache: {', '.join(absent)}", advice)


def _unlinked(folder: Path) -> str | None:
    """What should be a link to another model's part: git without links writes down where to."""
    for path in sorted(folder.rglob("*")):
        named = "." not in path.name or path.suffix == ".safetensors"
        if named and path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(3) == b"../":
                    return path.relative_to(folder).as_posix()
    return None


# --- looking without importing ------------------------------------------------------------------


def _requirements(name: str) -> list[str] | None:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return None


def _version(name: str) -> str | None:
    """Return a package's version when both its metadata and its code are there."""
    module = _MODULES.get(name, name.replace("-", "_"))
    try:
        known = name in _NO_MODULE or importlib.util.find_spec(module) is not None
        return metadata.version(name) if known else None
    except (metadata.PackageNotFoundError, ValueError):
        return None


_NO_MODULE = {"pytest-xdist"}  # its module has another name; nothing at run time needs it


def _parse(line: str) -> tuple[str, Callable[[str], bool], str]:
    """Split 'name>=1; extra == "book"' into the name, a test for versions, and the extra."""
    name = re.match(r"[\w.-]+", line).group()
    extra = re.search(r"extra\s*==\s*[\"']([\w-]+)", line)
    try:
        from packaging.requirements import Requirement
    except ImportError:  # then presence is all that can be checked
        return name, lambda version: True, extra.group(1) if extra else ""
    accepted = Requirement(line).specifier
    return (
        name,
        lambda version: accepted.contains(version, prereleases=True),
        extra.group(1) if extra else "",
    )


def _torch_cuda() -> str | None:
    """Read which CUDA torch was built for from its version file, without importing it."""
    spec = importlib.util.find_spec("torch")
    file = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
    if file is None or not file.is_file():
        return None
    found = re.search(r"^cuda\b.*=\s*['\"]([\d.]+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1) if found else None


def _size(folder: Path) -> str:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    size = sum(path.stat().st_size for path in files)
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / 1024**2:.1f} MiB"
