"""The classes that a model's index may name: those of diffusers and transformers, and no others.

Each comes from its own module, so that no pipeline is imported for it. That saves little time (both
libraries import most of themselves for their first class), but it is quiet: the pipelines' image
processors and safety checkers each have something to say about packages that nothing here needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

NETWORKS = {
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "text_encoder_2": "CLIPTextModelWithProjection",
}

_HOME = {
    "UNet2DConditionModel": "diffusers.models.unets.unet_2d_condition",
    "AutoencoderKL": "diffusers.models.autoencoders.autoencoder_kl",
    "CLIPTextModel": "transformers.models.clip.modeling_clip",
    "CLIPTextModelWithProjection": "transformers.models.clip.modeling_clip",
    "CLIPTextConfig": "transformers.models.clip.configuration_clip",
    "CLIPConfig": "transformers.models.clip.configuration_clip",
    "CLIPModel": "transformers.models.clip.modeling_clip",
    "CLIPTokenizer": "transformers.models.clip.tokenization_clip",
}


def class_of(name: str) -> Any:
    """Return a class by its name.

    Args:
        name: Such as "UNet2DConditionModel".
    """
    return getattr(import_module(_HOME[name]), name)


def scheduler_class(name: str) -> Any:
    """Return one of diffusers' schedulers by its name.

    Args:
        name: Such as "PNDMScheduler", as a scheduler's config calls it.
    """
    schedulers = import_module("diffusers.schedulers")
    known = [entry for entry in dir(schedulers) if entry.endswith("Scheduler")]
    if name not in known:
        raise ValueError(
            f"The scheduler {name!r} is none of diffusers'. A model's own code is never run; "
            "put a scheduler of diffusers' into its scheduler_config.json, such as DDIMScheduler."
        )
    return getattr(schedulers, name)


def check_class(part: str, entry: Any, where: str) -> None:
    """Raise unless an index names the class that a part has in every Stable Diffusion.

    Args:
        part: Such as "unet".
        entry: What the index says: library and class.
        where: What is being loaded, for the message.
    """
    expected = NETWORKS[part]
    if not isinstance(entry, (list, tuple)) or len(entry) != 2:
        raise ValueError(f"{where} names its {part} as {entry!r}; expected is [library, class].")
    if entry[1] != expected:
        raise ValueError(
            f"{where} has a {part} of the class {entry[1]!r} from {entry[0]!r}. Every Stable "
            f"Diffusion up to SDXL has {expected} there, and a model's own code is never run."
        )
