"""CLIP, whole: the text encoder that a model reads prompts with, and the half that sees pictures.

    from sdlearn.models import clip

    pair = clip.load("pocket-sd15")
    pair.similarity([picture], ["a red cat", "a blue boat"])     # cosines, [pictures, captions]

Stable Diffusion keeps the text encoder only. The other half lies elsewhere: a pocket model's in
the folder that its `recipe.json` names, the published ones' in the repository of the CLIP that
they were built on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sdlearn.models import hub
from sdlearn.models.catalogue import POCKET, PUBLISHED
from sdlearn.models.classes import class_of
from sdlearn.models.configs import read_json
from sdlearn.models.files import read_weights, weights_file
from sdlearn.models.folders import load_tokenizer
from sdlearn.models.loading import Found, find
from sdlearn.models.networks import filled
from sdlearn.models.places import choose_device
from sdlearn.stages import checks, latents, text

# Of which CLIP the published models took the text encoder; of SDXL's two, the first. A family
# is found by how it begins, so the longer name comes first.
WHOLE = {
    "SD 1.x": "openai/clip-vit-large-patch14",
    "SD 2.x": "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    "SDXL refiner": "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",  # it has the second alone
    "SDXL": "openai/clip-vit-large-patch14",
}
MEETING = "meeting.safetensors"
"""Beside a pocket CLIP's picture half: what takes both halves into the space where they meet."""
AT_ONCE = 64  # pictures or captions, to spare the memory


@dataclass(frozen=True, eq=False, repr=False)
class Clip:
    """Two encoders that were trained to meet: a caption and its picture get near vectors.

    Its weights are frozen.

    Attributes:
        name: Of the model whose text encoder this is.
        network: transformers' `CLIPModel`: `text_model`, `vision_model` and their projections.
        tokenizer: Cuts captions.
        mean: Of the red, green and blue of pictures (0 to 1) when it was trained.
        std: The spread of each.
    """

    name: str
    network: Any
    tokenizer: Any
    mean: Sequence[float] = (0.5, 0.5, 0.5)
    std: Sequence[float] = (0.5, 0.5, 0.5)

    def pictures(self, pictures: Any) -> Tensor:
        """What it sees: a vector of length 1 for each picture, [pictures, width].

        Args:
            pictures: A Pillow picture, or several of one size. They are shrunk or enlarged to the
                size that it knows, and what is not square is cut at its ends.
        """
        several = checks.pictures(pictures)
        return torch.cat(
            [self._see(several[i : i + AT_ONCE]) for i in range(0, len(several), AT_ONCE)]
        )

    def captions(self, captions: str | Sequence[str]) -> Tensor:
        """What it reads: a vector of length 1 for each caption, [captions, width]."""
        several = text.check_texts("captions", captions)
        return torch.cat(
            [self._read(several[i : i + AT_ONCE]) for i in range(0, len(several), AT_ONCE)]
        )

    def similarity(self, pictures: Any, captions: str | Sequence[str] | Tensor) -> Tensor:
        """How well pictures and captions fit: cosines from -1 to 1, [pictures, captions].

        Args:
            pictures: Pictures, or the vectors that `pictures` returned.
            captions: Captions, or the vectors that `captions` returned.
        """
        seen = self._vectors("pictures", pictures, self.pictures)
        read = self._vectors("captions", captions, self.captions)
        return seen @ read.T

    @property
    def scale(self) -> float:
        """By what it multiplies cosines before a softmax; learned with the rest."""
        return float(self.network.logit_scale.detach().exp())

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return self.network.config.projection_dim

    @property
    def size(self) -> int:
        """The side of the pictures that it knows."""
        return self.network.config.vision_config.image_size

    def __repr__(self) -> str:
        """Name, sizes, parameters of both halves."""
        halves = (self.network.text_model, self.network.vision_model)
        words, eyes = (sum(p.numel() for p in half.parameters()) / 1e6 for half in halves)
        return (
            f"Clip({self.name}: captions ({words:.1f} M parameters) and {self.size}x{self.size} "
            f"pictures ({eyes:.1f} M), {self.width} numbers each)"
        )

    def _see(self, pictures: list[Any]) -> Tensor:
        pixels = torch.cat([latents.from_pil(picture) for picture in pictures])  # from -1 to 1
        pixels = _square(pixels, self.size).to(self._device)
        mean, std = (pixels.new_tensor(v)[:, None, None] for v in (self.mean, self.std))
        pixels = ((pixels + 1) / 2 - mean) / std
        pooled = self.network.vision_model(pixels).pooler_output
        return F.normalize(self.network.visual_projection(pooled).float(), dim=-1)

    def _read(self, captions: Sequence[str]) -> Tensor:
        tokens, ids, mask = text.tokenize(self.tokenizer, captions)
        if cut := next((one.cut for one in tokens if one.cut), ""):
            checks.warn(
                f"A caption is longer than {ids.shape[1]} tokens; CLIP never sees: {cut!r:.200}."
            )
        # Words look back only, and the vector is taken at the end token: the padding behind it
        # changes nothing, and needn't be computed.
        ids = ids[:, : int(mask.sum(1).max())].to(self._device)
        pooled = self.network.text_model(ids).pooler_output
        return F.normalize(self.network.text_projection(pooled).float(), dim=-1)

    def _vectors(self, name: str, given: Any, make: Any) -> Tensor:
        if not isinstance(given, Tensor):
            return make(given)
        if given.ndim != 2 or given.shape[1] != self.width:
            raise ValueError(
                f"{name} must be vectors [{name}, {self.width}], as .{name}(...) returns them, "
                f"got a tensor {tuple(given.shape)}."
            )
        return F.normalize(given.float(), dim=-1)

    @property
    def _device(self) -> torch.device:
        return self.network.logit_scale.device


def load(
    name: str | PathLike[str] | None = None,
    *,
    other_half: str | PathLike[str] | None = None,
    device: str | torch.device | None = None,
) -> Clip:
    """Load a model's CLIP from this machine; it computes in full precision.

    Args:
        name: As for `sdlearn.load`: a pocket model, a published one, or a folder; None takes what
            SDLEARN_MODEL names, or "pocket-sd15". A folder of a whole CLIP will do as well.
        other_half: Where the picture half lies, if not where it is looked for: the folder of a
            pocket CLIP, or of a whole CLIP, such as ``openai/clip-vit-large-patch14`` fetched.
        device: Such as "cuda" or "cpu". None takes the best that is here; for a pocket model's
            that is the CPU.
    """
    if isinstance(name, str | PathLike) and _is_whole(Path(name).expanduser()):
        return _whole(Path(name).expanduser(), Path(name).name, choose_device(device))
    found = find(name)
    place = choose_device(device, pocket=found.pocket or found.name in POCKET)
    half = _other_half(found) if other_half is None else Path(other_half).expanduser()
    if _is_whole(half):
        return _whole(half, found.name, place)
    if not (half / "vision_model" / MEETING).is_file():
        raise FileNotFoundError(
            f"{half} is no half of a CLIP: it has neither vision_model/{MEETING}, as a pocket "
            "CLIP has, nor the config.json of a whole one."
        )
    return join(found.path, half, name=found.name, device=place)


def join(
    model: Path, half: Path, *, name: str = "", device: torch.device | str | None = None
) -> Clip:
    """Join the two halves of a pocket CLIP again.

    Args:
        model: The model's folder, with the text encoder and the tokenizer.
        half: The folder of the other half.
        name: What the pair is called, if not as the model's folder.
        device: Where it shall lie; None is the CPU.
    """
    # A text half that learnt by itself lies whole beside the other; SD 2.x keeps less of it.
    reads = half if (half / "text_encoder").is_dir() else model
    weights = read_weights(weights_file(reads / "text_encoder", torch.float32))
    weights |= read_weights(weights_file(half / "vision_model", torch.float32))
    meeting = read_weights(half / "vision_model" / MEETING)
    weights["text_projection.weight"] = meeting["text_projection"]
    weights["logit_scale"] = meeting["logit_scale"].reshape(())
    config = {
        "text_config": read_json(reads / "text_encoder" / "config.json"),
        "vision_config": read_json(half / "vision_model" / "config.json"),
        "projection_dim": len(meeting["text_projection"]),
    }
    network = _network(config, weights, torch.device(device or "cpu"), f"{model} with {half}")
    first = model / "tokenizer"
    words = first if first.is_dir() else model / "tokenizer_2"  # SDXL's refiner has the second
    return Clip(name or model.name, network, load_tokenizer(words))


def _whole(folder: Path, name: str, device: torch.device) -> Clip:
    """A CLIP as transformers keeps it, such as those that were published."""
    weights = read_weights(weights_file(folder, torch.float32))
    network = _network(read_json(folder / "config.json"), weights, device, str(folder))
    settings = folder / "preprocessor_config.json"
    seen = read_json(settings) if settings.is_file() else {}
    colours = {"mean": seen.get("image_mean"), "std": seen.get("image_std")}
    given = {key: tuple(value) for key, value in colours.items() if value}
    return Clip(name, network, load_tokenizer(folder), **given)


def _network(config: dict[str, Any], weights: dict, device: torch.device, where: str) -> Any:
    with torch.device("meta"):
        network = class_of("CLIPModel")(class_of("CLIPConfig").from_dict(config)).eval()
    # Frozen, so that asking costs nothing; who puts a vector of their own in can still train it.
    return filled(network, weights, device, torch.float32, where).requires_grad_(False)


def _is_whole(folder: Path) -> bool:
    config = folder / "config.json"
    return config.is_file() and {"text_config", "vision_config"} <= set(read_json(config))


def _other_half(found: Found) -> Path:
    """Where the half that sees pictures should be, or an error that says what to do."""
    record = found.path / "recipe.json"
    if record.is_file():
        half = found.path.parent / read_json(record)["recipe"]["clip_name"]
        if half.is_dir():
            return half
        raise FileNotFoundError(
            f"{found.name} is here, but not the half of its CLIP that sees pictures: {half} is "
            "missing. It is made with the text encoder, and lies beside the model."
        )
    family = PUBLISHED[found.name].family if found.name in PUBLISHED else ""
    repository = next((r for start, r in WHOLE.items() if family.startswith(start)), None)
    if repository is None:
        raise FileNotFoundError(
            f"Nothing says which CLIP the text encoder of {found.name} belongs to: a model keeps "
            "that half only. Name the folder of the other: load(model, other_half=folder)."
        )
    if (folder := hub.snapshot(repository)) and _is_whole(folder):
        return folder
    raise FileNotFoundError(
        f"{found.name} keeps only the half of CLIP that reads. The whole of it is {repository}, "
        f"which is not on this machine. To fetch it: hf download {repository}. Or use "
        'pocket-sd15, whose other half comes with this package: load("pocket-sd15")'
    )


def _square(pixels: Tensor, side: int) -> Tensor:
    """Pictures [batch, 3, height, width] at the size that the network knows, their middle."""
    height, width = pixels.shape[-2:]
    if min(height, width) != side:
        factor = side / min(height, width)
        size = (max(side, round(height * factor)), max(side, round(width * factor)))
        pixels = F.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(-1, 1)
    top, left = (pixels.shape[-2] - side) // 2, (pixels.shape[-1] - side) // 2
    return pixels[..., top : top + side, left : left + side]
