"""The stages in a row: a model that draws from noise, from a picture, or into a hole in one.

`Model` is what `sd.load` returns. Each of its methods is a stage that can be used alone;
`generate`, `image_to_image` and `inpaint` are the stages one after the other, and leave a trace.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from sdlearn.stages import checks, latents, runs, text
from sdlearn.stages.denoising import Denoising, Intervention
from sdlearn.stages.families import Family
from sdlearn.stages.given import Pictures
from sdlearn.stages.look import ModelLook
from sdlearn.stages.parts import Parts
from sdlearn.stages.request import EVERYTHING, Request
from sdlearn.stages.schedule import Schedule
from sdlearn.stages.text import Prompt
from sdlearn.trace import Step, Trace, markup

ROLES = {
    "text_encoder": "reads the prompt",
    "text_encoder_2": "reads it once more, and sums it up",
    "unet": "names the noise in a latent",
    "vae": "turns pictures into latents, and back",
    "scheduler": "says how a run steps",
}


class Model:
    """A Stable Diffusion that one can look into.

    Attributes:
        parts: Networks, tokenizers, scheduler.
        name: What it is called in tables and captions.
        source: Where it came from, if it was loaded.
    """

    viewers: ClassVar[dict[str, Callable[..., Any]]] = {}
    """How a model is shown: `sdlearn.views` looks into it, and models know no view."""

    def __init__(self, parts: Parts, name: str, *, source: str | None = None) -> None:
        self.parts, self.name, self.source = parts, name, source
        for network in parts.networks.values():
            network.eval()

    # -- the stages ---------------------------------------------------------------------------

    def encode(self, prompt: str | Sequence[str], *, prompt_2: Any = None, skip: int = 0) -> Prompt:
        """Read a prompt: its tokens, its words, and the vectors that the U-Net will see.

        Args:
            prompt: A text, or several.
            prompt_2: Another wording for SDXL's second encoder.
            skip: How many of the encoders' last layers to leave out; what diffusers and other
                tools call clip skip. The U-Net sees what stands before them.
        """
        return replace(text.encode(self.parts, prompt, prompt_2, skip), reader=self)

    def noise(
        self,
        seed: int | Sequence[int] = 0,
        *,
        height: int | None = None,
        width: int | None = None,
        count: int = 1,
    ) -> Tensor:
        """The noise that a run with this seed begins with, [pictures, C, h, w], of spread 1."""
        seed, count = checks.seeds(seed), checks.whole("count", count, 1)
        if isinstance(seed, list):
            if count not in (1, len(seed)):
                raise ValueError(
                    f"There are {len(seed)} seeds for {count} pictures. Give one seed for all "
                    f"(seed={seed[0]}, count={count}), or {count} of them."
                )
            count = len(seed)
        shape = self.latent_shape(count, *self.sides(height, width))
        parts = self.parts
        return latents.noise(shape, latents.generators(seed), parts.device, parts.dtype)

    def schedule(
        self,
        steps: int = 25,
        sampler: Any = None,
        *,
        strength: float = 1.0,
        karras: bool = False,
        **settings: Any,
    ) -> Schedule:
        """The stations of a run.

        Args:
            steps: How many steps.
            sampler: A name, a diffusers scheduler, or None for the model's own.
            strength: How much of the way, as in image-to-image.
            karras: Whether to walk Karras's sigmas.
            **settings: Other settings of the scheduler, as diffusers names them, such as
                ``timestep_spacing="trailing"``.
        """
        steps = checks.whole("steps", steps, 1)
        strength = checks.number("strength", strength, 0.0, 1.0)
        if karras:
            settings["use_karras_sigmas"] = True
        config = {
            **self.parts.scheduler.config,
            "_class_name": type(self.parts.scheduler).__name__,
            "_class": type(self.parts.scheduler),  # it may be theirs: no name leads to it
        }
        schedule = Schedule.of(sampler, config, steps, **settings)
        return schedule if strength == 1.0 else schedule.from_strength(strength)

    def denoise(
        self,
        prompt: str | Sequence[str] | Prompt,
        latent: Tensor,
        schedule: Schedule,
        **settings: Any,
    ) -> Denoising:
        """The loop itself: an iterator of steps that can be stopped, inspected and steered.

        Args:
            prompt: What to draw.
            latent: Where to begin: `noise`, times ``schedule.scheduler.init_noise_sigma`` if the
                run begins with nothing but noise.
            schedule: From `schedule`.
            **settings: As for `generate`: guidance_scale, negative_prompt, record, intervene...
                A sampler that adds fresh noise draws it from ``seed``: take another one than the
                latent's, or its first noise is the noise that the latent began with.
        """
        request = Request.of("denoise", settings, self.family)
        if not isinstance(schedule, Schedule):
            raise TypeError(
                f"schedule must come from model.schedule(...), got {type(schedule).__name__}."
            )
        self.check_latent(latent)
        return runs.loop(self, prompt, latent, schedule, request)

    def to_latent(self, picture: Image.Image | Sequence[Image.Image]) -> latents.Posterior:
        """A picture's cloud of latents: ``.mean``, ``.std``, ``.sample(seed)``."""
        several = checks.pictures(picture)
        for name, value in (("height", several[0].height), ("width", several[0].width)):
            checks.side(f"the picture's {name}", value, self.factor)
        stacked = torch.cat([latents.from_pil(one) for one in several])
        return latents.encode(self.vae, stacked, upcast=self.parts.family.is_sdxl)

    def to_image(self, latent: Tensor) -> Image.Image | list[Image.Image]:
        """The picture of a latent; a list of them for several latents."""
        self.check_latent(latent)
        drawn = self.draw(latent)
        return drawn[0] if len(drawn) == 1 else drawn

    def preview(self, latent: Tensor) -> Image.Image:
        """A fast look at one latent: its channels mixed to colours, one pixel a place."""
        self.check_latent(latent)
        return self.look.preview(latent)

    # -- the stages in a row ------------------------------------------------------------------

    def generate(
        self,
        prompt: str | Sequence[str] | Prompt,
        *,
        negative_prompt: str | Sequence[str] | Prompt | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float = 0.0,
        sampler: Any = None,
        seed: int | Sequence[int] | None = 0,
        height: int | None = None,
        width: int | None = None,
        latent: Tensor | None = None,
        record: Any = EVERYTHING,
        intervene: Intervention | Sequence[Intervention] = (),
        on_step: Callable[[Step], None] | None = None,
        **more: Any,
    ) -> Trace:
        """Draw a picture for a prompt, and keep what happened.

        Args:
            prompt: What to draw; several prompts draw several pictures.
            negative_prompt: What to go away from; None is the model's own emptiness.
            steps: How many steps the sampler takes; None is 25, and 4 for a Turbo.
            guidance_scale: 0 ignores the prompt, 1 is no guidance; None is what is usual for
                the family: 7.5, 5 for SDXL, none for Turbo.
            guidance_rescale: How much of the contrast to give back, 0 to 1.
            sampler: A name: ddpm, ddim, euler, euler_ancestral, heun, dpm2, lms, plms, dpmpp_2m,
                dpmpp_2m_sde, unipc or lcm, or as tools call them ("DPM++ 2M Karras"); a diffusers
                scheduler; or None for the model's own.
            seed: Where the noise comes from; several seeds draw several pictures, None draws a
                seed.
            height: The picture's height; None is the size that the model learnt.
            width: Its width.
            latent: Noise of your own to begin with, [pictures, C, h, w], of spread 1.
            record: What to keep: "latents", "noise", "attention", "self_attention", a `Record`,
                or () for nothing.
            intervene: Functions that change the run, see `sdlearn.stages.interventions`.
            on_step: Is called with each step as soon as it is done.
            **more: karras; eta (DDIM); denoising_end (for a refiner to go on). SDXL's also take
                prompt_2 and negative_prompt_2, and what the picture pretends to be: original_size,
                crop and target_size (vertical first), and negative_original_size,
                negative_crop and negative_target_size for what to go away from. (Each acts by
                itself; diffusers' pipeline hears them only with both negative sizes.) The refiner
                takes aesthetic_score and negative_aesthetic_score for target_size.
        """
        request = Request.of("generate", _given(locals()), self.family)
        return runs.from_noise(self, prompt, request)

    def image_to_image(
        self,
        picture: Pictures,
        prompt: str | Sequence[str] | Prompt,
        *,
        strength: float | None = None,
        steps: int | None = None,
        **settings: Any,
    ) -> Trace:
        """Draw a picture from another: add noise to it, part of the way, and denoise.

        Args:
            picture: A picture, several of one size, a latent, or a trace, whose latent is taken.
            prompt: What to draw.
            strength: How much of the way: 1 forgets the picture. None is 0.8, and 0.3 for the
                refiner.
            steps: Steps of the whole way; ``strength`` of them are taken.
            **settings: As for `generate`; the refiner also takes denoising_start, which goes on
                where the base model's denoising_end stopped.
        """
        given = {"steps": steps, "strength": strength, **settings}
        request = Request.of("image_to_image", given, self.family)
        return runs.from_picture(self, picture, prompt, request)

    def inpaint(
        self,
        picture: Image.Image,
        mask: Any,
        prompt: str | Sequence[str] | Prompt,
        *,
        strength: float = 1.0,
        steps: int | None = None,
        **settings: Any,
    ) -> Trace:
        """Draw into a picture, where a mask says so.

        Args:
            picture: The picture.
            mask: White (or 1) where something new is to be drawn, of the picture's size.
            prompt: What the whole picture is to show.
            strength: How much of what is under the mask is forgotten; 1 is all.
            steps: Steps of the whole way.
            **settings: As for `generate`.
        """
        given = {"steps": steps, "strength": strength, **settings}
        request = Request.of("inpaint", given, self.family)
        return runs.into_hole(self, picture, mask, prompt, request)

    # -- what it is ---------------------------------------------------------------------------

    @property
    def family(self) -> Family:
        """Which Stable Diffusion it is."""
        return self.parts.family

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return self.parts.device

    @property
    def dtype(self) -> torch.dtype:
        """In which precision it computes."""
        return self.parts.dtype

    def to(self, device: Any = None, dtype: torch.dtype | str | None = None) -> Model:
        """Move it to another device or precision, in place.

        Args:
            device: Such as "cpu" or "cuda:1"; or a dtype of torch's, as torch's modules take it.
            dtype: Such as "float16" or ``torch.float16``.
        """
        self.parts.to(device, dtype)
        return self

    def twin(self) -> Model:
        """The same weights, in the same memory, in networks of its own.

        What is hooked into or changed in one is not met by a run of the other, so that the two can
        be used from two threads.
        """
        weights: dict[int, Any] = {}
        for network in self.parts.networks.values():
            # Other objects over the same numbers: one that is moved to another precision for a
            # while (as an autoencoder is that overflows in its own) leaves the other as it is.
            weights |= {
                id(p): torch.nn.Parameter(p.detach(), p.requires_grad) for p in network.parameters()
            }
            weights |= {id(tensor): tensor.detach() for tensor in network.buffers()}
        return Model(copy.deepcopy(self.parts, weights), self.name, source=self.source)

    def explore(self, prompt: str, **options: Any) -> Any:
        """A widget to draw with: its settings can be moved, and the picture follows.

        Args:
            prompt: What to draw at first.
            **options: Settings as for `generate`, a ``grid`` over two of them, a ``judge`` of the
                pictures: see `sdlearn.views.widgets.generation`.
        """
        if "explore" not in self.viewers:
            raise ValueError(
                "model.explore() is drawn by sdlearn.views: write `import sdlearn`, load the model "
                "with sd.load(...) or sd.wrap(...), and call it again."
            )
        return self.viewers["explore"](self, prompt, **options)

    def anatomy(self) -> Any:
        """Its blocks, sizes and work, as a record that shows itself: `sd.anatomy` of this model."""
        if "anatomy" not in self.viewers:
            raise ValueError(
                "model.anatomy() is made by sdlearn.models: write `import sdlearn as sd`, load the "
                "model with sd.load(...) or sd.wrap(...), and call it again; or sd.anatomy(model)."
            )
        return self.viewers["anatomy"](self)

    @property
    def factor(self) -> int:
        """How many pixels a latent's place stands for, along a side."""
        return latents.factor(self.vae)

    @property
    def size(self) -> tuple[int, int]:
        """The height and width of pictures that it learnt from."""
        sides = self.parts.unet.config.sample_size
        height, width = (sides, sides) if isinstance(sides, int) else sides
        return height * self.factor, width * self.factor

    @cached_property
    def look(self) -> ModelLook:
        """What makes pictures of latents."""
        upcast = self.family.is_sdxl
        return ModelLook(self.draw, lambda: latents.preview_matrix(self.vae, upcast=upcast))

    def __repr__(self) -> str:
        """Name, family, size of its pictures, parameters."""
        count = sum(map(_weights, self.parts.networks.values()))
        height, width = self.size
        return (
            f"Model({self.name}: {self.family}, {height}x{width} pixels, "
            f"{count / 1e6:.1f} M parameters, {self.device}, {str(self.dtype)[6:]})"
        )

    def _repr_html_(self) -> str:
        """What it is, and its parts: what each is for, its class, its weights."""
        rows = [
            (name, ROLES[name], type(part).__name__, f"{_weights(part):,}")
            for name, part in self.parts.networks.items()
        ]
        rows.append(("scheduler", ROLES["scheduler"], type(self.parts.scheduler).__name__, ""))
        head = ("part", "what it does", "class", "weights")
        return markup.card(repr(self), [markup.table(rows, head=head)], kind="model")

    # -- pictures and latents -----------------------------------------------------------------

    @property
    def vae(self) -> Any:
        """Its autoencoder."""
        if self.parts.vae is None:
            raise ValueError("This model was loaded without its autoencoder.")
        return self.parts.vae

    def draw(self, latent: Tensor) -> list[Image.Image]:
        """The pictures of latents, always as a list."""
        drawn = latents.decode(self.vae, latent.to(self.device), upcast=self.family.is_sdxl)
        return latents.to_pil(drawn)

    def sides(self, height: int | None, width: int | None) -> tuple[int, int]:
        """Height and width as asked for, or as it learnt them."""
        usual = self.size
        return (
            usual[0] if height is None else checks.side("height", height, self.factor),
            usual[1] if width is None else checks.side("width", width, self.factor),
        )

    def latent_shape(self, count: int, height: int, width: int) -> tuple[int, ...]:
        """The shape of the latents of so many pictures."""
        channels = self.parts.unet.config.out_channels
        return count, channels, height // self.factor, width // self.factor

    def check_latent(self, latent: Any) -> None:
        """Refuse what is no latent of this model."""
        channels = self.parts.unet.config.out_channels
        is_latent = isinstance(latent, Tensor) and latent.ndim == 4 and 0 not in latent.shape
        if not is_latent or latent.shape[1] != channels:
            came = tuple(latent.shape) if isinstance(latent, Tensor) else type(latent).__name__
            raise ValueError(f"A latent is a tensor [pictures, {channels}, h, w], got {came}.")
        if not latent.is_floating_point():
            raise ValueError(f"A latent holds fractions; this one is of {latent.dtype}.")
        if not bool(latent.isfinite().all()):
            raise ValueError("The latent holds numbers that are none (NaN or infinite).")


def _weights(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _given(names: dict[str, Any]) -> dict[str, Any]:
    """A method's arguments but for itself and the prompt."""
    more = names["more"]
    return {k: v for k, v in names.items() if k not in ("self", "prompt", "more")} | more
