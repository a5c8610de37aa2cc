"""From a training to a model that others can load: a folder as diffusers has it, in half precision.

A part whose training is finished can be put there before the others are: the folder becomes a
whole pipeline with the last of them. Everything is written aside, read back, weighed, and only
then moved into place. `facts` are what `recipe.json` tells of a stage beside the recipe: how many
steps made it, and how good it was found to be.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    CLIPModel,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from sdlearn.models import clip as clips
from sdlearn.training.recipes import Recipe
from sdlearn.training.unet import scheduler

MIB = 2**20
LARGEST_FILE, LARGEST_FOLDER = 16 * MIB, 24 * MIB
CLASSES = {
    "scheduler": ("diffusers", "DDIMScheduler"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
}
NOT_THERE = ("feature_extractor", "image_encoder", "safety_checker")
RECORD = "recipe.json"


def export_clip(
    recipe: Recipe, facts: dict[str, object], clip: CLIPModel, tokenizer: Path, target: Path
) -> list[Path]:
    """Write tokenizer and text encoder into a model, and the rest of CLIP into its own folder."""
    beside = target.parent / recipe.clip_name
    with _replaced(target, ("tokenizer", "text_encoder")) as draft:
        # Copied, not saved anew: transformers 5 leaves out the two files that others read.
        shutil.copytree(tokenizer, draft / "tokenizer")
        _write(clip.text_model, draft / "text_encoder", CLIPTextModel, "text_model.")
    with _replaced(beside, ("vision_model",)) as draft:
        vision = CLIPVisionModelWithProjection(clip.config.vision_config)
        vision.vision_model.load_state_dict(clip.vision_model.state_dict())
        vision.visual_projection.load_state_dict(clip.visual_projection.state_dict())
        _write(vision, draft / "vision_model", CLIPVisionModelWithProjection)
        meeting = {
            "text_projection": clip.text_projection.weight.half(),
            "logit_scale": clip.logit_scale.detach().reshape(1),
        }
        _save(meeting, draft / "vision_model" / "meeting.safetensors")
    _record(recipe, "clip", facts, target)
    return [target / "tokenizer", target / "text_encoder", beside]


def export_vae(
    recipe: Recipe,
    facts: dict[str, object],
    vae: AutoencoderKL,
    scaling_factor: float,
    target: Path,
    stage: str = "vae",
) -> list[Path]:
    """Write the autoencoder with its measured scaling factor; `stage` is the one that made it."""
    vae.register_to_config(scaling_factor=scaling_factor)
    with _replaced(target, ("vae",)) as draft:
        _write(vae, draft / "vae", AutoencoderKL)
    _record(recipe, stage, {**facts, "scaling_factor": scaling_factor}, target)
    return [target / "vae"]


def export_unet(
    recipe: Recipe, facts: dict[str, object], unet: UNet2DConditionModel, target: Path
) -> list[Path]:
    """Write the U-Net and the noise schedule that it knows."""
    with _replaced(target, ("unet", "scheduler")) as draft:
        _write(unet, draft / "unet", UNet2DConditionModel)
        scheduler(recipe).save_pretrained(draft / "scheduler")
    _record(recipe, "unet", facts, target)
    return [target / "unet", target / "scheduler"]


def facts(target: Path, stage: str) -> dict[str, object] | None:
    """What an exported model's record tells of how a stage was made; None if nothing."""
    path = target / RECORD
    if not path.exists():
        return None
    return json.loads(path.read_text(encoding="utf-8"))["stages"].get(stage)


def load_clip(model: Path, clip: Path) -> tuple[CLIPModel, CLIPTokenizer]:
    """Join the two exported halves of CLIP again.

    Args:
        model: The model's folder, with the text encoder.
        clip: The folder of the other half.
    """
    both = clips.join(model, clip)
    return both.network, both.tokenizer


@contextmanager
def _replaced(target: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """A draft folder whose parts take the place of the target's once they are whole."""
    target.mkdir(parents=True, exist_ok=True)
    draft, old = target / ".draft", target / ".old"
    for left in (draft, old):  # of a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        _weigh(target, draft, parts)
        for part in parts:
            if (target / part).exists():
                old.mkdir(exist_ok=True)
                os.replace(target / part, old / part)
            os.replace(draft / part, target / part)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _weigh(target: Path, draft: Path, parts: tuple[str, ...]) -> None:
    """Refuse what would be too large to be kept beside the code."""
    files = [path for path in draft.rglob("*") if path.is_file()]
    kept = [target / part for part in CLASSES if part not in parts]
    for path in files:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(
                f"{path.relative_to(draft)} has {path.stat().st_size / MIB:.1f} MiB; a file may "
                f"have {LARGEST_FILE / MIB:.0f}. Make this part narrower in the recipe."
            )
    files += [path for folder in kept for path in folder.rglob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    if total > LARGEST_FOLDER:
        raise ValueError(
            f"The model would have {total / MIB:.1f} MiB; it may have {LARGEST_FOLDER / MIB:.0f}. "
            "Make a part narrower in the recipe."
        )


def _write(model: nn.Module, folder: Path, kind: type, prefix: str = "") -> None:
    """Configuration and weights of one network; read back and compared.

    The names of the weights are those of the published files, whatever the installed version
    of transformers calls them inside: older versions and other programs look for those.
    """
    folder.mkdir(parents=True)
    weights = {prefix + name: tensor.half() for name, tensor in model.state_dict().items()}
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} is too large for half precision, or no number at all.")
    if isinstance(model, diffusers.ModelMixin):
        model.save_config(folder)
        file = folder / "diffusion_pytorch_model.safetensors"
    else:
        # The weights lie here in half precision, and compute in full precision unless told not to.
        model.config.architectures, model.config.dtype = [kind.__name__], "float32"
        model.config.save_pretrained(folder)
        file = folder / "model.safetensors"
    _save(weights, file)
    read = kind.from_pretrained(folder, torch_dtype=torch.float16).state_dict()
    for name, tensor in weights.items():
        if not torch.equal(read[name.removeprefix(prefix)], tensor):
            raise RuntimeError(f"{file.name} of {folder.name} does not read back as written.")


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(flat, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes for its owner alone; a model is for everybody


def _record(recipe: Recipe, stage: str, facts: dict[str, object], target: Path) -> None:
    """Keep the recipe beside the weights that came of it; with all parts, name the pipeline."""
    path = target / RECORD
    stages = json.loads(path.read_text(encoding="utf-8"))["stages"] if path.exists() else {}
    stages[stage] = facts
    _write_json({"recipe": dataclasses.asdict(recipe), "stages": stages}, path)
    if all((target / part).is_dir() for part in CLASSES):
        index: dict[str, object] = {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": diffusers.__version__,
            "requires_safety_checker": False,
        }
        index |= {part: list(names) for part, names in CLASSES.items()}
        index |= {part: [None, None] for part in NOT_THERE}
        _write_json(index, target / "model_index.json")


def _write_json(value: object, path: Path) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, path)
