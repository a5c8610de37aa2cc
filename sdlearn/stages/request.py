"""What was asked of a run: every argument in one record, checked before anything is computed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from sdlearn import _machine
from sdlearn.stages import attention, checks, text
from sdlearn.stages.conditioning import Sizes
from sdlearn.stages.families import Family
from sdlearn.stages.parts import Parts
from sdlearn.stages.schedule import Schedule
from sdlearn.stages.text import Prompt, check_texts
from sdlearn.trace import Record

EVERYTHING = ("latents", "noise", "attention")
"""What a run keeps if nothing is said."""

UNKNOWN = 4 * 1024**3
"""The memory that is taken for free where the system does not say."""

SDXL_ONLY = (
    "original_size",
    "crop",
    "target_size",
    "negative_original_size",
    "negative_crop",
    "negative_target_size",
    "prompt_2",
    "negative_prompt_2",
)
REFINER_ONLY = ("aesthetic_score", "negative_aesthetic_score")
FOR = {  # arguments that only some methods have
    "strength": ("image_to_image", "inpaint"),
    "latent": ("generate",),
    "height": ("generate", "image_to_image", "inpaint"),
    "width": ("generate", "image_to_image", "inpaint"),
    "steps": ("generate", "image_to_image", "inpaint"),
    "sampler": ("generate", "image_to_image", "inpaint"),
    "karras": ("generate", "image_to_image", "inpaint"),
    "on_step": ("generate", "image_to_image", "inpaint"),
    "denoising_start": ("image_to_image",),
    "denoising_end": ("generate", "image_to_image"),
}


@dataclass(frozen=True)
class Request:
    """A run's settings. Each is explained at `Model.generate`."""

    negative_prompt: Any = None
    steps: int = 25
    guidance_scale: float | None = None
    guidance_rescale: float = 0.0
    sampler: Any = None
    karras: bool = False
    eta: float = 0.0
    seed: Any = 0
    height: int | None = None
    width: int | None = None
    latent: Tensor | None = None
    strength: float | None = None
    denoising_start: float | None = None
    denoising_end: float | None = None
    record: Any = EVERYTHING
    intervene: Any = ()
    on_step: Callable[..., None] | None = None
    prompt_2: Any = None
    negative_prompt_2: Any = None
    original_size: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    target_size: tuple[int, int] | None = None
    negative_original_size: tuple[int, int] | None = None
    negative_crop: tuple[int, int] | None = None
    negative_target_size: tuple[int, int] | None = None
    aesthetic_score: float | None = None
    negative_aesthetic_score: float | None = None

    @classmethod
    def of(cls, method: str, given: dict[str, Any], family: Family) -> Request:
        """Check the arguments of a method of `Model` and take them in."""
        known = [field.name for field in fields(cls)]
        allowed = [name for name in known if method in FOR.get(name, (method,))]
        for name in given:
            if name in known and name not in allowed:
                raise TypeError(f"{name} is for {' and '.join(FOR[name])}, not for {method}.")
            if name not in known:
                raise checks.unknown(name, allowed)
        if given.get("steps") is None:
            given = {**given, "steps": family.steps}
        request = cls(**{**given, "seed": checks.seeds(given.get("seed", 0))})
        for names, whose, allowed in (
            (REFINER_ONLY, "SDXL's refiner", family.name == "sdxl-refiner"),
            (SDXL_ONLY, "SDXL", family.is_sdxl),
        ):
            wrong = [name for name in names if getattr(request, name) is not None]
            if wrong and not allowed:
                raise ValueError(f"{wrong[0]} is for {whose}; this is a model of {family}.")
        return request

    def __post_init__(self) -> None:
        """Refuse what can't be meant."""
        checks.whole("steps", self.steps, 1)
        if self.guidance_scale is not None:
            checks.number("guidance_scale", self.guidance_scale, 0.0)
        checks.number("guidance_rescale", self.guidance_rescale, 0.0, 1.0)
        why = "It is DDIM's share of fresh noise: 0 adds none, 1 as much as DDPM."
        checks.number("eta", self.eta, 0.0, 1.0, why)
        if self.strength is not None:
            why = "It is the share of the way that is walked."
            checks.number("strength", self.strength, 0.0, 1.0, why)
        for name in ("denoising_start", "denoising_end"):
            if getattr(self, name) is not None:
                checks.number(name, getattr(self, name), 0.0, 1.0)
        if self.denoising_start == 0:
            raise ValueError(
                "denoising_start must be above 0, got 0: it goes on where another run stopped, "
                "adds no noise, and at 0 none has begun. Leave it out, and say strength=1."
            )
        for name in REFINER_ONLY:
            if getattr(self, name) is not None:
                checks.number(name, getattr(self, name), 0.0)
        for name in (
            "original_size",
            "target_size",
            "negative_original_size",
            "negative_target_size",
        ):
            if getattr(self, name) is not None:
                checks.pair(name, getattr(self, name), 1)
        for name in ("crop", "negative_crop"):
            if getattr(self, name) is not None:
                checks.pair(name, getattr(self, name))
        if not isinstance(self.karras, bool):
            raise TypeError(f"karras must be True or False, got {self.karras!r:.60}.")
        if self.on_step is not None and not callable(self.on_step):
            raise TypeError(f"on_step must be a function of a step, got {self.on_step!r:.60}.")
        for change in self.interventions:
            if not callable(change):
                raise TypeError(
                    "intervene must be a function of the run, or a list of them, got "
                    f"{change!r:.60}. sdlearn.interventions has some ready-made."
                )
        Record.of(self.record)

    @property
    def interventions(self) -> tuple[Callable[..., None], ...]:
        """The functions that change the run."""
        one = callable(self.intervene) or not isinstance(self.intervene, Sequence)
        return (self.intervene,) if one else tuple(self.intervene)

    def guidance(self, family: Family) -> float:
        """The guidance that was asked for, or the family's usual one."""
        if self.guidance_scale is not None:
            return float(self.guidance_scale)
        return family.guidance

    def count(self, prompt: Any, pictures: int = 1) -> int:
        """How many pictures: as many as prompts, seeds or given pictures."""
        texts = len(prompt) if isinstance(prompt, Prompt) else len(check_texts("prompt", prompt))
        seeds = len(self.seed) if isinstance(self.seed, list) else 1
        count = max(texts, seeds, pictures)
        if isinstance(self.seed, list) and count != seeds:
            raise ValueError(
                f"There are {seeds} seeds for {count} pictures. Give one seed for all, or "
                f"{count} of them."
            )
        for name, number in (("prompts", texts), ("pictures", pictures)):
            if count % number:
                raise ValueError(f"{number} {name} can't be shared out over {count} pictures.")
        return count

    def sizes(self, family: Family, size: tuple[int, int], kind: str) -> tuple[Sizes, Sizes] | None:
        """SDXL's conditioning for the prompt and for the negative prompt; None elsewhere.

        Where nothing is said of the negative prompt, it is told what the pipelines tell it: the
        prompt's sizes and crop; but no crop for the refiner, nor beside sizes of its own.
        """
        if not family.is_sdxl:
            return None
        score = 6.0 if self.aesthetic_score is None else self.aesthetic_score
        worse = 2.5 if self.negative_aesthetic_score is None else self.negative_aesthetic_score
        wanted = Sizes(
            self.original_size or size, self.crop or (0, 0), self.target_size or size, score
        )
        from_noise = kind in ("text-to-image", "loop")  # elsewhere the pipelines keep the crop
        own = from_noise and self.negative_original_size and self.negative_target_size
        crop = (0, 0) if own or family.name == "sdxl-refiner" else wanted.crop
        unwanted = Sizes(
            self.negative_original_size or wanted.original,
            self.negative_crop or crop,
            self.negative_target_size or wanted.target,
            worse,
        )
        return wanted, unwanted

    def fitted(
        self, parts: Parts, schedule: Schedule, latent: Tensor, halves: tuple[str, ...]
    ) -> Record:
        """What will be kept: what was asked for, thinned out if memory is short."""
        record = Record.of(self.record)
        if not record:
            return record
        size = tuple(latent.shape[-2:])
        looked_at = record.attention or record.self_attention
        places = attention.places(parts.unet) if looked_at else ()
        return record.fitted(
            free=_free(latent.device),
            warn=checks.warn,
            steps=len(schedule),
            calls=[len(calls) for calls in schedule.calls],
            latent_shape=tuple(latent.shape),
            halves=halves,
            layers=[place.layer(*size) for place in places],
            tokens=77,
            dtype=latent.dtype,
        )

    def settings(
        self,
        model: Any,
        kind: str,
        schedule: Schedule,
        latent: Tensor,
        cond: Prompt,
        uncond: Prompt | None,
    ) -> dict[str, Any]:
        """What it takes to draw the picture again, beside the prompts' texts, as plain JSON."""
        factor = model.factor
        said = {
            "kind": kind,
            "model": model.name,
            "family": str(model.family),
            "sampler": schedule.name,
            "steps": self.steps,
            "guidance_scale": self.guidance(model.family),
            "guidance_rescale": self.guidance_rescale,
            "seed": self.seed,
            "height": latent.shape[-2] * factor,
            "width": latent.shape[-1] * factor,
            "eta": self.eta,
            "dtype": str(model.dtype).removeprefix("torch."),
        }
        if self.latent is not None:
            said["latent"] = "given"  # the seed did not make it
        if not isinstance(self.sampler, str):
            said["sampler_settings"] = self._differs(model, schedule)
        usual = {"guidance_rescale": 0.0, "eta": 0.0, "sampler_settings": {}}
        more = ("strength", "denoising_start", "denoising_end", *SDXL_ONLY, *REFINER_ONLY)
        said |= {name: getattr(self, name) for name in more if getattr(self, name) is not None}
        said |= self._read(model, cond, uncond)
        return {k: v for k, v in said.items() if usual.get(k, ...) != v}

    def _read(self, model: Any, cond: Prompt, uncond: Prompt | None) -> dict[str, Any]:
        """How the prompts were read, where their texts don't tell."""
        said = {}
        ways = {"prompt": cond.unusual, "negative_prompt": uncond.unusual if uncond else {}}
        if uncond is not None and text.forces_zeros(model.parts):
            # Without a negative prompt this model goes away from zeros; "" is a text like others.
            if uncond.unusual == text.ZEROS:
                ways["negative_prompt"] = {}
            elif not any(uncond.texts):
                said["negative_prompt"] = ""
        for name, unusual in ways.items():
            own = {k: v for k, v in unusual.items() if k != "prompt_2"}
            if getattr(self, f"{name}_2") is None:  # else it is told under its own name
                own = unusual
            if own:
                said[f"{name}_read"] = own
        return said

    @staticmethod
    def _differs(model: Any, schedule: Schedule) -> dict[str, Any]:
        """What a run's scheduler has that would be otherwise under this name."""
        known = inspect.signature(type(schedule.scheduler).__init__).parameters
        own = {k: v for k, v in schedule.scheduler.config.items() if k in known}
        try:
            named = model.schedule(schedule.steps, schedule.name).scheduler.config
        except ValueError:  # it has no name here
            named = model.parts.scheduler.config
        differs = {k: v for k, v in own.items() if k not in named or repr(named[k]) != repr(v)}
        plain = str | int | float | None
        return {k: v if isinstance(v, plain) else repr(v) for k, v in differs.items()}


def _free(device: torch.device) -> int:
    """The memory that is free where a run's tensors lie, and its records with them."""
    if device.type != "cuda":
        free = _machine.memory()[0]
        return UNKNOWN if free is None else free
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held  # what torch holds in reserve is free, too
