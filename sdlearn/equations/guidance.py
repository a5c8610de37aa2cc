"""Guidance: how hard a prompt pulls."""

from __future__ import annotations

import torch
from torch import Tensor

from sdlearn.equations import _checks
from sdlearn.equations._checks import Coefficient, sqrt


def classifier_guidance(
    eps: Tensor, classifier_gradient: Tensor, alpha_bar: Coefficient, scale: Coefficient = 1.0
) -> Tensor:
    """Let a classifier that reads noisy samples push the noise estimate towards a label.

    Args:
        eps: The unguided noise estimate.
        classifier_gradient: Gradient of log p(label | xt) with respect to xt, same shape.
        alpha_bar: The noise level.
        scale: How hard to push; 1 is Bayes' rule, 0 doesn't push.
    """
    _checks.like("classifier_gradient", classifier_gradient, "eps", _checks.sample("eps", eps))
    alpha_bar = _checks.alpha_bar(alpha_bar, eps)
    scale = _checks.coefficient("scale", scale, eps)
    return eps - scale * sqrt(1 - alpha_bar) * classifier_gradient  # 2105.05233, algorithm 2


def classifier_free_guidance(
    eps_uncond: Tensor, eps_cond: Tensor, guidance_scale: Coefficient
) -> Tensor:
    """Go from the unprompted estimate towards the prompted one, and beyond.

    ``guidance_scale`` is Stable Diffusion's: 0 ignores the prompt, 1 is the prompted estimate
    alone, 7.5 is usual. It works for eps, x0 and v alike: all are linear in one another.
    """
    _checks.like("eps_cond", eps_cond, "eps_uncond", _checks.sample("eps_uncond", eps_uncond))
    guidance_scale = _checks.coefficient("guidance_scale", guidance_scale, eps_uncond)
    return eps_uncond + guidance_scale * (eps_cond - eps_uncond)  # 2205.11487, eq. 2


def negative_prompt_guidance(
    eps_negative: Tensor, eps_cond: Tensor, guidance_scale: Coefficient
) -> Tensor:
    """Guidance away from a negative prompt: its estimate stands where the empty prompt's did.

    Nothing more happens: no part of Stable Diffusion checks the picture for what the negative
    prompt names.
    """
    _checks.like("eps_cond", eps_cond, "eps_negative", _checks.sample("eps_negative", eps_negative))
    return classifier_free_guidance(eps_negative, eps_cond, guidance_scale)


def rescale_guidance(eps: Tensor, eps_cond: Tensor, rescale: float) -> Tensor:
    """Give the guided estimate back some of the prompted one's contrast.

    "Common Diffusion Noise Schedules and Sample Steps are Flawed" (arXiv:2305.08891).

    Args:
        eps: The guided estimate, shape [batch, ...].
        eps_cond: The prompted estimate, of the same shape.
        rescale: 0 changes nothing, 1 restores the contrast in full; the paper uses 0.7.
    """
    _checks.like("eps_cond", eps_cond, "eps", _checks.sample("eps", eps))
    rescale = _checks.number("rescale", rescale, low=0.0, high=1.0)
    if eps.ndim < 2:
        raise ValueError(f"eps must be a batch, [batch, ...], got {tuple(eps.shape)}.")
    if eps[0:1].numel() < 2:
        raise ValueError("eps must hold at least 2 numbers a sample: one number has no contrast.")
    dims = tuple(range(1, eps.ndim))  # contrast is measured picture by picture
    std_cond, std = eps_cond.std(dims, keepdim=True), eps.std(dims, keepdim=True)
    restored = eps * (std_cond / std)  # 2305.08891, eq. 15
    restored = torch.where(std == 0, eps, restored)  # all numbers alike: there is no contrast
    return rescale * restored + (1 - rescale) * eps  # 2305.08891, eq. 16


def guidance_scale_from_paper(w: Coefficient) -> Coefficient:
    """Stable Diffusion's scale for the w of the paper (2207.12598, eq. 6): one more.

    The paper writes ``(1 + w) * eps_cond - w * eps_uncond``, so that w = 0 is the prompted
    estimate alone; the tools count from the unprompted one.
    """
    return 1 + _checks.coefficient("w", w)


def paper_scale_from_guidance(guidance_scale: Coefficient) -> Coefficient:
    """The paper's w for Stable Diffusion's scale: one less."""
    return _checks.coefficient("guidance_scale", guidance_scale) - 1
