"""The parts of a model's folder: written aside, read back, weighed, and only then in their place.

What had to make room comes back if that fails. Parts that are another model's are symbolic links
to it, where both lie side by side, and copies elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import diffusers
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

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


@contextmanager
def replaced(target: Path, parts: tuple[str, ...]) -> Iterator[Path]:
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
    files = own_files(draft)
    kept = [target / part for part in CLASSES if part not in parts]
    for path in files:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(
                f"{path.relative_to(draft)} has {path.stat().st_size / MIB:.1f} MiB; a file may "
                f"have {LARGEST_FILE / MIB:.0f}. Make this part narrower in the recipe."
            )
    files += [path for folder in kept for path in own_files(folder)]
    total = sum(path.stat().st_size for path in files)
    if total > LARGEST_FOLDER:
        raise ValueError(
            f"The model would have {total / MIB:.1f} MiB; it may have {LARGEST_FOLDER / MIB:.0f}. "
            "Make a part narrower in the recipe."
        )


def own_files(folder: Path) -> list[Path]:
    """The files that lie in a folder itself: none by a link."""
    if folder.is_symlink():
        return []
    paths = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return [path for path in paths if not path.is_symlink()]


def take(models: Path, place: str, folder: Path, part: str, draft: Path) -> None:
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


def write(
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
        places = {name: shard_name(1 + name.startswith(last)) for name in weights}
        for shard in sorted(set(places.values())):
            there = {name: t for name, t in weights.items() if places[name] == shard}
            save(there, folder / shard)
        total = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
        index = {"metadata": {"total_size": total}, "weight_map": places}
        write_json(index, folder / "model.safetensors.index.json")
    else:
        save(weights, file)
    there = kind.from_pretrained(folder, torch_dtype=torch.float16).state_dict()
    read = {name.removeprefix(prefix): tensor for name, tensor in there.items()}
    for name, tensor in weights.items():  # older versions of transformers keep the prefix
        if not torch.equal(read[name.removeprefix(prefix)], tensor):
            raise RuntimeError(f"{file.name} of {folder.name} does not read back as written.")


def shard_name(number: int) -> str:
    """The name of one of two files that hold a network's weights together."""
    return f"model-{number:05d}-of-00002.safetensors"


def save(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors as a file that everybody may read."""
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(flat, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes for its owner alone; a model is for everybody


def write_json(value: object, path: Path) -> None:
    """Write a value as JSON; a file of this name stays whole until the new one is."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(draft, path)
