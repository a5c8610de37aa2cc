"""`sdlearn train`: all stages of a recipe in order, each from where it stopped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list

from sdlearn import _resources
from sdlearn.training import card, checkpoints, speed
from sdlearn.training import export as exports
from sdlearn.training.plans import STAGES
from sdlearn.training.recipes import RECIPES
from sdlearn.training.taught import UnfitTeacher
from sdlearn.training.workshop import Workshop


def default_folder(name: str) -> Path:
    """Where a model's training lies when nobody says otherwise: outside every checkout."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "sdlearn" / "training" / name


def exported_folder(name: str) -> Path:
    """Where a model lies that is part of the package."""
    return _resources.data_dir() / "models" / name


def run(
    name: str,
    stages: Sequence[str] = STAGES,
    folder: Path | None = None,
    *,
    stop_at: int | None = None,
    go_on: bool = False,
    compiled: bool = False,
) -> Path:
    """Train a model's stages in order; stages that are finished pass at once.

    Args:
        name: A name of `RECIPES`.
        stages: Which of `STAGES`.
        folder: Where the training lies; None for `default_folder`.
        stop_at: Stop each stage after this step.
        go_on: Begin a stage that has no checkpoint with the weights that the package carries.
        compiled: Whether torch compiles the models first: minutes at the beginning, then faster.
    """
    workshop = open_workshop(name, stages, folder)
    if stop_at is not None and stop_at < 1:
        raise ValueError(f"stop_at must be at least 1, got {stop_at}.")
    speed.keep_memory()
    for stage in workshop.recipe.stages:
        if stage in stages:
            try:
                workshop.train(stage, stop_at=stop_at, go_on=go_on, compiled=compiled)
            except UnfitTeacher as why:
                if len(stages) < len(STAGES):  # it was asked for by name
                    raise
                workshop.accelerator.print(f"{stage} is left out: {why}", flush=True)
            workshop.accelerator.free_memory()
    return workshop.folder


def export(
    name: str,
    stages: Sequence[str] | None = None,
    folder: Path | None = None,
    target: Path | None = None,
    *,
    unfinished: bool = False,
) -> list[Path]:
    """Put a model's trained parts together as a diffusers folder; return what was written.

    Args:
        name: A name of `RECIPES`.
        stages: Which of `STAGES`; None takes all that have a checkpoint.
        folder: Where the training lies; None for `default_folder`.
        target: The model's folder; None for the package's own.
        unfinished: Whether a stage may be exported before the end of its plan.
    """
    workshop = open_workshop(name, stages or (), folder)
    if stages is None:
        stages = [s for s in workshop.recipe.stages if checkpoints.list_all(workshop.folder / s)]
    target = Path(os.path.abspath(target or exported_folder(name)))
    # In the order in which they were made, whatever the order asked for: a later one replaces
    # weights of an earlier one. The tokenizer goes with the text encoder that was trained on it.
    stages = [s for s in workshop.recipe.stages if s in stages and s != "tokenizer"]
    if not stages:
        raise ValueError(
            f"{workshop.folder} holds no checkpoint yet: there is nothing to export. (A tokenizer "
            "goes with its text encoder: --stage clip.)"
        )
    for stage in stages:  # before the first is written: the target is all of one training
        workshop.check_done(stage, unfinished=unfinished)
    written = []
    for stage in stages:
        written += workshop.export(stage, target, unfinished=unfinished)
    measured_again = [path.parent for path in written if path.name == exports.RECORD]
    written += map(card.write, [target, *measured_again])
    clip = target.parent / workshop.recipe.clip_name
    if "clip" in workshop.recipe.plans and clip.is_dir():
        written.append(card.write_half(clip, target))
    return written


def open_workshop(name: str, stages: Sequence[str], folder: Path | None) -> Workshop:
    """A model's workshop, if model and stages exist."""
    if name not in RECIPES:
        raise ValueError(f"There is no recipe for {name!r}. There is: {', '.join(RECIPES)}.")
    recipe = RECIPES[name]
    for stage in stages:
        if stage not in STAGES:
            raise ValueError(f"There is no stage {stage!r}. Stages: {', '.join(STAGES)}.")
        if stage not in recipe.stages and len(stages) < len(STAGES):
            raise ValueError(
                f"{name} has no stage {stage!r} of its own. It has: {', '.join(recipe.stages)}; "
                f"what it shares: {', '.join(recipe.shared.values()) or 'nothing'}."
            )
    # Said outright: several processes without a GPU must know that they are one training.
    cpu = device().type == "cpu"
    accelerator = Accelerator(mixed_precision=_precision(PartialState(cpu=cpu)), cpu=cpu)
    folder = Path(folder) if folder else default_folder(name)
    return Workshop(recipe, folder, accelerator, exported_folder(name))


def device() -> torch.device:
    """What this machine computes on best."""
    kinds = {"cuda": torch.cuda, "mps": torch.backends.mps, "xpu": torch.xpu}
    return torch.device(next((n for n, kind in kinds.items() if kind.is_available()), "cpu"))


def _precision(processes: PartialState) -> str:
    """bf16 where a network learns faster in it; the first process tries, and all do as it says."""
    quick = processes.is_main_process and speed.bfloat16_learns_faster(device())
    return broadcast_object_list(["bf16" if quick else "no"])[0]
