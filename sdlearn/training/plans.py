"""What a recipe says: which stages there are, how long each learns and how fast, and on what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STAGES = ("tokenizer", "clip", "text", "sides", "sight", "vae", "unet", "grow", "taught", "decoder")
"""In the order in which they are trained; a recipe has those that it doesn't share."""


@dataclass(frozen=True)
class Teacher:
    """A finished model whose estimate a U-Net learns from, where single pictures tell little.

    Under much noise one picture of many that would fit is what a U-Net is asked for, and the
    gradient of that is chance for the most part. A network that learnt to name the mean of them
    says in one answer what otherwise takes many pictures. At the noisiest levels that is one that
    names v: a slip in the noise is a large one in v.

    Attributes:
        name: The model. It must have the same autoencoder and tokenizer.
        share: How much of the target is its answer, where it is heard in full; the rest is the
            picture's own, so that what the teacher gets wrong need not be learnt.
        begin: The timestep from which it is heard.
        full: The timestep from which it is heard in full.
        fade: The timestep from which it is heard less again; None: as well to the end.
        end: The timestep from which it is not heard any more.
    """

    name: str
    share: float
    begin: int
    full: int
    fade: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Plan:
    """How long a stage learns, and how fast.

    Attributes:
        steps: Optimizer steps in all.
        batch: Samples a step, over all processes together.
        rate: The learning rate between warm-up and decay.
        warmup: Steps over which the rate rises.
        decay: The last share of the steps, over which the rate falls to zero.
        weight_decay: What share of a weight goes at each step, in learning rates.
        clip: Gradients longer than this are shortened.
        ema: How much of the averaged weights stays at each step.
        snr_floor: For a U-Net: what an error of the picture counts at least, in units of the
            signal's power over the noise's. At 0 the noisy timesteps hardly count, and there it is
            decided what stands where; 1 is what the squared error of v counts.
        weight_limit: For a U-Net: what an error of its answer counts at most; None: anything. At
            the noisy end a slip in the noise is one of the picture 14 times as large: unlimited,
            the gradients of those timesteps drown all others.
        by_weight: For a U-Net: whether timesteps whose errors count more are drawn more often, and
            count as much less each time. Nothing else is learnt then, with less chance in it.
        teacher: For the stage ``taught``: whose answers are learnt from.
        first: For a U-Net: the scene with which its pictures begin. A run that goes on from
            finished weights learns more from pictures that they have not seen.
    """

    steps: int
    batch: int
    rate: float
    warmup: int = 200
    decay: float = 0.3
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    snr_floor: float = 0.0
    weight_limit: float | None = None
    by_weight: bool = False
    teacher: Teacher | None = None
    first: int = 0

    def rate_at(self, step: int) -> float:
        """Up in a straight line, level, and down in a straight line to zero."""
        rising = (step + 1) / self.warmup if self.warmup else 1.0
        falling = (self.steps - step) / max(1, round(self.decay * self.steps))
        return self.rate * min(1.0, rising, falling)


@dataclass(frozen=True)
class Frames:
    """Pictures of varied size, whole or cut, and all brought to one side, as SDXL saw its own.

    What was small is enlarged, and what is cut was enlarged a little more first. The U-Net is
    told both; so it learns what small pictures look like and need not draw them so.

    Attributes:
        count: How many.
        size: The side of all of them.
        sides: As how large they were drawn, each as often as the others.
        full: The share that was drawn at full size whatever `sides` says.
        cut: The share that is cut.
        zoom: How much larger than the others these were made first.
    """

    count: int
    size: int
    sides: tuple[int, ...]
    full: float = 0.0
    cut: float = 0.4
    zoom: float = 1.25


@dataclass(frozen=True)
class Recipe:
    """A pocket model, from the first picture to the last step.

    Attributes:
        name: The model's name.
        mirrors: The published model whose anatomy it has in miniature.
        pictures: How many scenes are drawn for it.
        size: The side of its pictures.
        vocabulary: How many tokens the tokenizer knows.
        text: The text encoder's configuration.
        vision: The picture encoder's.
        vae: The autoencoder's.
        unet: The U-Net's.
        scheduler: The noise schedule's.
        plans: A plan for each stage.
        crop: The side of the pictures' pieces on which the autoencoder learns.
        projection: How wide the space is in which captions and pictures meet.
        captions_dropped: Share of captions that the U-Net doesn't see, for guidance.
        clip_name: Where the half of CLIP goes that sees pictures.
        seed: Where all random numbers of the run come from.
        pipeline: Which of diffusers' pipelines it is for.
        shared: Parts that are another model's, such as ``{"vae": "pocket-sd15/vae"}``.
        sees: The CLIP whose picture half is taken as it is, so that only the text half learns.
        noise: On which share of the timesteps the U-Net learns, counted from the clean end.
        frames: Pictures of varied size, on which the U-Net learns to be told of it.
    """

    name: str
    mirrors: str
    pictures: int
    size: int
    vocabulary: int
    text: dict[str, Any]
    vision: dict[str, Any]
    vae: dict[str, Any]
    unet: dict[str, Any]
    scheduler: dict[str, Any]
    plans: dict[str, Plan]
    crop: int = 64
    projection: int = 128
    captions_dropped: float = 0.1
    clip_name: str = "pocket-clip"
    seed: int = 0
    pipeline: str = "StableDiffusionPipeline"
    shared: dict[str, str] = field(default_factory=dict)
    sees: str | None = None
    noise: float = 1.0
    frames: Frames | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        """What is trained for this model, in order."""
        own = {*self.plans}
        if not any(part.startswith("tokenizer") for part in self.shared):
            own.add("tokenizer")
        return tuple(stage for stage in STAGES if stage in own)

    @property
    def factor(self) -> int:
        """How many pixels wide and high one place of its latents is."""
        return 2 ** (len(self.vae["block_out_channels"]) - 1)

    @property
    def is_sdxl(self) -> bool:
        """Whether the U-Net is told sizes, crops and the pooled text beside the words."""
        return self.unet.get("addition_embed_type") == "text_time"

    @property
    def is_refiner(self) -> bool:
        """Whether it is told an aesthetic score, and has SDXL's second text encoder alone."""
        return self.is_sdxl and "text_encoder" not in self.shared
