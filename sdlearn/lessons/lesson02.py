"""The exercises of lesson 02, forward diffusion and noise schedules."""

from __future__ import annotations

import torch
from torch import Tensor

from sdlearn.equations import noising, schedules
from sdlearn.lessons.exercises import Exercise, Mistake


def _noising_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(2)
    x0, eps = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    levels = torch.tensor([0.9, 0.5, 0.13], dtype=torch.float64)
    return [(x0, eps, alpha_bar) for alpha_bar in levels]  # 0-d: math.sqrt and .sqrt() both work


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
            "Which of the two factors should be near 1 at the beginning, when hardly any noise has "
            "come in? Print yours at alpha_bar = 0.9.",
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
            "root on the picture only",
            "The picture's factor is right. The noise's is still a variance.",
            "Square your two factors and add them up, at alpha_bar = 0.5: do they make 1?",
            lambda x0, eps, alpha_bar: alpha_bar**0.5 * x0 + (1 - alpha_bar) * eps,
        ),
        Mistake(
            "root on the noise only",
            "The noise's factor is right. The picture's is still a variance.",
            "Square your two factors and add them up, at alpha_bar = 0.5: do they make 1?",
            lambda x0, eps, alpha_bar: alpha_bar * x0 + (1 - alpha_bar) ** 0.5 * eps,
        ),
        Mistake(
            "noise taken away",
            "You subtract the noise. That makes a noisy picture too, but not the one asked for.",
            "Forward means: noise comes in. Which sign does that have?",
            lambda x0, eps, alpha_bar: alpha_bar**0.5 * x0 - (1 - alpha_bar) ** 0.5 * eps,
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
        "Each step keeps a share of what was there, and the next step a share of that. Write the "
        "first three numbers of betas = [0.1, 0.2, 0.5] on paper, and look for the pattern."
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
            "Your first step is the training's last: the biggest bite comes first.",
            "Look at the order of betas: betas[0] is the smallest, for the least noisy step. Do "
            "you flip it somewhere?",
            lambda betas: torch.cumprod(1 - betas.flip(0), 0),
        ),
        Mistake(
            "root too early",
            "You give the picture's factor. Asked is its share of the variance.",
            "The square root comes later, in the formula of exercise 2.1. What is under it?",
            lambda betas: torch.cumprod(1 - betas, 0).sqrt(),
        ),
        Mistake(
            "one number, a thousand times",
            "All your numbers are the last one. In place (p *= ...) you change the very tensor "
            "that you have already put into the list.",
            "Make a new one at each step, p = p * ..., and look at your first three numbers again.",
            lambda betas: torch.cumprod(1 - betas, 0)[-1].expand(len(betas)),
        ),
        Mistake(
            "off by one",
            "Your first number is 1, as if the first step took nothing away.",
            "After step t, that step's own share has to be in the product as well.",
            _shifted,
        ),
    ),
)


def _first_below(values: Tensor, level: float) -> int:
    return int((values < level).nonzero()[0])


def _sd() -> schedules.NoiseSchedule:
    return schedules.NoiseSchedule.scaled_linear()


TEN_TO_ONE = Exercise(
    id="2.3",
    task=(
        "Find the first timestep t at which Stable Diffusion's schedule (scaled-linear) holds more "
        "than ten times as much noise as picture: SNR below 0.1."
    ),
    kind="number",
    expected=lambda: _first_below(_sd().snr, 0.1),
    tolerance=1e-9,
    praise=(
        "From there on lies nearly a third of all timesteps. Single pixels say little in them. "
        "Large shapes can still be made out, and a picture's layout is decided there."
    ),
    nudge=(
        "SNR is the picture's variance over the noise's. Search the schedule for the first "
        "timestep at which it falls below 0.1."
    ),
    stronger_nudge=(
        "The schedule knows its own snr for every timestep. Plot it, find roughly where it passes "
        "0.1, then look there closely. Timesteps count from 0."
    ),
    mistakes=(
        Mistake(
            "alpha_bar instead of SNR",
            "You looked for alpha_bar below 0.1. SNR divides it by what is left for the noise.",
            "At alpha_bar = 0.1 the noise has 0.9 of the variance. Is the ratio below 0.1 there?",
            lambda: _first_below(_sd().alpha_bars, 0.1),
        ),
        Mistake(
            "another schedule",
            "That is where DDPM's linear schedule gets there. Stable Diffusion uses another one.",
            "Which of the three schedules of this lesson is Stable Diffusion's? Its name is in "
            "the exercise.",
            lambda: _first_below(schedules.NoiseSchedule.linear().snr, 0.1),
        ),
        Mistake(
            "schedule reversed",
            "You count from the noisy end. t = 0 is the cleanest.",
            "Did a flip or a 999 minus something creep in?",
            lambda: 999 - _first_below(_sd().snr, 0.1),
        ),
        Mistake(
            "factors instead of variances",
            "You compared the two factors. SNR compares variances: squares of factors.",
            "A tenth of the variance is about a third of the factor. Which of the two is asked?",
            lambda: _first_below(_sd().snr.sqrt(), 0.1),
        ),
        Mistake(
            "last step before",
            "At that timestep SNR is still above 0.1. The next one is asked for.",
            "Print snr at your timestep and at the one after it.",
            lambda: _first_below(_sd().snr, 0.1) - 1,
        ),
    ),
)

GREY, LATE = 0.5, 900

LEFTOVER = Exercise(
    id="2.4",
    task=(
        f"Every value of a grey card is {GREY}. It is noised to timestep {LATE} of Stable "
        "Diffusion's schedule. What is the mean of the noisy card, on average over the noise? "
        "Three decimals will do."
    ),
    kind="number",
    expected=lambda: GREY * float(_sd().alpha_bars[LATE].sqrt()),
    tolerance=0.012,
    praise=(
        "Small, but the mean of a whole picture is known so precisely that a network can read the "
        "brightness off what looks like pure noise. That is the leak."
    ),
    nudge=f"The noise is 0 on average. What factor stands before the picture at t = {LATE}?",
    stronger_nudge=(
        "Only one of the formula's two terms has a mean. Your function of exercise 2.1 can tell "
        "it, if you feed it well."
    ),
    mistakes=(
        Mistake(
            "square root forgotten",
            "You multiplied by the share of the *variance*. The question is about the mean.",
            "Which factor stands before x0 in the formula of exercise 2.1?",
            lambda: GREY * float(_sd().alpha_bars[LATE]),
        ),
        Mistake(
            "nothing is left",
            "So one would hope; this schedule doesn't get there.",
            f"Print alpha_bars[{LATE}]: is it 0?",
            lambda: 0.0,
        ),
        Mistake(
            "nothing has faded",
            "That is the card as it was. Noise doesn't only come on top: the picture shrinks.",
            "Which factor stands before x0 in the formula?",
            lambda: GREY,
        ),
        Mistake(
            "a white card",
            "That is the mean of a white card, whose values are 1.",
            f"Look at the card again: every value is {GREY}.",
            lambda: float(_sd().alpha_bars[LATE].sqrt()),
        ),
        Mistake(
            "another schedule",
            "That is DDPM's linear schedule. Stable Diffusion's leaves more.",
            "Use NoiseSchedule.scaled_linear().",
            lambda: GREY * float(schedules.NoiseSchedule.linear().alpha_bars[LATE].sqrt()),
        ),
        Mistake(
            "the noise's factor",
            "That factor stands before the noise, which is 0 on average.",
            "Which of the formula's two terms has a mean that isn't 0?",
            lambda: GREY * float((1 - _sd().alpha_bars[LATE]).sqrt()),
        ),
    ),
)

EXERCISES = (ADD_NOISE, ALPHA_BARS, TEN_TO_ONE, LEFTOVER)
