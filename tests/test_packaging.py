"""The project file, the lock, and the wheel: built, looked into, installed, and used."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

from hatch_build import WholeData
from sdlearn import __version__, _resources

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = [Requirement(line) for line in LOCK.splitlines() if line and not line.startswith("#")]
EXTRAS = PROJECT["optional-dependencies"]
WANTED = [Requirement(line) for line in sum(EXTRAS.values(), PROJECT["dependencies"])]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# --- the lock -----------------------------------------------------------------------------------


def locked_on(python: str, system: str) -> dict[str, list[Requirement]]:
    """Return what the lock names for one Python on one system."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": system,
        "os_name": "nt" if system == "win32" else "posix",
        "platform_system": {"win32": "Windows", "darwin": "Darwin"}.get(system, "Linux"),
        "platform_machine": "arm64" if system == "darwin" else "x86_64",
    }
    found = {}
    for line in LOCKED:
        if line.marker is None or line.marker.evaluate(environment):
            found.setdefault(canonical(line.name), []).append(line)
    return found


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_the_lock_holds_every_dependency_once_in_a_version_that_is_accepted(python, system):
    locked = locked_on(python, system)
    assert [name for name, lines in locked.items() if len(lines) > 1] == []
    for wanted in WANTED:
        (line,) = locked[canonical(wanted.name)]
        (pin,) = line.specifier
        assert pin.operator == "=="
        assert wanted.specifier.contains(pin.version), f"{line} is not {wanted}"


def test_torch_is_the_version_of_both_builds_and_brings_its_own_cuda():
    assert "torch==2.13.0\n" in LOCK
    for line in LOCKED:
        assert not re.match(r"(nvidia|cuda)-|triton|torchvision", line.name), line


def test_the_lock_names_no_place():
    assert "://" not in LOCK and "--hash" not in LOCK and "@" not in LOCK
    assert all(line.url is None for line in LOCKED)


def test_nothing_needs_torchvision():
    assert not [line for line in WANTED if "torchvision" in line.name]


def test_the_readme_says_why_each_dependency_is_here():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(r"## What it depends on.*?\n## ", readme, re.DOTALL).group()
    first_column = " ".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE))
    named = set(re.findall(r"[\w-]+", first_column))
    assert {line.name for line in WANTED} <= named


def test_the_readmes_lines_of_python_work():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# --- the wheel ----------------------------------------------------------------------------------


def build(tree: Path, out: Path) -> zipfile.ZipFile:
    """Build a wheel from a source tree, offline, with the hatchling that is installed here."""
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(line, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    return zipfile.ZipFile(wheel)


def copy_sources(tree: Path) -> Path:
    tree.mkdir()
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "sdlearn", tree / "sdlearn")
    return tree


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of today's sources with two small lessons and a small data file."""
    base = tmp_path_factory.mktemp("wheel")
    tree = copy_sources(base / "tree")
    for name in ("01-a.ipynb", "02-b.ipynb", ".ipynb_checkpoints/01-a.ipynb"):
        (tree / "notebooks" / name).parent.mkdir(exist_ok=True, parents=True)
        (tree / "notebooks" / name).write_text("{}")
    (tree / "data" / "models" / "pocket").mkdir(parents=True)
    (tree / "data" / "models" / "pocket" / "unet.safetensors").write_bytes(b"weights")
    (tree / "data" / "models" / "other").mkdir()  # which shares a folder, as the pockets do
    (tree / "data" / "models" / "pocket" / "vae").mkdir()
    (tree / "data" / "models" / "pocket" / "vae" / "model.safetensors").write_bytes(b"more")
    (tree / "data" / "models" / "other" / "vae").symlink_to("../pocket/vae")
    (tree / "tests").mkdir()
    (tree / "tests" / "test_a.py").write_text("")
    return build(tree, base / "dist")


def test_the_wheel_carries_the_package_the_lessons_and_the_data(wheel):
    names = {name for name in wheel.namelist() if not name.startswith("sdlearn-")}
    bundle = {name for name in names if name.startswith("sdlearn/_bundle/")}
    assert bundle == {
        "sdlearn/_bundle/notebooks/01-a.ipynb",
        "sdlearn/_bundle/notebooks/02-b.ipynb",
        "sdlearn/_bundle/data/models/pocket/unet.safetensors",
        "sdlearn/_bundle/data/models/pocket/vae/model.safetensors",
        "sdlearn/_bundle/data/models/other/vae/model.safetensors",
    }
    assert len(wheel.namelist()) == len(set(wheel.namelist()))
    files = (path for path in (ROOT / "sdlearn").rglob("*") if path.is_file())
    ours = {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}
    assert names - bundle == {name for name in ours if "/." not in name}


def test_the_wheel_says_what_it_is(wheel):
    (metadata,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    text = wheel.read(metadata).decode()
    assert f"Version: {__version__}\n" in text
    assert "Requires-Python: >=3.10" in text
    assert "License-Expression: MIT" in text
    (scripts,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    assert "sdlearn = sdlearn.cli:main" in wheel.read(scripts).decode()
    assert [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel, installed apart from everything, with a way to run its command."""
    site = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*line, "--target", str(site), wheel.filename], check=True)

    def run(*arguments, cwd):
        line = [sys.executable, "-m", "sdlearn.cli", *arguments]
        env = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run(line, cwd=cwd, env=env, capture_output=True, text=True, check=False)

    return run


def test_the_installed_command_works(installed, tmp_path):
    assert installed("--version", cwd=tmp_path).stdout == f"sdlearn {__version__}\n"


def test_the_installed_command_copies_the_lessons_and_keeps_changes(installed, tmp_path):
    first = installed("lab", "mine", "--copy-only", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    lessons = sorted(path.name for path in (tmp_path / "mine").glob("*.ipynb"))
    assert lessons == ["01-a.ipynb", "02-b.ipynb"]
    (tmp_path / "mine" / "01-a.ipynb").write_text("my answers")
    second = installed("lab", "mine", "--copy-only", cwd=tmp_path)
    assert "kept     01-a.ipynb" in second.stdout
    assert (tmp_path / "mine" / "01-a.ipynb").read_text() == "my answers"


def test_the_installed_doctor_finds_lessons_and_weights_in_the_wheel(installed, tmp_path):
    report = installed("doctor", cwd=tmp_path).stdout
    assert re.search(r"lessons +ok +2 in .*_bundle", report)
    assert re.search(r"weights +ok +pocket, .*_bundle", report)


def test_the_installed_package_has_no_book(installed, tmp_path):
    done = installed("book", cwd=tmp_path)
    assert done.returncode == 1 and "checkout" in done.stderr


def test_a_wheel_without_lessons_or_data_builds_too(tmp_path):
    tree = copy_sources(tmp_path / "tree")
    names = build(tree, tmp_path / "dist").namelist()
    assert "sdlearn/cli.py" in names
    assert not [name for name in names if "_bundle" in name]


@pytest.mark.parametrize("target", [WheelBuilder, SdistBuilder])
def test_what_is_built_holds_every_file_of_the_data(target):
    """Of the checkout itself, links followed: so each pocket model comes whole."""
    builder, asked = target(str(ROOT)), {"force_include": {}}
    told = str(ROOT), {}, builder.config, builder.metadata, "", builder.PLUGIN_NAME
    WholeData(*told).initialize("standard", asked)
    files = [Path(one.distribution_path) for one in builder.recurse_included_files()]
    files += [Path(place) for place in asked["force_include"].values()]
    inside = Path("sdlearn/_bundle" if target is WheelBuilder else "")
    data = [path for path in files if path.is_relative_to(inside / "data")]
    assert sorted(data) == sorted(inside / "data" / path for path in below(ROOT / "data"))


def below(folder: Path) -> list[Path]:
    """All files below a folder, links followed."""
    walked = os.walk(folder, followlinks=True)
    return [Path(place, name).relative_to(folder) for place, _, names in walked for name in names]


def test_a_checkout_finds_its_own_folders():
    assert _resources.checkout() == ROOT
    assert _resources.data_dir() == ROOT / "data"
    assert _resources.notebooks_dir() == ROOT / "notebooks"


def test_lessons_are_in_order_and_nothing_else_is_a_lesson(tmp_path):
    for name in ("10-c.ipynb", "02-a.ipynb", "notes.ipynb", "03-b.md"):
        (tmp_path / name).write_text("")
    assert [path.name for path in _resources.lessons(tmp_path)] == ["02-a.ipynb", "10-c.ipynb"]


def test_all_that_is_kept_stays_small_enough_to_be_cloned_in_class():
    tracked = ROOT / ".git"
    if tracked.exists():
        line = ["git", "ls-files", "-z"]
        named = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        paths = [ROOT / name for name in named.split("\0") if name]
    else:  # an unpacked archive: all of it is kept
        paths = [path for top in ("data", "notebooks", "book") for path in (ROOT / top).rglob("*")]
    sizes = {p: p.lstat().st_size for p in paths if p.is_symlink() or p.is_file()}
    assert len(sizes) > 100
    heaviest = max(sizes, key=sizes.get)
    assert sizes[heaviest] < 16 * 2**20, heaviest
    assert sum(sizes.values()) < 56 * 2**20
