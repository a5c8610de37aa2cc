"""`sdlearn doctor` on machines that lack something, and on this one."""

import subprocess
import sys

import pytest

from sdlearn import _doctor, _machine, cli
from sdlearn._doctor import GIB

REQUIRED = ["torch>=2.4", "pillow>=10", 'sphinx>=8; extra == "book"', 'ruff; extra == "dev"']
HERE = {"torch": "2.13.0+cpu", "pillow": "12.0", "sphinx": "9.0", "ruff": "0.17"}


def levels(findings):
    return [finding.level for finding in findings]


def test_on_this_machine_everything_that_is_needed_is_here(capsys):
    findings = [finding for finding in _doctor.examine() if finding.topic != "lessons"]
    assert _doctor.exit_code(findings) == 0, _doctor.report(findings)
    topics = {finding.topic for finding in findings}
    assert {"python", "packages", "torchvision", "device", "memory", "disk", "weights"} <= topics


def test_the_command_prints_the_report_and_returns_its_code(monkeypatch, capsys):
    monkeypatch.setattr(_doctor, "examine", lambda: [_doctor.python((3, 8, 1), "/usr/bin/python3")])
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "PROBLEM  3.8.1" in out and "install one" in out and "1 problem to put right" in out


def test_a_healthy_report_ends_well():
    report = _doctor.report([_doctor.python((3, 12, 0), "python")])
    assert report.endswith("Everything that is needed is here.")
    assert _doctor.exit_code([_doctor.python((3, 12, 0), "python")]) == 0


def test_a_python_that_nobody_tried_is_a_note():
    newer = _doctor.python((3, 14, 0), "python")
    assert newer.level == "note" and "3.10 to 3.13" in newer.advice
    assert _doctor.exit_code([newer]) == 0


def test_packages_that_are_all_here():
    findings = list(_doctor.packages(REQUIRED, HERE.get))
    assert levels(findings) == ["ok", "note"]
    assert "all 2" in findings[0].text
    assert "nothing uses it" in findings[1].text  # torchvision


def test_a_missing_package_is_a_problem():
    findings = list(_doctor.packages(REQUIRED, {**HERE, "pillow": None}.get))
    assert findings[0].level == "problem" and findings[0].text == "pillow is missing"
    assert "make setup" in findings[0].advice


def test_an_old_package_is_a_problem():
    findings = list(_doctor.packages(REQUIRED, {**HERE, "torch": "2.1.0"}.get))
    assert findings[0].text == "torch is 2.1.0; needed is torch>=2.4"
    assert _doctor.exit_code(findings) == 1


def test_a_missing_extra_is_only_a_note():
    findings = list(_doctor.packages(REQUIRED, {**HERE, "sphinx": None}.get))
    assert _doctor.exit_code(findings) == 0
    (note,) = [finding for finding in findings if "sphinx" in finding.text]
    assert 'pip install -e ".[book]"' in note.advice


def test_torchvision_does_not_matter():
    for version in (None, "0.20"):
        findings = list(_doctor.packages(REQUIRED, {**HERE, "torchvision": version}.get))
        assert levels(findings) == ["ok", "note"]


def test_not_being_installed_is_a_problem():
    (finding,) = _doctor.packages(None, HERE.get)
    assert finding.level == "problem" and "pip install ." in finding.advice


def test_metadata_without_code_counts_as_missing(monkeypatch):
    assert _doctor._version("numpy")
    monkeypatch.setattr(_doctor.importlib.util, "find_spec", lambda name: None)
    assert _doctor._version("numpy") is None
    assert _doctor._version("no-such-package") is None


@pytest.mark.parametrize(
    ("version", "cuda", "device", "words"),
    [
        ("2.13.0+cpu", None, None, "no lesson needs more"),
        ("2.13.0+cpu", None, "cuda", "this torch is CPU-only"),
        ("2.13.0", "13.0", "cuda", "this torch can use it"),
        ("2.13.0", None, "mps", "Apple GPU"),
        (None, None, None, "unknown until torch is installed"),
    ],
)
def test_devices(version, cuda, device, words):
    finding = _doctor.torch_build(version, cuda, device)
    assert words in finding.text
    assert finding.level != "problem"


@pytest.mark.parametrize(
    ("free", "level"),
    [(0.5 * GIB, "problem"), (1.5 * GIB, "note"), (4 * GIB, "ok"), (None, "note")],
)
def test_memory(free, level):
    finding = _doctor.memory(free, 8 * GIB)
    assert finding.level == level
    assert level != "problem" or "Close other programs" in finding.advice


@pytest.mark.parametrize(("free", "level"), [(GIB // 100, "problem"), (GIB, "ok")])
def test_disk(free, level):
    assert _doctor.disk(free).level == level


def test_missing_lessons_are_a_problem(tmp_path):
    assert _doctor.lessons([], tmp_path).level == "problem"
    assert _doctor.lessons([tmp_path / "01-a.ipynb"], tmp_path).level == "ok"


def test_weights(tmp_path):
    models, cache = tmp_path / "models", tmp_path / "hub"
    nothing = list(_doctor.weights(models, cache))
    assert levels(nothing) == ["note", "note"]
    assert "sd15, " in nothing[1].text and "sdxl, " in nothing[1].text
    assert "Nothing fetches them unasked; sd.load(" in nothing[1].advice

    (models / "pocket-sd15" / "unet").mkdir(parents=True)
    (models / "pocket-sd15" / "unet" / "model.safetensors").write_bytes(bytes(3 * 1024**2))
    for part in ("vae", "text_encoder/model.safetensors"):  # git without links writes such files
        broken = models / "pocket-sd15" / part
        broken.parent.mkdir(exist_ok=True)
        broken.write_text("../other/part")
        (pocket, *_) = _doctor.weights(models, cache)
        assert pocket.level == "problem" and f"{part} should be a link" in pocket.text
        assert "core.symlinks" in pocket.advice
        broken.unlink()
    (models / "empty").mkdir()
    gone = cache / "models--runwayml--stable-diffusion-v1-5"  # from before it was deleted
    (gone / "blobs").mkdir(parents=True)
    (gone / "blobs" / "1f").write_bytes(bytes(2 * 1024**2))
    (gone / "refs").mkdir()
    (gone / "refs" / "main").write_text("a")
    unet = gone / "snapshots" / "a" / "unet"
    unet.mkdir(parents=True)
    (unet / "config.json").write_text("{}")
    (unet.parent / "model_index.json").write_text('{"unet": ["diffusers", "UNet"]}')
    pocket, published, rest = _doctor.weights(models, cache)
    assert pocket.text.startswith("pocket-sd15, 3.0 MiB")
    assert published.level == "note" and published.text.startswith("sd15, only in part, 2.0 MiB")
    assert "sd.load('sd15', download=True) goes on" in published.advice

    (unet / "diffusion_pytorch_model.safetensors").symlink_to(gone / "blobs" / "1f")
    pocket, published, rest = _doctor.weights(models, cache)
    assert published.level == "ok"
    assert published.text.startswith("sd15, 2.0 MiB")  # the link is not counted again
    assert "sd15," not in rest.text and "sdxl," in rest.text


def test_the_hubs_own_library_agrees_on_the_place():
    program = (
        "from huggingface_hub.constants import HF_HUB_CACHE as theirs\n"
        "from sdlearn.models import hub; import os, sys\n"
        "sys.exit(os.path.abspath(theirs) != str(hub.cache_dir().absolute()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_machine_is_told_truly():
    import psutil

    free, total = _machine.memory()
    assert 0 < free <= total <= psutil.virtual_memory().total
    assert 1 <= _machine.cores() <= psutil.cpu_count()


def test_torchs_build_is_read_without_importing_it():
    import torch

    assert _doctor._torch_cuda() == torch.version.cuda


def test_files_that_were_read_don_t_fill_a_containers_memory(tmp_path):
    """They stay there as long as nobody needs the room, and the container counts them as used."""
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    kib = GIB // 1024
    meminfo = f"MemTotal: {64 * kib} kB\nMemAvailable: {50 * kib} kB\n"
    (tmp_path / "proc" / "meminfo").write_text(meminfo)
    assert _machine._memory_linux(tmp_path) == (50 * GIB, 64 * GIB)
    (group / "memory.max").write_text("max\n")
    assert _machine._memory_linux(tmp_path) == (50 * GIB, 64 * GIB)
    (group / "memory.max").write_text(f"{8 * GIB}\n")
    (group / "memory.current").write_text(f"{7 * GIB}\n")
    (group / "memory.stat").write_text(
        f"anon {3 * GIB}\ninactive_file {3 * GIB}\nactive_file {GIB}\n"
    )
    assert _machine._memory_linux(tmp_path) == (5 * GIB, 8 * GIB)
    (group / "memory.current").write_text(f"{13 * GIB}\n")  # the limit was lowered meanwhile
    assert _machine._memory_linux(tmp_path) == (0, 8 * GIB)
