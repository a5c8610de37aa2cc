"""The exercises of lesson 10, image-to-image and inpainting."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sdlearn.equations import noising
from sdlearn.lessons.exercises import Exercise, Mistake


def _runs() -> list[tuple[int, float]]:
    # No pair whose product misses a whole number by a rounding error: that is no mistake to make.
    return [(20, 0.5), (25, 0.5), (30, 0.33), (50, 0.75), (7, 0.95), (40, 0.75), (10, 0.05)]


STEPS_DONE = Exercise(
    id="10.1",
    task="Write steps_done(steps, strength): how many steps an image-to-image run takes.",
    kind="function",
    expected=lambda steps, strength: int(steps * strength),
    probes=_runs,
    praise=(
        "So small a line, and so much trouble: with few steps, neighbouring strengths are one and "
        "the same run, and a small strength is no run at all."
    ),
    nudge=(
        "It fits neither the table of the lesson nor a mistake that is known here. Try your "
        "function on the rows of that table."
    ),
    stronger_nudge=(
        "A strength is a share of the steps. Take that share, and then make a whole number of it, "
        "in the direction that the lesson's brackets say."
    ),
    mistakes=(
        Mistake(
            "rounded up",
            "Where the share is no whole number, you walk a step more than there is noise for.",
            "With 25 steps and strength 0.5 the share is 12.5. Which way do the brackets round?",
            lambda steps, strength: math.ceil(steps * strength),
        ),
        Mistake(
            "at least one step",
            "Where the share is less than one step, you walk one. The library refuses to walk.",
            "What is half a step, rounded as the lesson's brackets round?",
            lambda steps, strength: max(1, int(steps * strength)),
        ),
        Mistake(
            "rounded to the nearest",
            "Often right, and sometimes one too many: the lesson's brackets know one direction.",
            "With 30 steps and strength 0.33 the share is 9.9, and what is walked isn't 10.",
            lambda steps, strength: round(steps * strength),
        ),
        Mistake(
            "the skipped steps",
            "You count the steps at the noisy beginning that are left out.",
            "A larger strength walks more. Does your number grow with the strength?",
            lambda steps, strength: steps - int(steps * strength),
        ),
        Mistake(
            "one too few",
            "You give the number of the last step, counted from 0, and not how many there are.",
            "With 20 steps and strength 0.5, count the steps from the first one walked to the end.",
            lambda steps, strength: int(steps * strength) - 1,
        ),
        Mistake(
            "one too many",
            "You count the stations, the arrival included. A step lies between two of them.",
            "At strength 1 all steps are walked. Does your function say more than that?",
            lambda steps, strength: int(steps * strength) + 1,
        ),
        Mistake(
            "no whole number",
            "There is no half step: the network is asked, or it isn't.",
            "The share is right. What do the lesson's brackets do to it?",
            lambda steps, strength: steps * strength,
        ),
        Mistake(
            "the timestep instead",
            "You take the share of the 1000 timesteps of the training. Asked are steps of the run.",
            "Where does the number of steps of this very run come in?",
            lambda steps, strength: int(1000 * strength),
        ),
        Mistake(
            "left-out steps",
            "You count the steps that are left out.",
            "A larger strength walks more. Does your number grow with the strength?",
            lambda steps, strength: int(steps * (1 - strength)),
        ),
    ),
)


def _masked_step(
    x_next: Tensor, x0: Tensor, eps: Tensor, keep: Tensor, alpha_bar: float, alpha_bar_next: float
) -> Tensor:
    return keep * noising.add_noise(x0, eps, alpha_bar_next) + (1 - keep) * x_next


def _masked_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(10)
    probes = []
    for alpha_bar, alpha_bar_next in ((0.05, 0.2), (0.4, 0.7)):
        x_next, x0, eps = torch.randn(3, 1, 4, 6, 6, generator=generator, dtype=torch.float64)
        keep = (torch.rand(1, 1, 6, 6, generator=generator) < 0.5).double()
        levels = (torch.tensor(bar, dtype=torch.float64) for bar in (alpha_bar, alpha_bar_next))
        probes.append((x_next, x0, eps, keep, *levels))
    return probes


def _at(level: Tensor, x0: Tensor, eps: Tensor) -> Tensor:
    return level**0.5 * x0 + (1 - level) ** 0.5 * eps


MASKED_STEP = Exercise(
    id="10.2",
    task=(
        "Write masked_step(x_next, x0, eps, keep, alpha_bar, alpha_bar_next): the masked step of "
        "inpainting, for a mask that is 1 where the picture is to be kept."
    ),
    kind="function",
    expected=_masked_step,
    probes=_masked_probes,
    praise=(
        "That is the whole of inpainting with a plain model. Which of the two masks a tool wants "
        "is worth a look before the first run."
    ),
    nudge=(
        "It agrees neither with the masked step nor with a mistake that is known here. Look at one "
        "kept place first: what should stand there? Then at one that is not kept."
    ),
    stronger_nudge=(
        "Make the picture as noisy as x_next is (one line, lesson 02). Then mix the two pictures "
        "with the mask, so that in each place just one of them is seen."
    ),
    mistakes=(
        Mistake(
            "mask the wrong way round",
            "That is the lesson's line, for a mask that is 1 in the hole. Yours is turned round.",
            "In a place where keep is 1: does your function give the picture there?",
            lambda x_next, x0, eps, keep, bar, bar_next: (
                keep * x_next + (1 - keep) * _at(bar_next, x0, eps)
            ),
        ),
        Mistake(
            "picture not noised",
            "You put the clean picture beside a noisy sample. The network never saw such a thing.",
            "How noisy is x_next? The kept part has to be as noisy as that.",
            lambda x_next, x0, eps, keep, bar, bar_next: keep * x0 + (1 - keep) * x_next,
        ),
        Mistake(
            "noised to the old level",
            "You noised the picture to the level of xt, but the step is done: x_next is cleaner.",
            "Two noise levels came in. Which is that of the sample beside it?",
            lambda x_next, x0, eps, keep, bar, bar_next: (
                keep * _at(bar, x0, eps) + (1 - keep) * x_next
            ),
        ),
        Mistake(
            "square root forgotten",
            "The noise levels are variances; the formula multiplies by their roots.",
            "Look at the two factors of exercise 2.1. Yours should be the same two.",
            lambda x_next, x0, eps, keep, bar, bar_next: (
                keep * (bar_next * x0 + (1 - bar_next) * eps) + (1 - keep) * x_next
            ),
        ),
        Mistake(
            "added on top",
            "In the kept places you add the picture to what the sampler drew there.",
            "What should be left of x_next where the picture is kept?",
            lambda x_next, x0, eps, keep, bar, bar_next: x_next + keep * _at(bar_next, x0, eps),
        ),
        Mistake(
            "the rest forgotten",
            "The kept part is right. Everywhere else your sample is empty.",
            "Where keep is 0, what the sampler drew should go on.",
            lambda x_next, x0, eps, keep, bar, bar_next: keep * _at(bar_next, x0, eps),
        ),
        Mistake(
            "noised and masked, not exchanged",
            "You noised the whole picture and left out what the sampler drew in the hole.",
            "In the hole x0 must not be seen at all. What has the sampler made there?",
            lambda x_next, x0, eps, keep, bar, bar_next: _at(bar_next, x0, eps),
        ),
        Mistake(
            "noise in the hole",
            "The mask reaches only one of the two terms: noise falls on the hole as well. (Is a "
            "bracket missing?)",
            "Noise the picture first, as one thing. Then let the mask choose.",
            lambda x_next, x0, eps, keep, bar, bar_next: (
                keep * bar_next**0.5 * x0 + (1 - bar_next) ** 0.5 * eps + (1 - keep) * x_next
            ),
        ),
    ),
)


def _blocks(mask: Tensor) -> Tensor:
    height, width = mask.shape
    return mask.reshape(height // 8, 8, width // 8, 8)


def _pixel_masks() -> list[tuple]:
    generator = torch.Generator().manual_seed(100)
    masks = []
    for share, height, width in ((0.01, 48, 32), (0.04, 64, 64)):
        masks.append((torch.rand(height, width, generator=generator) < share).double())
    masks[1][8:40, 16:48] = 1  # some blocks are full
    masks[1][40:48, 8:13] = 1  # and one more than half
    return [(mask,) for mask in masks]


IN_PLACES = Exercise(
    id="10.3",
    task=(
        "Write in_places(mask): from a mask of pixels [height, width] to one of places, [height / "
        "8, width / 8], that is 1 where any of a block's 8 x 8 pixels is marked."
    ),
    kind="function",
    expected=lambda mask: _blocks(mask).amax(dim=(1, 3)),
    probes=_pixel_masks,
    praise=(
        "No stripe is lost any more. Hand inpaint a mask that was grown in this way, and what you "
        "painted is really drawn anew."
    ),
    nudge=(
        "It fits neither the task nor a mistake that is known here. Try a mask of 16 x 16 pixels "
        "with one single pixel marked: just one of the four places should be 1."
    ),
    stronger_nudge=(
        "Look at the mask as blocks, four dimensions instead of two: which block from above, which "
        "row in it, which block from the left, which column in it. Then two of them must go."
    ),
    mistakes=(
        Mistake(
            "the corner decides",
            "That is what the library does: one pixel speaks for 64, and thin masks get lost.",
            "Mark a single pixel in the middle of a block. What does your function say?",
            lambda mask: mask[::8, ::8],
        ),
        Mistake(
            "shares of blocks",
            "You say how much of each block is marked. Asked is a mask, of zeros and ones.",
            "One marked pixel out of 64 should be enough for a whole 1.",
            lambda mask: _blocks(mask).mean(dim=(1, 3)),
        ),
        Mistake(
            "only full blocks",
            "You ask that all of a block's pixels be marked. That is the daring version.",
            "Which is larger, the hole that was painted or yours?",
            lambda mask: _blocks(mask).amin(dim=(1, 3)),
        ),
        Mistake(
            "the majority decides",
            "You round: a block counts if half of it is marked. A thin line never makes it.",
            "One marked pixel should do, and you ask for 32.",
            lambda mask: (_blocks(mask).mean(dim=(1, 3)) >= 0.5).double(),
        ),
        Mistake(
            "counted",
            "You count the marked pixels of each block. Asked is a mask, of zeros and ones.",
            "All that matters is whether the count is 0 or not.",
            lambda mask: _blocks(mask).sum(dim=(1, 3)),
        ),
        Mistake(
            "turned round",
            "You mark the blocks in which nothing is marked.",
            "Mark all pixels: all places should be 1.",
            lambda mask: 1 - _blocks(mask).amax(dim=(1, 3)),
        ),
        Mistake(
            "strips instead of squares",
            "Your blocks are 64 pixels in a row, one after the other, and not squares of 8 x 8.",
            "Number the pixels of a 16 x 16 mask row by row. Which numbers are in the first "
            "block, and which do you have?",
            lambda mask: mask.reshape(mask.shape[0] // 8, mask.shape[1] // 8, 64).amax(-1),
        ),
    ),
)

CHANNELS = 16

MORE_CHANNELS = Exercise(
    id="10.4",
    task=(
        "A newer autoencoder makes latents of 16 channels instead of 4. How many channels does an "
        "inpainting U-Net take in that works with it?"
    ),
    kind="number",
    expected=lambda: CHANNELS + 1 + CHANNELS,
    praise=(
        "Noisy latent, mask, masked picture: the picture's channels count twice, and the mask, "
        "which only says yes or no, once."
    ),
    nudge=(
        "Go through what is put side by side before the first layer, one by one, and count its "
        "channels with this autoencoder."
    ),
    stronger_nudge=(
        "Three things go in: the noisy latent, the mask, and the latent of the picture with the "
        "hole cut out. Which of them went through the autoencoder?"
    ),
    mistakes=(
        Mistake(
            "the old number",
            "That is right for latents of 4 channels. These have more.",
            "Of the lesson's three summands, which ones change with the autoencoder?",
            lambda: 9,
        ),
        Mistake(
            "mask forgotten",
            "The noisy latent and the masked picture are in there. How is the U-Net to know where "
            "the hole is?",
            "There is one more map beside the two latents.",
            lambda: 2 * CHANNELS,
        ),
        Mistake(
            "masked picture forgotten",
            "Noisy latent and mask: the U-Net knows where the hole is, but not what is around it.",
            "What was cut out and encoded? Its channels have to go in as well.",
            lambda: CHANNELS + 1,
        ),
        Mistake(
            "five more, as before",
            "You added five channels, as with the old autoencoder. Four of those were a latent.",
            "With the new autoencoder, how many channels has the latent of the masked picture?",
            lambda: CHANNELS + 5,
        ),
        Mistake(
            "masked picture in colours",
            "You counted the masked picture as red, green and blue. It goes in as a latent.",
            "The U-Net works on latents only. What is done with the masked picture first?",
            lambda: CHANNELS + 1 + 3,
        ),
        Mistake(
            "mask as a latent",
            "You counted the mask as if it were encoded, too. It is only made smaller.",
            "How many numbers does it take to say, of one place, whether it belongs to the hole?",
            lambda: 3 * CHANNELS,
        ),
    ),
)

EXERCISES = (STEPS_DONE, MASKED_STEP, IN_PLACES, MORE_CHANNELS)
