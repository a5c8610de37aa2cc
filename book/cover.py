"""Draw the book's cover: one run of a model, packed small.

    python book/cover.py                                    # the cover as it is
    python book/cover.py "a red house in the snow" --seed 4 --words red house snow

It refuses a picture that does not show what the prompt says. Run it again when the model has
learned more. What it writes is committed: static/cover.webp (the steps, side by side, from noise
to picture) and static/cover.json (the prompt, and where each word looked).
"""

from __future__ import annotations

import argparse
import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

import sdlearn as sd
from sdlearn.views.widgets.packing import Blob, pack

STATIC = Path(__file__).resolve().parent / "static"
MODEL = "pocket-sd15"
PROMPT = "a big red mushroom at night"
WORDS = ("big", "red", "mushroom", "night")
SEED, STEPS, GUIDANCE = 28, 25, 5.0


def draw(prompt: str, words: list[str], seed: int) -> tuple[Image.Image, dict]:
    """The sprite of a run's steps, and what the player must know about it."""
    trace = sd.load(MODEL).generate(prompt, steps=STEPS, guidance_scale=GUIDANCE, seed=seed)
    seen = sd.world.check(trace.image, sd.world.parse(prompt))
    if not seen.ok:
        raise SystemExit(f"Not on the cover: seed {seed} of “{prompt}”.\n{seen}")
    blob = Blob()
    header = pack(trace, blob)
    packed = blob.bytes()
    frames = sprite(packed, header["pictures"]["xt"], trace.image)
    maps = {word["text"]: word for word in header["words"]}
    missing = [word for word in words if word not in maps]
    if missing:
        raise SystemExit(f"The prompt has no word {missing[0]!r}; it has {', '.join(maps)}.")
    return frames, {
        "model": MODEL,
        "prompt": prompt,
        "seed": seed,
        "steps": STEPS,
        "guidance": GUIDANCE,
        "frames": STEPS + 1,
        "words": [lit(maps[word], packed) for word in words],
    }


def sprite(packed: bytes, kept: dict, last: Image.Image) -> Image.Image:
    """The noisy pictures of all steps side by side, and at the right end the finished one."""
    offset, length = kept["at"]
    steps = Image.open(io.BytesIO(packed[offset : offset + length])).convert("RGB")
    whole = Image.new("RGB", (steps.width + last.width, last.height))
    whole.paste(steps)
    whole.paste(last, (steps.width, 0))
    return whole


def lit(word: dict, packed: bytes) -> dict:
    """Where a word looked, over all steps and layers: one byte a place, from least to most."""
    rows, columns = word["grid"]
    offset, length = word["steps_at"]
    maps = np.frombuffer(packed[offset : offset + length], np.uint8).reshape(-1, rows, columns)
    mean = maps.astype(float).mean(axis=0)
    light = (mean - mean.min()) / max(float(np.ptp(mean)), 1e-9)
    data = base64.b64encode((light * 255).round().astype(np.uint8).tobytes()).decode("ascii")
    return {"text": word["text"], "grid": [rows, columns], "map": data}


def main() -> None:
    """Draw the cover, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompt", nargs="?", default=PROMPT)
    parser.add_argument("--words", nargs="+", default=list(WORDS), help="which words light up")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    frames, told = draw(given.prompt, given.words, given.seed)
    frames.save(STATIC / "cover.webp", "WEBP", quality=80, method=6)
    (STATIC / "cover.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
