"""Lesson 09: what learners may answer, rightly and wrongly. `test_exercises.py` holds it."""

from functools import cache

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

import sdlearn as sd
from sdlearn.equations.guidance import classifier_free_guidance
from sdlearn.equations.samplers import ddim_step


@cache
def model():
    return sd.load(dtype="float32")


@torch.no_grad()
def text_to_image(prompt, negative_prompt, seed, steps):
    parts = model().parts
    full = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
    rows = parts.tokenizer([negative_prompt, prompt], **full).input_ids
    words = torch.cat([parts.text_encoder(row[None])[0] for row in rows])
    alpha_bars = parts.scheduler.alphas_cumprod
    dice = torch.Generator("cpu").manual_seed(seed)
    xt = torch.randn(model().latent_shape(1, *model().size), generator=dice)
    stride = len(alpha_bars) // steps
    for i in reversed(range(steps)):
        t = i * stride + parts.scheduler.config.steps_offset
        both = parts.unet(torch.cat([xt, xt]), t, words).sample
        eps = classifier_free_guidance(*both.chunk(2), 7.5)
        xt = ddim_step(xt, eps, alpha_bars[[t]], alpha_bars[[max(t - stride, 0)]])
    pixels = parts.vae.decode(xt / parts.vae.config.scaling_factor).sample[0]
    values = (pixels * 0.5 + 0.5).clamp(0, 1).permute(1, 2, 0) * 255
    return Image.fromarray(values.round().byte().numpy())


def by_diffusers(prompt, negative_prompt, seed, steps):
    """Not what was meant, but the same picture."""
    parts = model().parts
    pipe = StableDiffusionPipeline(
        tokenizer=parts.tokenizer,
        text_encoder=parts.text_encoder,
        unet=parts.unet,
        vae=parts.vae,
        scheduler=model().schedule(steps, "ddim").scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe(
        prompt,
        negative_prompt=negative_prompt,
        num_inference_steps=steps,
        generator=torch.Generator("cpu").manual_seed(seed),
    ).images[0]


ORDER = ["tokenizer", "text encoder", "U-Net", "guidance", "sampler's step", "decoder"]


def arrived():
    eps = 0.1 + 4 * (0.3 - 0.1)
    x0_hat = (1 - 0.8 * eps) / 0.6
    return 0.8 * x0_hat + 0.6 * eps


SOLUTIONS = {"9.1": text_to_image, "9.2": ORDER, "9.3": (1, 30, 1), "9.4": arrived()}

# Other ways to write the same: a learner must not be refused for a spelling.
SPELLINGS = {
    "9.1": [
        by_diffusers,
        lambda *asked: np.array(text_to_image(*asked)),
        lambda *asked: torch.tensor(np.array(text_to_image(*asked))),
    ],
    "9.2": [
        tuple(ORDER),
        [name.upper() for name in ORDER],
        [name.replace("-", "").replace("'", "’") for name in ORDER],
    ],
    "9.3": [[1, 30, 1], np.array([1, 30, 1]), (1.0, 30.0, 1.0), (np.int64(1), torch.tensor(30), 1)],
    "9.4": [round(arrived(), 3), np.float32(arrived()), torch.tensor(arrived())],
}

# Wrong answers that are no known mistake: they must be refused, and not misdiagnosed.
UNKNOWN = {
    "9.1": [
        lambda *asked: text_to_image(*asked).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda prompt, negative, seed, steps: text_to_image(prompt, negative, seed, steps + 1),
    ],
    "9.2": [ORDER[::-1], ORDER[:5]],
    "9.3": [(1, 31, 1), (4, 30, 1)],
    "9.4": [1.2, -0.5],
}

SECRETS = {
    "9.1": ["torch.cat", ".chunk(", "/ scaling", "/ vae", "[negative_prompt, prompt]"],
    "9.2": ["tokenizer, ", "'tokenizer', 'text", "tokenizer comes first"],
    "9.3": ["(1, 30, 1)", "30 calls", "called once"],
    "9.4": ["0.91", "0.9 ", "0.47", "0.54"],
}

# What the lesson must not print from its exercises on: these are the answers.
NOT_PRINTED = r"(?<![\d.])0\.913|\(1, 30, 1\)"
