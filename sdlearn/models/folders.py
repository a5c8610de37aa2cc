"""A folder in diffusers' layout becomes `Parts`: every part looked at before any is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sdlearn.models.classes import NETWORKS, check_class, class_of, scheduler_class
from sdlearn.models.configs import folder_configs, read_json
from sdlearn.models.files import PICKLED, check, read_weights, refusal, unlinked, weights_file
from sdlearn.models.networks import empty_network, filled
from sdlearn.stages.families import Family, recognise, refuse_strangers
from sdlearn.stages.parts import Parts

TOKENIZER_FILES = ("tokenizer.json", "vocab.json")
PLACES = 77
"""For how many tokens CLIP has places."""
LONGEST = 10_000
"""No prompt has more; transformers' own "nobody said" is 10 to the 30th."""

# What SDXL's pipelines assume when an index does not say it.
SDXL_SETTINGS = {"force_zeros_for_empty_prompt": True, "requires_aesthetics_score": False}


def load_folder(folder: Path, *, device: torch.device, dtype: torch.dtype, name: str = "") -> Parts:
    """Load a model that `save_pretrained` wrote, from this disk only.

    The index, each part's class and whether each weights file is whole come first, so that what
    can't be loaded is refused at once.

    Args:
        folder: With a `model_index.json`.
        device: Where the networks shall lie.
        dtype: In what they shall compute.
        name: What the model is called, if not as its folder.
    """
    index = _index(folder)
    parts = {part: index.get(part) or (None, None) for part in NETWORKS}
    present = [part for part, entry in parts.items() if entry != [None, None] and any(entry)]
    for part in present:
        check_class(part, parts[part], str(folder))
    for part in ("unet", "vae"):
        if part not in present:
            raise ValueError(f"{folder} has no {part} in its index; nothing draws without one.")
    if not {"text_encoder", "text_encoder_2"} & set(present):
        raise ValueError(f"{folder} has no text encoder in its index; no prompt can be read.")
    files = {part: weights_file(folder / part, dtype) for part in present}
    for path in files.values():
        check(path)
    configs = folder_configs(folder)
    for part in present:
        if part not in configs:
            read_json(folder / part / "config.json")  # raises: it is not there
    scheduler = load_scheduler(folder / "scheduler")
    family = recognise(
        configs["unet"],
        scheduler.config,
        configs.get("text_encoder"),
        configs.get("text_encoder_2"),
        name=name or folder.name,
    )
    networks = {
        part: filled(
            empty_network(part, configs[part]),
            read_weights(files[part]),
            device,
            dtype,
            str(folder / part),
        )
        for part in present
    }
    tokenizers = {
        part: load_tokenizer(folder / part)
        for part in ("tokenizer", "tokenizer_2")
        if any(index.get(part) or ())
    }
    return assemble(networks, tokenizers, scheduler, configs["settings"], family)


def assemble(
    networks: Mapping[str, torch.nn.Module],
    tokenizers: Mapping[str, Any],
    scheduler: Any,
    settings: Mapping[str, Any],
    family: Family,
) -> Parts:
    """Put the parts together as diffusers' pipelines would take them.

    Args:
        networks: By the names of `Parts`; so are the tokenizers.
        tokenizers: Those that the family has.
        scheduler: As it was saved.
        settings: What the model's index says beside its parts.
        family: Which Stable Diffusion it is.
    """
    if family.is_sdxl:
        settings = SDXL_SETTINGS | settings
    else:
        scheduler = as_pipelines_take_it(scheduler)
    names = (*NETWORKS, "tokenizer", "tokenizer_2")
    held = {**dict.fromkeys(names), **networks, **tokenizers}
    return Parts(**held, scheduler=scheduler, settings=dict(settings), family=family)


def _index(folder: Path) -> dict[str, Any]:
    path = folder / "model_index.json"
    if path.is_file():
        index = read_json(path)
        refuse_strangers(str(index.get("_class_name")), str(folder))
        return index
    if not any(folder.iterdir()):
        raise FileNotFoundError(f"{folder} is empty. A model's folder has a model_index.json.")
    config = folder / "config.json"
    if config.is_file():
        refuse_strangers(str(read_json(config).get("_class_name")), str(folder))
    checkpoints = [file for file in sorted(folder.glob("*")) if file.suffix == ".safetensors"]
    if checkpoints:
        names = ", ".join(file.name for file in checkpoints[:5])
        raise FileNotFoundError(
            f"{folder} has no model_index.json, so it is no model in diffusers' layout; there are "
            f"single files in it: {names}. Name the file itself: load({str(checkpoints[0])!r})"
        )
    pickles = [file for file in sorted(folder.glob("*")) if file.suffix in PICKLED]
    if pickles:
        raise ValueError(refusal(pickles[0]))
    raise FileNotFoundError(
        f"{folder} has no model_index.json, so it is no model in diffusers' layout. Such a folder "
        "is what pipe.save_pretrained(folder) writes."
    )


def load_scheduler(folder: Path) -> Any:
    """Load a scheduler by the class that its config names.

    Args:
        folder: With a `scheduler_config.json`.
    """
    config = read_json(folder / "scheduler_config.json")
    return scheduler_class(str(config.get("_class_name"))).from_config(config)


def as_pipelines_take_it(scheduler: Any) -> Any:
    """Mend an old scheduler config as diffusers' SD 1.x and 2.x pipelines mend it.

    The first published configs counted timesteps from 0 and clipped the sample at 1, both by
    mistake; the pipelines put it right when they are made, and so the pictures depend on it.
    """
    fixes = {
        key: right
        for key, right in (("steps_offset", 1), ("clip_sample", False))
        if scheduler.config.get(key, right) != right
    }
    scheduler.register_to_config(**fixes)  # in place: from_config forgets what was filled in
    return scheduler


def load_tokenizer(folder: Path) -> Any:
    """Load a CLIP tokenizer.

    Args:
        folder: With `vocab.json` and `merges.txt`, or `tokenizer.json`.
    """
    if folder.is_file():
        raise ValueError(unlinked(folder))
    if not has_tokenizer(folder):
        names = " nor ".join(TOKENIZER_FILES)
        raise FileNotFoundError(f"{folder} has no tokenizer: neither {names} is there.")
    tokenizer = class_of("CLIPTokenizer").from_pretrained(folder, local_files_only=True)
    if tokenizer.model_max_length > LONGEST:  # its config, which would say it, isn't there
        tokenizer.model_max_length = PLACES
    return tokenizer


def has_tokenizer(folder: Path) -> bool:
    """Say whether a tokenizer lies in this very folder.

    Args:
        folder: Any folder.
    """
    return any((folder / file).is_file() for file in TOKENIZER_FILES)
