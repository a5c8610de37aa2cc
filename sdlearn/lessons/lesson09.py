"""The exercises of lesson 09, text-to-image, assembled."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from PIL import Image

from sdlearn.equations import guidance, samplers
from sdlearn.lessons import lesson09_assembly as usual
from sdlearn.lessons.exercises import Exercise, Mistake
from sdlearn.lessons.lesson09_assembly import Assembly, Station

# --- 9.1 ----------------------------------------------------------------------------------------


@cache
def _model() -> Any:
    """The lessons' model, once: what a learner's pipeline runs is the same weights."""
    from sdlearn import models  # only when it is needed: it loads the heavy libraries

    return models.load(dtype="float32")


@cache  # a probe is a few words and numbers, and a picture of it takes a while
def _library(prompt: str, negative_prompt: str, seed: int, steps: int) -> Image.Image:
    run = _model().generate(
        prompt,
        negative_prompt=negative_prompt,
        seed=seed,
        steps=steps,
        sampler="ddim",
        guidance_scale=7.5,
        record=(),
    )
    return run.image


def _broken(
    change: Callable[[Assembly], Assembly], **settings: Any
) -> Callable[[str, str, int, int], Image.Image]:
    """A pipeline with a bug in it, or one that is asked for something else."""

    @cache
    def drawn(prompt: str, negative_prompt: str, seed: int, steps: int) -> Image.Image:
        asked = {"negative_prompt": negative_prompt, "seed": seed, "steps": steps, **settings}
        return change(Assembly(_model()))(prompt, **asked)

    return drawn


def _swapped(eps_uncond: Any, eps_cond: Any, scale: float) -> Any:
    return guidance.classifier_free_guidance(eps_cond, eps_uncond, scale)


def _to_the_very_end(*path: Any) -> list[Station]:
    """A last step that aims at alpha_bar = 1, which is no number of the schedule."""
    walked = usual.stations(*path)
    t, alpha_bar, alpha_bar_next = walked[-1]
    return [*walked[:-1], (t, alpha_bar, torch.ones_like(alpha_bar_next))]


def _rounded_down(pixels: Any) -> Image.Image:
    values = (pixels * 0.5 + 0.5).clamp(0, 1).permute(1, 2, 0)
    return Image.fromarray((values * 255).byte().cpu().numpy())


DRAW = Exercise(
    id="9.1",
    task=(
        "Write text_to_image(prompt, negative_prompt, seed, steps): the whole pipeline, from the "
        "raw networks, with DDIM and guidance 7.5. It returns the picture."
    ),
    kind="function",
    expected=_library,
    probes=lambda: [
        ("a red cat wearing a crown", "a blue robot", 5, 3),
        ("a green tree, at night", "", 11, 2),
    ],
    tolerance=0.0,
    praise=(
        "In every number the library's picture. There is nothing left in text-to-image that you "
        "haven't written yourself."
    ),
    nudge=(
        "Your picture and the library's differ, and by no mistake that is known here. Draw the "
        "same with model.generate(..., negative_prompt=..., sampler='ddim') and compare: if the "
        "largest difference is 1 or 2 of 255, look for a spelling that rounds otherwise; if it is "
        "more, for a bug."
    ),
    stronger_nudge=(
        "Compare stage by stage: the vectors of both texts with model.encode, the noise with "
        "model.noise, the samples with trace.steps[i].xt and .x_next. The first one that differs "
        "has the culprit just before it. Is the U-Net asked with one batch of two, the negative "
        "half first? Are the alpha_bars still float32?"
    ),
    mistakes=(
        Mistake(
            "scaling factor forgotten",
            "The latent goes into the decoder on the U-Net's scale, not on the decoder's own.",
            "Which setting of the autoencoder did lesson 05 multiply by, after encoding?",
            _broken(lambda p: p.but(unscale=lambda latent, factor: latent)),
        ),
        Mistake(
            "scaled the wrong way",
            "The scaling factor is applied as after encoding. Decoding is the way back.",
            "What undoes a multiplication?",
            _broken(lambda p: p.but(unscale=lambda latent, factor: latent * factor)),
        ),
        Mistake(
            "halves swapped",
            "Your picture flees the prompt and seeks the negative one: the two halves of the "
            "U-Net's answer have changed places.",
            "In which order do the two texts go into the batch, and in which order do you name "
            "the two answers?",
            _broken(lambda p: p.but(guide=_swapped)),
        ),
        Mistake(
            "guidance off",
            "That is the answer to the prompt alone: guidance 1, and no negative prompt.",
            "Two answers come out of the U-Net. What does lesson 08 do with them?",
            _broken(lambda p: p.but(guide=lambda uncond, cond, scale: cond)),
        ),
        Mistake(
            "negative prompt left out",
            "Your pipeline goes away from the empty text, whatever negative prompt it is given.",
            "Two texts are read before the loop. Which are they now?",
            _broken(lambda p: p, negative_prompt=""),
        ),
        Mistake(
            "counted from the prompted answer",
            "The formula begins at the answer without the prompt; yours begins at the one with "
            "it, which guides by one more.",
            "At guidance 1 the formula must give the prompted answer alone. Does yours?",
            _broken(
                lambda p: p.but(
                    guide=lambda uncond, cond, scale: cond + scale * (cond - uncond),
                )
            ),
        ),
        Mistake(
            "steps_offset forgotten",
            "Your timesteps all lie one too low. You hardly see it, and yet it is another picture.",
            "At which t does the lesson's last step begin? At which does yours?",
            _broken(lambda p: p.but(stations=lambda bars, n, _: usual.stations(bars, n, 0))),
        ),
        Mistake(
            "last step goes too far",
            "Your last step ends at alpha_bar = 1. Stable Diffusion's ends at the first number of "
            "its schedule.",
            "Look at the last row of the table of steps: where does it arrive?",
            _broken(lambda p: p.but(stations=_to_the_very_end)),
        ),
        Mistake(
            "seed forgotten",
            "Every seed gives the same noise in your pipeline, that of seed 0.",
            "Where does the seed go in?",
            _broken(lambda p: p, seed=0),
        ),
        Mistake(
            "rounded down",
            "All is right up to the last line: there the decimals are cut off, which makes "
            "the picture darker by half a step of brightness.",
            "What does a conversion to whole numbers do with 254.9?",
            _broken(lambda p: p.but(paint=_rounded_down)),
        ),
    ),
)

# --- 9.2 ----------------------------------------------------------------------------------------

ORDER = Exercise(
    id="9.2",
    task=(
        "Put what takes part in text-to-image in its order, as a list of texts: 'sampler's step', "
        "'decoder', 'U-Net', 'tokenizer', 'encoder of pictures', 'guidance', 'text encoder'. One "
        "of the seven takes no part."
    ),
    kind="words",
    expected=lambda: [
        "tokenizer",
        "text encoder",
        "U-Net",
        "guidance",
        "sampler's step",
        "decoder",
    ],
    praise=(
        "Three of the six stand inside the loop and take turns: U-Net, guidance, sampler's step. "
        "The others do their work once."
    ),
    nudge="Follow the lines of draw from top to bottom and write down whom each one calls.",
    stronger_nudge=(
        "Ask of each part what it is given: it must come after whoever makes that. And which part "
        "is given a finished picture?"
    ),
    mistakes=(
        Mistake(
            "a picture encoded first",
            "Text-to-image has no picture to begin with; it begins with noise, which is a latent "
            "already.",
            "Look for vae.encode among the lines of draw.",
            lambda: [
                "tokenizer",
                "text encoder",
                "encoder of pictures",
                "U-Net",
                "guidance",
                "sampler's step",
                "decoder",
            ],
        ),
        Mistake(
            "a judge at the end",
            "Nobody looks at the finished picture: nothing of the pipeline reads pictures.",
            "Lesson 06 has a myth about this. Which part stands last in draw?",
            lambda: [
                "tokenizer",
                "text encoder",
                "U-Net",
                "guidance",
                "sampler's step",
                "decoder",
                "encoder of pictures",
            ],
        ),
        Mistake(
            "step before guidance",
            "The step needs one noise to take away, and the U-Net has just named two.",
            "What makes one answer out of two?",
            lambda: [
                "tokenizer",
                "text encoder",
                "U-Net",
                "sampler's step",
                "guidance",
                "decoder",
            ],
        ),
        Mistake(
            "guidance before the U-Net",
            "Guidance reckons with the U-Net's answers. They must be there first.",
            "What are the two numbers that the guidance formula subtracts?",
            lambda: [
                "tokenizer",
                "text encoder",
                "guidance",
                "U-Net",
                "sampler's step",
                "decoder",
            ],
        ),
        Mistake(
            "decoded within the loop",
            "The loop works on latents from its first step to its last. Pixels come afterwards.",
            "How often does draw call the decoder, and on which line?",
            lambda: [
                "tokenizer",
                "text encoder",
                "U-Net",
                "decoder",
                "guidance",
                "sampler's step",
            ],
        ),
        Mistake(
            "encoder before tokenizer",
            "The text encoder reads numbers, not letters.",
            "Who makes numbers of the letters?",
            lambda: [
                "text encoder",
                "tokenizer",
                "U-Net",
                "guidance",
                "sampler's step",
                "decoder",
            ],
        ),
    ),
)

# --- 9.3 ----------------------------------------------------------------------------------------

CALLS = Exercise(
    id="9.3",
    task=(
        "The library draws four pictures of one prompt in one batch: 30 steps of DDIM, "
        "guidance_scale=1. How often is each network called? A tuple: (text encoder, U-Net, "
        "decoder)."
    ),
    kind="number",
    expected=lambda: (1, 30, 1),
    tolerance=0.0,
    praise=(
        "One prompt, read once; one call a step, each with all four latents; one decoding, of all "
        "four. What a picture costs is the U-Net."
    ),
    nudge=(
        "Begin with the counts that were measured above. Then ask what changes with the "
        "guidance, with the steps, and with the number of pictures."
    ),
    stronger_nudge=(
        "Whatever goes in as a batch is one call. Which of the two texts is needed at guidance 1?"
    ),
    mistakes=(
        Mistake(
            "an empty prompt that nobody needs",
            "At guidance 1 the answer without the prompt has no say, so its text isn't read.",
            "Put s = 1 into the guidance formula. Which vectors are still needed?",
            lambda: (2, 30, 1),
        ),
        Mistake(
            "two calls a step",
            "Two answers a step are what guidance needs, and they are one call with a batch.",
            "How often was the U-Net called above, and in how many steps?",
            lambda: (1, 60, 1),
        ),
        Mistake(
            "two calls a step, and two texts",
            "That would be a run with guidance whose answers are asked for one by one.",
            "Put s = 1 into the guidance formula. What is left of it?",
            lambda: (2, 60, 1),
        ),
        Mistake(
            "each picture by itself",
            "You let every picture have its own run. A batch goes through the networks together.",
            "The U-Net is given [4, C, h, w]. How many calls is that?",
            lambda: (1, 120, 4),
        ),
        Mistake(
            "each picture by itself, with two texts",
            "You count pictures and halves one by one. What goes in together is one call.",
            "The U-Net is given [4, C, h, w]. How many calls is that? And is the empty text read?",
            lambda: (2, 240, 4),
        ),
        Mistake(
            "decoded one by one",
            "The decoder takes a batch as well as the others do.",
            "vae.decode is given [4, C, h, w]. How many calls is that?",
            lambda: (1, 30, 4),
        ),
        Mistake(
            "decoded at every step",
            "The loop never leaves the latents. The decoder waits at its end.",
            "On which line of draw does the decoder stand?",
            lambda: (1, 30, 30),
        ),
        Mistake(
            "read at every step",
            "The words are read before the loop; every step is given the same vectors.",
            "On which line of draw does the text encoder stand?",
            lambda: (30, 30, 1),
        ),
        Mistake(
            "four runs",
            "That would be four runs. The prompt is the same, and the latents go through as a "
            "batch.",
            "How many calls is a batch of four, and how often must one prompt be read?",
            lambda: (4, 120, 4),
        ),
    ),
)

# --- 9.4 ----------------------------------------------------------------------------------------

XT, UNCOND, COND, SCALE = 1.0, 0.1, 0.3, 4.0
LEVEL, NEXT = 0.36, 0.64


def _stepped(eps: float) -> tuple[float, float]:
    """A step's two terms: what is picture in the next sample, and what is noise."""
    x0_hat = (XT - (1 - LEVEL) ** 0.5 * eps) / LEVEL**0.5
    return NEXT**0.5 * x0_hat, (1 - NEXT) ** 0.5 * eps


def _guided(uncond: float = UNCOND, cond: float = COND) -> float:
    return uncond + SCALE * (cond - uncond)


def _arrived() -> float:
    one = torch.full((1, 1, 1, 1), XT, dtype=torch.float64)
    eps = guidance.classifier_free_guidance(UNCOND * one, COND * one, SCALE)
    return samplers.ddim_step(one, eps, LEVEL, NEXT).item()


STEP = Exercise(
    id="9.4",
    task=(
        f"One number of a latent: xt = {XT:g}, the U-Net says {UNCOND} without and {COND} with the "
        f"prompt, guidance {SCALE:g}, alpha_bar = {LEVEL}, alpha_bar_next = {NEXT}. What is "
        "x_next? Three decimals will do."
    ),
    kind="number",
    expected=_arrived,
    tolerance=2e-3,
    praise="A picture is this small sum, done for every number of the latent at every step.",
    nudge=(
        "Write it down in the lines of the table above: the guided noise, the picture's estimate, "
        "and the two terms of the next sample."
    ),
    stronger_nudge=(
        "Let the computer do each line and look at every number between. The four roots are nice "
        "ones: each has one decimal."
    ),
    mistakes=(
        Mistake(
            "halves swapped",
            "Your noise goes from the prompted answer to the other one: away from the prompt.",
            "Which answer does guidance start at, and towards which does it go?",
            lambda: sum(_stepped(_guided(COND, UNCOND))),
        ),
        Mistake(
            "counted from the prompted answer",
            "You begin at the prompted answer, and so guide by one more than was asked for.",
            "At guidance 1 your formula must give the prompted answer alone. Does it?",
            lambda: sum(_stepped(_guided() + COND - UNCOND)),
        ),
        Mistake(
            "not guided",
            "You stepped with the prompted answer as it is. Guidance was to be 4.",
            "What is the noise after guidance? It lies beyond both answers.",
            lambda: sum(_stepped(COND)),
        ),
        Mistake(
            "only the difference",
            "You stepped with 4 times the difference. The formula adds that to something.",
            "Where does the guidance formula start from?",
            lambda: sum(_stepped(_guided() - UNCOND)),
        ),
        Mistake(
            "square roots forgotten",
            "alpha_bar and 1 - alpha_bar are variances. What multiplies are their roots.",
            "Look at the four factors in the table above: each is a root.",
            lambda: NEXT * (XT - (1 - LEVEL) * _guided()) / LEVEL + (1 - NEXT) * _guided(),
        ),
        Mistake(
            "stopped at x0_hat",
            "That is the estimate of the clean picture. The step only goes part of the way.",
            "Two terms make up the next sample. Which numbers are they made of?",
            lambda: _stepped(_guided())[0] / NEXT**0.5,
        ),
        Mistake(
            "noise not put back",
            "You have the picture's share of the next sample. Its share of noise is missing.",
            "A sample at alpha_bar_next still holds noise. How much of it?",
            lambda: _stepped(_guided())[0],
        ),
        Mistake(
            "the old level's noise",
            "You put as much noise back as there was. The next sample holds less.",
            "Whose alpha_bar belongs to the noise that the next sample holds?",
            lambda: _stepped(_guided())[0] + (1 - LEVEL) ** 0.5 * _guided(),
        ),
        Mistake(
            "arrived where it began",
            "You arrived where you began: the factors of the mixture are the old level's, or "
            "exchanged.",
            "Which alpha_bar belongs to the next sample, and which of its two roots to x0_hat?",
            lambda: XT,
        ),
    ),
)

EXERCISES = (DRAW, ORDER, CALLS, STEP)
