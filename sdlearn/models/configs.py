"""The published models' configs: facts that say all about a network but its weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sdlearn import _resources
from sdlearn.models.catalogue import PUBLISHED, unknown

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2", "scheduler", "settings")
Configs = dict[str, dict[str, Any]]
OLD_SIDE = 64
"""The side of the latents that SD 1.x learnt from, and the oldest of SD 2.x."""


def published_configs(name: str) -> Configs:
    """Return the configs of a published model, by part: "unet", "vae", "text_encoder", ...

    A part that the model does not have is left out. "settings" is what its index says beside its
    parts. Only what differs from diffusers' and transformers' defaults, or is worth reading, is
    kept in `data/configs`.

    Args:
        name: Such as "sd15", "sd21" or "sdxl".
    """
    if name not in PUBLISHED:
        raise unknown(name)
    entry = PUBLISHED[name]
    configs = published_configs(entry.like) if entry.like else {}
    for part in PARTS:
        path = _resources.data_dir() / "configs" / name / f"{part}.json"
        if path.is_file():
            configs[part] = json.loads(path.read_text(encoding="utf-8"))
    return configs


def folder_configs(folder: Path) -> Configs:
    """Return the configs of a folder in diffusers' layout, by part, in the same form."""
    files = {part: folder / part / "config.json" for part in PARTS}
    files["scheduler"] = folder / "scheduler" / "scheduler_config.json"
    configs = {part: read_json(path) for part, path in files.items() if path.is_file()}
    index = folder / "model_index.json"
    configs["settings"] = settings_of(read_json(index)) if index.is_file() else {}
    if "unet" in configs:
        configs["unet"] = _with_its_size(configs["unet"])
    return configs


def _with_its_size(unet: dict[str, Any]) -> dict[str, Any]:
    """A U-Net's config, with the size that pipelines give it: the oldest files say another.

    Before diffusers 0.9 a number was taken over that the first Stable Diffusion's file had and
    nobody used. They had learnt from latents of 64 x 64.
    """
    written = re.match(r"0\.(\d+)", str(unet.get("_diffusers_version", "")))
    side = unet.get("sample_size")
    old = written is not None and int(written[1]) < 9
    if old and isinstance(side, int) and side < OLD_SIDE and not unet.get("addition_embed_type"):
        return {**unet, "sample_size": OLD_SIDE}
    return unet


def settings_of(index: dict[str, Any]) -> dict[str, Any]:
    """Return what an index says beside naming its parts (which are pairs: library, class)."""
    return {
        key: value
        for key, value in index.items()
        if not key.startswith("_") and not isinstance(value, (list, tuple))
    }


def read_json(path: Path) -> dict[str, Any]:
    """Read a config, with an error that names the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is not there. In diffusers' layout every part has its config beside it."
        ) from None
    except ValueError as error:  # no JSON, or no text at all
        raise ValueError(f"{path} is damaged: {error}. Fetch or save the model again.") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold an object of settings, not a {type(value).__name__}.")
    return value
