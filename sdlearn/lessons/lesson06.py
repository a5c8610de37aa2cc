"""The exercises of lesson 06, words into numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from sdlearn.lessons.exercises import Exercise, Mistake

COUNTED = "a snowman on a dreambeach, wearing a crown"
"""The prompt of exercise 6.1: eight words and a comma, and two of the words are no tokens."""
WORDS = 8

LONG = "a red cat, " * 18 + "a blue dog wearing a crown"
"""The prompt of exercise 6.4. All its words are single tokens, in the published models as well."""


@lru_cache(maxsize=1)
def _places_filled() -> int:
    """How many tokens the prompt of exercise 6.1 has, start and end included."""
    from sdlearn.models import tokenizers
    from sdlearn.models.catalogue import pocket_dir
    from sdlearn.models.folders import has_tokenizer, load_tokenizer
    from sdlearn.models.loading import DEFAULT, find

    folder = find().path / "tokenizer"  # the learner's model, so that its answer is the right one
    if not has_tokenizer(folder):  # a single checkpoint has none of its own
        folder = tokenizers._in_cache() / "tokenizer"
    if not has_tokenizer(folder):
        folder = pocket_dir() / DEFAULT / "tokenizer"
    return len(load_tokenizer(folder)(COUNTED).input_ids)


PLACES = Exercise(
    id="6.1",
    task=(
        "How many of the places does the prompt fill, start and end included, the padding after "
        "the end left out?"
    ),
    kind="number",
    expected=_places_filled,
    tolerance=1e-6,
    praise=(
        "Tokens are what counts against the 77, not words: a rare word costs as much as a whole "
        "phrase of usual ones."
    ),
    nudge=(
        "Let model.encode show you the prompt's table of tokens, and count its rows down to the "
        "end token."
    ),
    stronger_nudge=(
        "In that table each row is a place. The row of the end token says its position, and "
        "positions are counted from 0. How many places come up to there?"
    ),
    mistakes=(
        Mistake(
            "words counted",
            "That is how many words the prompt has. The model reads tokens.",
            "Which of the words does the table show in more than one row?",
            lambda: float(WORDS),
        ),
        Mistake(
            "words taken for tokens",
            "You counted words and added start and end. But not every word is one token, and the "
            "comma is one, too.",
            "Look at the column “piece”: where does a word go on in the next row?",
            lambda: float(WORDS + 2),
        ),
        Mistake(
            "rare words taken for one token",
            "Words, the comma, start and end: all there. But two of the words are in pieces.",
            "A piece that ends a word ends in </w>. How many pieces of this prompt don't?",
            lambda: float(WORDS + 3),
        ),
        Mistake(
            "start and end forgotten",
            "You counted what was typed. Two tokens more are there, which nobody types.",
            "What stands at position 0 of the table, and what after the last piece?",
            lambda: float(_places_filled() - 2),
        ),
        Mistake(
            "one too few",
            "One token is missing: the start, the end, or the comma; or you took a position for "
            "a count.",
            "Positions are counted from 0. If something stands at position 3, how many came "
            "before it?",
            lambda: float(_places_filled() - 1),
        ),
        Mistake(
            "padding counted",
            "That is all the room there is. After the end token it is filled with padding.",
            "At which row of the table does the padding begin? Count those above it.",
            lambda: 77.0,
        ),
    ),
)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b) / (a.norm() * b.norm())


def _vector_probes() -> list[tuple]:
    dice = torch.Generator().manual_seed(6)
    a, b, c = torch.randn(3, 5, generator=dice, dtype=torch.float64)
    return [(a, b), (3 * b, 0.4 * c), (c, 2 * c + a), (a, -2 * a)]


COSINE = Exercise(
    id="6.2",
    task=(
        "Write cosine(a, b): the cosine of the angle between two vectors, whatever their lengths."
    ),
    kind="function",
    expected=_cosine,
    probes=_vector_probes,
    praise=(
        "1 means the same direction, 0 nothing in common, -1 opposite. CLIP was trained on "
        "nothing but this number, and you'll meet it again in attention."
    ),
    nudge=(
        "Try it on vectors whose answer you know: (1, 0) with (0, 1), with (5, 0), with (-1, 0). "
        "What should come out, and what does?"
    ),
    stronger_nudge=(
        "Three numbers are enough: the sum of the products of the entries, and the length of "
        "each vector. How do the lengths get out of the first?"
    ),
    mistakes=(
        Mistake(
            "lengths left in",
            "That grows when a vector gets longer. An angle doesn't.",
            "What must become of a vector so that its length is 1? Do that to both.",
            lambda a, b: a @ b,
        ),
        Mistake(
            "only one length taken out",
            "One of the two lengths is still in there.",
            "Double first a and then b. Which of the two changes your answer?",
            lambda a, b: (a @ b) / a.norm(),
        ),
        Mistake(
            "the other length left in",
            "You took out the length of b. That of a is still in there.",
            "Double a: your answer doubles. It should stay.",
            lambda a, b: (a @ b) / b.norm(),
        ),
        Mistake(
            "divided by squares",
            "You divided by the squares of the lengths: once too often.",
            "A vector with itself must give 1. What does yours give for (2, 0) with (2, 0)?",
            lambda a, b: (a @ b) / ((a @ a) * (b @ b)),
        ),
        Mistake(
            "distance, not angle",
            "That is how far apart the tips of the vectors are. Asked is the angle.",
            "A vector and its double: what is between them, and what should the answer be?",
            lambda a, b: (a - b).norm(),
        ),
        Mistake(
            "the angle itself",
            "That is the angle. Its cosine is wanted, and it is less work.",
            "What did you do last? Leave it out.",
            lambda a, b: torch.acos(_cosine(a, b).clamp(-1, 1)),
        ),
        Mistake(
            "mean, not sum",
            "You took the mean of the products; the lengths are sums.",
            "A vector with itself must give 1. What does yours give, and why?",
            lambda a, b: (a * b).mean() / (a.norm() * b.norm()),
        ),
    ),
)


def _named(picture: Tensor, captions: Mapping[str, Tensor]) -> str:
    return max(captions, key=lambda text: float(_cosine(picture, captions[text])))


def _naming_probes() -> list[tuple]:
    """Pictures whose best caption is neither the longest vector nor the nearest tip."""
    dice = torch.Generator().manual_seed(66)
    probes: list[tuple] = []
    # For some pictures one caption says the very opposite, for others only something else.
    for truth, against in (("a cat", 1.0), ("a dog", 0.2), ("a boat", 1.0), ("a tree", 0.2)):
        picture = torch.randn(6, generator=dice, dtype=torch.float64)
        noise = torch.randn(4, 6, generator=dice, dtype=torch.float64)
        vectors = {
            truth: 0.2 * (picture + 0.3 * noise[0]),  # the best, and short
            f"{truth} at night": 4 * (picture + 0.9 * noise[1]),  # long: wins without the lengths
            f"{truth} in the snow": picture + 0.8 * noise[2],  # its tip lies nearer
            f"no {truth[2:]}": -against * picture + 0.3 * noise[3],
        }
        probes.append((picture, _in_any_order(vectors, dice)))
    # So that neither the shortest vector is the best, nor the shortest text, nor the first one.
    dice = torch.Generator().manual_seed(67)
    for thing in ("mug", "star"):
        picture = torch.randn(6, generator=dice, dtype=torch.float64)
        noise = torch.randn(4, 6, generator=dice, dtype=torch.float64)
        vectors = {
            f"a {thing} wearing a crown": 4 * (picture + 0.3 * noise[0]),
            f"one {thing} in the snow": 0.2 * (picture + 0.9 * noise[1]),
            f"a {thing}": picture + 0.8 * noise[2],
            f"a {thing} gone": -picture + 0.3 * noise[3],
        }
        probes.append((picture, _in_any_order(vectors, dice)))
    return probes


def _in_any_order(vectors: Mapping[str, Tensor], dice: torch.Generator) -> dict[str, Tensor]:
    texts = list(vectors)
    order = torch.randperm(len(texts), generator=dice).tolist()
    return {texts[i]: vectors[texts[i]] for i in order}


def _by(score: Any, best: Any = max) -> Any:
    """A wrong way to name a picture: by another score."""
    return lambda picture, captions: best(
        captions, key=lambda t: float(score(picture, captions[t]))
    )


NAMED = Exercise(
    id="6.3",
    task=(
        "Write named(picture, captions): the caption that fits the picture best. captions is a "
        "dictionary from texts to vectors, and no vector has length 1."
    ),
    kind="function",
    expected=_named,
    probes=_naming_probes,
    praise=(
        "That is a classifier for whatever can be said in words, and nobody trained it for those "
        "classes."
    ),
    nudge=(
        "Go through the captions, work out a number for each, and hand back the text with the "
        "best number. Which number says how well two vectors fit?"
    ),
    stronger_nudge=(
        "Print the number of each caption for a picture and three made-up vectors. Does the "
        "order change when you make one of the vectors ten times as long? It shouldn't."
    ),
    mistakes=(
        Mistake(
            "the longest vector wins",
            "You compare by products alone, so that a long vector wins over one that fits.",
            "Your function of exercise 6.2 doesn't care for lengths. Can it help?",
            _by(lambda picture, vector: picture @ vector),
        ),
        Mistake(
            "worst instead of best",
            "You hand back the caption that fits worst.",
            "Does a better fit mean a larger cosine or a smaller one?",
            _by(_cosine, best=min),
        ),
        Mistake(
            "distance of the tips",
            "You take the caption whose tip is nearest. A short vector in the right direction "
            "loses that way.",
            "CLIP's training looked at directions only. What compares directions?",
            _by(lambda picture, vector: (picture - vector).norm(), best=min),
        ),
        Mistake(
            "sign lost",
            "You count a caption that says the opposite as a good fit.",
            "What does a cosine of -1 mean? Your function takes it for a 1.",
            _by(lambda picture, vector: _cosine(picture, vector).abs()),
        ),
        Mistake(
            "texts compared",
            "You compare the captions' letters: the last one of the alphabet wins.",
            "Texts are compared by their letters, unless a key says what else to go by.",
            lambda picture, captions: max(captions),
        ),
        Mistake(
            "letters counted",
            "You compare how long the captions are, not how well they fit.",
            "The key is given a text. How do you get from there to its vector, and to the picture?",
            lambda picture, captions: max(captions, key=len),
        ),
        Mistake(
            "divided by squares",
            "You divided by the squares of the lengths: once too often, and short vectors win.",
            "Your function of exercise 6.2 gives 1 for a vector with itself. Does this one?",
            _by(lambda picture, vector: (picture @ vector) / (vector @ vector)),
        ),
        Mistake(
            "always the first",
            "You hand back the first caption, whatever the picture.",
            "Is your loop over before it has seen all captions?",
            lambda picture, captions: next(iter(captions)),
        ),
    ),
)


def _cut(room: int) -> list[str]:
    """What is cut off if so many words and commas of the prompt of exercise 6.4 have room."""
    return LONG.replace(",", " ,").split()[room:]


CUT = Exercise(
    id="6.4",
    task=(
        "Which words fall off the end of long_prompt? Hand in a list of all of them, in their "
        "order, even one that stood further in front as well."
    ),
    kind="words",
    expected=lambda: _cut(75),
    praise=(
        "The picture would show none of it, and no error says so: put what matters first. (Some "
        "tools read the rest as a second text of 77 places.)"
    ),
    nudge=(
        "Each word of this prompt is one token, and so is each comma. How many of them have room, "
        "if start and end need a place each?"
    ),
    stronger_nudge=(
        "Let model.encode read long_prompt, and look at the last row before the end token. What "
        "comes after it in the prompt?"
    ),
    mistakes=(
        Mistake(
            "start and end forgotten",
            "You gave all 77 places to the words. Two of them are taken.",
            "What stands at the first place and at the last, in every prompt?",
            lambda: _cut(77),
        ),
        Mistake(
            "only one of start and end",
            "One place too many for the words: you thought of the start or of the end, not of "
            "both.",
            "Count again what nobody types and is there all the same.",
            lambda: _cut(76),
        ),
        Mistake(
            "one word too many",
            "The first of your words still has a place.",
            "How many places are left when start and end are seated?",
            lambda: _cut(74),
        ),
        Mistake(
            "what is kept",
            "Those are the last words that it still reads. Asked is what comes after them.",
            "Go on from where you stopped.",
            lambda: _cut(72)[:3],
        ),
        Mistake(
            "cut at the front",
            "So many words it is. But they are cut off at the other end.",
            "Where is the end token, if the prompt is too long: after its first words or after "
            "its last?",
            lambda: LONG.replace(",", "").split()[:3],
        ),
        Mistake(
            "commas forgotten",
            "By your count all words have room. But each comma is a token, too.",
            "How many pieces does model.encode make of “a red cat,”?",
            lambda: [],
        ),
        Mistake(
            "only the first",
            "With that word it begins. More is lost after it.",
            "Is there any room at all after the end token?",
            lambda: _cut(75)[:1],
        ),
    ),
)

EXERCISES = (PLACES, COSINE, NAMED, CUT)
