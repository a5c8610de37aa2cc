"""A trace as one file: safetensors, with everything that is no tensor as JSON in its header.

Nothing is pickled, so a file from elsewhere can be read without fear; whatever doesn't fit
together is a ValueError that says so. Tensors that are the same in memory are written once, and
are the same in memory again after reading.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sdlearn.trace.look import Look
from sdlearn.trace.maps import Attention, Layer
from sdlearn.trace.memory import same_place
from sdlearn.trace.records import SETTINGS, Step
from sdlearn.trace.tokens import Tokens

if TYPE_CHECKING:
    from sdlearn.trace.trace import Trace

VERSION = 1
FORMAT = "sdlearn-trace"


class _Tensors:
    """Tensors on their way to a file: each gets a name, and one that came before keeps its own."""

    def __init__(self) -> None:
        self.named: dict[str, Tensor] = {}
        self._seen: dict[tuple, str] = {}

    def add(self, name: str, tensor: Tensor | None) -> str | None:
        if tensor is None:
            return None
        name = self._seen.setdefault(same_place(tensor), name)
        if name not in self.named:
            self.named[name] = tensor
        return name

    def ready(self) -> dict[str, Tensor]:
        """As safetensors wants them: on the CPU, in a row, no two in one memory."""
        whole = {name: t.detach().cpu().contiguous() for name, t in self.named.items()}
        parts = (name for name, t in whole.items() if t.untyped_storage().nbytes() != t.nbytes)
        return {**whole, **{name: whole[name].clone() for name in parts}}


def write(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Writes a trace; the file is there whole, or the old one is still there."""
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else "is in a folder that does not exist"
        raise OSError(
            f"a trace can't be written to {path}: it {what}. Name a file in one that does."
        )
    tensors = _Tensors()
    header = json.dumps(_header(trace, tensors))
    metadata = {"format": FORMAT, "version": str(VERSION), "trace": header}
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        save_file(tensors.ready(), draft, metadata=metadata)
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk as its own kind
        raise OSError(f"the trace could not be written to {path}: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)


def read(path: str | os.PathLike[str], model: Any = None) -> Trace:
    """Reads a trace, and trusts nothing in the file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    look = _look(model)
    try:
        with safe_open(path, framework="pt") as file:
            header = _known(path, file.metadata() or {})
            # copies, because the file's own memory goes with the file
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{path} can't be read: it is no safetensors file, or was cut short ({error}). "
            "Copy or write it again."
        ) from error
    try:
        trace = _trace(header, tensors, look)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{path} is damaged, or was not written by trace.save: {error}. Save it again."
        ) from error
    name, theirs = trace.settings.get("model"), getattr(model, "name", None)
    if model is not None and None not in (name, theirs) and name != theirs:
        warnings.warn(
            f"the trace in {path} was made by {name!r}, and is decoded by {theirs!r}: its "
            "pictures may look wrong.",
            stacklevel=3,
        )
    return trace


def _known(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """The header, if this is a trace of a version that can be read."""
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path} is a safetensors file, but no trace: perhaps a model's weights. "
            "Traces are written by trace.save(path)."
        )
    version = metadata.get("version", "")
    if not version.isdecimal():
        raise ValueError(f"{path} is damaged: it says version {version!r:.40}, which is no number.")
    if version != str(VERSION):
        raise ValueError(
            f"{path} is a trace of version {version:.40}, and this sdlearn reads up to {VERSION}. "
            "It was written by a newer sdlearn: install that one (pip install -U sdlearn)."
        )
    try:
        header = json.loads(metadata["trace"])
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: its header is no JSON ({error}).") from error
    if not isinstance(header, dict):
        raise ValueError(f"{path} is damaged: its header is no JSON object.")
    return header


def _matrix_of(trace: Trace) -> Tensor | None:
    """What shows its latents. Where an autoencoder gives no such line, the run is kept anyhow."""
    try:
        return trace.preview_matrix
    except ValueError as error:
        warnings.warn(f"{error} The trace is written without one.", stacklevel=4)
        return None


def _header(trace: Trace, tensors: _Tensors) -> dict[str, Any]:
    steps = [
        {name: getattr(step, name) for name in SETTINGS}
        | {
            "tensors": {
                name: tensors.add(f"steps.{step.index}.{name}", tensor)
                for name, tensor in step.tensors().items()
            }
        }
        for step in trace.steps
    ]
    attention = trace.attention if trace._attention is not None else None
    images = [torch.from_numpy(np.array(picture.convert("RGB"))) for picture in trace.images]
    return {
        "steps": steps,
        "latent": tensors.add("latent", trace.latent),
        "images": [tensors.add(f"images.{i}", image) for i, image in enumerate(images)],
        "preview_matrix": tensors.add("preview_matrix", _matrix_of(trace)),
        "prompts": trace.prompts,
        "negative_prompts": trace.negative_prompts,
        "settings": trace.settings,
        "tokens": [tokens.to_json() for tokens in trace.tokens],
        "attention": None if attention is None else _attention_header(attention, tensors),
        "interrupted": trace.interrupted,
        "warnings": trace.warnings,
    }


def _attention_header(attention: Attention, tensors: _Tensors) -> dict[str, Any]:
    def kept(name: str, maps: Mapping) -> list[list]:
        return [
            [*key, tensors.add(".".join((name, *map(str, key))), tensor)]
            for key, tensor in maps.items()
        ]

    return {
        "layers": [vars(layer) for layer in attention.layers],
        "tokens": [tokens.to_json() for tokens in attention.tokens],
        "negative": [tokens.to_json() for tokens in attention.negative],
        "steps": attention.steps,
        "halves": attention.halves,
        "heads": attention.heads,
        "chosen": attention.chosen,
        "kept": kept("attention", attention.kept),
        "kept_self": kept("self_attention", attention.kept_self),
    }


def _trace(header: dict[str, Any], tensors: dict[str, Tensor], look: Look | None) -> Trace:
    from sdlearn.trace.trace import Trace

    steps = [
        Step(
            **{name: _of_type(name, step[name]) for name in SETTINGS},
            **{name: tensors[key] for name, key in step["tensors"].items()},
            look=look,
        )
        for step in header["steps"]
    ]
    matrix, attention = header["preview_matrix"], header["attention"]
    return Trace(
        steps=steps,
        latent=tensors[header["latent"]],
        images=[_picture(tensors[name]) for name in header["images"]],
        prompts=header["prompts"],
        negative_prompts=header["negative_prompts"],
        settings=header["settings"],
        tokens=[Tokens.from_json(tokens) for tokens in header["tokens"]],
        attention=None if attention is None else _attention(attention, tensors),
        interrupted=header["interrupted"],
        warnings=header["warnings"],
        preview_matrix=None if matrix is None else tensors[matrix],
        look=look,
    )


def _of_type(name: str, value: Any) -> Any:
    """A number or word of a step, if it is what that should be."""
    wanted = {"sigma_space": bool, "x0_derived": bool, "index": int, "calls": int, "changes": list}
    if not isinstance(value, wanted.get(name, (int, float))):
        raise TypeError(f"a step's {name} is {value!r:.40}")
    return value


def _attention(header: dict[str, Any], tensors: dict[str, Tensor]) -> Attention:
    def kept(rows: list[list]) -> dict:
        return {(step, call, half, layer): tensors[name] for step, call, half, layer, name in rows}

    return Attention(
        layers=tuple(Layer(**layer) for layer in header["layers"]),
        tokens=tuple(Tokens.from_json(tokens) for tokens in header["tokens"]),
        negative=tuple(Tokens.from_json(tokens) for tokens in header["negative"]),
        steps=header["steps"],
        halves=header["halves"],
        heads=header["heads"],
        chosen=header["chosen"],
        kept=kept(header["kept"]),
        kept_self=kept(header["kept_self"]),
    )


def _picture(pixels: Tensor) -> Image.Image:
    if (
        pixels.dtype != torch.uint8
        or pixels.ndim != 3
        or pixels.shape[2] != 3
        or not pixels.numel()
    ):
        raise ValueError(f"a picture must be uint8 [height, width, 3], got {list(pixels.shape)}")
    return Image.fromarray(pixels.numpy())


def _look(model: Any) -> Look | None:
    """What decodes: the model itself, or what it carries for that purpose."""
    if model is None:
        return None
    for candidate in (getattr(model, "look", None), model):
        if isinstance(candidate, Look):
            return candidate
    raise TypeError(
        f"model must be a loaded model, sd.load(...), or anything with image(latent) and "
        f"preview(latent); got {type(model).__name__}."
    )
