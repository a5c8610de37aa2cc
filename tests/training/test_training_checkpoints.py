"""Checkpoints: whole or not there at all, and never a reason to lose the one before."""

import ast
import errno
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sdlearn.training import checkpoints
from sdlearn.training.average import Average

resource = pytest.importorskip("resource", reason="limits on files exist on POSIX systems only")


def tensors(step):
    return {"model.w": torch.full((1000,), float(step)), "average.w": torch.arange(1000.0)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_is_loaded(tmp_path):
    assert checkpoints.load(tmp_path / "not there") is None
    checkpoints.save(tmp_path, 7, tensors(7), {"note": "x"})
    step, loaded, facts = checkpoints.load(tmp_path)
    assert (step, facts) == (7, {"note": "x", "step": 7})
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors(7).items())


def test_two_are_kept_and_no_draft(tmp_path):
    (tmp_path / ".step-0000001.safetensors.123.draft").write_bytes(b"of a run that was killed")
    for step in (1, 2, 3, 4):
        checkpoints.save(tmp_path, step, tensors(step), {})
    assert names(tmp_path) == ["step-0000003.safetensors", "step-0000004.safetensors"]


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:5],
        lambda data: b"",
        lambda data: b"\xff" * len(data),
        lambda data: b"no weights at all",
    ],
)
def test_a_broken_one_is_named_and_set_aside_and_the_one_before_is_used(tmp_path, capsys, harm):
    for step in (1, 2):
        checkpoints.save(tmp_path, step, tensors(step), {})
    newest = checkpoints.newest(tmp_path)
    newest.write_bytes(harm(newest.read_bytes()))
    step, loaded, _ = checkpoints.load(tmp_path)
    assert step == 1 and torch.equal(loaded["model.w"], tensors(1)["model.w"])
    assert "step-0000002.safetensors can't be read" in capsys.readouterr().out
    assert names(tmp_path) == ["step-0000001.safetensors", "step-0000002.broken"]


def test_weights_without_their_step_are_set_aside_too(tmp_path, capsys):
    checkpoints.save(tmp_path, 1, tensors(1), {})
    save_file(tensors(2), tmp_path / "step-0000002.safetensors")
    assert checkpoints.load(tmp_path)[0] == 1
    assert "set aside" in capsys.readouterr().out


def test_nobody_begins_anew_without_being_told(tmp_path):
    path = checkpoints.save(tmp_path, 1, tensors(1), {})
    path.write_bytes(b"no weights at all")
    with pytest.raises(ValueError, match=r"set aside.*The same command begins this stage anew"):
        checkpoints.load(tmp_path)
    assert checkpoints.load(tmp_path) is None  # the same command


def test_what_may_not_be_read_is_not_taken_for_broken(tmp_path, monkeypatch):
    path = checkpoints.save(tmp_path, 1, tensors(1), {})
    assert path.stat().st_mode & 0o777 == 0o644

    def refused(*arguments, **settings):
        raise PermissionError("Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "safe_open", refused)
        with pytest.raises(OSError, match=r"Permission denied.*may well be whole"):
            checkpoints.load(tmp_path)
    assert checkpoints.load(tmp_path)[0] == 1


def test_averaged_weights_of_other_shapes_are_refused():
    average = Average(torch.nn.Linear(3, 3), 0.9)
    average.load({"weight": torch.ones(3, 3), "bias": torch.ones(3)})
    for other in (
        {"weight": torch.ones(3), "bias": torch.ones(3)},  # would be spread over the rows
        {"weight": torch.ones(3, 3)},
        {"weight": torch.ones(3, 3), "bias": torch.ones(3), "more": torch.ones(3)},
    ):
        with pytest.raises(KeyError, match="not as in the model"):
            average.load(other)


def test_a_full_disk_is_explained_and_costs_nothing(tmp_path):
    """A real one: the system refuses to write more than a few kilobytes."""
    checkpoints.save(tmp_path, 1, tensors(1), {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match=r"step 2 could not be written.*Make room on the disk"):
            checkpoints.save(tmp_path, 2, tensors(2), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == ["step-0000001.safetensors"]
    assert checkpoints.load(tmp_path)[0] == 1


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_disk_that_fails_in_the_last_moment_costs_nothing(tmp_path, monkeypatch, function):
    checkpoints.save(tmp_path, 1, tensors(1), {})

    def fail(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints.os, function, fail)
    with pytest.raises(OSError, match=r"No space left on device.*The previous one is still there"):
        checkpoints.save(tmp_path, 2, tensors(2), {})
    monkeypatch.undo()
    assert names(tmp_path) == ["step-0000001.safetensors"]


def test_the_optimizers_memory_keeps_its_layout():
    """A channels-last weight's memory must be channels-last too, or sums round differently."""
    weight = torch.nn.Parameter(torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last))
    first, second = (torch.optim.AdamW([weight]) for _ in range(2))
    weight.grad = torch.randn_like(weight)
    first.step()
    packed = {n: t.clone().contiguous() for n, t in checkpoints.pack_optimizer(first).items()}
    checkpoints.unpack_optimizer(second, packed)
    for name, value in first.state[weight].items():
        assert torch.equal(second.state[weight][name], value)
        assert second.state[weight][name].stride() == value.stride()


def test_nothing_is_ever_pickled():
    """Weights travel as safetensors: a file that somebody else made can't carry code."""
    folder = Path(checkpoints.__file__).parent
    found = []
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found += [a.name for a in node.names if a.name in ("pickle", "dill", "joblib")]
            if isinstance(node, ast.ImportFrom) and node.module in (
                "pickle",
                "torch.serialization",
            ):
                found.append(node.module)
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                *("torch.save", "torch.load", "numpy.load_pickle"),
                *("accelerator.save_state", "accelerator.load_state"),  # these pickle too
            ):
                found.append(f"{path.name}: {ast.unparse(node)}")
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                found.append(f"{path.name}: allow_pickle")
    assert found == []
