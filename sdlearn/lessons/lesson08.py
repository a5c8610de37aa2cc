"""The exercises of lesson 08, guidance."""

from __future__ import annotations

import torch
from torch import Tensor

from sdlearn.equations import guidance
from sdlearn.lessons.exercises import Exercise, Mistake


def _two_answers() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(8)
    uncond, nudge = torch.randn(2, 2, 3, 4, 4, generator=generator, dtype=torch.float64)
    return uncond, uncond + 0.5 * nudge  # [2, 3, 4, 4] each: the two answers are much alike


def _scale_probes() -> list[tuple]:
    return [(*_two_answers(), scale) for scale in (7.5, 1.8)]


GUIDED = Exercise(
    id="8.1",
    task=(
        "Write guided(eps_uncond, eps_cond, s): begin at the answer without the prompt, and go s "
        "times the way to the answer with it."
    ),
    kind="function",
    expected=guidance.classifier_free_guidance,
    probes=_scale_probes,
    praise=(
        "One line, no new network, no training: hardly any other line has done so much for the "
        "pictures."
    ),
    nudge=(
        "Try your function at s = 0 and at s = 1: the first must give back the answer without "
        "the prompt, the second the one with it."
    ),
    stronger_nudge=(
        "Think of two points on a sheet of paper, and an arrow from the first to the second. "
        "Where are you after s lengths of that arrow, from where it begins?"
    ),
    mistakes=(
        Mistake(
            "away from the prompt",
            "Your arrow points from the prompt to the empty prompt: you go away from what is "
            "asked for.",
            "At s = 1 you should stand on eps_cond. On which side of eps_uncond do you stand?",
            lambda uncond, cond, s: uncond + s * (uncond - cond),
        ),
        Mistake(
            "roles swapped",
            "You begin at the answer with the prompt and go to the one without it.",
            "What should come out at s = 0, where the prompt is ignored? And what does?",
            lambda uncond, cond, s: cond + s * (uncond - cond),
        ),
        Mistake(
            "begun at the prompt",
            "Your arrow is right, but you begin where it ends. That is the paper's convention: "
            "your s counts one too few.",
            "At s = 0 you should stand on eps_uncond. Where do you begin?",
            lambda uncond, cond, s: cond + s * (cond - uncond),
        ),
        Mistake(
            "only the arrow",
            "You have the arrow, s times as long, but it begins nowhere.",
            "At s = 0 your function gives nothing at all. Which answer should it give?",
            lambda uncond, cond, s: s * (cond - uncond),
        ),
        Mistake(
            "answer made larger",
            "You multiply the whole answer with the prompt; the noise in it grows as well.",
            "Only what the prompt *changes* should be multiplied. How do you get at that?",
            lambda uncond, cond, s: s * cond,
        ),
        Mistake(
            "added, not compared",
            "You add the answer with the prompt to the one without it. Both hold nearly all of "
            "the noise, so you have it many times over.",
            "The arrow is what the one answer has and the other hasn't.",
            lambda uncond, cond, s: uncond + s * cond,
        ),
        Mistake(
            "mean of both",
            "You take the middle between the two answers. Guidance goes beyond the second one.",
            "With s = 7.5, how far from the first answer should you be, counted in arrows?",
            lambda uncond, cond, s: (uncond + cond) / 2,
        ),
    ),
)

WITHOUT, WITH, CAME = 0.2, 0.6, 2.4

WHICH_SCALE = Exercise(
    id="8.2",
    task=(
        f"At one place of the latent the network answers {WITHOUT} without and {WITH} with the "
        f"prompt, and the guided answer was {CAME}. Which guidance_scale was set?"
    ),
    kind="number",
    expected=lambda: (CAME - WITHOUT) / (WITH - WITHOUT),
    tolerance=0.002,
    praise=(
        "So three numbers give a setting away. A paper that begins at the prompted answer would "
        "call the very same run one less."
    ),
    nudge="Draw the three numbers on a line. How many arrows lie between the first and the last?",
    stronger_nudge=(
        "Solve the formula for the scale: take the answer without the prompt from both sides, "
        "then divide by the arrow."
    ),
    mistakes=(
        Mistake(
            "that is the paper's w",
            "You counted from the answer with the prompt, as the paper does. The tools count "
            "from the one without it.",
            "What does guidance_scale = 1 mean in the tools, and what does w = 1 in the paper?",
            lambda: (CAME - WITH) / (WITH - WITHOUT),
        ),
        Mistake(
            "counted up instead of down",
            "You turned one convention into the other, but these numbers were in the right one "
            "already, or you went the wrong way.",
            "Put your scale into the formula of exercise 8.1. Does the guided answer come out?",
            lambda: (CAME - WITHOUT) / (WITH - WITHOUT) + 1,
        ),
        Mistake(
            "compared with the whole answer",
            "You asked how many times the prompted answer the guided one is. Only the arrow is "
            "multiplied.",
            "How long is the arrow from the one answer to the other?",
            lambda: CAME / WITH,
        ),
        Mistake(
            "arrow not counted",
            "That is the way from the first answer to the guided one. In which steps is it "
            "measured?",
            "One step is the arrow. How often does it fit in?",
            lambda: CAME - WITHOUT,
        ),
        Mistake(
            "upside down",
            "You divided the arrow by the whole way.",
            "The scale is more than 1: the guided answer lies far beyond the prompted one.",
            lambda: (WITH - WITHOUT) / (CAME - WITHOUT),
        ),
        Mistake(
            "beginning forgotten",
            "The way begins at the answer without the prompt, not at 0.",
            "How far is it from there to the guided answer?",
            lambda: CAME / (WITH - WITHOUT),
        ),
    ),
)

PLACES = Exercise(
    id="8.3",
    task=(
        'A run has prompt="a red cat", negative_prompt="at night" and guidance 7.5. Each step '
        "computes A + 7.5 * (B - C). Which text was the network given for A, for B and for C? "
        "A list of three texts."
    ),
    kind="words",
    expected=lambda: ["at night", "a red cat", "at night"],
    praise=(
        "Two texts, two answers, one formula. There is no third answer, and nobody looks at the "
        "picture."
    ),
    nudge=(
        "Without a negative prompt the three would be the empty text, the prompt, the empty text. "
        "What does a negative prompt replace?"
    ),
    stronger_nudge=(
        "The network is asked twice in each step, so there are only two different texts. Which "
        "of them stands where it begins?"
    ),
    mistakes=(
        Mistake(
            "three answers",
            "That would need three answers of the network: for nothing, for the prompt, and for "
            "the negative prompt. Stable Diffusion asks for two.",
            "Whose place does the negative prompt take? Then it stands wherever that one stood.",
            lambda: ["", "a red cat", "at night"],
        ),
        Mistake(
            "negative prompt left out",
            "So it is without a negative prompt. Where does that come in?",
            "Look at the cell that sets walk.uncond. What did it hold before?",
            lambda: ["", "a red cat", ""],
        ),
        Mistake(
            "prompts swapped",
            "This run goes away from the cat, and towards the night.",
            "The arrow points at B. Where should it point?",
            lambda: ["a red cat", "at night", "a red cat"],
        ),
        Mistake(
            "begun at the prompt",
            "That is the paper's formula, which begins at the prompted answer. There the scale "
            "would be one less.",
            "At scale 1 the formula must give B. Does it, with your A and C?",
            lambda: ["a red cat", "a red cat", "at night"],
        ),
        Mistake(
            "half exchanged",
            "You put the negative prompt at one place and left the empty one at the other. It is "
            "one answer, computed once, that stands at both.",
            "At scale 1 the formula must give B. For that, what must A and C be to each other?",
            lambda: ["at night", "a red cat", ""],
        ),
        Mistake(
            "names for texts",
            "The roles are right, but you name the settings. Asked are the texts that the network"
            " was given.",
            "Put this run's own texts in the places of the names.",
            lambda: ["negative_prompt", "prompt", "negative_prompt"],
        ),
    ),
)


def _whole_batch(eps: Tensor, eps_cond: Tensor, rescale: float) -> Tensor:
    return rescale * eps * (eps_cond.std() / eps.std()) + (1 - rescale) * eps


def _contrast(x: Tensor) -> Tensor:
    return x.std((1, 2, 3), keepdim=True)


def _rescale_probes() -> list[tuple]:
    uncond, cond = _two_answers()
    wild = uncond + torch.tensor([4.0, 11.0]).view(2, 1, 1, 1) * (cond - uncond)
    return [(wild, cond, 0.7), (wild, cond, 0.4)]


RESCALED = Exercise(
    id="8.4",
    task=(
        "Write rescaled(x, x_cond, share): give each picture of the guided estimate x the "
        "contrast (std) of the prompted one x_cond, and mix the result, by its share, with x."
    ),
    kind="function",
    expected=guidance.rescale_guidance,
    probes=_rescale_probes,
    praise=(
        "So little keeps colours from burning: the pattern stays as guided, its contrast is the "
        "prompted one's again."
    ),
    nudge=(
        "Test it: at share = 1 each picture of the answer must have the same std as that picture "
        "of x_cond. At share = 0 nothing may change."
    ),
    stronger_nudge=(
        "Two lines: first x brought to the other's contrast, by one factor for each picture, "
        "x.std((1, 2, 3), keepdim=True); then the mixture of the two."
    ),
    mistakes=(
        Mistake(
            "one contrast for the whole batch",
            "You measured one std over all pictures together. A wild picture would make its calm "
            "neighbour paler.",
            "std takes the dimensions to go over, and keepdim=True. Which ones belong to a "
            "picture?",
            _whole_batch,
        ),
        Mistake(
            "upside down",
            "Your factor makes what is wild already wilder still.",
            "If x has twice the contrast of x_cond, which factor should it be multiplied by?",
            lambda x, x_cond, share: share * x * _contrast(x) / _contrast(x_cond) + (1 - share) * x,
        ),
        Mistake(
            "always in full",
            "You give all of the contrast back, whatever share says.",
            "At share = 0 the answer must be x, as it came. Is share used? Or has x been changed "
            "in place before you mix?",
            lambda x, x_cond, share: x * _contrast(x_cond) / _contrast(x),
        ),
        Mistake(
            "shares swapped",
            "At share = 0 you restore all, at share = 1 nothing.",
            "Which of the two parts should be multiplied by share?",
            lambda x, x_cond, share: (1 - share) * x * _contrast(x_cond) / _contrast(x) + share * x,
        ),
        Mistake(
            "estimates mixed",
            "You mix the two estimates themselves. That is only less guidance.",
            "x_cond lends its contrast, nothing else: one number a picture.",
            lambda x, x_cond, share: share * x_cond + (1 - share) * x,
        ),
        Mistake(
            "brought to 1",
            "You give every picture the contrast 1, whatever x_cond has.",
            "What should the std of the restored picture be? Yours has lost that number.",
            lambda x, x_cond, share: share * x / _contrast(x) + (1 - share) * x,
        ),
        Mistake(
            "contrast of each channel",
            "You measured one contrast for each channel. Asked is one for each picture.",
            "A picture has channels, rows and columns. Over how many of them do you go?",
            lambda x, x_cond, share: (
                share * x * x_cond.std((2, 3), keepdim=True) / x.std((2, 3), keepdim=True)
                + (1 - share) * x
            ),
        ),
        Mistake(
            "rest forgotten",
            "What isn't restored should be there as it was. It is missing.",
            "At share = 0 nothing may change. What does yours give there?",
            lambda x, x_cond, share: share * x * _contrast(x_cond) / _contrast(x),
        ),
    ),
)

EXERCISES = (GUIDED, WHICH_SCALE, PLACES, RESCALED)
