"""Text-to-image in one piece, with open joints: exchange one part, and see what breaks.

Lesson 09 writes the pipeline in one cell. This is the same pipeline, each of its parts a function
that can be exchanged, for the lesson's gallery of bugs and for what its exercises know of mistakes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sdlearn.equations import guidance, samplers

Station = tuple[int, Tensor, Tensor]
"""Where a step begins and ends: t, alpha_bar, alpha_bar_next."""


def ids(tokenizer: Any, text: str) -> Tensor:
    """A text's tokens, filled up to the length that the encoder learnt with; [1, 77]."""
    return tokenizer(
        text,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids


def start(shape: tuple[int, ...], seed: int) -> Tensor:
    """The noise that a seed stands for."""
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))


def stations(alpha_bars: Tensor, steps: int, offset: int) -> list[Station]:
    """The steps from noise to picture, evenly spaced ("leading"); the last one ends at t = 0."""
    stride = len(alpha_bars) // steps
    times = [i * stride + offset for i in reversed(range(steps))]
    # Slices of one number, not numbers: they stay float32, in which the pipelines compute.
    return [(t, alpha_bars[[t]], alpha_bars[[max(t - stride, 0)]]) for t in times]


def ask(unet: Any, xt: Tensor, t: int, words: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The noise without and with the prompt, from one batch of two."""
    return unet(torch.cat([xt, xt]), t, torch.cat(words)).sample.chunk(2)


def unscale(latent: Tensor, scaling_factor: float) -> Tensor:
    """A latent on the decoder's own scale."""
    return latent / scaling_factor


def paint(pixels: Tensor) -> Image.Image:
    """A picture of -1 to 1, [3, height, width], in 8 bits."""
    values = (pixels * 0.5 + 0.5).clamp(0, 1).permute(1, 2, 0)
    return Image.fromarray((values * 255).round().byte().cpu().numpy())


@dataclass(frozen=True)
class Assembly:
    """A text-to-image pipeline whose parts can be exchanged: `pipeline.but(guide=...)`.

    Attributes:
        model: Whose networks it runs, from `sd.load`.
        ids: (tokenizer, text) -> tokens.
        start: (shape, seed) -> noise.
        stations: (alpha_bars, steps, steps_offset) -> one `Station` for each step.
        ask: (unet, xt, t, [vectors without, with the prompt]) -> eps_uncond, eps_cond.
        guide: (eps_uncond, eps_cond, guidance_scale) -> eps.
        step: (xt, eps, alpha_bar, alpha_bar_next) -> x_next.
        unscale: (latent, scaling_factor) -> what the decoder reads.
        paint: (pixels of -1 to 1) -> picture.
    """

    model: Any
    ids: Callable[..., Tensor] = ids
    start: Callable[..., Tensor] = start
    stations: Callable[..., list[Station]] = stations
    ask: Callable[..., tuple[Tensor, Tensor]] = ask
    guide: Callable[..., Tensor] = guidance.classifier_free_guidance
    step: Callable[..., Tensor] = samplers.ddim_step
    unscale: Callable[..., Tensor] = unscale
    paint: Callable[..., Image.Image] = paint

    def but(self, **changed: Callable[..., Any]) -> Assembly:
        """The same pipeline with other parts."""
        return replace(self, **changed)

    @torch.no_grad()
    def latent(
        self,
        prompt: str,
        *,
        negative_prompt: str = "",
        seed: int = 0,
        steps: int = 12,
        guidance_scale: float = 7.5,
    ) -> Tensor:
        """Draw a latent, [1, C, h, w]."""
        parts, device = self.model.parts, self.model.device
        words = [
            parts.text_encoder(self.ids(parts.tokenizer, text).to(device))[0]  # [1, 77, C]
            for text in (negative_prompt, prompt)
        ]
        xt = self.start(self.model.latent_shape(1, *self.model.size), seed).to(device)
        alpha_bars = parts.scheduler.alphas_cumprod.to(device)
        path = self.stations(alpha_bars, steps, parts.scheduler.config.steps_offset)
        for t, alpha_bar, alpha_bar_next in path:
            eps_uncond, eps_cond = self.ask(parts.unet, xt, t, words)
            eps = self.guide(eps_uncond, eps_cond, guidance_scale)
            xt = self.step(xt, eps, alpha_bar, alpha_bar_next)
        return xt

    @torch.no_grad()
    def picture(self, latent: Tensor) -> Image.Image:
        """The picture of a latent."""
        vae = self.model.parts.vae
        read = self.unscale(latent, vae.config.scaling_factor)
        return self.paint(vae.decode(read).sample[0])

    def __call__(self, prompt: str, **settings: Any) -> Image.Image:
        """Draw a picture; settings as for `latent`."""
        return self.picture(self.latent(prompt, **settings))
