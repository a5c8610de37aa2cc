"""Measures the checker: ``python -m sdlearn.world.measure_checker``.

Three questions. How often is each fact read rightly from fresh renders, clean and roughened? How
often does the checker say no to a scene of which one fact was changed? And how often does it say
no to a scene that is right? The scenes come from seeds that training never used.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFilter

from . import facts as f
from .checker import ROLES, Reading, check, read_all
from .sampling import sample
from .scene import Scene, Subject


def noisy(picture: Image.Image, seed: int, blur: float = 0.8, noise: float = 0.05) -> np.ndarray:
    """Returns a picture blurred (radius in pixels) and with Gaussian noise (0 to 1), as floats."""
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) / 255
    rng = np.random.Generator(np.random.PCG64([seed, 23]))
    return np.clip(soft + noise * rng.standard_normal(soft.shape, dtype=np.float32), 0, 1)


def change_one_fact(scene: Scene, rng: np.random.Generator) -> Scene:
    """Returns the scene with exactly one fact changed, so that the picture no longer fits it."""

    def other(options: tuple[str | None, ...], than: str | None) -> str | None:
        left = [o for o in options if o != than]
        return left[int(rng.random() * len(left))]

    names = list(scene.fact_names())
    if len(scene.subjects) == 2 and scene.subjects[0] == scene.subjects[1]:
        names.remove("relation")  # a big red cat left of a big red cat is right of it as well
    name = names[int(rng.random() * len(names))]
    if name in ("place", "style", "relation"):
        options = {"place": f.PLACES, "style": f.STYLES, "relation": f.RELATIONS}[name]
        return scene.replace(**{name: other(options, getattr(scene, name))})
    number, role = name.split()
    options = {"kind": f.KINDS, "colour": f.COLOURS, "size": f.SIZES,
               "accessory": (*f.ACCESSORIES, None)}[role]  # fmt: skip
    subjects = list(scene.subjects)
    i = int(number) - 1
    values = {k: getattr(subjects[i], k) for k in ("kind", "colour", "size", "accessory")}
    subjects[i] = Subject(**{**values, role: other(options, values[role])})
    return scene.replace(subjects=tuple(subjects))


def readings(count: int, first: int, rough: bool) -> Iterator[tuple[Scene, Reading]]:
    """Reads ``count`` fresh renders, in batches."""
    for start in range(first, first + count, 64):
        seeds = range(start, min(start + 64, first + count))
        scenes = [sample(s, "all") for s in seeds]
        pictures = [sc.render(128) for sc in scenes]
        if rough:
            pictures = [noisy(p, s) for p, s in zip(pictures, seeds, strict=True)]
        yield from zip(scenes, read_all(pictures), strict=True)


def measure(count: int, altered: int, first: int, rough: bool) -> dict[str, float]:
    """Returns shares (0 to 1): per role, over all facts, per scene, caught, false alarms."""
    altered = min(altered, count)
    right, asked = Counter(), Counter()
    whole = caught = alarms = 0
    rng = np.random.Generator(np.random.PCG64([first, 29]))
    for i, (scene, reading) in enumerate(readings(count, first, rough)):
        result = check(reading, scene)
        for fact in result.facts:
            role = fact.name.split()[-1]
            asked[role] += 1
            right[role] += fact.ok
        whole += result.ok
        if i < altered:
            alarms += not result.ok
            caught += not check(reading, change_one_fact(scene, rng)).ok
    out = {role: right[role] / asked[role] for role in ROLES}
    out["all facts"] = sum(right.values()) / sum(asked.values())
    out["whole scenes"] = whole / count
    out["changed scenes caught"] = caught / altered
    out["false alarms"] = alarms / altered
    return out


def main() -> None:
    """The command line."""
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--pictures", type=int, default=5000)
    cli.add_argument("--altered", type=int, default=1000, help="at most as many as pictures")
    cli.add_argument(
        "--first", type=int, default=0, help="first seed; training began at 10,000,000"
    )
    a = cli.parse_args()
    if min(a.pictures, a.altered) < 1:
        cli.error("--pictures and --altered must be at least 1")
    columns = {
        name: measure(a.pictures, a.altered, a.first, rough)
        for name, rough in (("clean", False), ("noise and blur", True))
    }
    altered = min(a.altered, a.pictures)
    print(f"{a.pictures} fresh renders, {altered} also against a scene with one fact changed")
    print(f"{'':24}" + "".join(f"{name:>18}" for name in columns))
    for row in next(iter(columns.values())):
        print(f"{row:24}" + "".join(f"{c[row]:>17.2%} " for c in columns.values()))


if __name__ == "__main__":
    main()
