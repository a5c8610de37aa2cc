"""An examination by several processes: who draws what, in which order it comes back, who prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from torch import distributed, multiprocessing

from sdlearn.training import sharing


def drawing(drawn):
    """Draws pictures that tell text and seed; notes what it was asked for."""

    def draw(texts, seeds, **told):
        drawn.append([*zip(texts, seeds, strict=True)])
        return [
            Image.fromarray(np.full((4, 4, 3), [len(text), seed, told["more"]], np.uint8))
            for text, seed in zip(texts, seeds, strict=True)
        ]

    return draw


def told_by(pictures):
    return [np.asarray(picture)[0, 0].tolist() for picture in pictures]


def process(rank, folder):
    """One of two: draws three times, and writes down what it drew and what it got."""
    meet = f"file://{folder}/meet"
    distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=2)
    drawn = []
    draw = sharing.shared(drawing(drawn))
    got = [told_by(draw(["a" * n for n in range(1, count + 1)], [*range(count)], more=7))
           for count in (4, 3, 1)]  # fmt: skip
    (Path(folder) / f"{rank}.json").write_text(json.dumps([drawn, got]))
    distributed.destroy_process_group()


def test_alone_one_draws_everything():
    draw = drawing([])
    assert sharing.shared(draw) is draw


def test_each_draws_its_part_and_all_get_all_in_order(tmp_path):
    multiprocessing.spawn(process, (str(tmp_path),), nprocs=2)
    (first, got), (second, same) = (
        json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)
    )
    whole = [[[n + 1, n, 7] for n in range(count)] for count in (4, 3, 1)]
    assert got == same == whole
    assert first == [[["a", 0], ["aaa", 2]], [["a", 0], ["aaa", 2]], [["a", 0]]]
    assert second == [
        [["aa", 1], ["aaaa", 3]],
        [["aa", 1]],
    ]  # of one picture there is no second half


def test_two_processes_print_and_keep_one_table(tmp_path):
    """The command as the README has it, on the package's own model."""
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    asked = ("eval", "pocket-sd15", "--count", "2", "--steps", "1", "--to", str(tmp_path))
    done = subprocess.run(
        [sys.executable, *launch, "-m", "sdlearn", *asked],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pocket-sd15, 1 DDIM steps, guidance 5") == 1
    kept = json.loads((tmp_path / "pocketeval.json").read_text())
    assert [row["count"] for row in kept["rows"]] == [2] * 8
