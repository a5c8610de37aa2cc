"""Scene in, picture or masks out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image

from .backdrops import blow_up
from .facts import near, whole_number
from .layout import compose
from .palette import BLOCK, PARTS
from .scene import Scene
from .styles import draw, paint_index

SMALLEST, LARGEST = 32, 512


def render(scene: Scene, size: int = 128) -> Image.Image:
    """Draws a scene as an RGB picture; the same composition at every size."""
    size = whole_number("size", size, SMALLEST, LARGEST)
    picture = np.clip(draw(scene, compose(scene), size), 0, 255)
    return Image.fromarray((picture + 0.5).astype(np.uint8))


class Masks(Mapping[str, np.ndarray]):
    """Masks by name; a name that could mean two things gets an error that says which."""

    def __init__(self, masks: dict[str, np.ndarray]) -> None:
        self._masks = masks

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self._masks:
            return self._masks[name]
        numbered = [k for k in self._masks if k.rpartition(" ")[0] == name]
        if numbered:
            raise KeyError(f"there are two of {name!r} in this scene: ask for "
                           f"{' or '.join(map(repr, numbered))}, in the scene's order")  # fmt: skip
        raise KeyError(
            f"{name!r} has no mask in this scene.{near(str(name), self._masks)} "
            f"It has: {', '.join(map(repr, self._masks))}"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)

    def __repr__(self) -> str:
        shares = ", ".join(f"{k!r}: {v.mean():.1%}" for k, v in self._masks.items())
        return f"Masks({shares} of the picture)"


def part_names(scene: Scene) -> dict[str, str]:
    """Returns part -> mask name: {"subject 1": "cat", "accessory 1": "crown", ...}."""
    names = {}
    for what in ("subject", "accessory"):
        words = [s.kind if what == "subject" else s.accessory for s in scene.subjects]
        for i, word in enumerate(words, start=1):
            if word:
                names[f"{what} {i}"] = f"{word} {i}" if words.count(word) == 2 else word
    return names


def masks(scene: Scene, size: int = 128) -> Masks:
    """Returns which pixels of ``render(scene, size)`` belong to what (see ``Scene.masks``)."""
    size = whole_number("size", size, SMALLEST, LARGEST)
    names = part_names(scene)
    winner = part_map(scene, size)
    out = {name: winner == PARTS.index(part) for part, name in names.items()}
    out["background"] = winner == 0
    return Masks(out)


def part_map(scene: Scene, size: int) -> np.ndarray:
    """Returns which part, as its place in ``PARTS``, each pixel shows [size, size]; 0: backdrop."""
    index, fine = paint_index(compose(scene), scene, size)
    cover = []
    for p in range(1, 1 + 2 * len(scene.subjects)):
        table = [255 if 1 + p * BLOCK <= n < 1 + (p + 1) * BLOCK else 0 for n in range(256)]
        cover.append(np.asarray(index.point(table).reduce(fine), dtype=np.int16))
    # The backdrop (with its clouds) is what is left; the largest share of a pixel wins it.
    shares = np.stack([255 - sum(cover), *cover])
    winner = shares.argmax(0)
    if scene.style == "pixel art":
        winner = blow_up(winner, size)
    return winner
