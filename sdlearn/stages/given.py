"""What a run is given beside its prompt: latents of the user's, pictures, a hole in one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from sdlearn.stages import checks, latents
from sdlearn.stages.request import Request
from sdlearn.stages.schedule import Schedule
from sdlearn.trace import Trace

if TYPE_CHECKING:
    from sdlearn.stages.pipeline import Model

Pictures = Image.Image | Sequence[Image.Image] | Tensor | Trace


def own_latent(model: Model, request: Request) -> Tensor | None:
    """Noise that the user brought, if it fits."""
    latent = request.latent
    if latent is None:
        return None
    model.check_latent(latent)
    _check_sides(model, latent, request)
    return latent


def _check_sides(model: Model, latent: Tensor, request: Request) -> None:
    """Refuse a size that is not the latent's."""
    sides = [side * model.factor for side in latent.shape[-2:]]
    for name, asked, has in (
        ("height", request.height, sides[0]),
        ("width", request.width, sides[1]),
    ):
        if asked not in (None, has):
            raise ValueError(f"latent is for a {name} of {has}, and {name}={asked} was asked for.")


def latents_or_pictures(
    model: Model, picture: Pictures, request: Request
) -> tuple[Tensor | None, Tensor | None]:
    """What image-to-image begins with: latents as they are, or else the pixels of pictures."""
    if isinstance(picture, Trace):
        picture = picture.latent
    if isinstance(picture, Tensor):
        model.check_latent(picture)
        _check_sides(model, picture, request)
        return picture, None
    return None, pixels_of(model, picture, request)


def pixels_of(model: Model, picture: Any, request: Request) -> Tensor:
    """Pictures as numbers, [pictures, 3, height, width], in the size asked for or their own."""
    several = checks.pictures(picture)
    height = several[0].height if request.height is None else request.height
    width = several[0].width if request.width is None else request.width
    height = checks.side("height", height, model.factor)
    width = checks.side("width", width, model.factor)
    learnt = model.size
    if request.height is None and request.width is None and width * height > 4 * math.prod(learnt):
        checks.warn(
            f"The picture is {width} x {height}, and {model.name} learnt from pictures of "
            f"{learnt[1]} x {learnt[0]}: on larger ones it takes long and draws badly. Say height= "
            "and width=, and the picture is brought to that size."
        )
    return torch.cat([latents.from_pil(one, (height, width)) for one in several])


def encoded(model: Model, pictures: Tensor, source: latents.Generators) -> Tensor:
    """A latent for each picture, drawn from its cloud."""
    upcast = model.family.is_sdxl
    if isinstance(source, torch.Generator):
        return latents.encode(model.vae, pictures, upcast=upcast).sample(source)
    drawn = [
        latents.encode(model.vae, pictures[i : i + 1], upcast=upcast).sample(source[i])
        for i in range(len(pictures))
    ]
    return torch.cat(drawn)


def noised(model: Model, schedule: Schedule, known: Tensor, eps: Tensor) -> Tensor:
    """Latents brought to the noise level at which a schedule begins."""
    scheduler = schedule.fresh(model.device)
    t = scheduler.timesteps[schedule.begin : schedule.begin + 1].repeat(len(known))
    return scheduler.add_noise(known, eps, t)


def in_places(hole: Tensor, factor: int) -> Tensor:
    """A mask of pixels as a mask of a latent's places."""
    size = tuple(side // factor for side in hole.shape[-2:])
    small = torch.nn.functional.interpolate(hole, size=size)
    if not bool(small.any()):
        raise ValueError(
            f"mask marks less than one of the latent's places, which are {factor} x {factor} "
            "pixels, so nothing new would be drawn. Make it larger."
        )
    return small


def shared(one: Tensor, count: int) -> Tensor:
    """One latent, or a few of them, shared out over so many pictures."""
    return one.repeat(count // len(one), 1, 1, 1)
