"""`load` and `wrap`: from a name, a folder, a file or a pipeline to a model that can be asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sdlearn.models import hub
from sdlearn.models.catalogue import POCKET, PUBLISHED, Pocket, entry_of, unknown
from sdlearn.models.checkpoints import load_checkpoint
from sdlearn.models.classes import NETWORKS
from sdlearn.models.configs import settings_of
from sdlearn.models.files import PICKLED, refusal
from sdlearn.models.folders import SDXL_SETTINGS, load_folder
from sdlearn.models.places import choose_device, choose_dtype
from sdlearn.stages.families import PIPELINES, recognise, refuse_strangers
from sdlearn.stages.parts import Parts

if TYPE_CHECKING:
    from sdlearn.stages.pipeline import Model

DEFAULT = "pocket-sd15"


@dataclass(frozen=True)
class Found:
    """What a name stands for: where it lies, and whether it is one of the pocket family."""

    name: str
    path: Path
    pocket: bool = False


def load(
    name: str | PathLike[str] | None = None,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    download: bool = False,
    tokenizer: str | PathLike[str] | None = None,
    config: str | PathLike[str] | None = None,
) -> Model:
    """Load a model from this machine.

    Args:
        name: A pocket model ("pocket-sd15"), a published one ("sd15", "sdxl"; `models()` lists
            them), a repository of the Hub ("owner/name"), a folder in diffusers' layout, or one
            .safetensors checkpoint. None takes what the environment variable SDLEARN_MODEL names,
            or "pocket-sd15".
        device: Such as "cuda" or "cpu". None takes CUDA, then MPS, then the CPU; a pocket model
            stays on the CPU, where everybody gets the same pictures.
        dtype: Such as "float16". None is half precision on a GPU; pocket models and the CPU
            compute in full.
        revision: A branch, tag or commit of the repository.
        download: Fetch the weights from the Hub if they are not here, or go on with a download
            that was interrupted. Nothing else ever does.
        tokenizer: For a single checkpoint: the folder of a tokenizer, or of a model that has one.
        config: For a single checkpoint: the published name or the folder of a model with the same
            configs, where the file itself can't tell.
    """
    from sdlearn.stages.pipeline import Model

    found = find(name, revision=revision, download=download)
    return Model(
        _parts(found, device, dtype, tokenizer, config), found.name, source=str(found.path)
    )


def parts(
    name: str | PathLike[str] | None = None,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    download: bool = False,
    tokenizer: str | PathLike[str] | None = None,
    config: str | PathLike[str] | None = None,
) -> Parts:
    """Load the parts of a model without the model around them; arguments as for `load`."""
    found = find(name, revision=revision, download=download)
    return _parts(found, device, dtype, tokenizer, config)


def wrap(pipe: Any) -> Model:
    """Make a model of a diffusers pipeline; both share the same networks, and nothing is copied.

    Args:
        pipe: A Stable Diffusion or SDXL pipeline for text-to-image, image-to-image or inpainting.
    """
    from sdlearn.stages.pipeline import Model

    path = str(getattr(pipe, "name_or_path", None) or "").rstrip("/")
    name = path.rpartition("/")[2] or type(pipe).__name__
    return Model(parts_of(pipe), name, source=f"a {type(pipe).__name__}")


def parts_of(pipe: Any) -> Parts:
    """Return the parts of a diffusers pipeline, the same objects.

    Args:
        pipe: As for `wrap`.
    """
    if not hasattr(pipe, "unet") and not hasattr(pipe, "transformer"):
        raise TypeError(
            f"wrap() takes a diffusers pipeline, got {type(pipe).__name__}. A name, a folder or a "
            "file goes to load()."
        )
    kinds = [kind.__name__ for kind in type(pipe).__mro__]
    kind = next((kind for kind in kinds if kind in PIPELINES), kinds[0])
    refuse_strangers(kind, "This pipeline")
    names = (*NETWORKS, "scheduler", "tokenizer", "tokenizer_2")
    held = {part: getattr(pipe, part, None) for part in names}
    if held["unet"] is None or held["scheduler"] is None:
        raise ValueError("This pipeline was made without a U-Net or a scheduler; both are needed.")
    _refuse_offloaded({part: held[part] for part in NETWORKS if held[part] is not None})
    configs = {
        part: held[part].config.to_dict() if held[part] is not None else None
        for part in ("text_encoder", "text_encoder_2")
    }
    scheduler = {"_class_name": type(held["scheduler"]).__name__, **held["scheduler"].config}
    name = getattr(pipe, "name_or_path", "") or ""
    told = {**configs, "name": name, "scheduler_tells": False}
    family = recognise(held["unet"].config, scheduler, **told)
    settings = (SDXL_SETTINGS if family.is_sdxl else {}) | settings_of(dict(pipe.config))
    return Parts(**held, settings=settings, family=family)


def _refuse_offloaded(networks: dict[str, torch.nn.Module]) -> None:
    """Refuse networks that accelerate moves to and fro while they work."""
    for part, network in networks.items():
        modules = network.modules()
        away = any(weight.is_meta for weight in network.parameters())
        if away or any(hasattr(module, "_hf_hook") for module in modules):
            raise ValueError(
                f"This pipeline's {part} is offloaded: its weights are elsewhere until it is "
                "called, and can't be looked into. Load the pipeline without "
                "enable_model_cpu_offload() and its like, or the folder with load(folder)."
            )


def find(
    name: str | PathLike[str] | None = None, *, revision: str | None = None, download: bool = False
) -> Found:
    """Find out what a name stands for, on this disk, or with `download` on the Hub.

    Args:
        name: As for `load`.
        revision: A branch, tag or commit of the repository.
        download: Whether the Hub may be asked.
    """
    if name is None:
        name = os.environ.get("SDLEARN_MODEL") or DEFAULT
    if not isinstance(name, (str, PathLike)):
        raise TypeError(
            f"load() takes a name, a folder or a file, got {type(name).__name__}. A pipeline that "
            "you already hold goes to wrap()."
        )
    text = os.fspath(name)
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name!r} names no model. models() lists the known names.")
    entry = entry_of(text) if isinstance(name, str) else None
    if isinstance(entry, Pocket):
        return _pocket(entry, revision)
    if entry is not None:
        # Asked for by a repository's own name, that one comes first.
        repositories = tuple(dict.fromkeys((*([text] if "/" in text else []), *entry.repositories)))
        version = revision or entry.revision
        path = hub.cached(repositories, version, pickles=not download)
        if path is None and not download:
            raise hub.missing(entry)
        return Found(entry.name, path or hub.fetch(repositories, version))
    path = Path(text).expanduser()
    if path.exists():
        if revision is not None:
            raise ValueError(f"revision={revision!r} is for the Hub's models; {path} has no other.")
        return Found(path.stem if path.is_file() else path.resolve().name, path)
    return _elsewhere(name, text, revision or "main", download)


def _pocket(pocket: Pocket, revision: str | None) -> Found:
    if revision is not None:
        raise ValueError(f"{pocket.name} comes with the package: it has no revision={revision!r}.")
    if not pocket.is_here:
        raise FileNotFoundError(
            f"{pocket.name} is not in {pocket.folder.parent}. A whole installation of sdlearn "
            f"carries it where it is trained already; to train it: sdlearn train {pocket.name}"
        )
    return Found(pocket.name, pocket.folder, pocket=True)


def _elsewhere(name: str | PathLike[str], text: str, revision: str, download: bool) -> Found:
    """What is neither known nor on the disk: a repository of the Hub, a wrong path, or nothing."""
    owner_and_name = text.count("/") == 1 and not text.startswith((".", "~", "/"))
    looks_like_file = Path(text).suffix in (".safetensors", *PICKLED)
    if isinstance(name, str) and owner_and_name and not looks_like_file:
        path = hub.cached([text], revision, pickles=not download)
        if path or download:
            return Found(text.rpartition("/")[2], path or hub.fetch([text], revision))
        raise hub.absent(text, revision)
    if not isinstance(name, str) or looks_like_file or "/" in text or os.sep in text:
        raise FileNotFoundError(f"There is no such file or folder: {text}. Is it spelt right?")
    raise unknown(text)


def _parts(
    found: Found,
    device: str | torch.device | None,
    dtype: str | torch.dtype | None,
    tokenizer: str | PathLike[str] | None,
    config: str | PathLike[str] | None,
) -> Parts:
    pocket = found.pocket or found.name in POCKET
    place = choose_device(device, pocket=pocket)
    precision = choose_dtype(dtype, place, pocket=pocket)
    if found.path.is_dir():
        if tokenizer is not None or config is not None:
            raise ValueError(
                "tokenizer= and config= are for single checkpoints; a folder has its own."
            )
        return load_folder(found.path, device=place, dtype=precision, name=found.name)
    if found.path.suffix in PICKLED:
        raise ValueError(refusal(found.path))
    if found.path.suffix != ".safetensors":
        raise ValueError(
            f"{found.path} has the ending {found.path.suffix!r}; a checkpoint ends in .safetensors."
        )
    return load_checkpoint(
        found.path,
        device=place,
        dtype=precision,
        tokenizer=Path(tokenizer).expanduser() if tokenizer is not None else None,
        config=_configs_from(config),
    )


def _configs_from(config: str | PathLike[str] | None) -> str | Path | None:
    """A published name stays a name, even where a folder is called so; the rest is a folder."""
    if config is None or config in PUBLISHED:
        return config
    folder = Path(config).expanduser()
    if folder.is_dir() and not (folder / "unet" / "config.json").is_file():
        raise FileNotFoundError(f"config={str(config)!r} has no unet/config.json in it.")
    return folder if folder.is_dir() else str(config)
