"""The exercises of lesson 07, cross-attention."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sdlearn.lessons.exercises import Exercise, Mistake


def _shares(q: Tensor, k: Tensor) -> Tensor:
    return (q @ k.T / q.shape[-1] ** 0.5).softmax(-1)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _shares(q, k) @ v


def _best_word_only(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return v[(q @ k.T).argmax(-1)]


def _attention_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(7)
    probes = []
    for places, words, d in ((5, 7, 4), (3, 6, 9)):
        q = torch.randn(places, d, generator=generator, dtype=torch.float64)
        k, v = torch.randn(2, words, d, generator=generator, dtype=torch.float64)
        probes.append((q, k, v))
    return probes


ATTENTION = Exercise(
    id="7.1",
    task=(
        "Write attention(q, k, v): what each place gets, for queries [places, d], keys [words, d] "
        "and values [words, d] of one head."
    ),
    kind="function",
    expected=_attention,
    probes=_attention_probes,
    praise=(
        "Three steps: compare, share out, mix. The same lines work in every transformer, whoever "
        "asks and whoever answers."
    ),
    nudge=(
        "Follow the tiny example at the top of the lesson, line by line: scores, shares, mixture. "
        "Which shape has each of them for 5 places and 7 words?"
    ),
    stronger_nudge=(
        "Print the shares. Each row belongs to a place: does it add up to 1, and do the rows of "
        "the tiny example come out as above?"
    ),
    mistakes=(
        Mistake(
            "not scaled",
            "Your shares are too sharp: the scores still grow with the size of the vectors.",
            "What did the experiment with random vectors divide the scores by?",
            lambda q, k, v: (q @ k.T).softmax(-1) @ v,
        ),
        Mistake(
            "divided by d",
            "Your shares are too even. You divide by d itself, and that shrinks the scores too "
            "much.",
            "The scores' variance grows as d. What does their spread grow as?",
            lambda q, k, v: (q @ k.T / q.shape[-1]).softmax(-1) @ v,
        ),
        Mistake(
            "multiplied instead of divided",
            "Your scale makes the shares sharper still. It should make them softer.",
            "With long vectors the scores are too large. Which way must they go?",
            lambda q, k, v: (q @ k.T * q.shape[-1] ** 0.5).softmax(-1) @ v,
        ),
        Mistake(
            "shared out among the places",
            "With you, the places compete for a word. It is the words that compete for a place.",
            "Add up your shares along each of their two axes. Which sum should be 1?",
            lambda q, k, v: (q @ k.T / q.shape[-1] ** 0.5).softmax(0) @ v,
        ),
        Mistake(
            "keys handed out",
            "The shares are right. But what you mix are the keys, which only say whom to ask.",
            "A key is compared, a value is handed out. Which one stands last in your line?",
            lambda q, k, v: _shares(q, k) @ k,
        ),
        Mistake(
            "keys and values swapped",
            "You compare the queries with the values, and hand out the keys.",
            "What is a query compared with, in the tiny example?",
            lambda q, k, v: _shares(q, v) @ k,
        ),
        Mistake(
            "scores used as shares",
            "Scores may be negative, and they add up to anything. They aren't shares yet.",
            "Which function makes positive numbers that add up to 1 out of any numbers?",
            lambda q, k, v: (q @ k.T / q.shape[-1] ** 0.5) @ v,
        ),
        Mistake(
            "the best word only",
            "You take the best-fitting word alone, as a dictionary would. Attention mixes.",
            "The second-best word should have a share, too. How is it found from the scores?",
            _best_word_only,
        ),
        Mistake(
            "scaled too late",
            "You scale what comes out. It is the scores that must be scaled, before they become "
            "shares.",
            "Do your shares still add up to 1 when you are done with them?",
            lambda q, k, v: (q @ k.T).softmax(-1) / q.shape[-1] ** 0.5 @ v,
        ),
        Mistake(
            "shares handed back",
            "Those are the shares: who looks where. Asked is what each place gets.",
            "What are the values for?",
            lambda q, k, v: _shares(q, k),
        ),
        Mistake(
            "one unit for all places",
            "Your shares add up to 1 over the whole table. Each place has a unit of its own.",
            "Along which axis should they add up to 1?",
            lambda q, k, v: (
                (q @ k.T / q.shape[-1] ** 0.5).flatten().softmax(0).reshape(len(q), -1) @ v
            ),
        ),
    ),
)


def _iou(looked: np.ndarray, thing: np.ndarray) -> np.floating:
    return (looked & thing).sum() / (looked | thing).sum()


def _mask_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(72)
    probes = []
    # One look is smaller than the thing, the other larger: or who divides by the larger of the two
    # could not be told from who divides by the thing.
    for rows, columns, still in (
        (slice(8, 20), slice(4, 22), 0.97),
        (slice(2, 30), slice(10, 16), 0.8),
    ):
        thing = torch.zeros(32, 32, dtype=torch.bool)
        thing[rows, columns] = True
        looked = thing.roll((3, 2), (0, 1)) & (torch.rand(32, 32, generator=generator) > 0.2)
        looked |= torch.rand(32, 32, generator=generator) > still
        probes.append((looked.numpy(), thing.numpy()))  # as the lesson has its masks
    return probes


IOU = Exercise(
    id="7.2",
    task=(
        "Write iou(looked, thing): how well two masks of 32 x 32 places (NumPy's, True or False) "
        "cover each other, from 0 to 1."
    ),
    kind="function",
    expected=_iou,
    probes=_mask_probes,
    praise=(
        "Strict and fair: it punishes looking beside the thing as well as leaving some of it out. "
        "That is why segmentation is scored with it."
    ),
    nudge=(
        "Try it by hand: four places in a row, looked at are the first two, the thing is on the "
        "second and third. One place of three should come out: 1/3."
    ),
    stronger_nudge=(
        "Count two kinds of places: those in both masks, and those in at least one. Then divide."
    ),
    mistakes=(
        Mistake(
            "share of the thing",
            "You ask how much of the thing was looked at. Who looks everywhere gets full marks.",
            "What do you divide by? Looking beside the thing must make that larger.",
            lambda looked, thing: (looked & thing).sum() / thing.sum(),
        ),
        Mistake(
            "share of the look",
            "You ask how much of the looking fell on the thing. A look at one single place of it "
            "gets full marks.",
            "What do you divide by? Leaving out half of the thing must cost something.",
            lambda looked, thing: (looked & thing).sum() / looked.sum(),
        ),
        Mistake(
            "counted twice",
            "You divide by the sizes of both masks, added up. What lies in both is counted twice.",
            "Two equal masks should give 1. What do yours give?",
            lambda looked, thing: (looked & thing).sum() / (looked.sum() + thing.sum()),
        ),
        Mistake(
            "that is Dice",
            "That is a score of its own, called Dice. It is kinder than the one asked for.",
            "Divide by the number of places in at least one of the masks, each counted once.",
            lambda looked, thing: 2 * (looked & thing).sum() / (looked.sum() + thing.sum()),
        ),
        Mistake(
            "upside down",
            "Your number grows when the masks part. It should lie between 0 and 1.",
            "Which of the two counts is the smaller one? It goes on top.",
            lambda looked, thing: (looked | thing).sum() / (looked & thing).sum(),
        ),
        Mistake(
            "background counted as a hit",
            "You also count places where there is nothing and nobody looks. A picture is full of "
            "those.",
            "What would your score say to somebody who looks nowhere at all?",
            lambda looked, thing: (looked == thing).mean(),
        ),
        Mistake(
            "not divided",
            "That is a number of places. For a large thing it will always be large.",
            "Out of how many places?",
            lambda looked, thing: (looked & thing).sum(),
        ),
        Mistake(
            "either, but not both",
            "You divide by the places in just one of the masks. Those in both belong to the whole.",
            "Two equal masks should give 1. By what do you divide there?",
            lambda looked, thing: (looked & thing).sum() / (looked ^ thing).sum(),
        ),
    ),
)

PLACES, HEADS = (48, 32), 8

NUMBERS = Exercise(
    id="7.3",
    task=(
        "Stable Diffusion 1.5 draws a picture of 768 x 512 pixels. How many shares does one "
        "layer of cross-attention work out for one prompt, in one call, with 8 heads, on a grid "
        "half as fine as the latent's along each side?"
    ),
    kind="number",
    expected=lambda: PLACES[0] * PLACES[1] * HEADS * 77,
    tolerance=1e-6,
    praise=(
        "Nearly a million numbers, for one layer in one call. Self-attention on the same grid "
        "needs twenty times as many."
    ),
    nudge=(
        "Write down the shape of such a map first, with four axes: heads, rows, columns, and what "
        "is looked at."
    ),
    stronger_nudge=(
        "Lesson 05 says how large the latent of 768 x 512 pixels is. Halve both sides, and count "
        "its places. Then: for each head, how many numbers belong to one place?"
    ),
    mistakes=(
        Mistake(
            "heads forgotten",
            "That is one head's map.",
            "Each of the heads looks for itself.",
            lambda: PLACES[0] * PLACES[1] * 77,
        ),
        Mistake(
            "the latent's own grid",
            "That is a layer on the latent's own grid. This one's grid is half as fine.",
            "How many times fewer places has a grid that is halved along *both* sides?",
            lambda: 4 * PLACES[0] * PLACES[1] * HEADS * 77,
        ),
        Mistake(
            "halved once only",
            "That is twice as many. Did you halve one side of the grid only, or count a second "
            "text, guidance's empty one? Asked is one text, and both sides are halved.",
            "Write down rows and columns of the latent, and halve each.",
            lambda: 2 * PLACES[0] * PLACES[1] * HEADS * 77,
        ),
        Mistake(
            "pixels taken for places",
            "You count pixels. The U-Net never sees any: it works on the latent.",
            "How many pixels does one place of the latent stand for, along a side?",
            lambda: 768 * 512 * HEADS * 77,
        ),
        Mistake(
            "pixels halved",
            "You halved the picture. The U-Net works on the latent, which is smaller.",
            "How many pixels does one place of the latent stand for, along a side?",
            lambda: 384 * 256 * HEADS * 77,
        ),
        Mistake(
            "words forgotten",
            "That is how many queries there are: one for each place and head.",
            "And each query is compared with how many keys?",
            lambda: PLACES[0] * PLACES[1] * HEADS,
        ),
        Mistake(
            "that is self-attention",
            "There every place looks at every place. Here it looks at the words.",
            "How many positions has the text, padding and all?",
            lambda: (PLACES[0] * PLACES[1]) ** 2 * HEADS,
        ),
        Mistake(
            "length of the vectors",
            "768 is how long a word's vector is. It is not how many words there are.",
            "How many positions has the text, padding and all?",
            lambda: PLACES[0] * PLACES[1] * HEADS * 768,
        ),
        Mistake(
            "start and end left out",
            "75 tokens are yours, but all positions are looked at: start and end as well.",
            "What stands before your tokens, and what after them?",
            lambda: PLACES[0] * PLACES[1] * HEADS * 75,
        ),
        Mistake(
            "a square picture",
            "You took a square picture. These sides differ.",
            "Write down the latent of these very sides.",
            lambda: 32 * 32 * HEADS * 77,
        ),
    ),
)


def _rescaled(shares: Tensor, position: int, factor: float) -> Tensor:
    factors = torch.ones(shares.shape[-1], dtype=shares.dtype)
    factors[position] = factor
    return shares * factors


def _to_one(shares: Tensor, axis: int = -1) -> Tensor:
    return shares / shares.sum(axis, keepdim=True)


def _scaled(shares: Tensor, position: int, factor: float) -> Tensor:
    return _to_one(_rescaled(shares, position, factor))


def _added(shares: Tensor, position: int, factor: float) -> Tensor:
    shares = shares.clone()
    shares[:, position] += factor
    return _to_one(shares)


def _put(shares: Tensor, position: int, factor: float) -> Tensor:
    shares = shares.clone()
    shares[:, position] = factor
    return _to_one(shares)


def _others_kept_out(shares: Tensor, position: int, factor: float) -> Tensor:
    """The word's new share is right before sharing out; the others only split the rest."""
    new = _rescaled(shares, position, factor)
    rest = torch.arange(shares.shape[-1]) != position
    left = (1 - new[:, position])[:, None]
    new[:, rest] = shares[:, rest] / shares[:, rest].sum(-1, keepdim=True) * left
    return new


def _share_probes() -> list[tuple]:
    generator = torch.Generator().manual_seed(74)
    scores = torch.randn(2, 6, 9, generator=generator, dtype=torch.float64)
    return [(scores[0].softmax(-1), 3, 2.5), (scores[1].softmax(-1), 1, 0.25)]


SCALED = Exercise(
    id="7.4",
    task=(
        "Write scaled(shares, position, factor): the shares [places, words] with one word's "
        "multiplied, and then shared out anew, so that each place's add up to 1 again."
    ),
    kind="function",
    expected=_scaled,
    probes=_share_probes,
    praise=(
        "That is the same as adding the logarithm of the factor to the word's scores before they "
        "become shares: a louder word, and the others give way."
    ),
    nudge=(
        "Work it out by hand for one place with the shares 0.2, 0.3 and 0.5, and double the first: "
        "0.4, 0.3, 0.5 add up to 1.2. And then?"
    ),
    stronger_nudge=(
        "Two steps. First change one word's numbers, at all places. Then divide each place's "
        "numbers by what they add up to."
    ),
    mistakes=(
        Mistake(
            "not shared out anew",
            "The word is scaled, but the places' shares don't add up to 1 any more.",
            "Add up what you return, place by place. What should each be divided by?",
            _rescaled,
        ),
        Mistake(
            "shared out among the places",
            "You divide by what a word gets from all places. Each place's shares should add up "
            "to 1.",
            "The shares have two axes. Along which one do you add up?",
            lambda shares, position, factor: _to_one(_rescaled(shares, position, factor), 0),
        ),
        Mistake(
            "a place instead of a word",
            "Nothing has changed: you scaled all of one place's shares alike, and sharing out anew "
            "undoes that.",
            "The first axis counts the places. Which one counts the words?",
            lambda shares, position, factor: _to_one(shares),
        ),
        Mistake(
            "a place, and not shared out",
            "You scaled all words of one place. Wanted is one word at all places.",
            "The first axis counts the places. Which one counts the words?",
            lambda shares, position, factor: _rescaled(shares.T, position, factor).T,
        ),
        Mistake(
            "added instead of multiplied",
            "You add the factor to the word's shares. So a factor of 1 would change them.",
            "What should a factor of 1 do? And 0?",
            _added,
        ),
        Mistake(
            "replaced by the factor",
            "You put the factor in the place of the word's shares, and what they were is lost.",
            "A place that looked at the word twice as much as another: should it still do so?",
            _put,
        ),
        Mistake(
            "only the others give way",
            "You fix the word's new share first, and squeeze the others into the rest. With a "
            "large factor nothing would be left for them, or less than nothing.",
            "Scale first, and then treat all words alike: divide them by the same number.",
            _others_kept_out,
        ),
        Mistake(
            "one unit for all places",
            "You divided by all of the table: now all places together share one unit.",
            "Each place keeps a whole unit. Along which axis do you add up?",
            lambda shares, position, factor: (
                _rescaled(shares, position, factor) / _rescaled(shares, position, factor).sum()
            ),
        ),
        Mistake(
            "softmax of shares",
            "You made shares out of shares: softmax is for scores, and evens these out.",
            "They only need to add up to 1 again.",
            lambda shares, position, factor: _rescaled(shares, position, factor).softmax(-1),
        ),
    ),
)

EXERCISES = (ATTENTION, IOU, NUMBERS, SCALED)
