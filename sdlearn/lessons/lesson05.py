"""The exercises of lesson 05, latent space."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sdlearn.lessons.exercises import Exercise, Mistake

SHAPE = Exercise(
    id="5.1",
    task=(
        "Write latent_shape(height, width): channels, height and width of the latent of a picture "
        "of so many pixels, in Stable Diffusion."
    ),
    kind="function",
    expected=lambda height, width: (4, height // 8, width // 8),
    probes=lambda: [(512, 512), (768, 512), (640, 1024)],
    praise=(
        "These three numbers are all that a diffusion model must be told of a picture's size: it "
        "begins with noise of this shape."
    ),
    nudge=(
        "Work it out by hand for 512x512: the lesson counts its latent near the beginning. Then "
        "see what your function says."
    ),
    stronger_nudge=(
        "Three numbers come back, in this order: channels, height, width. The first is always the "
        "same; the other two depend on one side each."
    ),
    mistakes=(
        Mistake(
            "four times smaller",
            "That is the myth of this lesson: the 4 counts channels, it is no size.",
            "By how many pixels did the picture move when the latent moved by one place?",
            lambda height, width: (4, height // 4, width // 4),
        ),
        Mistake(
            "height and width swapped",
            "Your latents of tall pictures are wide.",
            "Which comes first in a tensor of a picture: how many rows, or how many columns?",
            lambda height, width: (4, width // 8, height // 8),
        ),
        Mistake(
            "three channels",
            "Red, green and blue are a pixel's numbers. A latent's place holds others.",
            "How many grey pictures stood between the cat and its decoded copy?",
            lambda height, width: (3, height // 8, width // 8),
        ),
        Mistake(
            "channels last",
            "The numbers are right, their order isn't: a Pillow picture ends in its channels, a "
            "tensor of a picture begins with them.",
            "Print model.noise().shape, and leave out the first number, which counts pictures.",
            lambda height, width: (height // 8, width // 8, 4),
        ),
        Mistake(
            "area for side",
            "There are that many times fewer places in all. Each side alone shrinks less.",
            "A square of 64 pixels becomes one place. How long is a side of that square?",
            lambda height, width: (4, height // 64, width // 64),
        ),
        Mistake(
            "48 times on each side",
            "48 compares all numbers with all numbers. A side is another matter.",
            "A square of 64 pixels becomes one place. How long is a side of that square?",
            lambda height, width: (4, height // 48, width // 48),
        ),
        Mistake(
            "pictures counted",
            "Four numbers came: you count the pictures as well. Asked is the latent of one.",
            "Print model.noise().shape, and leave out the first number.",
            lambda height, width: (1, 4, height // 8, width // 8),
        ),
    ),
)

LATER = 16  # channels of Stable Diffusion 3's autoencoder

FEWER = Exercise(
    id="5.2",
    task=(
        f"An autoencoder has f = 8 and {LATER} channels. How many times fewer numbers than the "
        "picture, with three for each pixel, does its latent have?"
    ),
    kind="number",
    expected=lambda: 3 * 8 * 8 / LATER,
    tolerance=0.005,
    praise=(
        "Four times the numbers for the same picture: the decoded eyes and letters are better for "
        "it, and the diffusion model has more to learn. That is the bargain of this lesson."
    ),
    nudge=(
        "The picture's size doesn't matter. Take one square of pixels that becomes one place of "
        "the latent: how many numbers before, how many after?"
    ),
    stronger_nudge=(
        "Count for one place: the numbers of all its pixels, and the numbers that it holds itself. "
        "Try it with 4 channels first; you know what must come out."
    ),
    mistakes=(
        Mistake(
            "still four channels",
            "That is Stable Diffusion 1 to SDXL, with 4 numbers a place.",
            f"Here each place holds {LATER} numbers. Is that more numbers or fewer?",
            lambda: 3 * 8 * 8 / 4,
        ),
        Mistake(
            "places counted, not numbers",
            "So many times fewer places there are. But a place doesn't hold as many numbers as a "
            "pixel.",
            "How many numbers does a pixel hold, and how many a place?",
            lambda: 8 * 8,
        ),
        Mistake(
            "colours forgotten",
            "You count one number for each pixel.",
            "How many numbers does it take to say a pixel's colour?",
            lambda: 8 * 8 / LATER,
        ),
        Mistake(
            "one side only",
            "You count as if only the width shrank.",
            "Both sides are 8 times smaller. How many pixels become one place?",
            lambda: 3 * 8 / LATER,
        ),
        Mistake(
            "upside down",
            "That is the share that is left. Asked is how many times fewer.",
            "A half left means two times fewer. And your share?",
            lambda: LATER / (3 * 8 * 8),
        ),
        Mistake(
            "channels on the wrong side",
            "More channels make the latent longer, and in your count they make it shorter.",
            "Do the channels belong to the picture's numbers or to the latent's?",
            lambda: 3 * 8 * 8 * LATER,
        ),
        Mistake(
            "a place holds more",
            "You compare a square of pixels with one single number.",
            "How many numbers does a place of this latent hold?",
            lambda: 3 * 8 * 8,
        ),
    ),
)


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b) ** 2).mean()


def _picture_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(5)
    clean = 2 * torch.rand(2, 3, 6, 6, generator=generator, dtype=torch.float64) - 1
    slips = torch.randn(2, 3, 6, 6, generator=generator, dtype=torch.float64)
    return [
        (a, (a + size * slip).clamp(-1, 1))
        for a, size, slip in zip(clean, (0.1, 0.02), slips, strict=True)
    ]


PSNR = Exercise(
    id="5.3",
    task="Write psnr_of_tensors(a, b): the PSNR of two tensors with values from -1 to 1.",
    kind="function",
    expected=lambda a, b: 10 * torch.log10(4 / _squared(a, b)),
    probes=_picture_probes,
    praise="The same decibels in both units, as it should be: the pictures are the same.",
    nudge=(
        "Try it on two pictures of your own, once as 0 to 255 with psnr, once as -1 to 1 with "
        "yours. They must agree."
    ),
    stronger_nudge=(
        "Go through the formula from the inside: the difference, squared, its mean; what stands "
        "above the mean; the logarithm; the factor. Print each."
    ),
    mistakes=(
        Mistake(
            "peak of 1",
            "That is a peak of 1 (or of 255, of differences that were multiplied by 255).",
            "These values reach from -1 to 1. How far is it from black to white, in the numbers "
            "whose difference you take?",
            lambda a, b: 10 * torch.log10(1 / _squared(a, b)),
        ),
        Mistake(
            "peak of 255",
            "255 is the peak of pictures from 0 to 255. These reach from -1 to 1.",
            "255 was the distance from black to white. What is that distance here?",
            lambda a, b: 10 * torch.log10(255**2 / _squared(a, b)),
        ),
        Mistake(
            "peak not squared",
            "The error below the line is squared, the peak above it isn't.",
            "What does the small 2 belong to, in the formula's numerator?",
            lambda a, b: 10 * torch.log10(2 / _squared(a, b)),
        ),
        Mistake(
            "root taken",
            "You took the root of the mean squared error. The formula has none.",
            "Compare peak and error in the same unit: both squared, or neither. What is yours?",
            lambda a, b: 10 * torch.log10(4 / _squared(a, b).sqrt()),
        ),
        Mistake(
            "not squared",
            "You took the mean of the absolute differences. The formula squares them.",
            "What happens to each difference before the mean is taken?",
            lambda a, b: 10 * torch.log10(4 / (a - b).abs().mean()),
        ),
        Mistake(
            "natural logarithm",
            "torch.log and math.log count to the base e. Decibel count tens.",
            "Which logarithm of 100 is 2?",
            lambda a, b: 10 * torch.log(4 / _squared(a, b)),
        ),
        Mistake(
            "upside down",
            "Your numbers are negative: better pictures get smaller ones.",
            "What stands above the line in the formula, the error or the peak?",
            lambda a, b: 10 * torch.log10(_squared(a, b) / 4),
        ),
        Mistake(
            "twenty for ten",
            "20 is for a ratio that isn't squared. Yours is.",
            "A tenth of the squared error should give 10 more. What does it give?",
            lambda a, b: 20 * torch.log10(4 / _squared(a, b)),
        ),
        Mistake(
            "bel for decibel",
            "That is in bel. Deci means a tenth, so there are more of them.",
            "A tenth of the squared error should give 10 more. What does it give?",
            lambda a, b: torch.log10(4 / _squared(a, b)),
        ),
    ),
)


def _latent_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(54)
    latent = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    levels = torch.tensor([30.0, 3.7], dtype=torch.float64)  # SD 1's, and this course's model's
    return list(zip(latent, levels, strict=True))  # 0-d: math.sqrt and .sqrt() both work


READY = Exercise(
    id="5.4",
    task=(
        "Write decode_ready(latent, variance): a scaled latent, brought back to the variance that "
        "the raw ones have."
    ),
    kind="function",
    expected=lambda latent, variance: latent * math.sqrt(variance),
    probes=_latent_probes,
    praise=(
        "The one line that stands before every decoder. Pipelines write it as a division by the "
        "scaling factor, which is the same."
    ),
    nudge=(
        "First: which factor made the raw latents' variance 1? Then undo it. Try it with random "
        "numbers, and look at the variance that comes out."
    ),
    stronger_nudge=(
        "Make 10,000 random numbers of variance 1 and put them in, with variance = 30. What "
        "comes out should have variance 30. Which has yours?"
    ),
    mistakes=(
        Mistake(
            "scaled again",
            "You scale a second time: your result is tamer still.",
            "Scaling made the spread smaller, down to 1. What must undoing it do?",
            lambda latent, variance: latent / math.sqrt(variance),
        ),
        Mistake(
            "root forgotten",
            "You multiply by a variance. Numbers are multiplied by a spread.",
            "Multiply numbers by 3: by how much does their variance grow?",
            lambda latent, variance: latent * variance,
        ),
        Mistake(
            "scaled again, root forgotten",
            "You make the latent smaller, and by a variance at that.",
            "Which way does undoing go? And what happens to a variance when the numbers are "
            "multiplied by 3?",
            lambda latent, variance: latent / variance,
        ),
        Mistake(
            "left as it is",
            "That is the slip of this lesson: a pale picture.",
            "The decoder knows raw latents. What was done to them, and what undoes it?",
            lambda latent, variance: latent,
        ),
        Mistake(
            "brought to spread 1",
            "You divide by the latent's own spread. It is about 1 already, and the factor is the "
            "same constant for all pictures.",
            "Your function doesn't look at variance. What is it for?",
            lambda latent, variance: latent / latent.std(),
        ),
        Mistake(
            "spread added",
            "Adding makes all numbers larger, and leaves their spread as it is.",
            "What did the scaling do to the raw numbers: add, or multiply?",
            lambda latent, variance: latent + math.sqrt(variance),
        ),
    ),
)

EXERCISES = (SHAPE, FEWER, PSNR, READY)
