"""The exercises of lesson 12, SDXL."""

from __future__ import annotations

import torch
from torch import Tensor

from sdlearn.lessons.exercises import Exercise, Mistake

Numbers = tuple[int, ...]


def _scaled(height: int, width: int, side: int) -> tuple[int, int]:
    """Rows and columns when the shorter side has been brought to `side`."""
    shorter = min(height, width)
    return height * side // shorter, width * side // shorter


def _corner(height: int, width: int, side: int) -> tuple[int, int]:
    """Top and left of the square in the middle."""
    rows, columns = _scaled(height, width, side)
    return (rows - side) // 2, (columns - side) // 2


def _told(height: int, width: int, side: int) -> Numbers:
    return (height, width, *_corner(height, width, side), side, side)


def _cut_first(height: int, width: int, side: int) -> Numbers:
    shorter = min(height, width)
    return (height, width, (height - shorter) // 2, (width - shorter) // 2, side, side)


def _rest_not_halved(height: int, width: int, side: int) -> Numbers:
    rows, columns = _scaled(height, width, side)
    return (height, width, rows - side, columns - side, side, side)


def _middle_itself(height: int, width: int, side: int) -> Numbers:
    rows, columns = _scaled(height, width, side)
    return (height, width, rows // 2, columns // 2, side, side)


def _photographs() -> list[tuple]:
    # Sizes that are scaled without a remainder, and none of them a square.
    return [(512, 768, 1024), (1200, 800, 256), (128, 320, 256), (3000, 2400, 1024)]


TOLD = Exercise(
    id="12.1",
    task=(
        "Write told(height, width, side): the six numbers that SDXL is told of a picture of so "
        "many rows and columns, which was scaled until its shorter side was side long, and then "
        "cut to a square out of the middle."
    ),
    kind="function",
    expected=_told,
    probes=_photographs,
    praise=(
        "All that a training picture went through, in six numbers; and none of it needed a person "
        "to look at the picture."
    ),
    nudge=(
        "Try a picture of 512 rows and 768 columns, to be 1024 large. Scaled, it has 1024 rows and "
        "1536 columns. Go through your six numbers one by one."
    ),
    stronger_nudge=(
        "Two numbers stay what they came as, two are the same for all pictures. Only the corner "
        "has to be computed: how much is too much, and how is that shared between the two ends?"
    ),
    mistakes=(
        Mistake(
            "columns before rows",
            "Widths come first with you. SDXL is told heights first, each time.",
            "Three pairs are told. In which order do the two numbers of each pair stand?",
            lambda h, w, side: (w, h, *reversed(_corner(h, w, side)), side, side),
        ),
        Mistake(
            "corner turned round",
            "The sizes are right. Of the corner you give the left before the top.",
            "A broad picture loses something at its sides. Which number of yours says so?",
            lambda h, w, side: (h, w, *reversed(_corner(h, w, side)), side, side),
        ),
        Mistake(
            "size after scaling",
            "Your first pair is the size that the picture was given, not the one it had.",
            "Then a thumbnail and a large photograph would be told alike. What should tell them "
            "apart?",
            lambda h, w, side: (
                *_scaled(h, w, side),
                *_corner(h, w, side),
                side,
                side,
            ),
        ),
        Mistake(
            "cut before scaling",
            "You count the corner in pixels of the original. The picture is scaled first.",
            "How many columns has the picture at the moment when it is cut?",
            _cut_first,
        ),
        Mistake(
            "all cut away at one side",
            "You take away all that is too much at the top or at the left. The square is to come "
            "out of the middle.",
            "How much of the rest is left over at the other end?",
            _rest_not_halved,
        ),
        Mistake(
            "the middle itself",
            "You say where the middle of the picture is. Asked is where the square begins.",
            "The crop is told by the corner at its top and left.",
            _middle_itself,
        ),
        Mistake(
            "target not square",
            "Your last pair is what the picture measured before it was cut.",
            "How large is what the network was given in the end?",
            lambda h, w, side: (h, w, *_corner(h, w, side), *_scaled(h, w, side)),
        ),
        Mistake(
            "target first",
            "All six are there, but you begin with the target size.",
            "In which order does the lesson name the three pairs?",
            lambda h, w, side: (side, side, *_corner(h, w, side), h, w),
        ),
        Mistake(
            "size turned round",
            "The original size is turned round: Pillow says width first, SDXL is told height "
            "first.",
            "In which order are rows and columns asked for?",
            lambda h, w, side: (w, h, *_corner(h, w, side), side, side),
        ),
        Mistake(
            "never scaled",
            "You cut the picture as it came. It was scaled first.",
            "How many rows and columns has it when its shorter side is side long?",
            lambda h, w, side: (h, w, (h - side) // 2, (w - side) // 2, side, side),
        ),
    ),
)

POOLED, WAVES = 1280, 256

DOOR = Exercise(
    id="12.2",
    task=(
        "How many numbers does the add_embedding of SDXL's published refiner take in, where a "
        "number becomes 256 waves and the pooled text has 1,280 numbers?"
    ),
    kind="number",
    expected=lambda: POOLED + 5 * WAVES,
    praise=(
        "A size, a corner and a score. (By this width alone one can tell a refiner's file from "
        "a base model's.)"
    ),
    nudge="Count what the refiner is told beside the words, one number after the other.",
    stronger_nudge=(
        "The base model is told three pairs. Which of them is missing in the refiner, and what "
        "stands in its place?"
    ),
    mistakes=(
        Mistake(
            "that is the base model's",
            "So it is in the base model. The refiner is told something else in place of a pair.",
            "Of the three pairs, which one is replaced, and by how many numbers?",
            lambda: POOLED + 6 * WAVES,
        ),
        Mistake(
            "score on top",
            "You added the score to the six numbers. It does not come on top of them.",
            "The lesson says what the refiner is told it instead of.",
            lambda: POOLED + 7 * WAVES,
        ),
        Mistake(
            "one half only",
            "You have the pooled text or the waves: they happen to be equally many. Both go in.",
            "In the cell that does it by hand, what is put side by side?",
            lambda: POOLED,
        ),
        Mistake(
            "numbers without waves",
            "You put the plain numbers beside the pooled text. Each of them is made waves first.",
            "How many numbers does one of them become?",
            lambda: POOLED + 5,
        ),
        Mistake(
            "score without waves",
            "You left the score as it is. It is a number like the others.",
            "What is done with every number before it goes in?",
            lambda: POOLED + 4 * WAVES + 1,
        ),
        Mistake(
            "both readers",
            "You counted a pooled text of the first reader, 768 wide. It has no say here.",
            "Whose pooled text is used? And which readers does the refiner have at all?",
            lambda: 768 + POOLED + 5 * WAVES,
        ),
        Mistake(
            "score forgotten",
            "You took a pair away, and put nothing in its place.",
            "What is the refiner told instead?",
            lambda: POOLED + 4 * WAVES,
        ),
    ),
)

LONGEST = 1000


def _base_does(timesteps: Tensor, handover: float) -> int:
    return int((timesteps >= round(LONGEST - handover * LONGEST)).sum())


def _ways() -> list[tuple]:
    uneven = (999, 850, 700, 560, 430, 320, 230, 160, 105, 65, 36, 16, 5, 0)
    even = torch.arange(900, -1, -100)  # one of them is just the handover's
    late = torch.arange(780, -1, -20)  # as in image-to-image
    return [(torch.tensor(uneven), 0.8), (even, 0.8), (torch.arange(961, 0, -40), 0.6), (late, 0.8)]


BASE_DOES = Exercise(
    id="12.3",
    task=(
        "Write base_does(timesteps, handover): how many of a run's steps the base model walks. The "
        "refiner walks those whose timestep is below the handover's."
    ),
    kind="function",
    expected=_base_does,
    probes=_ways,
    praise=(
        "So 0.8 is a level of noise, not a number of steps: with a sampler that crowds its steps "
        "where the noise is low, the refiner walks half of them."
    ),
    nudge=(
        "It fits neither the text nor a mistake that is known here. Take ten timesteps, 900 to 0, "
        "and a handover at 0.8: write down who does which."
    ),
    stronger_nudge=(
        "First make the share a timestep: 0.8 of the way from 1000 down to 0, where does that "
        "lead? Then count how many of the given ones are not below it."
    ),
    mistakes=(
        Mistake(
            "share of the steps",
            "You take the share of the run's steps. It is a share of the training's timesteps.",
            "Your function never looks at where the steps stand. A sampler may crowd them.",
            lambda timesteps, handover: int(len(timesteps) * handover),
        ),
        Mistake(
            "the refiner's steps",
            "You count the steps that the refiner walks.",
            "Which of the two begins, where the timesteps are large?",
            lambda timesteps, handover: len(timesteps) - _base_does(timesteps, handover),
        ),
        Mistake(
            "counted from the clean end",
            "You hand over where so much of the way is still to come. A way begins at the noise.",
            "At a handover of 0.9 the base model should walk nearly all the way. Does it?",
            lambda timesteps, handover: int((timesteps >= LONGEST * handover).sum()),
        ),
        Mistake(
            "the handover's own step",
            "Nearly: where a step stands just at the handover, you leave it to the refiner.",
            "The refiner walks what is below. Is a timestep below itself?",
            lambda timesteps, handover: int(
                (timesteps > round(LONGEST - handover * LONGEST)).sum()
            ),
        ),
        Mistake(
            "the run's own length",
            "You take the share of this run's first timestep. The share is of all 1000.",
            "Where a run begins a little lower, does the handover move with it?",
            lambda timesteps, handover: int(
                (timesteps >= float(timesteps.max()) * (1 - handover)).sum()
            ),
        ),
        Mistake(
            "the last one's number",
            "You give the number of the base model's last step, counted from 0.",
            "Asked is how many steps there are.",
            lambda timesteps, handover: _base_does(timesteps, handover) - 1,
        ),
    ),
)

PAIRS = Exercise(
    id="12.4",
    task=(
        "1536 x 1536 pixels instead of 1024 x 1024: how many times as many pairs of places does "
        "self-attention compare, at any level that has it? Two decimals will do."
    ),
    kind="number",
    expected=lambda: (1536 / 1024) ** 4,
    tolerance=0.004,
    praise=(
        "Half as long again in each direction, and five times the pairs. That is why large "
        "pictures are drawn small first, or in pieces."
    ),
    nudge="From sides to places, and from places to pairs: two steps. How many did you take?",
    stronger_nudge=(
        "If each side grows by a factor, the places grow by its square. And every place is "
        "compared with every other one."
    ),
    mistakes=(
        Mistake(
            "places, not pairs",
            "So many times as many places there are. Each of them looks at all of them.",
            "Twice as many guests: how many times as many handshakes?",
            lambda: 1.5**2,
        ),
        Mistake(
            "the side alone",
            "That is by how much one side grows. A picture has two of them.",
            "How many places are there in a square whose side grows so?",
            lambda: 1.5,
        ),
        Mistake(
            "pairs of one side",
            "You went one step too few: the third power counts neither places nor pairs.",
            "Square it for the places. What is done to get from places to pairs?",
            lambda: 1.5**3,
        ),
        Mistake(
            "as if doubled",
            "That is what a side twice as long would do.",
            "By which factor does 1024 become 1536?",
            lambda: 16,
        ),
        Mistake(
            "not at all",
            "There is none at the top level. Below it there is, and there the grid grows as well.",
            "At half of the latent's side: how many places are there, before and after?",
            lambda: 1,
        ),
        Mistake(
            "sides added",
            "You added the growth of the two sides. Places are counted by multiplying.",
            "A sheet of 2 x 2 squares that grows to 4 x 4: how many squares has it then?",
            lambda: 3,
        ),
    ),
)

EXERCISES = (TOLD, DOOR, BASE_DOES, PAIRS)
