"""The exercises of lesson 03, training a noise predictor."""

from __future__ import annotations

import torch
from torch import Tensor

from sdlearn.equations import predictions
from sdlearn.lessons.exercises import Exercise, Mistake


def _noisy_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(3)
    xt, eps = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    levels = torch.tensor([0.9, 0.5, 0.13], dtype=torch.float64)
    return [(xt, eps, alpha_bar) for alpha_bar in levels]  # 0-d: math.sqrt and .sqrt() both work


PICTURE = Exercise(
    id="3.1",
    task=(
        "Write picture(xt, eps, alpha_bar): the clean picture that is left when eps is all of the "
        "noise in xt."
    ),
    kind="function",
    expected=predictions.x0_from_eps,
    probes=_noisy_probes,
    praise=(
        "This line stands in every sampler: it turns each answer of the network into a picture, "
        "and the small step goes a little way towards it."
    ),
    nudge=(
        "It agrees neither with the formula nor with a mistake that is known here. Mix a picture "
        "of your own with noise as in lesson 02, and see whether your function gives it back."
    ),
    stronger_nudge=(
        "Write down the formula of lesson 02: xt on one side, two terms on the other. First move "
        "the noise's term over, then get rid of what stands before x0."
    ),
    mistakes=(
        Mistake(
            "square root forgotten",
            "alpha_bar and 1 - alpha_bar are variances; the formula multiplies by their roots.",
            "Look at the two factors of exercise 2.1. Yours should be the same two.",
            lambda xt, eps, alpha_bar: (xt - (1 - alpha_bar) * eps) / alpha_bar,
        ),
        Mistake(
            "picture left faded",
            "The noise is gone, but the picture is still as faint as the mixing made it.",
            "The mixing multiplied the picture by a factor below 1. What undoes that?",
            lambda xt, eps, alpha_bar: xt - (1 - alpha_bar) ** 0.5 * eps,
        ),
        Mistake(
            "faded twice",
            "The mixing made the picture fainter, and you make it fainter still.",
            "To undo a multiplication by a factor, what do you do with that factor?",
            lambda xt, eps, alpha_bar: (xt - (1 - alpha_bar) ** 0.5 * eps) * alpha_bar**0.5,
        ),
        Mistake(
            "noise added",
            "The noise is in xt already, and you put it in a second time.",
            "Which sign does the noise's term get when it changes sides?",
            lambda xt, eps, alpha_bar: (xt + (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5,
        ),
        Mistake(
            "factors swapped",
            "You use the noise's factor for the picture, and the picture's for the noise.",
            "At alpha_bar = 0.9 there is little noise to take away. How much do you take?",
            lambda xt, eps, alpha_bar: (xt - alpha_bar**0.5 * eps) / (1 - alpha_bar) ** 0.5,
        ),
        Mistake(
            "noise not scaled",
            "You take away the noise at full strength, but only a part of it was mixed in.",
            "eps has variance 1. How much of that variance is in xt?",
            lambda xt, eps, alpha_bar: (xt - eps) / alpha_bar**0.5,
        ),
        Mistake(
            "divided by the variance",
            "The noise goes as it should. What you divide by is a share of the variance.",
            "By which number was the picture multiplied when it was mixed?",
            lambda xt, eps, alpha_bar: (xt - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar,
        ),
        Mistake(
            "only the noise divided",
            "You divided the noise's term alone, and left xt as faint as it is. (Is a bracket "
            "missing?)",
            "Which part of what is left stands under the division?",
            lambda xt, eps, alpha_bar: xt - (1 - alpha_bar) ** 0.5 * eps / alpha_bar**0.5,
        ),
    ),
)

LAZY = Exercise(
    id="3.2",
    task=(
        "A lazy network hands back xt as its answer. Pictures have mean 0 and variance 1, and "
        "alpha_bar is 0.36. What is its simple loss?"
    ),
    kind="number",
    expected=lambda: 0.36 + (1 - 0.64**0.5) ** 2,
    tolerance=0.03,  # 20,000 throws of the dice are as good as a formula
    praise=(
        "So little, for knowing nothing! With more noise the lazy answer gets better still. That "
        "is why the network of this lesson starts from xt and learns only what to correct."
    ),
    nudge=(
        "The loss is the mean of (eps - answer) squared, and the answer is xt. Write xt as picture "
        "and noise: how much of each is left in the difference?"
    ),
    stronger_nudge=(
        "Throw the dice: 100,000 pictures of one pixel, as many noises, mixed at alpha_bar = 0.36. "
        "Then take the mean of the squared differences."
    ),
    mistakes=(
        Mistake(
            "only the picture counted",
            "That is what the picture in xt costs. The noise in xt isn't all of eps either.",
            "Which factor stands before eps in xt? What is missing from 1?",
            lambda: 0.36,
        ),
        Mistake(
            "only the noise counted",
            "That is what the shrunken noise costs. But xt holds a picture as well.",
            "What does the picture in xt add to the difference, on average, when squared?",
            lambda: (1 - 0.64**0.5) ** 2,
        ),
        Mistake(
            "noise taken for a stranger",
            "You added up the variances of eps and xt, as if they had nothing to do with each "
            "other. But eps is in xt.",
            "Put the formula for xt into eps - xt and collect what belongs to eps, before you "
            "take any variance.",
            lambda: 2.0,
        ),
        Mistake(
            "variance of xt",
            "That is the loss of a network that always answers 0. This one answers xt.",
            "Subtract first: eps - xt. Then square and average.",
            lambda: 1.0,
        ),
        Mistake(
            "not squared",
            "Were the two factors added as they are, without squares? Or have picture and noise "
            "changed places, in the mixing or in what xt is compared with? All of these come to "
            "this number.",
            "Write eps - xt as so many times eps, less so many times x0. Then square both.",
            lambda: 0.36**0.5 + (1 - 0.64**0.5),
        ),
        Mistake(
            "square root forgotten",
            "You mixed with alpha_bar and 1 - alpha_bar themselves. They are variances.",
            "Look at the two factors of exercise 2.1, and put in 0.36.",
            lambda: 0.36**2 + (1 - 0.64) ** 2,
        ),
        Mistake(
            "a variance for a factor",
            "The picture's part is right. Of the noise you counted how much variance is missing.",
            "Which factor stands before eps in xt? Take it from 1, and only then square.",
            lambda: 0.36 + (1 - 0.64),
        ),
    ),
)


def _average(weights: Tensor, keep: float) -> Tensor:
    average = [weights[0]]
    for weight in weights[1:]:
        average.append(keep * average[-1] + (1 - keep) * weight)
    return torch.stack(average)


def _from_zero(weights: Tensor, keep: float) -> Tensor:
    return _average(torch.cat([weights.new_zeros(1), weights]), keep)[1:]


def _late(weights: Tensor, keep: float) -> Tensor:
    return _average(torch.cat([weights[:1], weights[:-1]]), keep)


def _no_memory(weights: Tensor, keep: float) -> Tensor:
    before = torch.cat([weights[:1], weights[:-1]])
    return keep * before + (1 - keep) * weights


def _plain_mean(weights: Tensor, keep: float) -> Tensor:
    return weights.cumsum(0) / torch.arange(1, len(weights) + 1)


def _weight_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(33)
    wobble = torch.randn(2, 12, generator=generator, dtype=torch.float64)
    return [(wobble[0] + 2, 0.9), (wobble[1] - 1, 0.6)]


AVERAGED = Exercise(
    id="3.3",
    task=(
        "Write averaged(weights, keep): the exponential moving average of one weight after each "
        "step, beginning at its first value."
    ),
    kind="function",
    expected=_average,
    probes=_weight_probes,
    praise=(
        "One line of arithmetic for each step, and nothing to store but the average itself: that "
        "is why it can be had for a billion weights."
    ),
    nudge=(
        "Work it out by hand for weights = [0, 1, 1] and keep = 0.9: the average begins at 0, "
        "then takes in a tenth of the 1. And then?"
    ),
    stronger_nudge=(
        "Keep one number, the average so far. For each new weight, mix the two: the average keeps "
        "its share, the rest comes from the new weight. Collect it after each step."
    ),
    mistakes=(
        Mistake(
            "shares swapped",
            "Your average runs after every new weight and forgets the old ones.",
            "With keep = 0.9, how much of the average should still be there after a step?",
            lambda weights, keep: _average(weights, 1 - keep),
        ),
        Mistake(
            "began at zero",
            "Your average begins at 0, and takes a long time to forget it.",
            "What should the first number that you return be?",
            _from_zero,
        ),
        Mistake(
            "one step late",
            "Each of your averages lacks the newest weight.",
            "Do you collect the average before or after the new weight has come in?",
            _late,
        ),
        Mistake(
            "no memory",
            "You mix each weight with the one before it. The average of all earlier ones is lost.",
            "What should be mixed with the new weight: the old weight, or the average so far?",
            _no_memory,
        ),
        Mistake(
            "plain mean",
            "You give all weights the same share, from the first wild ones on, and keep is not "
            "used.",
            "The old should fade. What does keep do to the average at each step?",
            _plain_mean,
        ),
        Mistake(
            "only the last",
            "That is the average after the last step. Asked is the one after each.",
            "Where can you keep those on the way?",
            lambda weights, keep: _average(weights, keep)[-1],
        ),
        Mistake(
            "first left out",
            "The first step has its average, too: the first value. Yours begin with the second.",
            "As many numbers should come back as went in.",
            lambda weights, keep: _average(weights, keep)[1:],
        ),
        Mistake(
            "one tensor, many times",
            "All your numbers are the same: one tensor was changed in place and collected again "
            "and again.",
            "Does your list hold numbers, or many times the very same tensor? Collect a copy.",
            lambda weights, keep: _average(weights, keep)[-1].expand_as(weights),
        ),
    ),
)

LOSS, LEVEL = 0.03, 0.15

SLIP = Exercise(
    id="3.4",
    task=(
        f"A network names the noise with a mean squared error of {LOSS} at alpha_bar = {LEVEL}. "
        "What is the mean squared error of its x0_hat?"
    ),
    kind="number",
    expected=lambda: LOSS * (1 - LEVEL) / LEVEL,
    tolerance=0.01,
    praise=(
        "The noisier the sample, the more a slip in the noise costs in the picture. That is the "
        "factor by which a loss on x0 cares more for that time."
    ),
    nudge=(
        "Both errors come from the same answer. Look at the table above: by what is the one "
        "larger than the other?"
    ),
    stronger_nudge=(
        "Put a noise that is wrong by d into your function of exercise 3.1. By how much is the "
        "picture wrong? Then square."
    ),
    mistakes=(
        Mistake(
            "upside down",
            "You divided by the factor: your picture gets better the more noise there is.",
            "Is a picture easier or harder to name than the noise, when nearly all is noise?",
            lambda: LOSS * LEVEL / (1 - LEVEL),
        ),
        Mistake(
            "not squared",
            "By that factor the slip itself grows. The error is its square.",
            "A slip twice as large: how many times as large is its square?",
            lambda: LOSS * ((1 - LEVEL) / LEVEL) ** 0.5,
        ),
        Mistake(
            "that is v",
            "By that factor the error of v is larger. Asked is x0_hat.",
            "The table above has a column for each. Which one is sigma's?",
            lambda: LOSS / LEVEL,
        ),
        Mistake(
            "division forgotten",
            "You count how much noise is taken away, but then the picture must be brought back to "
            "full strength.",
            "What is the last thing that your function of exercise 3.1 does?",
            lambda: LOSS * (1 - LEVEL),
        ),
        Mistake(
            "taken over as it is",
            "That is the error of the noise. The picture's is another one.",
            "Put two noises that differ a little into your function of exercise 3.1.",
            lambda: LOSS,
        ),
        Mistake(
            "squared twice",
            "A mean squared error is a square already; you squared the factor once too often.",
            "The slip grows by sigma. By what does its square grow?",
            lambda: LOSS * ((1 - LEVEL) / LEVEL) ** 2,
        ),
        Mistake(
            "the factor alone",
            "That is how many times larger the error gets. How large was it?",
            "Which number does the factor multiply?",
            lambda: (1 - LEVEL) / LEVEL,
        ),
    ),
)

EXERCISES = (PICTURE, LAZY, AVERAGED, SLIP)
