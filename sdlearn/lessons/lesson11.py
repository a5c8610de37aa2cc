"""The exercises of lesson 11, SD 1.x, 2.x and SDXL, part by part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sdlearn.equations import predictions
from sdlearn.lessons.exercises import Exercise, Mistake
from sdlearn.models.anatomies import anatomy


def _wider(channels: Sequence[int], before: int, after: int, matrices: int = 2) -> int:
    return matrices * sum(channels) * (after - before)


WIDER = Exercise(
    id="11.1",
    task=(
        "Write more_weights(channels, before, after): how many weights a U-Net's cross-attentions "
        "gain if the words' vectors grow from `before` to `after` numbers. channels holds the "
        "width of each of these layers."
    ),
    kind="function",
    expected=_wider,
    probes=lambda: [([320, 640, 640], 768, 1024), ([64, 128, 160, 128], 256, 320)],
    praise=(
        "Put the 16 layers of SD 1.5 in, and out comes the difference that was counted above, to "
        "the last weight. All of SD 2.1's growth in the U-Net is a wider door for the words."
    ),
    nudge=(
        "Take one layer 10 wide, and words that grow from 3 numbers to 4. Draw each of its four "
        "matrices, and see which of them have a side that grows."
    ),
    stronger_nudge=(
        "Four matrices: queries, keys, values, and the one at the way out. Which of them are "
        "given words, and which are given the latent? A matrix has its inputs times its outputs."
    ),
    mistakes=(
        Mistake(
            "one matrix of two",
            "You let one matrix a layer grow. But words give each layer two things.",
            "What does a place of the latent compare its query with, and what is it then handed?",
            lambda channels, before, after: _wider(channels, before, after, 1),
        ),
        Mistake(
            "queries too",
            "You let the queries grow as well. Who asks the questions in cross-attention?",
            "Queries are made from the picture's channels. Does anything change there?",
            lambda channels, before, after: _wider(channels, before, after, 3),
        ),
        Mistake(
            "all four matrices",
            "You let all four matrices of the layer grow. Two of them never see a word.",
            "Queries come from the latent, and the way out leads back to it. What is left?",
            lambda channels, before, after: _wider(channels, before, after, 4),
        ),
        Mistake(
            "the whole instead of the growth",
            "That is what these matrices hold afterwards. How much was there before?",
            "Only the columns that are added count.",
            lambda channels, before, after: 2 * sum(channels) * after,
        ),
        Mistake(
            "shrunk",
            "Right but for the sign: your U-Net gets smaller as words get wider.",
            "In which order do you take the two widths from each other?",
            lambda channels, before, after: _wider(channels, after, before),
        ),
        Mistake(
            "one layer only",
            "You counted the first layer, and there are more of them.",
            "Every layer in the list has matrices of its own. Add them up.",
            lambda channels, before, after: _wider(channels[:1], before, after),
        ),
        Mistake(
            "all layers alike",
            "You gave every layer the width of the last one.",
            "The list has a width for each layer: deeper ones are wider.",
            lambda channels, before, after: _wider([channels[-1]] * len(channels), before, after),
        ),
    ),
)


def _picture_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(11)
    xt, v = torch.randn(2, 2, 4, 3, 3, generator=generator, dtype=torch.float64)
    return [(xt, v, torch.tensor(level, dtype=torch.float64)) for level in (0.36, 0.0047)]


def _upright(xt: Tensor, v: Tensor, alpha_bar: float) -> Tensor:
    return (1 - alpha_bar) ** 0.5 * xt - alpha_bar**0.5 * v


PICTURE = Exercise(
    id="11.2",
    task=(
        "Write picture(xt, v, alpha_bar): the clean latent, if v is the velocity that the network "
        "answered."
    ),
    kind="function",
    expected=predictions.x0_from_v,
    probes=_picture_probes,
    praise=(
        "No division. That is why an error in v never grows on its way to the picture, however "
        "little of the picture is left."
    ),
    nudge=(
        "Test it: make xt and v from an x0 and an eps of your own, by their two formulas. Your "
        "function must give x0 back, at every alpha_bar."
    ),
    stronger_nudge=(
        "xt and v are the same two things, x0 and eps, mixed in two ways. Multiply each equation "
        "by a root so that eps cancels when you take one from the other; the squares of the two "
        "roots add up to 1."
    ),
    mistakes=(
        Mistake(
            "velocity taken for noise",
            "You treat v as if it were the noise: that is the formula for SD 1.x.",
            "Try it at alpha_bar near 0: yours divides by almost nothing. v needs no division.",
            predictions.x0_from_eps,
        ),
        Mistake(
            "that is the noise",
            "What you return is eps, the other half of xt.",
            "At alpha_bar near 1 hardly any noise is there, and xt is the picture. Which of the "
            "two roots should stand at xt, then?",
            predictions.eps_from_v,
        ),
        Mistake(
            "sign of v",
            "Right but for a sign. At high noise v points away from the picture.",
            "In the formula of v, which sign does x0 have?",
            lambda xt, v, alpha_bar: alpha_bar**0.5 * xt + (1 - alpha_bar) ** 0.5 * v,
        ),
        Mistake(
            "roots exchanged",
            "The two roots stand at each other's place.",
            "With no noise at all (alpha_bar = 1) the answer must be xt. What is yours?",
            _upright,
        ),
        Mistake(
            "roots forgotten",
            "You mix by alpha_bar itself. Variances add up, but samples are mixed by their roots.",
            "Compare with the formula of xt: what is x0 multiplied by there?",
            lambda xt, v, alpha_bar: alpha_bar * xt - (1 - alpha_bar) * v,
        ),
        Mistake(
            "divided once more",
            "Nearly: you divide by a root at the end. x0 is there before that.",
            "Put x0 = 1 and eps = 0 in: which xt and v do they give, and what do you make of them?",
            lambda xt, v, alpha_bar: xt - ((1 - alpha_bar) / alpha_bar) ** 0.5 * v,
        ),
        Mistake(
            "xt taken whole",
            "You take the right share of v away, but from all of xt.",
            "Begin with nothing but noise: x0 = 0 and eps = 1. What is left over in your answer?",
            lambda xt, v, alpha_bar: xt - (1 - alpha_bar) ** 0.5 * v,
        ),
    ),
)


def _point_by_point(weight: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("oi,birc->borc", weight, x)


def _point_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(111)
    probes = []
    for channels, side in ((3, 4), (5, 2)):  # as many out as in: a slip still has the right shape
        weight = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
        x = torch.randn(2, channels, side, side, generator=generator, dtype=torch.float64)
        probes.append((weight, x))
    return probes


POINTS = Exercise(
    id="11.3",
    task=(
        "Write pointwise(weight, x): what a 1x1 convolution without a bias does to x [batch, "
        "channels in, rows, columns], by a product of matrices. weight is [channels out, channels "
        "in]; return [batch, channels out, rows, columns]."
    ),
    kind="function",
    expected=_point_by_point,
    probes=_point_probes,
    praise=(
        "So a 1x1 convolution is one small matrix, used at every place. Whether it is stored as a "
        "convolution or as a linear layer is bookkeeping."
    ),
    nudge=(
        "Compare with torch.nn.functional.conv2d(x, weight[:, :, None, None]) on an x of one "
        "place, then on one of two places."
    ),
    stronger_nudge=(
        "A linear layer multiplies along the *last* axis. Move the channels there, without "
        "mixing them up with rows and columns; afterwards move them back."
    ),
    mistakes=(
        Mistake(
            "reshaped, not moved",
            "The shape is right, and the numbers are shuffled: reshape reads all numbers in a row "
            "and cuts anew. It doesn't carry an axis to another place.",
            "Print a small x before and after: do the channels of one place still stand together? "
            "movedim or permute move an axis.",
            lambda weight, x: (x.reshape(len(x), -1, x.shape[1]) @ weight.T).reshape(x.shape),
        ),
        Mistake(
            "reshaped at the end",
            "Moved there rightly. But at the end you only reshape, and that shuffles the numbers.",
            "What you have is [batch, rows, columns, channels]. Which axis must go where?",
            lambda weight, x: (x.movedim(1, -1) @ weight.T).reshape(x.shape),
        ),
        Mistake(
            "weight lying on its side",
            "You use the matrix transposed: it goes from out to in.",
            "Row o of weight says how output channel o is mixed from the inputs. x @ weight would "
            "use its columns.",
            lambda weight, x: _point_by_point(weight.T, x),
        ),
        Mistake(
            "picture tipped over",
            "Every number is right, but rows and columns are exchanged.",
            "In which order do you name the axes on the way back?",
            lambda weight, x: _point_by_point(weight, x).transpose(2, 3),
        ),
        Mistake(
            "channels not mixed",
            "You multiply each channel by one number. A convolution mixes channels, even 1x1.",
            "An output channel is a sum over *all* input channels at the same place.",
            lambda weight, x: weight.diagonal()[:, None, None] * x,
        ),
    ),
)


def _billions(*parts: tuple[str, str]) -> float:
    """Parameters of parts, each named by its model and its own name, in billions."""
    counted = 0
    for model, name in parts:
        counted += sum(part.parameters for part in anatomy(model).parts if part.name == name)
    return counted / 1e9


_BASE = tuple(("sdxl", part) for part in ("text_encoder", "text_encoder_2", "unet", "vae"))
_REFINER = tuple(("sdxl-refiner", part) for part in ("text_encoder_2", "unet", "vae"))


def _together(*left_out: tuple[str, str]) -> float:
    return _billions(*(part for part in (*_BASE, *_REFINER) if part not in left_out))


_SECOND, _VAE = ("sdxl-refiner", "text_encoder_2"), ("sdxl-refiner", "vae")

TOGETHER = Exercise(
    id="11.4",
    task=(
        "A program draws with SDXL's base and its refiner. What both have in common lies in memory "
        "once. How many parameters are there in all, in billions? Two decimals will do."
    ),
    kind="number",
    expected=lambda: _together(_SECOND, _VAE),
    tolerance=0.0015,
    praise=(
        "That is what must fit into a memory, and it is clearly less than the number in the "
        "headlines: they count one text encoder and the autoencoder twice."
    ),
    nudge=(
        "Write down the parts of both models with sd.anatomy, one line each. Which parts of the "
        "refiner are also in the base?"
    ),
    stronger_nudge=(
        "Two U-Nets are there, and never the same. Text encoders: how many different ones? "
        "Autoencoders: how many different ones? Add up each of them once."
    ),
    mistakes=(
        Mistake(
            "nothing shared",
            "You added up two whole pipelines. What do they have in common?",
            "Both read with the same large text encoder, and decode with the same autoencoder.",
            _together,
        ),
        Mistake(
            "autoencoder twice",
            "One more thing is shared: both turn the latent into a picture in the same way.",
            "The refiner works on the base's latents. Could it, with another autoencoder?",
            lambda: _together(_SECOND),
        ),
        Mistake(
            "text encoder twice",
            "One more thing is shared, and it is large: look at what the refiner reads with.",
            "The refiner has one text encoder. Is it one of the base's two?",
            lambda: _together(_VAE),
        ),
        Mistake(
            "the number in the headlines",
            "That is the announcement's number. It adds up two pipelines, each of them whole.",
            "Count the parts yourself. Which of them do both models use?",
            lambda: 6.6,
        ),
        Mistake(
            "U-Nets only",
            "Those are the two U-Nets. Somebody has to read the prompt and decode the latent.",
            "Add what else is needed, each part once.",
            lambda: _billions(("sdxl", "unet"), ("sdxl-refiner", "unet")),
        ),
        Mistake(
            "first text encoder forgotten",
            "The refiner does without the smaller text encoder, but the base doesn't.",
            "How many text encoders does the base have?",
            lambda: _together(_SECOND, _VAE, ("sdxl", "text_encoder")),
        ),
        Mistake(
            "base only",
            "That is the base alone. The refiner has a U-Net of its own.",
            "Which parts does the refiner add?",
            lambda: _billions(*_BASE),
        ),
        Mistake(
            "in ones",
            "Counted rightly, but in ones. The answer is wanted in billions.",
            "Divide by 1e9.",
            lambda: 1e9 * _together(_SECOND, _VAE),
        ),
        Mistake(
            "in millions",
            "Counted rightly, but in millions. The answer is wanted in billions.",
            "Divide by 1000.",
            lambda: 1e3 * _together(_SECOND, _VAE),
        ),
    ),
)

EXERCISES = (WIDER, PICTURE, POINTS, TOGETHER)
