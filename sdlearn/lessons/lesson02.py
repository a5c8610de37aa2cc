"""The exercises of lesson 02, forward diffusion and noise schedules."""

from __future__ import annotations

import torch
from torch import Tensor

from sdlearn.equations import noising, schedules
from sdlearn.lessons.exercises import Exercise, Mistake


def _noising_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(2)
    x0, eps = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    return [(x0, eps, alpha_bar) for alpha_bar in (0.9, 0.5, 0.13)]


ADD_NOISE = Exercise(
    id="2.1",
    task="Write noisy(x0, eps, alpha_bar), the jump from the picture to any noise level.",
    kind="function",
    expected=noising.add_noise,
    probes=_noising_probes,
    praise=(
        "Your function makes the same noisy pictures as the library's. One multiplication and "
        "one addition stand for hundreds of small steps."
    ),
    nudge=(
        "It agrees neither with the formula nor with a mistake that is known here. Try the two "
        "ends by hand: what should come out at alpha_bar = 1, and what at alpha_bar = 0?"
    ),
    stronger_nudge=(
        "There are two terms, one for the picture and one for the noise, each with a factor of "
        "its own. Their squares must add up to 1. Print both factors at alpha_bar = 0.9."
    ),
    mistakes=(
        Mistake(
            "square root forgotten",
            "alpha_bar counts variance; a picture is multiplied by a standard deviation.",
            "Draw 10,000 noises, scale them by your factor, take their variance: compare it with "
            "1 - alpha_bar. What turns a variance into a standard deviation?",
            lambda x0, eps, alpha_bar: alpha_bar * x0 + (1 - alpha_bar) * eps,
        ),
        Mistake(
            "picture and noise swapped",
            "At alpha_bar = 0.9 nine tenths of the variance should be the picture's. Whose are "
            "they in your function?",
            "Your two factors are the right ones, but each stands before the wrong tensor.",
            lambda x0, eps, alpha_bar: (1 - alpha_bar) ** 0.5 * x0 + alpha_bar**0.5 * eps,
        ),
        Mistake(
            "noise not scaled",
            "The picture fades, but the noise comes at full strength from the very first step.",
            "The variance must stay 1 all the way. What share of it is left for the noise, once "
            "the picture has taken alpha_bar?",
            lambda x0, eps, alpha_bar: alpha_bar**0.5 * x0 + eps,
        ),
        Mistake(
            "picture not shrunk",
            "You lay noise over a picture that stays as it was: after 1000 steps the cat would "
            "still be there.",
            "Both terms carry a factor. Which one of yours has none?",
            lambda x0, eps, alpha_bar: x0 + (1 - alpha_bar) ** 0.5 * eps,
        ),
        Mistake(
            "root of the wrong thing",
            "The picture's factor is right. The noise's is not: take the share of the variance "
            "first, and only then its root.",
            "You subtract after taking the root. Square your two factors and add them up: it "
            "should give 1.",
            lambda x0, eps, alpha_bar: alpha_bar**0.5 * x0 + (1 - alpha_bar**0.5) * eps,
        ),
    ),
)


def _shifted(betas: Tensor) -> Tensor:
    return torch.cat([torch.ones(1, dtype=betas.dtype), torch.cumprod(1 - betas, 0)[:-1]])


ALPHA_BARS = Exercise(
    id="2.2",
    task="Write alpha_bars(betas): what is left of the picture's variance after each step.",
    kind="function",
    expected=schedules.alpha_bars_from_betas,
    probes=lambda: [
        (schedules.scaled_linear_betas(1000),),
        (schedules.linear_betas(50, 0.01, 0.3),),
    ],
    praise="This row of numbers is all that a noise schedule is, seen from the picture.",
    nudge=(
        "Work it out by hand for betas = [0.1, 0.2]: what is left after the first step, and what "
        "share of that after the second? Then see what your function says."
    ),
    stronger_nudge=(
        "Each step keeps a share of what was there. Shares of shares multiply. torch has a "
        "function for running products."
    ),
    mistakes=(
        Mistake(
            "alpha for alpha_bar",
            "You give what each single step keeps. The bar in alpha_bar means: all steps so far.",
            "Your last number should be near 0 after 1000 steps, and it is near 1. What has to "
            "happen to the steps' shares, one after another?",
            lambda betas: 1 - betas,
        ),
        Mistake(
            "product of the betas",
            "You multiply what is lost. What is left has to be multiplied.",
            "Your numbers are tiny from the second step on. What is left after a step that loses "
            "a tenth?",
            lambda betas: torch.cumprod(betas, 0),
        ),
        Mistake(
            "sum instead of product",
            "You subtract all losses from 1, but each step loses a share of what is *still* "
            "there; your numbers fall below 0.",
            "Two steps that lose half each leave a quarter, not nothing. Which operation says so?",
            lambda betas: 1 - torch.cumsum(betas, 0),
        ),
        Mistake(
            "schedule reversed",
            "Your first step is the training's last: the picture is gone at once.",
            "Look at the order of betas: betas[0] is the smallest, for the least noisy step. Do "
            "you flip it somewhere?",
            lambda betas: torch.cumprod(1 - betas.flip(0), 0),
        ),
        Mistake(
            "off by one",
            "Your first number is 1, as if the first step took nothing away.",
            "After step t, that step's own share has to be in the product as well.",
            _shifted,
        ),
    ),
)


def _crossing(alpha_bars: Tensor, level: float) -> int:
    return int((alpha_bars < level).nonzero()[0])


def _sd() -> schedules.NoiseSchedule:
    return schedules.NoiseSchedule.scaled_linear()


HALF_TIME = Exercise(
    id="2.3",
    task=(
        "Find the first timestep t at which Stable Diffusion's schedule (scaled-linear) leaves "
        "more noise than picture: SNR below 1."
    ),
    kind="number",
    expected=lambda: _crossing(_sd().alpha_bars, 0.5),
    tolerance=1e-9,
    praise="Well before the middle: most of the 1000 timesteps hold more noise than picture.",
    nudge=(
        "SNR is the picture's variance over the noise's. Say in words what SNR = 1 means for "
        "alpha_bar, then search the schedule's alpha_bars for it."
    ),
    stronger_nudge=(
        "The schedule knows its own snr for every timestep. Plot it, find roughly where it passes "
        "1, then look there closely. Timesteps count from 0."
    ),
    mistakes=(
        Mistake(
            "half of the steps",
            "500 is half of the steps, but the schedule doesn't take the same from each.",
            "Look at snr[500]: is it 1?",
            lambda: 500,
        ),
        Mistake(
            "another schedule",
            "That is where DDPM's linear schedule crosses. Stable Diffusion uses another one.",
            "Which of the three schedules of this lesson is Stable Diffusion's? Its name is in "
            "the exercise.",
            lambda: _crossing(schedules.NoiseSchedule.linear().alpha_bars, 0.5),
        ),
        Mistake(
            "schedule reversed",
            "You count from the noisy end. t = 0 is the cleanest.",
            "Did a flip or a 999 minus something creep in?",
            lambda: 999 - _crossing(_sd().alpha_bars, 0.5),
        ),
        Mistake(
            "factor instead of variance",
            "You compare sqrt(alpha_bar) with 0.5. The ratio is one of variances, not of factors.",
            "Write SNR with alpha_bar alone: picture's variance over noise's. Set it to 1.",
            lambda: _crossing(_sd().alpha_bars.sqrt(), 0.5),
        ),
        Mistake(
            "last step before",
            "That is the last timestep with more picture than noise. The next one is asked for.",
            "Look at the SNR of your timestep: it is still above 1.",
            lambda: _crossing(_sd().alpha_bars, 0.5) - 1,
        ),
    ),
)

LEFTOVER = Exercise(
    id="2.4",
    task=(
        "A white picture (every value 1) is noised to the last timestep of Stable Diffusion's "
        "schedule. What is the mean of the noisy picture, on average over the noise?"
    ),
    kind="number",
    expected=lambda: float(_sd().alpha_bars[-1].sqrt()),
    tolerance=0.01,
    praise=(
        "Small, but the mean over a whole picture is measured so precisely that the network can "
        "read the brightness off “pure noise”. That is the leak."
    ),
    nudge="The noise is 0 on average. What factor is left before the picture at t = 999?",
    stronger_nudge=(
        "Only one of the formula's two terms has a mean. Its factor at the last timestep is the "
        "answer; your function of exercise 2.1 can tell it, if you feed it well."
    ),
    mistakes=(
        Mistake(
            "square root forgotten",
            "That is how much *variance* is left of the picture. The question is about its mean.",
            "Which factor stands before x0 in the formula of exercise 2.1?",
            lambda: float(_sd().alpha_bars[-1]),
        ),
        Mistake(
            "nothing is left",
            "So one would hope; this schedule doesn't get there.",
            "Print alpha_bars[-1]: is it 0?",
            lambda: 0.0,
        ),
        Mistake(
            "another schedule",
            "That is DDPM's linear schedule. Stable Diffusion's leaves much more.",
            "Use NoiseSchedule.scaled_linear().",
            lambda: float(schedules.NoiseSchedule.linear().alpha_bars[-1].sqrt()),
        ),
        Mistake(
            "the noise's factor",
            "That factor stands before the noise, which is 0 on average.",
            "Which of the formula's two terms has a mean that isn't 0?",
            lambda: float((1 - _sd().alpha_bars[-1]).sqrt()),
        ),
    ),
)

EXERCISES = (ADD_NOISE, ALPHA_BARS, HALF_TIME, LEFTOVER)
