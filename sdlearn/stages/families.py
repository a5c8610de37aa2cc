"""Which Stable Diffusion is it? Answered from the configs alone, by anatomy and not by size.

A pocket model is a tenth as wide as the published one that it mirrors, so no width is asked here.
What tells the families apart is how they are wired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Config = Mapping[str, Any]

KNOWN = "SD 1.x, SD 2.x, SDXL base, SDXL refiner, their inpainting variants and Turbo"

PIPELINES = frozenset(
    f"StableDiffusion{size}{task}Pipeline"
    for size in ("", "XL")
    for task in ("", "Img2Img", "Inpaint")
)

# What other folders in diffusers' layout say they are, and what that is in words.
STRANGERS = {
    "StableDiffusion3": "Stable Diffusion 3, a transformer with rectified flow",
    "StableVideo": "Stable Video Diffusion, which makes frames out of one picture",
    "StableCascade": "Stable Cascade, diffusion in three stages",
    "StableDiffusionUpscale": "the x4 upscaler, which is given a small picture beside the prompt",
    "StableDiffusionLatentUpscale": "the latent upscaler, which has a U-Net of another kind",
    "StableDiffusionDepth": "the depth-to-image model, which is given a depth map (a 5th channel)",
    "StableDiffusionInstructPix2Pix": "InstructPix2Pix, which has two guidances",
    "StableDiffusionXLInstructPix2Pix": "InstructPix2Pix on SDXL, which has two guidances",
    "StableDiffusionControlNet": "a pipeline with a ControlNet",
    "StableDiffusionXLControlNet": "a pipeline with a ControlNet",
    "StableUnCLIP": "unCLIP, which is given a picture's embedding beside the prompt",
    "StableDiffusionImageVariation": "a model of image variations: it reads pictures, not prompts",
    "StableAudio": "Stable Audio, which makes sound",
    "Flux": "FLUX, a transformer with rectified flow",
    "Kandinsky": "Kandinsky, which has a prior and another decoder",
    "Wuerstchen": "Wuerstchen, diffusion in three stages",
    "PixArt": "PixArt, a transformer with a T5 text encoder",
    "LTX": "LTX, a video model",
    "Wan": "Wan, a video model",
    "CogVideo": "CogVideoX, a video model",
    "HunyuanVideo": "HunyuanVideo, a video model",
    "Mochi": "Mochi, a video model",
    "TextToVideo": "a video model",
    "AnimateDiff": "AnimateDiff, a video model",
    "LatentConsistency": "a latent consistency model, whose U-Net is told the guidance",
    "IF": "DeepFloyd IF, which works on pixels",
    "ControlNetModel": "a ControlNet alone: it goes beside a Stable Diffusion, and is none itself",
    "AutoencoderKL": "an autoencoder alone: one part of a model",
    "UNet2DConditionModel": "a U-Net alone: one part of a model",
}


@dataclass(frozen=True)
class Family:
    """What a run has to know about a model.

    Attributes:
        name: "sd1", "sd2", "sdxl" or "sdxl-refiner".
        inpainting: Whether the U-Net is given a mask and the masked picture, in 9 channels.
        turbo: Whether it was distilled to draw in 1 to 4 steps, without guidance.
        prediction: What the U-Net answers: the noise ("eps") or the velocity ("v").
    """

    name: Literal["sd1", "sd2", "sdxl", "sdxl-refiner"]
    inpainting: bool = False
    turbo: bool = False
    prediction: Literal["eps", "v"] = "eps"

    @property
    def is_sdxl(self) -> bool:
        """Whether pooled text, sizes and crops go into the U-Net beside the words."""
        return self.name.startswith("sdxl")

    @property
    def guidance(self) -> float:
        """The guidance that it is usually drawn with."""
        if self.turbo:
            return 1.0
        return 5.0 if self.is_sdxl else 7.5

    @property
    def steps(self) -> int:
        """In how many steps it usually draws."""
        return 4 if self.turbo else 25

    def __str__(self) -> str:
        """The family as a person would say it, such as "SD 2.x (v-prediction, inpainting)"."""
        titles = {"sd1": "SD 1.x", "sd2": "SD 2.x", "sdxl": "SDXL", "sdxl-refiner": "SDXL refiner"}
        notes = [
            *(["v-prediction"] if self.prediction == "v" else []),
            *(["inpainting"] if self.inpainting else []),
            *(["Turbo"] if self.turbo else []),
        ]
        return titles[self.name] + (f" ({', '.join(notes)})" if notes else "")


def recognise(
    unet: Config,
    scheduler: Config,
    text_encoder: Config | None = None,
    text_encoder_2: Config | None = None,
    *,
    name: str = "",
    scheduler_tells: bool = True,
) -> Family:
    """Tell the family of a model from the configs of its parts.

    How sure this is: the size conditioning of SDXL, the one encoder of its refiner and the
    channels of inpainting are read off, and certain. SD 2.x differs from SD 1.x in wiring that a
    fine-tune keeps (linear projections in the U-Net, and an OpenCLIP encoder, whose activation is
    the plain GELU). Turbo leaves no mark on the networks: it is told by its scheduler, Euler with
    trailing timesteps and noise prediction, or by its name; a Turbo that was saved with another
    scheduler under another name passes for a plain model. Where the scheduler alone decides, a
    warning says so.

    Args:
        unet: The U-Net's config.
        scheduler: The scheduler's config.
        text_encoder: The first encoder's config, if there is one.
        text_encoder_2: The second encoder's config, if there is one.
        name: What the model is called: a repository or a folder, if known.
        scheduler_tells: Whether the scheduler is the one that the model was published with. In a
            pipeline that somebody holds it may be any, and says nothing of a Turbo.
    """
    _refuse_other_unets(unet)
    family = _name(unet, text_encoder, text_encoder_2)
    return Family(
        family,
        inpainting=unet.get("in_channels", 4) == 9,
        turbo=_is_turbo(scheduler if scheduler_tells else {}, name),
        prediction=_prediction(scheduler),
    )


def refuse_strangers(class_name: str, where: str) -> None:
    """Raise unless a class of diffusers' is a pipeline of a family that is known here.

    Args:
        class_name: What a folder's own index, or a pipeline, says that it is.
        where: What is being loaded, for the message.
    """
    if class_name in PIPELINES:
        return
    # The longest beginning decides: a StableDiffusionXLControlNet... is no StableDiffusionXL...
    fitting = [known for known in STRANGERS if class_name.startswith(known)]
    what = STRANGERS[max(fitting, key=len)] if fitting else f"a {class_name}"
    raise ValueError(f"{where} is {what}. The families that are known here: {KNOWN}.")


def _refuse_other_unets(unet: Config) -> None:
    channels = unet.get("in_channels", 4)
    if channels in (4, 9):
        return
    what = {
        5: "a depth-to-image U-Net: the 5th channel is a depth map",
        7: "an upscaler's U-Net: channels 5 to 7 are a small picture",
        8: "a U-Net that is given a second picture (InstructPix2Pix, or Stable Video Diffusion)",
    }.get(channels, f"a U-Net with {channels} input channels")
    raise ValueError(
        f"This is {what}. Known here are 4 channels (the latent) and 9 (inpainting): {KNOWN}."
    )


def _name(unet: Config, first: Config | None, second: Config | None) -> str:
    extra = unet.get("addition_embed_type")
    if extra == "text_time":
        return "sdxl" if first is not None else "sdxl-refiner"
    if extra is not None:
        raise ValueError(
            f"The U-Net is conditioned by {extra!r} beside the prompt, which no Stable Diffusion "
            f"is. The families that are known here: {KNOWN}."
        )
    if second is not None:
        raise ValueError(
            "There is a second text encoder, but the U-Net has no place for it (its "
            "addition_embed_type is not 'text_time'). These parts are not of one model."
        )
    open_clip = first is not None and first.get("hidden_act") == "gelu"
    return "sd2" if unet.get("use_linear_projection") or open_clip else "sd1"


def _is_turbo(scheduler: Config, name: str) -> bool:
    few_steps = (
        str(scheduler.get("_class_name", "")).startswith("Euler")
        and scheduler.get("timestep_spacing") == "trailing"
        and scheduler.get("prediction_type", "epsilon") == "epsilon"
        and not scheduler.get("rescale_betas_zero_snr")
    )
    if "turbo" in name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower():
        return True
    if few_steps:
        from sdlearn.stages import checks  # not above: telling a family needs no torch

        checks.warn(
            f"{name or 'This model'} is taken for a Turbo, which draws without guidance, because "
            "its scheduler is Euler with trailing timesteps. If it is none, say guidance_scale=7.5 "
            "or what is usual for it."
        )
    return few_steps


def _prediction(scheduler: Config) -> str:
    prediction = scheduler.get("prediction_type", "epsilon")
    known = {"epsilon": "eps", "v_prediction": "v"}
    if prediction not in known:
        raise ValueError(
            f"The scheduler says that the network answers {prediction!r}; known are "
            f"{' and '.join(map(repr, known))}."
        )
    return known[prediction]
