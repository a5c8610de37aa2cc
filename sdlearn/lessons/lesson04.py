"""The exercises of lesson 04, DDIM and the samplers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sdlearn.equations import predictions, samplers
from sdlearn.lessons.exercises import Exercise, Mistake


def _step_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(4)
    xt, x0_hat = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    levels = torch.tensor([[0.1, 0.3], [0.35, 0.8], [0.6, 0.97]], dtype=torch.float64)
    return [(xt, x0_hat, now, nxt) for now, nxt in levels]  # 0-d: math.sqrt and .sqrt() both work


def _eps(xt: Tensor, x0_hat: Tensor, alpha_bar: Tensor) -> Tensor:
    return (xt - alpha_bar**0.5 * x0_hat) / (1 - alpha_bar) ** 0.5


def _ddim(xt: Tensor, x0_hat: Tensor, alpha_bar: Tensor, alpha_bar_next: Tensor) -> Tensor:
    eps = predictions.eps_from_x0(xt, x0_hat, alpha_bar)
    return samplers.ddim_step(xt, eps, alpha_bar, alpha_bar_next, x0_hat=x0_hat)


def _mix(picture: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Lesson 02's formula, with whatever was taken for picture and noise."""
    return level**0.5 * picture + (1 - level) ** 0.5 * noise


def _without_roots(xt: Tensor, x0_hat: Tensor, now: Tensor, nxt: Tensor) -> Tensor:
    eps = (xt - now * x0_hat) / (1 - now)
    return nxt * x0_hat + (1 - nxt) * eps


STEP = Exercise(
    id="4.1",
    task=(
        "Write step(xt, x0_hat, alpha_bar, alpha_bar_next): the DDIM step with eta = 0, for a "
        "network that names the picture x0_hat instead of the noise."
    ),
    kind="function",
    expected=_ddim,
    probes=_step_probes,
    praise=(
        "Two lines: find the noise, mix anew. Whatever a network names, picture, noise or "
        "velocity, this is how a sampler uses it."
    ),
    nudge=(
        "It agrees neither with DDIM nor with a mistake that is known here. Mix a picture and a "
        "noise of your own; if x0_hat is that picture, your step must give the same picture and "
        "the same noise, mixed for alpha_bar_next."
    ),
    stronger_nudge=(
        "Two moves. First: which noise, mixed with x0_hat at alpha_bar, gives xt? Solve lesson "
        "02's formula for it. Then mix x0_hat with that noise for the new level."
    ),
    mistakes=(
        Mistake(
            "square root forgotten",
            "alpha_bar and 1 - alpha_bar are variances; mixing multiplies by their roots.",
            "Look at the two factors of exercise 2.1. They occur here twice, once for each level.",
            _without_roots,
        ),
        Mistake(
            "levels swapped",
            "You read xt as if it stood at alpha_bar_next, and mix for alpha_bar.",
            "At which of the two levels is xt? And at which one do you want to arrive?",
            lambda xt, x0_hat, now, nxt: _mix(x0_hat, _eps(xt, x0_hat, nxt), now),
        ),
        Mistake(
            "x0 not used",
            "You took xt for the clean picture. It is the noisy one; the network named x0_hat.",
            "Which of the two tensors is the picture that you mix with noise?",
            lambda xt, x0_hat, now, nxt: _mix(xt, _eps(xt, x0_hat, now), nxt),
        ),
        Mistake(
            "xt taken for the noise",
            "You mixed with xt itself. But xt is picture and noise; only its noise is wanted.",
            "Solve lesson 02's formula for eps: what must be taken off xt, and by what divided?",
            lambda xt, x0_hat, now, nxt: _mix(x0_hat, xt, nxt),
        ),
        Mistake(
            "noise dropped",
            "You brought the picture to its new strength, and left the noise out.",
            "At alpha_bar_next below 1 there is some noise still. Which one, in DDIM?",
            lambda xt, x0_hat, now, nxt: nxt**0.5 * x0_hat,
        ),
        Mistake(
            "noise of the old level",
            "The picture has its new strength; the noise is as strong as it was before the step.",
            "How strong should the noise be at the level of arrival?",
            lambda xt, x0_hat, now, nxt: (
                nxt**0.5 * x0_hat + (1 - now) ** 0.5 * _eps(xt, x0_hat, now)
            ),
        ),
        Mistake(
            "noise not brought to full size",
            "You took the picture off xt, and used what is left as it is. It is the noise, but "
            "shrunk by the mixing.",
            "eps has variance 1. By what was it multiplied in xt?",
            lambda xt, x0_hat, now, nxt: _mix(x0_hat, xt - now**0.5 * x0_hat, nxt),
        ),
        Mistake(
            "picture taken for the noise",
            "You treated x0_hat as if it were eps, as the lesson's step does with its answer. "
            "This network names the picture.",
            "You have the picture already. What is to be worked out is the noise.",
            lambda xt, x0_hat, now, nxt: _mix(
                (xt - (1 - now) ** 0.5 * x0_hat) / now**0.5, x0_hat, nxt
            ),
        ),
        Mistake(
            "factors swapped",
            "You mixed with the two factors exchanged.",
            "At alpha_bar_next near 1, which of the two should be seen?",
            lambda xt, x0_hat, now, nxt: _mix(_eps(xt, x0_hat, now), x0_hat, nxt),
        ),
        Mistake(
            "picture not faded",
            "You took the picture off xt at full strength; in xt it is faded.",
            "By what was it multiplied when it was mixed at alpha_bar?",
            lambda xt, x0_hat, now, nxt: _mix(x0_hat, (xt - x0_hat) / (1 - now) ** 0.5, nxt),
        ),
    ),
)


def _logs(calls: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Logarithms of how many times more calls there were, and how many times less error."""
    return math.log(calls[1] / calls[0]), math.log(errors[0] / errors[1])


def _order(calls: Sequence[float], errors: Sequence[float]) -> float:
    more, less = _logs(calls, errors)
    return less / more


def _error_probes() -> list[tuple]:
    return [([10, 30], [0.09, 0.011]), ([20, 50], [0.04, 0.015]), ([8, 40], [0.3, 0.002])]


ORDER = Exercise(
    id="4.2",
    task=(
        "Write order(calls, errors). It gets two numbers of network calls, such as [10, 30], and "
        "the two errors measured with them; it returns the order of the sampler."
    ),
    kind="function",
    expected=_order,
    probes=_error_probes,
    praise=(
        "With this line you can measure any sampler that somebody praises: two runs, and a truth "
        "to compare with."
    ),
    nudge=(
        "If the error goes as 1 / calls**order: by what is the second error smaller than the "
        "first? Solve that for the order."
    ),
    stronger_nudge=(
        "Twice as many calls, a quarter of the error: order 2. Three times as many calls, a "
        "27th: order 3. Your function should say so: math.log helps."
    ),
    mistakes=(
        Mistake(
            "the slope's sign",
            "That is the slope of the line: it falls, so it is negative. The order counts how "
            "steeply it falls.",
            "Half the error for twice the calls is order 1, not the opposite.",
            lambda calls, errors: -_order(calls, errors),
        ),
        Mistake(
            "no logarithms",
            "You divided the two ratios themselves. But the order is an exponent.",
            "Three times the calls, a ninth of the error: order 2. What does yours say?",
            lambda calls, errors: (errors[0] / errors[1]) / (calls[1] / calls[0]),
        ),
        Mistake(
            "calls taken for doubled",
            "You take the calls for doubled, whatever they are.",
            "calls may have any ratio. Where does it enter your formula?",
            lambda calls, errors: _logs(calls, errors)[1] / math.log(2),
        ),
        Mistake(
            "calls left out",
            "You took the logarithm of the errors' ratio. How many more calls that took is left "
            "out.",
            "The same gain with few more calls is worth more. What should you divide by?",
            lambda calls, errors: _logs(calls, errors)[1],
        ),
        Mistake(
            "upside down",
            "You have the order's inverse: how the calls grow as the error shrinks.",
            "A sampler that gains more by the same calls should get the larger number.",
            lambda calls, errors: 1 / _order(calls, errors),
        ),
        Mistake(
            "rounded",
            "You rounded to a whole number. A measured order is seldom one, and how far it is from "
            "one tells something.",
            "Hand it back as it comes out.",
            lambda calls, errors: float(round(_order(calls, errors))),
        ),
        Mistake(
            "slope without logarithms",
            "That is the slope of the curve on plain axes. The order is its slope on "
            "logarithmic ones.",
            "Which two differences do you divide, and of what should they be taken?",
            lambda calls, errors: (errors[0] - errors[1]) / (calls[1] - calls[0]),
        ),
    ),
)

HEUN_STEPS = 30

CALLS = Exercise(
    id="4.3",
    task=(
        f"Heun takes {HEUN_STEPS} steps from noise to a clean picture (sigma = 0). How often does "
        "it ask the network, without guidance?"
    ),
    kind="number",
    expected=lambda: 2 * HEUN_STEPS - 1,
    praise=(
        "When samplers are compared, compare them at equal calls: they are what takes the time. "
        "A Heun of 30 steps is as slow as a DDIM of nearly twice as many."
    ),
    nudge="Write down what one step of Heun does, and count. Then look at the very last step.",
    stronger_nudge=(
        "One step asks where it stands and where it would arrive. Is there something to ask where "
        "the last step arrives? The table of calls above the spacing says it too."
    ),
    mistakes=(
        Mistake(
            "once a step",
            "That is DDIM. Heun asks a second time, to see how the slope changes.",
            "Look at the formula of Heun's step: how many different eps are in it?",
            lambda: HEUN_STEPS,
        ),
        Mistake(
            "last step like the others",
            "Nearly. The last step arrives at sigma = 0: what could be asked there?",
            "A clean picture holds no noise to be named. So how many times does that step ask?",
            lambda: 2 * HEUN_STEPS,
        ),
        Mistake(
            "only the first step asks twice",
            "That is a sampler that looks ahead once and remembers from then on. Heun doesn't "
            "remember.",
            "Each step of Heun starts afresh. How often does it ask?",
            lambda: HEUN_STEPS + 1,
        ),
        Mistake(
            "guidance counted",
            "Guidance doubles every question; here there is none.",
            "Take the count for one single question each time.",
            lambda: 2 * (2 * HEUN_STEPS - 1),
        ),
        Mistake(
            "first and last step asked once",
            "One of the two ends does ask twice. Which one has something to ask about?",
            "At the start there is plenty of noise. At the arrival of the last step?",
            lambda: 2 * HEUN_STEPS - 2,
        ),
    ),
)

ETA, NOW, NEXT = 0.5, 0.2, 0.6


def _noise_std(eta: float = ETA, now: float = NOW, nxt: float = NEXT) -> float:
    return eta * math.sqrt((1 - nxt) / (1 - now) * (1 - now / nxt))


FRESH = Exercise(
    id="4.4",
    task=(
        f"A step leads from alpha_bar = {NOW} to alpha_bar_next = {NEXT}, with eta = {ETA}. Which "
        "share of the noise's variance at the arrival is fresh? (Between 0 and 1.)"
    ),
    kind="number",
    expected=lambda: _noise_std() ** 2 / (1 - NEXT),
    tolerance=0.005,
    praise=(
        "Even half-way between DDIM and DDPM most of the noise is the old one. The dial turns "
        "the spread evenly, not the variance."
    ),
    nudge=(
        "Three steps: noise_std from its formula; the variance that belongs to it; and the share "
        "that this is of all noise at alpha_bar_next."
    ),
    stronger_nudge=(
        "At alpha_bar_next the noise has the variance 1 - alpha_bar_next. The fresh part has the "
        "variance noise_std squared. Which is part of which?"
    ),
    mistakes=(
        Mistake(
            "spread instead of variance",
            "That is the share of the spread. Variances add up, spreads don't.",
            "What must be done to noise_std to make a variance of it? And to the whole?",
            lambda: _noise_std() / math.sqrt(1 - NEXT),
        ),
        Mistake(
            "not compared with the whole",
            "That is the variance of the fresh noise. Asked is its share of all noise there.",
            "How much variance does all the noise at alpha_bar_next have?",
            lambda: _noise_std() ** 2,
        ),
        Mistake(
            "noise_std itself",
            "That is noise_std. Asked is a share of the variance.",
            "First its square, then: a part of how much?",
            lambda: _noise_std(),
        ),
        Mistake(
            "eta not squared",
            "eta stands outside of the root: in a variance it counts more than once.",
            "Work out noise_std first, with eta, and only then the variance.",
            lambda: _noise_std(1.0) ** 2 * ETA / (1 - NEXT),
        ),
        Mistake(
            "eta forgotten",
            "That is the share with eta = 1, as in DDPM.",
            "What does the dial at one half do to noise_std?",
            lambda: _noise_std(1.0) ** 2 / (1 - NEXT),
        ),
        Mistake(
            "eta taken for the share",
            "eta is the dial of the spread, from no fresh noise to as much as DDPM adds. Even "
            "DDPM keeps some of the old noise.",
            "Put the two levels into the formula for noise_std: they matter too.",
            lambda: ETA,
        ),
        Mistake(
            "compared with the start",
            "You took the share of the noise at the beginning of the step. (Or the '1 -' under the "
            "second root is lost: with these levels that comes to the same.)",
            "How much noise is there where the step arrives?",
            lambda: _noise_std() ** 2 / (1 - NOW),
        ),
        Mistake(
            "the old noise's share",
            "That is the share of the old noise. Asked is the fresh one's.",
            "The two add up to 1.",
            lambda: 1 - _noise_std() ** 2 / (1 - NEXT),
        ),
        Mistake(
            "in per cent",
            "That is in per cent. Asked is a number between 0 and 1.",
            "What is one hundred per cent, as a share?",
            lambda: 100 * _noise_std() ** 2 / (1 - NEXT),
        ),
    ),
)

EXERCISES = (STEP, ORDER, CALLS, FRESH)
