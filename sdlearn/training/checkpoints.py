"""Checkpoints that survive: written aside and moved into place, two kept, read with suspicion."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

KEEP = 2


def save(folder: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, object]) -> Path:
    """Write a checkpoint; the older ones go only when the new one is safely there.

    Args:
        folder: Where a stage's checkpoints lie.
        step: How many steps are done.
        tensors: Weights, averaged weights and the optimizer's memory, by name.
        facts: Whatever else must be known; JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:07d}.safetensors"
    try:
        write(path, tensors, {"facts": json.dumps({**facts, "step": step})})
    except OSError as error:
        raise OSError(
            f"The checkpoint of step {step} could not be written to {folder}: {error}. The "
            "previous one is still there. Make room on the disk and start again: training goes "
            "on from it."
        ) from error
    for left in folder.glob(".step-*.draft"):  # of a run that was killed while it wrote
        left.unlink(missing_ok=True)
    for old in list_all(folder)[:-KEEP]:
        old.unlink(missing_ok=True)
    return path


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors aside, and move them into place when all of them are on the disk.

    Args:
        path: The file.
        tensors: What is to be in it, by name.
        metadata: What its header says beside that.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(flat, draft, metadata=metadata)
        draft.chmod(0o644)  # safetensors writes for its owner alone; a folder may be shared
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    except SafetensorError as error:  # a full disk, in safetensors' words
        raise OSError(f"{path.name}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def load(folder: Path) -> tuple[int, dict[str, Tensor], dict[str, object]] | None:
    """The newest checkpoint that can be read: step, tensors, facts. None if there is none.

    A broken one (a disk that was full, a copy cut short) is named, set aside and passed over.

    Raises:
        ValueError: All of them are broken. Nobody should find out after a night that the training
            began anew.
        OSError: One could not be read, and may be whole: another person's, or a disk's trouble.
    """
    found = list_all(folder)
    for path in reversed(found):
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["facts"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return int(facts["step"]), tensors, facts
        except FileNotFoundError:  # another process was faster, and set it aside
            continue
        except OSError as error:
            raise OSError(
                f"{path} can't be read ({error}). It may well be whole: see to the disk, or to "
                "who may read it, and start again."
            ) from error
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            aside = path.with_suffix(".broken")
            with suppress(FileNotFoundError):
                os.replace(path, aside)
            print(f"{path.name} can't be read ({error}); set aside as {aside.name}.", flush=True)
    if found:
        raise ValueError(
            f"No checkpoint in {folder} can be read; they are set aside, their names end in "
            ".broken. The same command begins this stage anew."
        )
    return None


def list_all(folder: Path) -> list[Path]:
    """All checkpoints of a stage, oldest first."""
    return sorted(folder.glob("step-*.safetensors"))


def newest(folder: Path) -> Path:
    """The last checkpoint of a stage that has one."""
    return list_all(folder)[-1]


def step_of(path: Path) -> int:
    """How many steps are done, as a checkpoint's name tells."""
    return int(path.stem.removeprefix("step-"))


def part(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a part's name, without it."""
    start = f"{name}."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Say what it means when a checkpoint's tensors don't fit the model."""
    try:
        yield
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"The checkpoint in {folder} is of another recipe: its tensors don't fit this model. "
            f"Train in a folder of its own: --folder. ({str(error).splitlines()[0]})"
        ) from error


def pack_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimizer's memory as named tensors (nothing is ever pickled)."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{name}": torch.as_tensor(value)
        for index, memory in state.items()
        for name, value in memory.items()
    }


def unpack_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimizer its memory back, laid out in memory as its parameters are.

    The layout matters: a sum over numbers that lie in another order may round differently, and
    a run that went on would no longer equal one that was never stopped.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part("optimizer", tensors).items():
        index, key = name.split(".", 1)
        like = parameters[int(index)]
        if key != "step" and tensor.shape == like.shape:
            tensor = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(index), {})[key] = tensor
    if state:
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
