"""What one step of a run was: a frozen record of everything that went in and came out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

from PIL import Image
from torch import Tensor

from sdlearn.trace import cards
from sdlearn.trace.look import Look
from sdlearn.trace.whole import is_whole

# What record= keeps each part. x0 is a latent like the others, though no sampler returns it.
KEPT_BY = {
    **dict.fromkeys(("sample", "sample_next", "xt", "x_next", "x0"), "latents"),
    **dict.fromkeys(("eps_uncond", "eps_cond", "eps"), "noise"),
}
PARTS = ("sample", "sample_next", "eps_uncond", "eps_cond", "eps", "x0")
"""The tensors of a step."""

PICTURES = ("xt", "x0", "x_next")
NOISES = ("eps", "eps_uncond", "eps_cond")


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a run.

    Tensors have the shape ``[batch, C, h, w]``; what was not recorded is None.

    Attributes:
        index: Its place in the loop, from 0.
        t: The training timestep that the network was told.
        alpha_bar: How much of the picture the sampler takes to be in `xt`, which is what belongs
            to `t`: ``xt = sqrt(alpha_bar) * x0 + ...``. Where a step arrived elsewhere (DDIM and
            PLMS at uneven stations, PLMS in image-to-image), the step before says it: its
            `alpha_bar_next`.
        alpha_bar_next: The same for `x_next`.
        guidance_scale: How far the noise went from unconditional to conditional, and beyond.
        sigma_space: Whether the sampler holds its sample as ``x0 + sigma * eps`` (Euler and its
            kin) rather than with the variance kept.
        sample: What the sampler held before the step, exactly as diffusers holds its latents.
        sample_next: What it held after the step.
        eps_uncond: The noise that the network saw without the prompt.
        eps_cond: The noise that it saw with the prompt.
        eps: The noise after guidance.
        x0: The clean latent that the step aimed at.
        x0_derived: True where the sampler said no x0, and it was computed from `xt` and `eps`.
        calls: How often the network was asked.
        changes: What an intervention changed, in words.
        look: What turns latents into pictures.
    """

    index: int
    t: float
    alpha_bar: float
    alpha_bar_next: float
    guidance_scale: float
    sigma_space: bool = False
    sample: Tensor | None = field(default=None, repr=False)
    sample_next: Tensor | None = field(default=None, repr=False)
    eps_uncond: Tensor | None = field(default=None, repr=False)
    eps_cond: Tensor | None = field(default=None, repr=False)
    eps: Tensor | None = field(default=None, repr=False)
    x0: Tensor | None = field(default=None, repr=False)
    x0_derived: bool = False
    calls: int = 1
    changes: tuple[str, ...] = ()
    look: Look | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shapes = {name: tuple(tensor.shape) for name, tensor in self.tensors().items()}
        if any(len(shape) != 4 for shape in shapes.values()) or len(set(shapes.values())) > 1:
            raise ValueError(
                "a step's tensors must all have one shape, [batch, C, h, w], got "
                + ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            )
        for name in ("alpha_bar", "alpha_bar_next"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}.")
        object.__setattr__(self, "changes", tuple(self.changes))

    @property
    def sigma(self) -> float:
        """Noise per picture in `xt`: ``sqrt((1 - alpha_bar) / alpha_bar)``."""
        return _sigma(self.alpha_bar)

    @property
    def sigma_next(self) -> float:
        """Noise per picture in `x_next`."""
        return _sigma(self.alpha_bar_next)

    @property
    def xt(self) -> Tensor | None:
        """The noisy latent: ``sqrt(alpha_bar) * x0 + sqrt(1 - alpha_bar) * eps``."""
        return self._in_the_books_scale(self.sample, self.alpha_bar)

    @property
    def x_next(self) -> Tensor | None:
        """The less noisy latent after the step, on the same scale."""
        return self._in_the_books_scale(self.sample_next, self.alpha_bar_next)

    def _in_the_books_scale(self, sample: Tensor | None, alpha_bar: float) -> Tensor | None:
        if sample is None or not self.sigma_space:
            return sample
        return sample * math.sqrt(alpha_bar)  # = sample / sqrt(1 + sigma^2)

    def tensors(self) -> dict[str, Tensor]:
        """Returns what was recorded, by name."""
        parts = {name: getattr(self, name) for name in PARTS}
        return {name: tensor for name, tensor in parts.items() if tensor is not None}

    def image(self, name: str = "x0", picture: int = 0) -> Image.Image:
        """Returns a latent decoded by the model: what it would look like if the run ended here.

        Args:
            name: ``"x0"``, ``"xt"`` or ``"x_next"``.
            picture: Which one of the batch.
        """
        if name in NOISES:
            raise ValueError(
                f"{name!r} is noise, and the decoder was never taught to draw noise. Use "
                f"step.preview({name!r}), or step.image() with one of: {_listed(PICTURES)}."
            )
        latent = self._part(name, picture, PICTURES)
        return self._look().image(latent)

    def preview(self, name: str = "x0", picture: int = 0) -> Image.Image:
        """Returns a quick, small look at a latent or at noise, a pixel for each place.

        Args:
            name: ``"x0"``, ``"xt"``, ``"x_next"``, ``"eps"``, ``"eps_uncond"`` or ``"eps_cond"``.
            picture: Which one of the batch.
        """
        latent = self._part(name, picture, PICTURES + NOISES)
        return self._look().preview(latent)

    def of(self, picture: int) -> Step:
        """Returns the step of one picture of the batch: the same memory, nothing is copied."""
        cut = {n: t[one_of(picture, len(t))][None] for n, t in self.tensors().items()}
        return replace(self, **cut)

    def _part(self, name: str, picture: int, allowed: tuple[str, ...]) -> Tensor:
        if name not in allowed:
            raise ValueError(f"name must be one of {_listed(allowed)}, got {name!r}.")
        latent = getattr(self, name)
        if latent is None:
            raise ValueError(
                f"step {self.index} has no {name}: it was not recorded, or this kind of step has "
                f'none. To keep it, generate with record=("{KEPT_BY[name]}", ...).'
            )
        return latent[one_of(picture, len(latent))][None]

    def _look(self) -> Look:
        if self.look is None:
            raise ValueError(
                "this step has no model to look at latents with. Take it from a trace of "
                "model.generate(...), or from Trace.load(path, model=model)."
            )
        return self.look

    def facts(self) -> list[tuple[str, str]]:
        """Returns what there is to say about the step, as pairs of a name and a text."""
        derived = (
            " (x0 computed from xt and eps)" if self.x0_derived and self.x0 is not None else ""
        )
        space = "x0 + sigma * eps" if self.sigma_space else "variance kept"
        facts = [
            ("t", f"{self.t:g}"),
            ("alpha_bar", f"{self.alpha_bar:.5g} → {self.alpha_bar_next:.5g}"),
            ("sigma", f"{self.sigma:.4g} → {self.sigma_next:.4g}"),
            ("guidance_scale", f"{self.guidance_scale:g}"),
            ("sampler's scale", space),
            ("network asked", f"{self.calls} time{'s' * (self.calls != 1)}"),
            ("recorded", (", ".join(self.tensors()) or "nothing") + derived),
        ]
        return facts + [("changed", change) for change in self.changes]

    def __repr__(self) -> str:
        """Its numbers, rounded: the last digits differ from machine to machine."""
        changed = "".join(f", changed: {change}" for change in self.changes)
        return (
            f"Step({self.index}: t {self.t:g}, sigma {self.sigma:.4g} to {self.sigma_next:.4g}, "
            f"guidance_scale {self.guidance_scale:g}, "
            f"recorded: {', '.join(self.tensors()) or 'nothing'}{changed})"
        )

    def _repr_html_(self) -> str:
        return cards.step_html(self)


def one_of(picture: int, count: int) -> int:
    """Returns `picture` if there are so many, or says how many there are."""
    if not is_whole(picture):
        raise TypeError(f"picture must be a whole number, got {picture!r}.")
    if not 0 <= picture < count:
        allowed = "There is one: picture=0." if count == 1 else f"Use 0 to {count - 1}."
        raise ValueError(f"there is no picture {picture} in this run. {allowed}")
    return int(picture)


def _sigma(alpha_bar: float) -> float:
    return math.inf if alpha_bar == 0 else math.sqrt((1 - alpha_bar) / alpha_bar)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in names)


SETTINGS = tuple(f.name for f in fields(Step) if f.name not in (*PARTS, "look"))
"""The numbers and words of a step: all but its tensors."""
