"""The training set: scenes of Pocket World, drawn once and kept as plain arrays.

Nothing is collected: scene number i *is* the training set's i-th entry, on every machine. A plan
may begin with a later scene, so that its run sees pictures that none before it saw. The pictures
are drawn in chunks; a chunk that is there is not drawn again.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from sdlearn import world

CHUNK = 1000
WINDOWS_LIMIT = 61  # as many processes can be waited for there
SAME = 8.0  # levels of 255 by which two drawings of one scene may differ on average


class Pictures:
    """Drawn scenes and their captions.

    Attributes:
        folder: Where the chunks lie.
        count: How many scenes.
        size: The pictures' side.
        first: The scene that is the training set's number 0.
    """

    def __init__(self, folder: Path, count: int, size: int, first: int = 0) -> None:
        if first < 0 or first % CHUNK:
            raise ValueError(f"first must be 0 or a multiple of {CHUNK}, got {first}.")
        if count < 1 or (count % CHUNK and count > CHUNK):
            raise ValueError(f"count must be up to {CHUNK} or a multiple of it, got {count}.")
        self.folder, self.count, self.size, self.first = Path(folder), count, size, first
        self._chunks: list[np.ndarray] = []

    def draw(self, workers: int | None = None) -> None:
        """Draw what is missing, on all cores, and open it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [c for c in range(-(-self.count // CHUNK)) if not self._path(c).exists()]
        jobs = [
            (str(self._path(c)), self.first + c * CHUNK, self._length(c), self.size)
            for c in missing
        ]
        workers = min(workers or os.cpu_count() or 1, len(jobs), WINDOWS_LIMIT)
        if len(jobs) > 1 and workers > 1:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                list(tqdm(pool.map(_draw_chunk, jobs), total=len(jobs), desc="drawing"))
        else:
            for job in jobs:
                _draw_chunk(job)
        chunks = range(-(-self.count // CHUNK))
        self._chunks = [self._load(self._path(c)) for c in chunks]
        self._compare(0)
        self._compare(self.count - 1)

    def __len__(self) -> int:
        """How many scenes."""
        return self.count

    def batch(self, indices: Tensor) -> Tensor:
        """Pictures from -1 to 1, shape [batch, 3, size, size]."""
        arrays = [self._chunks[i // CHUNK][i % CHUNK] for i in indices.tolist()]
        values = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
        return values.float() / 127.5 - 1

    def caption(self, index: int, variant: int) -> str:
        """One of the many captions of a scene."""
        return world.sample(seed=self.first + index).caption(variant)

    def today(self, index: int) -> Image.Image:
        """A scene as Pocket World draws it today; `draw` may have kept another."""
        return world.sample(seed=self.first + index).render(self.size)

    def _compare(self, index: int) -> None:
        """Refuse pictures that were drawn when Pocket World was another: captions would lie."""
        drawn = self._chunks[index // CHUNK][index % CHUNK].astype(np.float32)
        today = np.asarray(self.today(index), dtype=np.float32)
        if np.abs(drawn - today).mean() > SAME:
            raise ValueError(
                f"The pictures in {self.folder} are not those that Pocket World draws today "
                f"(see scene {self.first + index}). Delete that folder, and they are drawn anew; "
                "checkpoints that learnt from them belong to the old ones."
            )

    @staticmethod
    def _load(path: Path) -> np.ndarray:
        try:
            return np.load(path, mmap_mode="r")
        except (ValueError, EOFError) as error:
            raise ValueError(
                f"{path} can't be read ({error}). Delete it: its pictures are drawn anew."
            ) from error

    def _length(self, chunk: int) -> int:
        return min(CHUNK, self.count - chunk * CHUNK)

    def _path(self, chunk: int) -> Path:
        number = self.first // CHUNK + chunk
        return self.folder / f"{self.size}px-{number:04d}-{self._length(chunk)}.npy"


def _draw_chunk(job: tuple[str, int, int, int]) -> None:
    path, first, length, size = job
    drawn = np.stack(
        [np.asarray(world.sample(seed=i).render(size)) for i in range(first, first + length)]
    )
    draft = f"{path}.{os.getpid()}.draft"
    with open(draft, "wb") as file:
        np.save(file, drawn)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def order(count: int, batch: int, step: int, seed: int) -> Tensor:
    """Which scenes a step sees, shape [batch]: every scene once before any comes again.

    A function of the step's number alone: whoever resumes at step 500 sees what step 500 would
    have seen, and several processes agree without a word.
    """
    places = torch.arange(step * batch, (step + 1) * batch)
    picked = []
    for round_ in (places // count).unique().tolist():
        generator = torch.Generator().manual_seed(seed * 1_000_003 + round_)
        shuffled = torch.randperm(count, generator=generator)
        picked.append(shuffled[places[places // count == round_] % count])
    return torch.cat(picked)
