"""Trains the checker's network: ``python -m sdlearn.world.train_checker``.

It learns from pictures drawn on the fly: renders only, never a diffusion model's pictures, so that
it is an independent judge. The renders are roughened (noise, blur, lost detail, shifted colours,
JPEG), and every second one is copied first by a careless hand (`copyist`), because a decoder's
pictures are never as clean as a drawing. Training resumes from its last state; the weights that
ship are a running average, in half precision.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import pickle
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .backdrops import backdrop
from .checker import read_weights, weights_path
from .copyist import Copyist, practised
from .facts import COLOURS, KINDS, PLACES, SIZES, STYLES
from .network import CELL, LABELS, SIDE, WORN, CheckerNet, Readout
from .places import VARIANTS
from .render import part_map, render
from .sampling import sample
from .scene import Scene

FIRST = 10_000_000  # seeds far from those that measure_checker and the tests draw from
AGAIN = 20_000_000  # a second training's own
PRACTICE = 30_000_000  # the copyist's
EMPTY = 15  # one picture of so many shows nothing: who judges must know what that looks like


class Batch(NamedTuple):
    """Pictures [B, 3, 128, 128], their cells' truth [B, 4, 32, 32], place and style [B, 2]."""

    pictures: Tensor
    cells: Tensor
    whole: Tensor


def roughen(picture: Image.Image, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """Returns a picture as a careless decoder might give it [h, w, 3], float32 from 0 to 1."""
    u = rng.random(10)
    w, h = picture.size
    if u[0] < 0.3:  # detail that a small latent cannot hold
        small = int(w * (1 - 0.55 * strength * rng.random()))
        picture = picture.resize((small, small), Image.Resampling.BILINEAR)
        picture = picture.resize((w, h), Image.Resampling.BICUBIC)
    if u[1] < 0.35:
        picture = picture.filter(ImageFilter.GaussianBlur(1.3 * strength * rng.random()))
    if u[2] < 0.2:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(90 - 60 * strength * rng.random()))
        picture = Image.open(buffer).convert("RGB")
    x = np.asarray(picture, dtype=np.float32) / 255
    if u[3] < 0.5:  # contrast and brightness, and a slight cast
        gain = 1 + 0.12 * strength * (2 * rng.random() - 1) + 0.04 * (2 * rng.random(3) - 1)
        x = (x - 0.5) * gain.astype(np.float32) + 0.5 + np.float32(0.06 * (2 * rng.random() - 1))
    if u[4] < 0.3:  # blotches
        coarse = rng.standard_normal((8, 8, 3)) * 0.05 * strength * rng.random()
        x = x + np.kron(coarse, np.ones((h // 8, w // 8, 1))).astype(np.float32)
    if u[5] < 0.6:
        x = x + rng.standard_normal(x.shape, dtype=np.float32) * np.float32(
            0.08 * strength * rng.random()
        )
    return np.clip(x, 0, 1)


def _drawn(first_seed: int, count: int) -> list[Image.Image]:
    return [render(sample(seed, "all"), SIDE) for seed in range(first_seed, first_seed + count)]


def cell_targets(scene: Scene) -> np.ndarray:
    """Returns every cell's truth [4, 32, 32]: label, colour, size, worn; -100 where unasked."""
    parts = part_map(scene, SIDE)
    side = SIDE // CELL
    blocks = parts.reshape(side, CELL, side, CELL).transpose(0, 2, 1, 3).reshape(side, side, -1)
    counts = np.stack([(blocks == p).sum(-1) for p in range(5)])
    winner = counts.argmax(0)
    # Thin things (an antenna, a mast) never win a cell: let half a cell of anything beat nothing.
    something = counts[1:].sum(0) * 2 >= CELL * CELL
    winner = np.where((winner == 0) & something, 1 + counts[1:].argmax(0), winner)
    out = np.full((4, side, side), -100, dtype=np.int64)
    out[0] = 0
    for i, s in enumerate(scene.subjects):
        for p, label in ((1 + 2 * i, s.kind), (2 + 2 * i, s.accessory)):
            here = winner == p
            if label and here.any():
                out[0][here] = LABELS.index(label)
                out[1][here] = COLOURS.index(s.colour)
                out[2][here] = SIZES.index(s.size)
                out[3][here] = WORN.index(s.accessory or "nothing")
    return out


def empty(seed: int) -> tuple[Image.Image, tuple[int, int]]:
    """Draws a picture with nothing in it, and says its place and style, -100 where it has none."""
    rng = np.random.Generator(np.random.PCG64([seed, 19]))
    if rng.random() < 0.6:
        place, style = int(rng.integers(len(PLACES))), int(rng.integers(len(STYLES)))
        variant, mirror = int(rng.integers(VARIANTS)), bool(rng.integers(2))
        pixels = backdrop(PLACES[place], STYLES[style], variant, mirror, SIDE)
        return Image.fromarray((np.clip(pixels, 0, 255) + 0.5).astype(np.uint8)), (place, style)
    top, bottom = 255 * rng.random((2, 1, 1, 3))  # one colour, or from one to another
    share = np.linspace(0, rng.integers(2), SIDE)[:, None, None]
    pixels = np.broadcast_to(top + share * (bottom - top), (SIDE, SIDE, 3))
    if rng.random() < 0.3:
        pixels = np.clip(pixels + 60 * rng.random() * rng.standard_normal(pixels.shape), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8)), (-100, -100)


def batch_of(first_seed: int, count: int, copyist: Copyist) -> Batch:
    """Draws scenes and, every fifteenth time, nothing; has every second copied; roughens all."""
    seeds = range(first_seed, first_seed + count)
    scenes = [sample(seed, "all") for seed in seeds]  # also what the models have not seen
    drawn = [render(scene, SIDE) for scene in scenes]
    cells = [cell_targets(scene) for scene in scenes]
    whole = [(PLACES.index(s.place), STYLES.index(s.style)) for s in scenes]
    for number in range(5, count, EMPTY):
        drawn[number], whole[number] = empty(seeds[number])
        cells[number][0], cells[number][1:] = 0, -100
    drawn[1::2] = copyist.copied(drawn[1::2], first_seed)
    pictures = []
    for number, (seed, picture) in enumerate(zip(seeds, drawn, strict=True)):
        rng = np.random.Generator(np.random.PCG64([seed, 17]))
        strength = 0.4 if number % 2 else 1.0  # a copy has lost enough
        pictures.append(roughen(picture, rng, strength).transpose(2, 0, 1))
    return Batch(
        torch.from_numpy(np.stack(pictures)),
        torch.from_numpy(np.stack(cells)),
        torch.tensor(whole),
    )


def loss_of(seen: Readout, cells: Tensor, whole: Tensor) -> Tensor:
    """Cross-entropy of all six questions; empty cells count a third, for there are so many."""
    weight = torch.ones(len(LABELS))
    weight[0] = 0.35
    weight[1 + len(KINDS) :] = 1.5
    loss = 2.0 * cross_entropy(seen.label.float(), cells[:, 0], weight=weight)
    for logits, truth in zip((seen.colour, seen.size, seen.worn), cells.unbind(1)[1:], strict=True):
        loss = loss + cross_entropy(logits.float(), truth)
    loss = loss + 0.5 * cross_entropy(seen.place.float(), whole[:, 0])
    return loss + 0.5 * cross_entropy(seen.style.float(), whole[:, 1])


def _averaged(net: CheckerNet) -> AveragedModel:
    average = get_ema_multi_avg_fn(0.995)
    return AveragedModel(net, multi_avg_fn=average, use_buffers=True)


def save_weights(net: torch.nn.Module, path: Path) -> None:
    """Writes the weights in half precision."""
    from safetensors.torch import save_file

    tensors = {
        k: v.half().contiguous() if v.is_floating_point() else v
        for k, v in net.state_dict().items()
        if not k.endswith("num_batches_tracked")
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    save_file(tensors, str(draft), metadata={"format": "pt", "what": "Pocket World checker"})
    draft.chmod(0o644)
    os.replace(draft, path)


def train(
    minutes: float,
    batch: int,
    peak: float,
    state: Path,
    out: Path,
    total: int,
    practice: int = 800,
    begin: Path | None = None,
) -> None:
    """Trains for some minutes or to the schedule's end, from the last state if there is one.

    Args:
        minutes: Stop after this long.
        batch: Pictures a step.
        peak: The highest learning rate.
        state: Where to go on from, and what to go on from later.
        out: Where the finished weights go.
        total: Steps of the schedule.
        practice: Steps that the copyist practises before the first of them.
        begin: Weights to begin with where there is no state; None: untrained ones.
    """
    if total < 1 or batch < 1:
        raise ValueError(f"steps and batch must be at least 1, got {total} and {batch}.")
    torch.manual_seed(0)
    net = CheckerNet().to(memory_format=torch.channels_last)
    if begin:
        read_weights(net, begin)
    ema = _averaged(net)
    adam = torch.optim.AdamW(net.parameters(), lr=peak, weight_decay=1e-3)
    step = 0
    if state.exists():
        held = _opened(state)
        net.load_state_dict(held["net"])
        ema.load_state_dict(held["ema"])
        adam.load_state_dict(held["adam"])
        step = held["step"]
        copyist = Copyist()
        copyist.load_state_dict(held["copyist"])
        print(f"resumed at step {step}", flush=True)
    else:
        copyist = practised(lambda step: _drawn(PRACTICE + step * batch, batch), practice)
        print(f"the copyist has practised for {practice} steps", flush=True)
    start, recent = time.time(), []
    while step < total and time.time() - start < 60 * minutes:
        warm = min(1.0, (step + 1) / 150)
        for group in adam.param_groups:  # warm-up, then a half cosine down to nothing
            group["lr"] = peak * warm * (0.5 + 0.5 * math.cos(math.pi * step / total)) + 1e-5
        first = (AGAIN if begin else FIRST) + step * batch
        pictures, cells, whole = batch_of(first, batch, copyist)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            seen = net(pictures.contiguous(memory_format=torch.channels_last))
        loss = loss_of(seen, cells, whole)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        adam.step()
        ema.update_parameters(net)
        step += 1
        recent.append(loss.item())
        if step % 100 == 0:
            rate = batch * len(recent) / (time.time() - start)
            print(f"step {step:6d}  loss {np.mean(recent[-100:]):.4f}  {rate:.0f}/s", flush=True)
        if step % 500 == 0:
            _keep(state, net, ema, adam, copyist, step)
    _keep(state, net, ema, adam, copyist, step)
    if step < total:
        print(f"{step} of {total} steps done: the same command goes on. {out} stays what it was.")
    else:
        save_weights(ema.module, out)


def _opened(state: Path) -> dict[str, Any]:
    try:
        return torch.load(state, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{state} can't be read ({error}). Delete it to begin anew, or name another: --state."
        ) from error


def _keep(
    state: Path,
    net: CheckerNet,
    ema: AveragedModel,
    adam: torch.optim.Adam,
    copyist: Copyist,
    step: int,
) -> None:
    state.parent.mkdir(parents=True, exist_ok=True)
    held = {"net": net.state_dict(), "ema": ema.state_dict(), "adam": adam.state_dict()}
    draft = state.with_name(f".{state.name}.draft")
    torch.save({**held, "copyist": copyist.state_dict(), "step": step}, draft)
    os.replace(draft, state)


def main() -> None:
    """The command line."""
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--minutes", type=float, default=40, help="stop after this long")
    cli.add_argument("--steps", type=int, default=4500, help="length of the schedule")
    cli.add_argument("--batch", type=int, default=32)
    cli.add_argument("--peak", type=float, default=3e-3, help="highest learning rate")
    cli.add_argument("--state", type=Path, default=Path("runs/checker.pt"), help="to resume from")
    cli.add_argument("--out", type=Path, default=weights_path())
    cli.add_argument("--practice", type=int, default=800, help="steps that the copyist practises")
    cli.add_argument("--begin", type=Path, help="weights to begin with, such as the package's own")
    a = cli.parse_args()
    try:
        train(a.minutes, a.batch, a.peak, a.state, a.out, a.steps, a.practice, a.begin)
    except (ValueError, OSError) as error:
        cli.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
