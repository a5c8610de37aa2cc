"""PocketEval: does a model draw what it was asked? Eight questions, as GenEval asks them.

A prompt is a caption of a scene, in words as they come ("pixel art of a little red cat"). A
picture is right if it shows those facts of the scene that its category is about; what a picture
shows is said by `world.check`, which never saw a model's picture when it learnt. Half of the
prompts of each category name a combination that no training picture shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from sdlearn import world

Draw = Callable[[Sequence[str], Sequence[int]], list[Image.Image]]
"""``draw(prompts, seeds)``: a picture for each prompt, from the noise of each seed."""

EXAM = 5 * 10**9
"""The card's scenes are from here on. Training counts its own from 0."""

REHEARSAL = 10**9
"""The scenes with which trainings and settings are compared: what was chosen on them has seen them,
and would look better there than it is."""


@dataclass(frozen=True)
class Category:
    """One question.

    Attributes:
        name: Its name; GenEval's where GenEval has it.
        judged: The facts that must be right.
        subjects: How many subjects its scenes have.
        dressed: Whether its subject must wear something.
        unlike: Whether its two subjects must differ in kind and colour.
    """

    name: str
    judged: tuple[str, ...]
    subjects: int
    dressed: bool = False
    unlike: bool = False

    def asks(self, scene: world.Scene) -> bool:
        """Whether a scene, as a caption tells it, is one to ask this question about."""
        subjects = scene.subjects
        return (
            len(subjects) == self.subjects
            and not (self.dressed and subjects[0].accessory is None)
            and not (self.unlike and len({s.kind for s in subjects}) == 1)
            and not (self.unlike and len({s.colour for s in subjects}) == 1)
            and all(self.says(scene, fact) for fact in self.judged)
        )

    @staticmethod
    def says(scene: world.Scene, fact: str) -> bool:
        """Whether the caption named a fact, of each subject; their number it always says."""
        named = [name for name in scene.fact_names() if name.split()[-1] == fact]
        return fact == "subjects" or set(named) <= scene.stated


CATEGORIES = (
    Category("single object", ("subjects", "kind"), 1),
    Category("two objects", ("subjects", "kind"), 2, unlike=True),
    Category("colours", ("kind", "colour"), 1),
    Category("position", ("kind", "relation"), 2, unlike=True),
    Category("attribute binding", ("kind", "colour"), 2, unlike=True),
    Category("accessory", ("kind", "accessory"), 1, dressed=True),
    Category("place", ("place",), 1),
    Category("style", ("style",), 1),
)

GENEVAL = {
    "single object": (0.98, 0.98),
    "two objects": (0.51, 0.74),
    "colours": (0.85, 0.85),
    "position": (0.07, 0.15),
    "attribute binding": (0.17, 0.23),
}
"""GenEval's published figures (2310.11513) of SD 2.1 and of SDXL, for orientation."""

HONESTLY = (
    "GenEval (arXiv:2310.11513) asks for photographs of 80 kinds of things, by models that were "
    "trained on hundreds of millions of pictures. Pocket World has 16 kinds, drawn by rule, and "
    "our model has seen hardly anything else: the worlds are different and ours is far smaller. "
    "The columns show what is hard for a diffusion model, not which model is better."
)


REDRAWN = (
    "Redrawn are pictures of the same prompts that Pocket World itself drew, after the model's "
    "autoencoder has encoded and decoded them: what that loses no U-Net brings back. (A model's "
    "pictures are others of the same words; of few, by chance, more may be right.)"
)

HELD_OUT = (
    "Held out is something that a prompt says, and it need not be what its row judges: in position "
    "it is the relation in a third of the prompts, in attribute binding a colour in half of them, "
    "in colours and accessory what is judged in two thirds. Elsewhere nothing judged can be held "
    "out: there the column says whether another new combination disturbs."
)

BESIDE = {"base": "its base model alone", "redrawn": "true drawings, redrawn"}
"""What else may have been asked the same: the name in a `Row`, and at the head of a column."""


@dataclass(frozen=True)
class Prompt:
    """One prompt, and what its picture should show.

    Attributes:
        text: The prompt.
        seed: Where the picture's noise comes from.
        heldout: Whether it names a combination that no training picture shows.
        scene: What the prompt says.
    """

    text: str
    seed: int
    heldout: bool
    scene: world.Scene


def prompts(category: Category, count: int = 200, first: int = EXAM) -> list[Prompt]:
    """A category's prompts: always the same, all different, every second one held out.

    Args:
        category: The question.
        count: How many.
        first: Where their scenes are taken from: `EXAM` or `REHEARSAL`.
    """
    seen: set[str] = set()
    sources = {heldout: _captions(category, heldout, seen, first) for heldout in (False, True)}
    made = []
    for number in range(count):
        heldout = number % 2 == 1
        text, scene = next(sources[heldout])
        made.append(Prompt(text, number, heldout, scene))
    return made


def _captions(
    category: Category, heldout: bool, seen: set[str], first: int
) -> Iterator[tuple[str, world.Scene]]:
    number = first + 10**6 * CATEGORIES.index(category)
    while True:
        number += 1
        text = world.sample(number, heldout=heldout).caption(number)
        scene = world.parse(text)  # what the caption says, and no more
        if category.asks(scene) and world.is_heldout(scene) == heldout and text not in seen:
            seen.add(text)
            yield text, scene


@dataclass(frozen=True)
class Row:
    """A category's result.

    Attributes:
        name: The category.
        score: Share of all its pictures that are right.
        seen: The same, of the prompts whose combinations occur in training.
        heldout: The same, of the others.
        count: How many pictures.
        redrawn: What true drawings of the same scenes get when the model's autoencoder has encoded
            and decoded them; None: not measured. Where it is low, no U-Net can be much better.
        base: For a refiner what its base model gets without it; None: not measured.
    """

    name: str
    score: float
    seen: float
    heldout: float
    count: int
    redrawn: float | None = None
    base: float | None = None

    @property
    def by_chance(self) -> float:
        """How far off the score may be by chance, in 95 of 100 cases.

        By Jeffreys' prior, half a picture more of each kind: eight right of eight don't say that
        all are.
        """
        right, wrong = self.score * self.count + 0.5, (1 - self.score) * self.count + 0.5
        return 1.96 * (right * wrong / (right + wrong) ** 2 / (right + wrong + 1)) ** 0.5


@dataclass(frozen=True)
class Result:
    """The table of an evaluation.

    Attributes:
        rows: A row for each category.
    """

    rows: tuple[Row, ...]

    def __getitem__(self, name: str) -> Row:
        """A category's row."""
        return {row.name: row for row in self.rows}[name]

    @property
    def mean(self) -> Row:
        """The mean over the categories."""
        means = {
            name: sum(getattr(row, name) for row in self.rows) / len(self.rows)
            for name in ("score", "seen", "heldout", *self.known)
        }
        return Row(name="mean", count=sum(row.count for row in self.rows), **means)

    @property
    def mean_by_chance(self) -> float:
        """How far off the mean of the scores may be by chance, in 95 of 100 cases."""
        return sum(row.by_chance**2 for row in self.rows) ** 0.5 / len(self.rows)

    @property
    def known(self) -> tuple[str, ...]:
        """Which of `BESIDE` was measured in every category."""
        return tuple(n for n in BESIDE if all(getattr(row, n) is not None for row in self.rows))

    def beside(self, **others: Result) -> Result:
        """The same, with the scores that others got for the same questions beside the model's.

        Args:
            **others: Their results, by their names in `BESIDE`.
        """
        rows = (
            replace(row, **{name: other[row.name].score for name, other in others.items()})
            for row in self.rows
        )
        return Result(tuple(rows))

    def markdown(self) -> str:
        """The table for a model card, with GenEval's figures and what they are worth here."""
        titles = ["", "score", "seen", "held out", "pictures", "SD 2.1, GenEval", "SDXL, GenEval"]
        titles[4:4] = [BESIDE[name] for name in self.known]
        lines = [f"| {' | '.join(titles)} |".replace("|  |", "| |"), "|---" * len(titles) + "|"]
        for row in (*self.rows, self.mean):
            published = [f"{value:.2f}" for value in GENEVAL.get(row.name, ())] or ["", ""]
            ours = [row.score, row.seen, row.heldout, *(getattr(row, name) for name in self.known)]
            values = [*(f"{value:.3f}" for value in ours), str(row.count)]
            lines.append(f"| {' | '.join([row.name, *values, *published])} |")
        return "\n".join([*lines, "", *self._notes()])

    def __str__(self) -> str:
        """The table for a terminal."""
        title = "".join(f"{name:>9}" for name in self.known)
        lines = [f"{'':<18} score   seen  held out{title}  SD 2.1   SDXL  (the last two: GenEval)"]
        for row in (*self.rows, self.mean):
            published = "".join(f"{value:>8.2f}" for value in GENEVAL.get(row.name, ()))
            ours = f"{row.score:>6.3f} {row.seen:>6.3f} {row.heldout:>9.3f}"
            ours += "".join(f" {getattr(row, name):>8.3f}" for name in self.known)
            lines.append(f"{row.name:<18}{ours}{published}")
        return "\n".join([*lines, "", *self._notes()])

    def _notes(self) -> list[str]:
        return [HELD_OUT, "", *([REDRAWN, ""] if "redrawn" in self.known else []), HONESTLY]


def evaluate(
    draw: Draw,
    count: int = 200,
    categories: Sequence[Category] = CATEGORIES,
    *,
    first: int = EXAM,
    batch: int = 20,
    progress: Callable[[int], object] = lambda pictures: None,
) -> Result:
    """Ask all questions of a category, look at the pictures, count.

    Args:
        draw: Draws pictures: a model, or anything else that claims to.
        count: Prompts for each category.
        categories: Which questions.
        first: Where the prompts' scenes are taken from: `EXAM` or `REHEARSAL`.
        batch: How many pictures are asked for at once.
        progress: Told how many pictures have been drawn, each time some have.
    """
    if count < 2:
        raise ValueError(f"count must be at least 2 (one seen, one held out), got {count}.")
    rows = []
    for category in categories:
        asked = prompts(category, count, first)
        right = []
        for begin in range(0, count, batch):
            some = asked[begin : begin + batch]
            pictures = draw([p.text for p in some], [p.seed for p in some])
            readings = world.read_all(pictures)
            right += [
                world.check(reading, prompt.scene, facts=category.judged).ok
                for reading, prompt in zip(readings, some, strict=True)
            ]
            progress(len(some))
        seen, heldout = (
            [ok for ok, prompt in zip(right, asked, strict=True) if prompt.heldout == held]
            for held in (False, True)
        )
        rows.append(Row(category.name, _mean(right), _mean(seen), _mean(heldout), len(right)))
    return Result(tuple(rows))


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values)
