"""The checker: what does a picture show, and is it what the scene says?

``read`` looks at a picture and knows nothing of any scene. ``check`` compares what was read with a
scene, fact by fact. The network behind it (``network.py``) was trained on Pocket World's own
renders and on nothing else, so it is an independent judge of what a diffusion model draws.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .cells import Thing, things_of
from .facts import PLACES, STYLES, near
from .scene import Scene

if TYPE_CHECKING:
    from .network import CheckerNet

ROLES = ("subjects", "kind", "colour", "size", "accessory", "relation", "place", "style")


@dataclass(frozen=True)
class Reading:
    """What the checker sees in a picture: things (largest first), a place and a style."""

    things: tuple[Thing, ...]
    place: str
    style: str

    def __str__(self) -> str:
        seen = [
            f"{t.size} {t.colour} {t.kind}" + (f" wearing {t.accessory}" if t.accessory else "")
            for t in self.things
        ]
        return f"{' and '.join(seen) or 'nothing'}, {self.place}, {self.style}"


@dataclass(frozen=True)
class Fact:
    """One fact: its name, what the scene says, what the picture shows (None: not to be seen)."""

    name: str
    expected: str
    seen: str | None

    @property
    def ok(self) -> bool:
        """Whether the picture shows what the scene says."""
        return self.expected == self.seen


@dataclass(frozen=True)
class Check:
    """The verdict on a picture, fact by fact.

    Attributes:
        facts: The facts that were asked for.
        reading: All that the checker saw.
        names: What each fact is called for people ("cat 1: colour").
    """

    facts: tuple[Fact, ...]
    reading: Reading
    names: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every fact is right."""
        return all(f.ok for f in self.facts)

    @property
    def score(self) -> float:
        """The share of facts that are right, 0 to 1."""
        return sum(f.ok for f in self.facts) / len(self.facts)

    def __getitem__(self, name: str) -> Fact:
        for fact in self.facts:
            if fact.name == name:
                return fact
        known = [f.name for f in self.facts]
        raise KeyError(f"{name!r} was not checked.{near(str(name), known)} Checked: {known}")

    def _rows(self) -> list[tuple[str, str, str]]:
        return [
            ("right" if f.ok else "wrong", name, f.expected if f.ok
             else f"{f.expected}, but the picture shows {f.seen or 'no such thing'}")
            for f, name in zip(self.facts, self.names, strict=True)
        ]  # fmt: skip

    def __str__(self) -> str:
        right = sum(f.ok for f in self.facts)
        wide = max(len(name) for name in self.names)
        lines = [f"  {mark}  {name:<{wide}}  {text}" for mark, name, text in self._rows()]
        return "\n".join([f"{right} of {len(self.facts)} facts right", *lines])

    def _repr_html_(self) -> str:
        right = sum(f.ok for f in self.facts)
        rows = "".join(
            f"<tr><td>{'✓' if mark == 'right' else '✗'} {mark}</td>"
            f"<td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>"
            for mark, name, text in self._rows()
        )
        return (
            f"<table><caption>{right} of {len(self.facts)} facts right</caption>"
            f"<thead><tr><th></th><th>fact</th><th>scene</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )


def weights_path() -> Path:
    """Returns where the network's weights are: in the installed package, or in the repository."""
    package = Path(__file__).resolve().parents[1]
    bundled = package / "_bundle" / "data"
    data = bundled if bundled.is_dir() else package.parent / "data"
    return data / "world" / "checker.safetensors"


@lru_cache(maxsize=1)
def _network() -> CheckerNet:
    from .network import CheckerNet

    net = CheckerNet()
    read_weights(net, weights_path())
    return net.eval()


def read_weights(net: CheckerNet, path: Path) -> None:
    """Fills a network with weights from a file; a broken file is named."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        raise FileNotFoundError(
            f"the checker's weights are missing: {path}. They are part of the package: install it "
            "again, or train them with: python -m sdlearn.world.train_checker"
        )
    try:
        weights = {k: v.float() for k, v in load_file(str(path)).items()}
        # BatchNorm's step counters are not stored; everything else must be there.
        counters = {k: v for k, v in net.state_dict().items() if k.endswith("num_batches_tracked")}
        net.load_state_dict(counters | weights)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"the checker's weights are broken: {path} ({str(error).splitlines()[0]}). They are "
            "part of the package: install it again, or train them with: "
            "python -m sdlearn.world.train_checker"
        ) from error


def _as_pixels(picture: Any, side: int) -> np.ndarray:
    """Returns a picture as [3, side, side], float32 from 0 to 1."""
    if isinstance(picture, np.ndarray):
        if picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(
                f"picture has shape {picture.shape}; an array must be [height, width, 3]."
            )
        if picture.dtype != np.uint8:
            if not np.issubdtype(picture.dtype, np.floating):
                raise TypeError(
                    f"picture holds {picture.dtype}; use uint8 (0 to 255) or floats (0 to 1)."
                )
            if not np.isfinite(picture).all() or picture.min() < -0.01 or picture.max() > 1.01:
                raise ValueError("picture holds floats outside 0 to 1; scale it, or use uint8.")
            picture = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
        picture = Image.fromarray(picture)
    if not isinstance(picture, Image.Image):
        raise TypeError(
            f"picture must be a PIL picture or a numpy array, not {type(picture).__name__}. "
            "For a trace, pass trace.image."
        )
    width, height = picture.size
    if width != height or width < 32:
        raise ValueError(
            f"picture is {width}x{height}; the checker reads square pictures from 32x32 up. "
            "Crop it to a square."
        )
    picture = picture.convert("RGB")
    if width != side:
        picture = picture.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / 255


def read_all(pictures: Sequence[Any], batch: int = 32) -> list[Reading]:
    """Reads many pictures; faster than one by one."""
    import torch

    from .network import SIDE, WORN

    net, out = _network(), []
    for start in range(0, len(pictures), batch):
        block = np.stack([_as_pixels(p, SIDE) for p in pictures[start : start + batch]])
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            seen = net(torch.from_numpy(block))
            cells = [x.softmax(1).numpy() for x in (seen.label, seen.colour, seen.size, seen.worn)]
        for i in range(len(block)):
            things = things_of(*(c[i] for c in cells), WORN)
            place, style = int(seen.place[i].argmax()), int(seen.style[i].argmax())
            out.append(Reading(things, PLACES[place], STYLES[style]))
    return out


def read(picture: Any) -> Reading:
    """Says what a picture shows: its things, its place and its style.

    Args:
        picture: A square PIL picture, or an array [side, side, 3] (uint8, or floats 0 to 1).
    """
    return read_all([picture])[0]


def relation_of(first: Thing, second: Thing) -> str:
    """Says where ``first`` is, seen from ``second``: whichever offset is larger decides."""
    dx, dy = first.x - second.x, first.y - second.y
    if abs(dx) > abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def _compare(scene: Scene, reading: Reading, things: Sequence[Thing | None]) -> list[Fact]:
    """The facts of a scene when its subjects are taken to be these things."""
    facts = [Fact("subjects", str(len(scene.subjects)), str(len(reading.things)))]
    for i, (s, t) in enumerate(zip(scene.subjects, things, strict=True), start=1):
        for role in ("kind", "colour", "size"):
            facts.append(Fact(f"{i} {role}", getattr(s, role), t and getattr(t, role)))
        facts.append(
            Fact(f"{i} accessory", s.accessory or "nothing", t and (t.accessory or "nothing"))
        )
    if len(scene.subjects) == 2:
        first, second = things
        seen = relation_of(first, second) if first and second else None
        facts.append(Fact("relation", str(scene.relation), seen))
    facts.append(Fact("place", scene.place, reading.place))
    facts.append(Fact("style", scene.style, reading.style))
    return facts


def _matched(scene: Scene, reading: Reading, asked: set[str]) -> list[Fact]:
    """Takes the subjects to be those things that make most of what is asked right.

    Kinds always count, and double; facts that nobody asks for decide between equals only.
    """
    count = len(scene.subjects)
    candidates: list[Thing | None] = [*reading.things[:4], *([None] * count)]
    best: list[Fact] = []
    best_worth = -1.0
    for things in permutations(candidates, count):
        facts = _compare(scene, reading, things)
        worth = sum(f.ok * _worth(f.name, asked) for f in facts)
        worth += 0.01 * sum(t.share for t in things if t)  # all else equal: the larger thing
        if worth > best_worth:
            best, best_worth = facts, worth
    return best


def _worth(name: str, asked: set[str]) -> float:
    if name.endswith("kind"):
        return 2.0
    return 1.0 if name in asked else 0.05


def _asked(scene: Scene, facts: str | Iterable[str]) -> set[str]:
    known = {"subjects", *scene.fact_names()}
    if facts == "all":
        return known
    if facts == "stated":
        return {"subjects", *scene.stated}
    if isinstance(facts, str):
        facts = [facts]
    out: set[str] = set()
    for name in facts:
        chosen = {k for k in known if k == name or k.split()[-1] == name}
        if not chosen:
            listed = ", ".join(sorted(known | {k.split()[-1] for k in known}))
            raise ValueError(
                f"facts={name!r} is not a fact of this scene.{near(str(name), known)} "
                f"Use 'all', 'stated', or some of: {listed}."
            )
        out |= chosen
    if not out:
        raise ValueError("facts is empty: name at least one fact, or use 'all' or 'stated'.")
    return out


def check(picture: Any, scene: Scene, facts: str | Iterable[str] = "all") -> Check:
    """Says, fact by fact, whether a picture shows a scene.

    Args:
        picture: As in ``read``; or a ``Reading``, when the picture was read already.
        scene: What should be there.
        facts: ``"all"``; ``"stated"``, only what the scene's caption said (see ``Scene.stated``);
            or names: ``"place"``, ``"1 colour"``, or ``"colour"`` for that of every subject.
    """
    if not isinstance(scene, Scene):
        raise TypeError(
            f"scene must be a Scene, not {type(scene).__name__} ({scene!r}). "
            "For a caption, write world.check(picture, world.parse(caption), facts='stated')."
        )
    asked = _asked(scene, facts)
    reading = picture if isinstance(picture, Reading) else read(picture)
    chosen = [f for f in _matched(scene, reading, asked) if f.name in asked]
    kinds = [s.kind for s in scene.subjects]
    names = []
    for fact in chosen:
        number, _, role = fact.name.partition(" ")
        if number.isdigit():
            kind = kinds[int(number) - 1]
            names.append(f"{kind if len(set(kinds)) == len(kinds) else f'{kind} {number}'}: {role}")
        else:
            names.append("number of subjects" if fact.name == "subjects" else fact.name)
    return Check(tuple(chosen), reading, tuple(names))
