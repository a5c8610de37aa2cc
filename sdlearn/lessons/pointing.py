"""Does a word look where its thing is? The pointing game, on pictures that the model drew.

    python -m sdlearn.lessons.pointing          # 300 pictures of pocket-sd15; 1 if it misses

Only pictures count that show what was asked: where there is no cat, "cat" has nowhere to look.
Where things are in a picture is said by Pocket World's checker, which sees pixels and no attention.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from sdlearn import world
from sdlearn.stages.pipeline import Model
from sdlearn.trace import Trace, WordMap
from sdlearn.trace.ended import ended

FIRST = 3 * 10**9  # scenes from here on: neither training nor PocketEval uses them
BATCH = 10
PATIENCE, FEWEST = 200, 0.05  # give up after so many pictures, if a smaller share of them counts
GOALS = {"subject": 0.9, "accessory": 0.8}  # share of hits


@dataclass(frozen=True)
class Shot:
    """One word of one picture.

    Attributes:
        word: The word.
        role: ``subject`` or ``accessory``.
        hit: Whether the map's peak lies on the thing (a subject's: on it, or what it wears).
        inside: Which share of the map lies on it.
        share: Which share of the picture it covers: what `inside` would be by chance.
        iou: Overlap of the thing with the places above half of the map's range.
    """

    word: str
    role: str
    hit: bool
    inside: float
    share: float
    iou: float


@dataclass(frozen=True)
class Score:
    """All shots of a role together.

    Attributes:
        role: ``subject`` or ``accessory``.
        count: How many words.
        hits: Share whose peak lies on the thing.
        inside: Mean share of the map on the thing.
        chance: The same for a map that looks everywhere alike.
        iou: Mean overlap.
    """

    role: str
    count: int
    hits: float
    inside: float
    chance: float
    iou: float

    def __str__(self) -> str:
        """One line of a table."""
        return (
            f"{self.role:<10} {self.count:>5} {self.hits:>7.1%} {self.inside:>8.1%} "
            f"{self.chance:>7.1%} {self.iou:>6.2f}"
        )


HEADER = f"{'':<10} {'words':>5} {'hits':>7} {'on it':>8} {'chance':>7} {'IoU':>6}"


def play(
    model: Model,
    pictures: int = 300,
    *,
    steps: int = 25,
    read: Callable[[WordMap], WordMap] = WordMap.mean,
    progress: Callable[[int], object] = lambda count: None,
) -> tuple[Score, ...]:
    """Draw until so many pictures show what was asked, and see where their words looked.

    Args:
        model: A model that draws Pocket World.
        pictures: How many pictures count.
        steps: Steps of each run.
        read: Makes one map of a word's maps; their mean over steps, layers and heads.
        progress: Told how many pictures count so far.
    """
    shots: list[Shot] = []
    seen = 0
    for number in count():
        scenes = [world.sample(FIRST + BATCH * number + i) for i in range(BATCH)]
        trace = model.generate(
            [scene.caption() for scene in scenes],
            seed=[BATCH * number + i for i in range(BATCH)],
            steps=steps,
            record="attention",
        )
        ended(trace)
        readings = world.read_all(trace.images)
        for i, (scene, reading) in enumerate(zip(scenes, readings, strict=True)):
            if seen < pictures and _shows(scene, reading):
                shots += _shots(scene, reading, trace.of(i), read)
                seen += 1
        progress(seen)
        if seen == pictures:
            return tuple(_score(role, shots) for role in ("subject", "accessory"))
        drawn = BATCH * (number + 1)
        if drawn >= PATIENCE and seen < FEWEST * drawn:
            raise ValueError(
                f"Only {seen} of {drawn} pictures show what was asked: this model does not draw "
                "Pocket World well enough to play."
            )


def _shows(scene: world.Scene, reading: world.Reading) -> bool:
    """Whether kinds, colours and accessories are right, and no kind occurs twice."""
    kinds = [subject.kind for subject in scene.subjects]
    judged = ("subjects", "kind", "colour", "accessory")
    return len(set(kinds)) == len(kinds) and world.check(reading, scene, facts=judged).ok


def _shots(
    scene: world.Scene,
    reading: world.Reading,
    trace: Trace,
    read: Callable[[WordMap], WordMap],
) -> Iterator[Shot]:
    words = list(trace.attention.words)
    for subject in scene.subjects:
        (thing,) = (thing for thing in reading.things if thing.kind == subject.kind)
        for word, role, cells in (
            (subject.kind, "subject", thing.cells | thing.worn_cells),
            (subject.accessory, "accessory", thing.worn_cells),
        ):
            if word in words and words.count(word) == 1 and cells.any():
                yield _shot(word, role, read(trace.attention[word]), cells)


def _shot(word: str, role: str, found: WordMap, cells: np.ndarray) -> Shot:
    values = np.asarray(found)  # [rows, columns], coarser than the cells
    times = np.array(cells.shape) // np.array(values.shape)
    row, column = (np.array(found.peak()) * times).tolist()
    place = cells[row : row + times[0], column : column + times[1]]  # that the peak stands for
    fine = np.kron(values, np.ones(times))
    high = fine > (fine.min() + fine.max()) / 2
    return Shot(
        word,
        role,
        bool(place.any()),
        float(fine[cells].sum() / fine.sum()),
        float(cells.mean()),
        float((high & cells).sum() / (high | cells).sum()),
    )


def _score(role: str, shots: list[Shot]) -> Score:
    own = [shot for shot in shots if shot.role == role]
    mean = {
        name: float(np.mean([getattr(shot, name) for shot in own] or [0.0]))
        for name in ("hit", "inside", "share", "iou")
    }
    return Score(role, len(own), mean["hit"], mean["inside"], mean["share"], mean["iou"])


def main() -> int:
    """Print the table; return 1 if the peaks lie beside their things too often."""
    from tqdm import tqdm

    from sdlearn import models

    parser = argparse.ArgumentParser(prog="python -m sdlearn.lessons.pointing")
    parser.add_argument("model", nargs="?", default="pocket-sd15")
    parser.add_argument("--pictures", type=int, default=300)
    asked = parser.parse_args()
    with tqdm(total=asked.pictures, unit="pictures") as bar:
        scores = play(
            models.load(asked.model),
            asked.pictures,
            progress=lambda count: bar.update(count - bar.n),
        )
    print(HEADER)
    print(*scores, sep="\n")
    missed = [score for score in scores if score.hits < GOALS[score.role]]
    for score in missed:
        print(f"{score.role}: the goal is {GOALS[score.role]:.0%} hits.")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
