"""Which files hold weights, whether they are whole, and why a pickle is never opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from sdlearn import _resources
from sdlearn.models.configs import read_json
from sdlearn.models.hub import STEMS

PICKLED = (".ckpt", ".bin", ".pt", ".pth", ".pkl")

Shapes = Mapping[str, tuple[int, ...]]


def shapes_of(path: Path) -> Shapes:
    """Return the names and shapes in a safetensors file; this reads its first kilobytes only.

    Args:
        path: The file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: it was not fetched, or not saved, whole.")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(_damaged(path, error)) from None


def _damaged(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        beginning = file.read(64)
    if beginning.startswith(b"version https://git-lfs"):
        return (
            f"{path} is only a pointer of Git LFS: the weights themselves were not fetched. In "
            "that checkout: git lfs pull"
        )
    if beginning.startswith(b"../"):
        return unlinked(path)
    if beginning.startswith(b"PK") or _is_pickle(beginning):
        return f"{path} is a pickle with another ending. {_WHY} {_convert(path)}"
    return (
        f"{path} is cut short, or no safetensors file ({error}). It has "
        f"{path.stat().st_size:,} bytes: compare with where it came from, and fetch it again."
    )


def _is_pickle(beginning: bytes) -> bool:
    """Whether a file begins as a pickle does: 0x80, its protocol, an opcode.

    A safetensors file may begin with 0x80 as well, the lowest byte of its header's length; but
    that length has eight bytes, and a "{" behind them.
    """
    protocols = (b"\x02", b"\x03", b"\x04", b"\x05")
    told = beginning[:1] == b"\x80" and beginning[1:2] in protocols
    return told and len(beginning) > 8 and beginning[8:9] != b"{"


def unlinked(path: Path) -> str:
    """What to do where git could write no symbolic link, and wrote down where it leads."""
    return (
        f"{path} should be a link to a part that another model has, and is a file that names it. "
        f"{_resources.WITHOUT_LINKS}"
    )


def weights_file(folder: Path, dtype: torch.dtype) -> Path:
    """Return the weights in a part's folder, or the index of those that lie in several files.

    Where both precisions lie there, the one that fits is taken.

    Args:
        folder: Of one part, such as the U-Net.
        dtype: In what it will compute.
    """
    if folder.is_file():
        raise ValueError(unlinked(folder))
    broken = None
    for half in (False, True) if dtype == torch.float32 else (True, False):
        for stem in STEMS:
            name = f"{stem}.fp16.safetensors" if half else f"{stem}.safetensors"
            index = f"{stem}.safetensors.index{'.fp16' if half else ''}.json"
            for path in (folder / name, folder / index):
                if path.is_file() and all(file.is_file() for file in _files(path)):
                    return path
                if path.is_file():  # an index of files that were never fetched
                    broken = broken or path
    if broken is not None:
        return broken  # `check` says what lacks
    pickles = [path for path in sorted(folder.glob("*")) if path.suffix in PICKLED]
    if pickles:
        raise ValueError(refusal(pickles[0], folder.parent))
    raise FileNotFoundError(
        f"{folder} has no weights ({STEMS[0]}.safetensors or {STEMS[1]}.safetensors). Copy or save "
        "the model again; one of the Hub's, by its name: load(name, download=True)."
    )


def check(path: Path) -> None:
    """Raise when a weights file, or one of those that an index names, isn't whole."""
    for file in _files(path):
        shapes_of(file)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Map the weights of a file, or of all files that an index names, into memory."""
    return {name: tensor for file in _files(path) for name, tensor in load_file(file).items()}


def _files(path: Path) -> list[Path]:
    if path.suffix != ".json":
        return [path]
    names = read_json(path).get("weight_map", {}).values()
    return [path.with_name(Path(name).name) for name in sorted(set(names))]


def refusal(path: Path, folder: Path | None = None) -> str:
    """Say why a pickled checkpoint is not opened, and how to convert it.

    Args:
        path: The file.
        folder: The whole model's folder, when it is one in diffusers' layout.
    """
    return f"{path} is a pickled checkpoint. {_WHY} {_convert(path, folder)}"


_WHY = "A pickle can run any code when it is opened, so sdlearn opens none: it reads safetensors."


def _convert(path: Path, folder: Path | None = None) -> str:
    if folder is not None:
        target = folder.with_name(folder.name + "-safe")
        code = (
            "from diffusers import DiffusionPipeline as P; "
            f"P.from_pretrained({str(folder)!r}, use_safetensors=False)"
            f".save_pretrained({str(target)!r})"
        )
    else:
        target = path.with_suffix(".safetensors")
        if target == path:  # a pickle that says it is none
            target = path.with_name(f"{path.stem}-safe.safetensors")
        code = (
            "import torch; from safetensors.torch import save_file; "
            f"w = torch.load({str(path)!r}, map_location='cpu', weights_only=True); "
            "w = w.get('state_dict', w); "
            "save_file({k: v.clone().contiguous() for k, v in w.items() if torch.is_tensor(v)}, "
            f"{str(target)!r})"
        )
    return (
        f'To convert it, with code in it refused:\n  python -c "{code}"\n'
        f"and then load {str(target)!r}. Better still, fetch a .safetensors of it."
    )
