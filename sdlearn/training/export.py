"""From a training to a model that others can load: a folder as diffusers has it, in half precision.

A part whose training is finished can be put there before the others are: the folder becomes a
whole pipeline with the last of them. (CLIP's halves lie in two folders. Killed between the two,
export again.)

`facts` are what `recipe.json` tells of a stage beside the recipe: how many steps made it, and how
good it was found to be. `models` is where the models lie whose parts others share; None: beside
the one that is written.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import diffusers
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import (
    CLIPModel,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from sdlearn.models import clip as clips
from sdlearn.training.folders import CLASSES, replaced, save, shard_name, take, write, write_json
from sdlearn.training.plans import Recipe
from sdlearn.training.unet import scheduler

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
    with replaced(target, ("tokenizer", "text_encoder")) as draft:
        # Copied, not saved anew: transformers 5 leaves out the two files that others read.
        shutil.copytree(tokenizer, draft / "tokenizer")
        write(clip.text_model, draft / "text_encoder", CLIPTextModel, "text_model.")
    with replaced(beside, ("vision_model",)) as draft:
        vision = CLIPVisionModelWithProjection(clip.config.vision_config)
        vision.vision_model.load_state_dict(clip.vision_model.state_dict())
        vision.visual_projection.load_state_dict(clip.visual_projection.state_dict())
        write(vision, draft / "vision_model", CLIPVisionModelWithProjection)
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
    with replaced(beside, ("text_encoder", "vision_model")) as draft:
        text = CLIPTextModelWithProjection(clip.config.text_config)
        text.text_model.load_state_dict(clip.text_model.state_dict())
        text.text_projection.load_state_dict(clip.text_projection.state_dict())
        write(text, draft / "text_encoder", CLIPTextModelWithProjection, last=last)
        (draft / "vision_model").mkdir()
        for name in ("config.json", "model.safetensors"):
            place = f"{recipe.sees}/vision_model/{name}"
            take(models, place, beside, f"vision_model/{name}", draft)
        _save_meeting(clip, draft / "vision_model")
    with replaced(target, ("text_encoder",)) as draft:
        config = dict(clip.config.text_config.to_dict(), num_hidden_layers=layers - 1)
        shorter = CLIPTextModel(type(clip.config.text_config)(**config))
        shorter.config.architectures, shorter.config.dtype = ["CLIPTextModel"], "float32"
        shorter.config.save_pretrained(draft / "text_encoder")
        first = f"{recipe.clip_name}/text_encoder/{shard_name(1)}"
        take(target.parent, first, target, "text_encoder/model.safetensors", draft)
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
    with replaced(target, ("vae",)) as draft:
        write(vae, draft / "vae", AutoencoderKL)
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
    with replaced(target, ("unet", "scheduler")) as draft:
        write(unet, draft / "unet", UNet2DConditionModel)
        scheduler(recipe).save_pretrained(draft / "scheduler")
    models = models or target.parent
    if recipe.frames is not None:  # a shared autoencoder, on pictures of another size
        _rescale(recipe, scaling_factor, target, models)
        facts = {**facts, "scaling_factor": scaling_factor}
    _record(recipe, stage, facts, target, models)
    return [target / "unet", target / "scheduler"]


def _rescale(recipe: Recipe, scaling_factor: float, target: Path, models: Path) -> None:
    """An autoencoder's folder of its own: another's weights, with another factor."""
    with replaced(target, ("vae",)) as draft:
        (draft / "vae").mkdir()
        config = json.loads((models / recipe.shared["vae"] / "config.json").read_text("utf-8"))
        config |= {"scaling_factor": scaling_factor, "sample_size": recipe.frames.size}
        write_json(config, draft / "vae" / "config.json")
        name = "diffusion_pytorch_model.safetensors"
        place = f"{recipe.shared['vae']}/{name}"
        take(models, place, target, f"vae/{name}", draft)


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
    write_json(record, path)
    return path


def load_clip(model: Path, clip: Path) -> tuple[CLIPModel, CLIPTokenizer]:
    """Join the two exported halves of CLIP again.

    Args:
        model: The model's folder, with the text encoder.
        clip: The folder of the other half.
    """
    both = clips.join(model, clip)
    return both.network, both.tokenizer


def _save_meeting(clip: CLIPModel, folder: Path) -> None:
    """What words and pictures meet with lies beside the picture half."""
    meeting = {
        "text_projection": clip.text_projection.weight.half(),
        "logit_scale": clip.logit_scale.detach().reshape(1),
    }
    save(meeting, folder / "meeting.safetensors")


def _record(
    recipe: Recipe, stage: str, facts: dict[str, object], target: Path, models: Path | None
) -> None:
    """Keep the recipe beside the weights that came of it; with all parts, name the pipeline."""
    path = target / RECORD
    stages = json.loads(path.read_text(encoding="utf-8"))["stages"] if path.exists() else {}
    stages[stage] = facts
    for later in TAUGHT_ONCE_MORE.get(stage, ()):
        stages.pop(later, None)
    write_json({"recipe": dataclasses.asdict(recipe), "stages": stages}, path)
    models = models or target.parent
    for part, place in recipe.shared.items():
        if not (target / part).exists():
            take(models, place, target, part, target)
    parts = parts_of(recipe)
    if all((target / part).is_dir() for part in parts):
        index: dict[str, object] = {
            "_class_name": recipe.pipeline,
            "_diffusers_version": diffusers.__version__,
        }
        classes = CLASSES | {"scheduler": ("diffusers", type(scheduler(recipe)).__name__)}
        index |= {part: list(classes[part]) for part in parts}
        index |= {part: [None, None] for part in ABSENT} | INDEX[recipe.pipeline]
        write_json(index, target / "model_index.json")


def parts_of(recipe: Recipe) -> list[str]:
    """The parts of a recipe's model: SDXL has two encoders, its refiner the second of them."""
    second = [part for part in CLASSES if part.endswith("_2")]
    first = [part.removesuffix("_2") for part in second]
    without = first if recipe.is_refiner else [] if recipe.is_sdxl else second
    return [part for part in CLASSES if part not in without]
