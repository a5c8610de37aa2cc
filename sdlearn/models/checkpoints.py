"""A single .safetensors file in the layout of the original code becomes `Parts`.

Such a file holds every network's weights under the names of the code that trained them, and no
config and no tokenizer. Which model it is shows in its names and shapes; the config is then that
of the published model of its family, or of whichever model the caller names.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sdlearn.models.classes import NETWORKS, scheduler_class
from sdlearn.models.configs import Configs, folder_configs, published_configs
from sdlearn.models.files import Shapes, shapes_of
from sdlearn.models.folders import assemble
from sdlearn.models.networks import empty_network, filled
from sdlearn.models.tokenizers import tokenizers_for
from sdlearn.stages.families import KNOWN, recognise
from sdlearn.stages.parts import Parts

# The names under which the original code keeps its networks.
UNET, VAE = "model.diffusion_model.", "first_stage_model."
CLIP_SD1, CLIP_SD2 = "cond_stage_model.transformer.", "cond_stage_model.model."
CLIP_SDXL, CLIP_SDXL_2 = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
CLIP_REFINER = "conditioner.embedders.0.model."

_TITLES = {"sd1": "SD 1.x", "sd2": "SD 2.x", "sdxl": "SDXL", "sdxl-refiner": "SDXL refiner"}

# Names that other kinds of file have, and what they are.
STRANGERS = {
    "joint_blocks.": "Stable Diffusion 3, a transformer",
    "double_blocks.": "FLUX, a transformer",
    "lora_": "a LoRA: additions to a model, and none itself",
    ".lora_": "a LoRA: additions to a model, and none itself",
    "control_model.": "a ControlNet: it goes beside a Stable Diffusion, and is none itself",
    "motion_modules.": "AnimateDiff's motion module, a part of a video model",
    "time_stack.": "Stable Video Diffusion, which makes frames out of one picture",
    "emb_params": "a textual inversion: one word's vector",
    "down_blocks.": "one network in diffusers' naming. Load the whole folder that it belongs to",
    "text_model.": "one network in transformers' naming. Load the whole folder that it belongs to",
}


def load_checkpoint(
    path: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    tokenizer: Path | None = None,
    config: str | Path | None = None,
) -> Parts:
    """Load a model from one file.

    The weights are read through a memory map, converted one by one and put into networks that
    were made without weights, so the file is never held in memory a second time.

    Args:
        path: The .safetensors file.
        device: Where the networks shall lie.
        dtype: In what they shall compute.
        tokenizer: The folder of a tokenizer, or of a model that has one.
        config: A published model's name (a str), or a model's folder (a Path), with the configs
            that fit the file.
    """
    shapes = shapes_of(path)
    kind = recognise_names(shapes, path)
    configs = _configs(kind, shapes, path, config)
    scheduler = scheduler_class(configs["scheduler"]["_class_name"]).from_config(
        configs["scheduler"]
    )
    family = recognise(
        configs["unet"],
        configs["scheduler"],
        configs.get("text_encoder"),
        configs.get("text_encoder_2"),
        name=path.stem,
    )
    if family.name != kind:
        raise ValueError(
            f"{path} holds an {_TITLES[kind]}, and config={str(config)!r} is not a model of that "
            f"family but of {family}. Leave config out, or name one that fits."
        )
    like = config if isinstance(config, Path) else None
    tokenizers = tokenizers_for(family, tokenizer, like=like)
    weights = load_file(path)
    networks = {
        part: _network(part, configs[part], weights, kind, device, dtype, path)
        for part in NETWORKS
        if part in configs
    }
    return assemble(networks, tokenizers, scheduler, configs.get("settings", {}), family)


def checkpoint_configs(path: Path) -> Configs:
    """Return the configs of a single file, by part, told by the names and shapes in it."""
    shapes = shapes_of(path)
    return _configs(recognise_names(shapes, path), shapes, path, None)


def recognise_names(shapes: Shapes, path: Path) -> str:
    """Tell from the names in a file which family it is: "sd1", "sd2", "sdxl" or "sdxl-refiner".

    Args:
        shapes: The names and shapes in it.
        path: The file, for the message.
    """
    for sign, what in STRANGERS.items():
        if any(sign in name for name in shapes) and not (sign == "text_model." and _has(shapes)):
            raise ValueError(f"{path} is {what}. The families that are known here: {KNOWN}.")
    if not _has(shapes):
        some = ", ".join(sorted(shapes)[:3]) or "no weights at all"
        raise ValueError(
            f"{path} holds no Stable Diffusion checkpoint: no name in it begins with {UNET!r}. "
            f"It holds {some}. The families that are known here: {KNOWN}."
        )
    encoders = {CLIP_SDXL_2: "sdxl", CLIP_REFINER: "sdxl-refiner"}
    encoders |= {CLIP_SD2: "sd2", CLIP_SD1: "sd1"}
    kind = next((kind for prefix, kind in encoders.items() if _has(shapes, prefix)), None)
    absent = [*([] if _has(shapes, VAE) else ["autoencoder"]), *([] if kind else ["text encoder"])]
    if absent:
        raise ValueError(
            f"{path} has a U-Net but no {' and no '.join(absent)}: it was saved in parts. A file "
            "with all of them is needed."
        )
    return kind


def _has(shapes: Shapes, prefix: str = UNET) -> bool:
    return any(name.startswith(prefix) for name in shapes)


def _configs(kind: str, shapes: Shapes, path: Path, config: str | Path | None) -> Configs:
    """The configs that the caller named, or the published ones that fit the file."""
    first = f"{UNET}input_blocks.0.0.weight"
    if first not in shapes:
        raise ValueError(f"{path} lacks {first}, its U-Net's first weights. It was saved half.")
    channels = shapes[first][1]
    if isinstance(config, Path):
        configs = folder_configs(config)
    else:
        configs = published_configs(config or _published(kind, channels == 9, path))
    if config is None:  # a fine-tune for inpainting of a model that was never published so
        configs["unet"] = {**configs["unet"], "in_channels": channels}
        marked = _marked(shapes, path)
        if "rescale_betas_zero_snr" in marked and kind == "sd1":  # PNDM doesn't know of it
            marked["_class_name"] = "DDIMScheduler"
        configs["scheduler"] = {**configs["scheduler"], **marked}
    return configs


def _marked(shapes: Shapes, path: Path) -> dict[str, Any]:
    """How a fine-tune was trained otherwise, where its file bears the marks that trainers set."""
    if strange := next((name for name in shapes if name.startswith("edm_")), None):
        raise ValueError(
            f"{path} bears the mark {strange!r}: it learnt with EDM's noise levels, not with those "
            f"of Stable Diffusion. The families that are known here: {KNOWN}."
        )
    told: dict[str, Any] = {"prediction_type": "v_prediction"} if "v_pred" in shapes else {}
    if told and "ztsnr" in shapes:  # "Common Diffusion Noise Schedules ... Flawed", 2305.08891
        told |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return told


def _published(kind: str, inpainting: bool, path: Path) -> str:
    """The published model whose configs a file needs, as far as its name tells it."""
    name, turbo = path.stem.lower(), "turbo" in path.stem.lower()
    if kind == "sd2" and not turbo:
        base = "base" in name or "512" in name or inpainting
        if not base and "768" not in name:
            warnings.warn(
                f"{path.name} is an SD 2.x, and a file does not say what its U-Net answers. Taken "
                "is v-prediction, as SD 2.1 at 768 has it; if the pictures are noise, say "
                "config='sd21-base'.",
                stacklevel=6,
            )
        return "sd21-base" if base else "sd21"
    plain = {"sd1": "sd15", "sd2": "sd21", "sdxl": "sdxl", "sdxl-refiner": "sdxl-refiner"}[kind]
    fewer = {"sd2": "sd-turbo", "sdxl": "sdxl-turbo"}
    return fewer.get(kind, plain) if turbo else plain


def _network(
    part: str,
    config: Mapping[str, Any],
    weights: dict[str, Tensor],
    kind: str,
    device: torch.device,
    dtype: torch.dtype,
    path: Path,
) -> nn.Module:
    network = empty_network(part, config)
    converted = _converters(kind)[part](network, weights)
    return filled(network, converted, device, dtype, f"the {part} in {path}")


def _converters(kind: str) -> dict[str, Callable[[nn.Module, dict], dict[str, Tensor]]]:
    """How diffusers translates the names of the original code, by part."""
    ldm = import_module("diffusers.loaders.single_file_utils")

    def clip(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return ldm.convert_ldm_clip_checkpoint(weights)

    def open_clip(prefix: str) -> Callable[[nn.Module, dict], dict[str, Tensor]]:
        return lambda network, weights: ldm.convert_open_clip_checkpoint(network, weights, prefix)

    return {
        "unet": lambda network, weights: ldm.convert_ldm_unet_checkpoint(weights, network.config),
        "vae": lambda network, weights: ldm.convert_ldm_vae_checkpoint(weights, network.config),
        "text_encoder": open_clip(CLIP_SD2) if kind == "sd2" else clip,
        "text_encoder_2": open_clip(CLIP_SDXL_2 if kind == "sdxl" else CLIP_REFINER),
    }
