"""Which sampler: names and tool names, and the diffusers scheduler that each one is here.

The formulas can be read in `sdlearn.equations`; a run's steps are made by diffusers' schedulers,
so that a picture is the pipeline's to the last bit. The tests hold the two next to each other.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from sdlearn.stages import checks


@dataclass(frozen=True)
class Sampler:
    """A sampler's name, and the scheduler that runs it.

    Attributes:
        module: Where the scheduler's class lives, below ``diffusers.schedulers``.
        scheduler: The class.
        settings: What makes it this sampler.
        tool_names: What common tools call it.
        sigma_space: Whether it holds its sample as ``xt * sqrt(1 + sigma**2)``.
    """

    module: str
    scheduler: str
    settings: dict[str, Any] = field(default_factory=dict)
    tool_names: tuple[str, ...] = ()
    sigma_space: bool = False

    def build(self, config: Mapping[str, Any], **settings: Any) -> Any:
        """The scheduler, with a model's noise schedule and this sampler's way to walk it."""
        kind = getattr(import_module(f"diffusers.schedulers.{self.module}"), self.scheduler)
        # What a config never said, but its own scheduler filled in, another one fills in anew.
        filled_in = config.get("_use_default_values", ())
        known = inspect.signature(kind.__init__).parameters
        said = {k: v for k, v in config.items() if k in known and k not in filled_in}
        # Clipping to -1 to 1 is for pixels. Where a config doesn't say so, it came with a sampler
        # that never clips (Euler's): DDIM and DDPM would fill in that they do.
        unsaid = {"clip_sample": False} if "clip_sample" in known else {}
        return _made(kind, {**unsaid, **said}, {**self.settings, **settings})


SAMPLERS = {
    "ddpm": Sampler("scheduling_ddpm", "DDPMScheduler", tool_names=("DDPM",)),
    "ddim": Sampler("scheduling_ddim", "DDIMScheduler", tool_names=("DDIM",)),
    "euler": Sampler("scheduling_euler_discrete", "EulerDiscreteScheduler", {}, ("Euler",), True),
    "euler_ancestral": Sampler(
        "scheduling_euler_ancestral_discrete",
        "EulerAncestralDiscreteScheduler",
        {},
        ("Euler a",),
        True,
    ),
    "heun": Sampler("scheduling_heun_discrete", "HeunDiscreteScheduler", {}, ("Heun",), True),
    "dpm2": Sampler("scheduling_k_dpm_2_discrete", "KDPM2DiscreteScheduler", {}, ("DPM2",), True),
    "lms": Sampler("scheduling_lms_discrete", "LMSDiscreteScheduler", {}, ("LMS",), True),
    "plms": Sampler("scheduling_pndm", "PNDMScheduler", {"skip_prk_steps": True}, ("PLMS", "PNDM")),
    "dpmpp_2m": Sampler(
        "scheduling_dpmsolver_multistep",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2},
        ("DPM++ 2M",),
    ),
    "dpmpp_2m_sde": Sampler(
        "scheduling_dpmsolver_multistep",
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 2},
        ("DPM++ 2M SDE",),
    ),
    "unipc": Sampler(
        "scheduling_unipc_multistep", "UniPCMultistepScheduler", tool_names=("UniPC",)
    ),
    "lcm": Sampler("scheduling_lcm", "LCMScheduler", tool_names=("LCM",)),
}
"""The samplers of `sdlearn.equations.trajectories`, under the same names."""

TAKE_KARRAS = tuple(
    name for name in SAMPLERS if name not in ("ddpm", "ddim", "plms", "lcm", "euler_ancestral")
)
"""The samplers that can walk Karras's sigmas."""

TRAINED = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
)
"""The settings of a scheduler that say how the model was trained, and are not for the run."""

CHOICES = {
    "prediction_type": ("epsilon", "v_prediction", "sample"),
    "timestep_spacing": ("leading", "trailing", "linspace"),
}
"""What diffusers takes for a setting, where it would look no closer at anything else."""


def find(name: str) -> tuple[str, Sampler, bool]:
    """A sampler by its own name or a tool's, in any writing; and whether "Karras" was said."""
    said = _plain(name)
    karras = said.endswith("karras")
    said = said.removesuffix("karras")
    for key, row in SAMPLERS.items():
        if said in (_plain(key), *map(_plain, row.tool_names)):
            return key, row, karras
    spoken = [*SAMPLERS, *(tool for row in SAMPLERS.values() for tool in row.tool_names)]
    near = difflib.get_close_matches(name, spoken, n=2)
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    raise ValueError(
        f"sampler={name!r} is none that is known here.{hint} The names are "
        f"{', '.join(SAMPLERS)}; any diffusers scheduler object will do as well."
    )


def build(sampler: Any, config: Mapping[str, Any], **settings: Any) -> tuple[str, Any]:
    """A fresh scheduler and its name, for one run.

    Args:
        sampler: A name, a diffusers scheduler (it is copied: yours stays as it was), or None for
            the model's own.
        config: The model's scheduler settings, with ``_class_name``; with the class itself as
            ``_class`` if that name may not lead to it in diffusers.
        **settings: Changes, such as ``timestep_spacing="trailing"``.
    """
    if sampler is None:
        named = config.get("_class") or getattr(import_module("diffusers"), config["_class_name"])
        made = _made(named, config, settings)
    elif isinstance(sampler, str):
        _, row, karras = find(sampler)
        made = row.build(config, **({"use_karras_sigmas": True} if karras else {}), **settings)
    elif inspect.isclass(sampler) or not all(
        hasattr(sampler, part) for part in ("step", "set_timesteps", "config")
    ):
        hint = " A schedule holds one: schedule.scheduler." if hasattr(sampler, "scheduler") else ""
        raise TypeError(
            f"sampler must be a name ({', '.join(SAMPLERS)}), a diffusers scheduler object or "
            f"None, got {sampler!r:.80}.{hint}"
        )
    else:
        made = _made(type(sampler), sampler.config, settings)
        _warn_of_another_training(made.config, config)
    if not hasattr(made, "alphas_cumprod"):
        raise ValueError(
            f"{type(made).__name__} has no alphas_cumprod: it walks another way from noise to "
            "picture (EDM's, or rectified flow's) than the one that Stable Diffusion learnt."
        )
    if config.get("rescale_betas_zero_snr") and not _walks_zero_snr(made):
        checks.warn(
            f"This model learnt with zero terminal SNR, from pure noise on, and {name_of(made)} "
            "doesn't know of it: it takes pure noise for a noisy picture. ddim, euler and dpmpp_2m "
            "know of it."
        )
    return name_of(made), made


def _walks_zero_snr(scheduler: Any) -> bool:
    # diffusers keeps settings in a config that a scheduler doesn't know: so its signature is asked.
    known = inspect.signature(type(scheduler).__init__).parameters
    return "rescale_betas_zero_snr" in known and scheduler.config.rescale_betas_zero_snr


def _warn_of_another_training(own: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Say where a scheduler of one's own is set for a model that was trained otherwise."""
    differs = [
        f"{name} is {own[name]!r:.40}, the model's is {config[name]!r:.40}"
        for name in TRAINED
        if name in own and name in config and repr(own[name]) != repr(config[name])
    ]
    if differs:
        checks.warn(
            f"This scheduler is set for another model: {'; '.join(differs)}. The picture may show "
            "nothing. type(scheduler).from_config(model.parts.scheduler.config) fits."
        )


def name_of(scheduler: Any) -> str:
    """What a scheduler is called here, such as "dpmpp_2m_karras"; its class if it has no name."""
    config = {"use_karras_sigmas": False, **scheduler.config}
    named = (
        key
        for key, row in SAMPLERS.items()
        if row.scheduler == type(scheduler).__name__ and row.settings.items() <= config.items()
    )
    return next(named, type(scheduler).__name__) + "_karras" * bool(config["use_karras_sigmas"])


def _made(kind: type, config: Mapping[str, Any], settings: dict[str, Any]) -> Any:
    """A scheduler of a kind, after settings that it doesn't know were refused."""
    known = inspect.signature(kind.__init__).parameters
    for name in settings:
        if name == "use_karras_sigmas" and name not in known:
            raise ValueError(
                f"{kind.__name__} walks the model's own timesteps and can't take Karras's sigmas. "
                f"{', '.join(TAKE_KARRAS)} can."
            )
        if name not in known:
            raise checks.unknown(name, [other for other in known if other != "self"])
        if name in CHOICES and settings[name] not in CHOICES[name]:
            raise ValueError(
                f"{name} must be one of {', '.join(CHOICES[name])}, got {settings[name]!r:.60}."
            )
    return kind.from_config(_as_it_is(known, config), **settings)


def _as_it_is(known: Mapping[str, inspect.Parameter], config: Mapping[str, Any]) -> dict[str, Any]:
    """A config whose later changes stay: diffusers forgets what a constructor filled in itself.

    Pipelines mend old settings in place, and people change some; those are listed as filled in,
    and have another value by now.
    """
    still = [
        name
        for name in config.get("_use_default_values", ())
        if name in known and repr(config.get(name)) == repr(known[name].default)
    ]
    return {**config, "_use_default_values": still}


def _plain(name: str) -> str:
    return "".join(c for c in str(name).lower() if c.isalnum() or c == "+").replace("pp", "++")
