"""From a training to a model that others can load: a folder as diffusers has it, in half precision.

A part whose training is finished can be put there before the others are: the folder becomes a
whole pipeline with the last of them. Parts that are another model's are symbolic links to it,
where both lie side by side, and copies elsewhere. Everything is written aside, read back, weighed,
and only then moved into place; what had to make room comes back if that fails. (CLIP's halves lie
in two folders. Killed between the two, export again.)

`facts` are what `recipe.json` tells of a stage beside the recipe: how many steps made it, and how
good it was found to be. `models` is where the models lie whose parts others share; None: beside
the one that is written.
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
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from sdlearn.models import clip as clips
from sdlearn.training.recipes import Recipe
from sdlearn.training.unet import scheduler

MIB = 2**20
LARGEST_FILE, LARGEST_FOLDER = 16 * MIB, 24 * MIB
CLASSES = {
    "scheduler": ("diffusers", ""),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
    "tokenizer_2": ("transformers", "CLIPTokenizer"),
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
}
ABSENT = ("feature_extractor", "image_encoder")
INDEX: dict[str, dict[str, object]] = {
    "StableDiffusionPipeline": {"requires_safety_checker": False, "safety_checker": [None, None]},
    "StableDiffusionXLPipeline": {"force_zeros_for_empty_prompt": True},
    "StableDiffusionXLImg2ImgPipeline": {
        "force_zeros_for_empty_prompt": False,
        "requires_aesthetics_score": True,
        "text_encoder": [None, None],
        "tokenizer": [None, None],
    },
}
"""What a pipeline's index says beside the parts that are there."""
RECORD = "recipe.json"
TAUGHT_ONCE_MORE = {
    "clip": ("text", "sides", "sight"),
    "text": ("sides", "sight"),
    "sides": ("sight",),
    "vae": ("decoder",),
    "unet": ("grow", "taught"),
}
"""Stages whose part a later one teaches again: who exports the first takes the later one's back."""


def export_clip(
    recipe: Recipe,
    facts: dict[str, object],
    clip: CLIPModel,
    tokenizer: Path,
    target: Path,
    models: Path | None = None,
    stage: str = "clip",
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
        _save_meeting(clip, draft / "vision_model")
    _record(recipe, stage, facts, target, models)
    return [target / "tokenizer", target / "text_encoder", beside]


def export_text(
    recipe: Recipe,
    facts: dict[str, object],
    clip: CLIPModel,
    target: Path,
    models: Path | None = None,
) -> list[Path]:
    """Write a text encoder that learnt by itself into the folder of its CLIP, and link to it.

    The weights lie in two files. SD 2.x reads with all layers but the last: it needs the first
    file only. SDXL needs both.

    Args:
        recipe: Names the CLIP, and that whose picture half it meets.
        facts: What is known of the training.
        clip: The pair.
        target: The model's folder.
        models: Where that other CLIP lies.
    """
    models = models or target.parent
    beside = target.parent / recipe.clip_name
    layers = clip.config.text_config.num_hidden_layers
    last = (f"text_model.encoder.layers.{layers - 1}.", "text_projection.")
    with _replaced(beside, ("text_encoder", "vision_model")) as draft:
        text = CLIPTextModelWithProjection(clip.config.text_config)
        text.text_model.load_state_dict(clip.text_model.state_dict())
        text.text_projection.load_state_dict(clip.text_projection.state_dict())
        _write(text, draft / "text_encoder", CLIPTextModelWithProjection, last=last)
        (draft / "vision_model").mkdir()
        for name in ("config.json", "model.safetensors"):
            place = f"{recipe.sees}/vision_model/{name}"
            _take(models, place, beside, f"vision_model/{name}", draft)
        _save_meeting(clip, draft / "vision_model")
    with _replaced(target, ("text_encoder",)) as draft:
        config = dict(clip.config.text_config.to_dict(), num_hidden_layers=layers - 1)
        shorter = CLIPTextModel(type(clip.config.text_config)(**config))
        shorter.config.architectures, shorter.config.dtype = ["CLIPTextModel"], "float32"
        shorter.config.save_pretrained(draft / "text_encoder")
        first = f"{recipe.clip_name}/text_encoder/{_shard(1)}"
        _take(target.parent, first, target, "text_encoder/model.safetensors", draft)
    _record(recipe, "clip", facts, target, models)
    return [target / "text_encoder", beside]


def export_vae(
    recipe: Recipe,
    facts: dict[str, object],
    vae: AutoencoderKL,
    scaling_factor: float,
    target: Path,
    models: Path | None = None,
    stage: str = "vae",
) -> list[Path]:
    """Write the autoencoder with its measured scaling factor; `stage` is the one that made it."""
    vae.register_to_config(scaling_factor=scaling_factor)
    with _replaced(target, ("vae",)) as draft:
        _write(vae, draft / "vae", AutoencoderKL)
    _record(recipe, stage, {**facts, "scaling_factor": scaling_factor}, target, models)
    return [target / "vae"]


def export_unet(
    recipe: Recipe,
    facts: dict[str, object],
    unet: UNet2DConditionModel,
    scaling_factor: float,
    target: Path,
    models: Path | None = None,
    stage: str = "unet",
) -> list[Path]:
    """Write the U-Net, the noise schedule that it knows, and how its latents are scaled."""
    with _replaced(target, ("unet", "scheduler")) as draft:
        _write(unet, draft / "unet", UNet2DConditionModel)
        scheduler(recipe).save_pretrained(draft / "scheduler")
    models = models or target.parent
    if recipe.frames is not None:  # a shared autoencoder, on pictures of another size
        _rescale(recipe, scaling_factor, target, models)
        facts = {**facts, "scaling_factor": scaling_factor}
    _record(recipe, stage, facts, target, models)
    return [target / "unet", target / "scheduler"]


def _rescale(recipe: Recipe, scaling_factor: float, target: Path, models: Path) -> None:
    """An autoencoder's folder of its own: another's weights, with another factor."""
    with _replaced(target, ("vae",)) as draft:
        (draft / "vae").mkdir()
        config = json.loads((models / recipe.shared["vae"] / "config.json").read_text("utf-8"))
        config |= {"scaling_factor": scaling_factor, "sample_size": recipe.frames.size}
        _write_json(config, draft / "vae" / "config.json")
        name = "diffusion_pytorch_model.safetensors"
        place = f"{recipe.shared['vae']}/{name}"
        _take(models, place, target, f"vae/{name}", draft)


def _take(models: Path, place: str, folder: Path, part: str, draft: Path) -> None:
    """Put another model's file or folder here: a link if both lie side by side, else a copy.

    Args:
        models: Where the other model lies.
        place: Of the file or folder, in `models`.
        folder: The model's folder that gets it.
        part: Where in this folder it will lie.
        draft: The folder in which it is put there now.
    """
    beside, target = folder.parent, draft / part
    target.parent.mkdir(parents=True, exist_ok=True)
    if (beside / place).exists():
        target.symlink_to(os.path.relpath(beside / place, (folder / part).parent))
    elif (models / place).is_dir():
        shutil.copytree(models / place, target)
    elif (models / place).exists():
        shutil.copy2(models / place, target)
    else:
        raise FileNotFoundError(
            f"{models / place} is missing: this model shares that part. Train and export "
            f"{place.split('/')[0]} first."
        )


def facts(target: Path, stage: str) -> dict[str, object] | None:
    """What an exported model's record tells of how a stage was made; None if nothing."""
    path = target / RECORD
    if not path.exists():
        return None
    return json.loads(path.read_text(encoding="utf-8"))["stages"].get(stage)


def seeing_with(clip: Path) -> list[tuple[Path, Path]]:
    """Which models' captions meet the pictures that another CLIP's picture half sees.

    Args:
        clip: That CLIP's folder. Models are looked for beside it.

    Returns:
        Each model's folder, and that of its own CLIP, where the picture half is a link.
    """
    eyes, found = clip / "vision_model" / "model.safetensors", []
    for path in sorted(clip.parent.glob(f"*/{RECORD}")):
        own = clip.parent / json.loads(path.read_text(encoding="utf-8"))["recipe"]["clip_name"]
        link = own / "vision_model" / "model.safetensors"
        if facts(path.parent, "clip") and link.is_symlink() and link.resolve() == eyes.resolve():
            found.append((path.parent, own))
    return found


def correct(target: Path, stage: str, found: dict[str, object]) -> Path:
    """Put newly measured figures into an exported model's record; return the record's place."""
    path = target / RECORD
    record = json.loads(path.read_text(encoding="utf-8"))
    record["stages"][stage] |= found
    _write_json(record, path)
    return path


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
    draft, old, gone = (target / name for name in (".draft", ".old", ".gone"))
    _put_back(target, old)  # a run was killed between two moves
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(gone, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        _weigh(target, draft, parts)
        for part in parts:
            if os.path.lexists(target / part):
                old.mkdir(exist_ok=True)
                os.replace(target / part, old / part)
            os.replace(draft / part, target / part)
        if old.exists():
            os.replace(old, gone)  # from here on nobody puts back what is being deleted
    finally:
        _put_back(target, old)
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(gone, ignore_errors=True)


def _put_back(target: Path, old: Path) -> None:
    """Give a folder the parts again that had to make room, if not all of the new ones came."""
    if not old.is_dir():
        return
    for part in sorted(old.iterdir()):
        came = target / part.name
        if came.is_symlink():
            came.unlink()
        elif came.exists():
            shutil.rmtree(came)
        os.replace(part, came)
    old.rmdir()


def _weigh(target: Path, draft: Path, parts: tuple[str, ...]) -> None:
    """Refuse what would be too large to be kept beside the code; links weigh nothing."""
    files = _own_files(draft)
    kept = [target / part for part in CLASSES if part not in parts]
    for path in files:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(
                f"{path.relative_to(draft)} has {path.stat().st_size / MIB:.1f} MiB; a file may "
                f"have {LARGEST_FILE / MIB:.0f}. Make this part narrower in the recipe."
            )
    files += [path for folder in kept for path in _own_files(folder)]
    total = sum(path.stat().st_size for path in files)
    if total > LARGEST_FOLDER:
        raise ValueError(
            f"The model would have {total / MIB:.1f} MiB; it may have {LARGEST_FOLDER / MIB:.0f}. "
            "Make a part narrower in the recipe."
        )


def _own_files(folder: Path) -> list[Path]:
    if folder.is_symlink():
        return []
    paths = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return [path for path in paths if not path.is_symlink()]


def _write(
    model: nn.Module, folder: Path, kind: type, prefix: str = "", last: tuple[str, ...] = ()
) -> None:
    """Configuration and weights of one network; read back and compared.

    The names of the weights are those of the published files, whatever the installed version
    of transformers calls them inside: older versions and other programs look for those. Weights
    whose names begin with one of `last` go into a second file.
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
    if last:
        places = {name: _shard(1 + name.startswith(last)) for name in weights}
        for shard in sorted(set(places.values())):
            there = {name: t for name, t in weights.items() if places[name] == shard}
            _save(there, folder / shard)
        total = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
        index = {"metadata": {"total_size": total}, "weight_map": places}
        _write_json(index, folder / "model.safetensors.index.json")
    else:
        _save(weights, file)
    there = kind.from_pretrained(folder, torch_dtype=torch.float16).state_dict()
    read = {name.removeprefix(prefix): tensor for name, tensor in there.items()}
    for name, tensor in weights.items():  # older versions of transformers keep the prefix
        if not torch.equal(read[name.removeprefix(prefix)], tensor):
            raise RuntimeError(f"{file.name} of {folder.name} does not read back as written.")


def _shard(number: int) -> str:
    return f"model-{number:05d}-of-00002.safetensors"


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(flat, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes for its owner alone; a model is for everybody


def _save_meeting(clip: CLIPModel, folder: Path) -> None:
    """What words and pictures meet with lies beside the picture half."""
    meeting = {
        "text_projection": clip.text_projection.weight.half(),
        "logit_scale": clip.logit_scale.detach().reshape(1),
    }
    _save(meeting, folder / "meeting.safetensors")


def _record(
    recipe: Recipe, stage: str, facts: dict[str, object], target: Path, models: Path | None
) -> None:
    """Keep the recipe beside the weights that came of it; with all parts, name the pipeline."""
    path = target / RECORD
    stages = json.loads(path.read_text(encoding="utf-8"))["stages"] if path.exists() else {}
    stages[stage] = facts
    for later in TAUGHT_ONCE_MORE.get(stage, ()):
        stages.pop(later, None)
    _write_json({"recipe": dataclasses.asdict(recipe), "stages": stages}, path)
    models = models or target.parent
    for part, place in recipe.shared.items():
        if not (target / part).exists():
            _take(models, place, target, part, target)
    parts = parts_of(recipe)
    if all((target / part).is_dir() for part in parts):
        index: dict[str, object] = {
            "_class_name": recipe.pipeline,
            "_diffusers_version": diffusers.__version__,
        }
        classes = CLASSES | {"scheduler": ("diffusers", type(scheduler(recipe)).__name__)}
        index |= {part: list(classes[part]) for part in parts}
        index |= {part: [None, None] for part in ABSENT} | INDEX[recipe.pipeline]
        _write_json(index, target / "model_index.json")


def parts_of(recipe: Recipe) -> list[str]:
    """The parts of a recipe's model: SDXL has two encoders, its refiner the second of them."""
    second = [part for part in CLASSES if part.endswith("_2")]
    first = [part.removesuffix("_2") for part in second]
    without = first if recipe.is_refiner else [] if recipe.is_sdxl else second
    return [part for part in CLASSES if part not in without]


def _write_json(value: object, path: Path) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, path)
