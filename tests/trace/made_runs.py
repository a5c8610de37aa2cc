"""Runs that no network made: their numbers are known, so what is shown can be checked."""

from __future__ import annotations

import re

import torch
from PIL import Image

from sdlearn.trace import Attention, Layer, Step, Tokens, Trace

PLACES = 20
LAYERS = (
    Layer("down.0.0.0", "down_blocks.0.attentions.0", heads=2, rows=8, columns=12),
    Layer("mid.0.0", "mid_block.attentions.0", heads=4, rows=2, columns=3),
    Layer("up.1.0.0", "up_blocks.1.attentions.0", heads=2, rows=4, columns=6),
    Layer("up.1.1.0", "up_blocks.1.attentions.1", heads=2, rows=4, columns=6),
)
MATRIX = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0.1, 0.0, -0.1]])


def tokens(text: str = "a red cat and a red dog", places: int = PLACES) -> Tokens:
    """What a tokenizer with one token for each word or sign would make of a prompt."""
    typed = [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)][: places - 2]
    offsets = [(0, 0), *typed, *[(0, 0)] * (places - 1 - len(typed))]
    pieces = [text[a:b] or "<special>" for a, b in offsets]
    return Tokens.build(text, range(places), pieces, offsets)


def attention(
    *prompts: str,
    steps: int = 3,
    heads: str = "mean",
    halves: tuple[str, ...] = ("cond",),
    calls: int = 1,
    layers: tuple[Layer, ...] = LAYERS,
    selves: bool = False,
) -> Attention:
    """Probabilities of chance, over the positions of the prompts."""
    torch.manual_seed(0)
    read = tuple(tokens(text) for text in prompts or ("a red cat and a red dog",))

    def kept(text: bool) -> dict:
        return {
            (step, call, half, i): torch.randn(
                len(read),
                layer.heads if heads == "each" else 1,
                layer.rows * layer.columns,
                PLACES if text else layer.rows * layer.columns,
            ).softmax(-1)
            for step in range(steps)
            for call in range(calls)
            for half in halves
            for i, layer in enumerate(layers)
        }

    return Attention(
        layers=layers,
        tokens=read,
        negative=tuple(tokens("ugly") for _ in read),
        steps=tuple(range(steps)),
        halves=halves,
        heads=heads,
        kept=kept(True),
        kept_self=kept(False) if selves else {},
    )


class FlatLook:
    """A model's look that paints the latent's mean, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, torch.Size]] = []

    def image(self, latent: torch.Tensor) -> Image.Image:
        self.asked.append(("image", latent.shape))
        return Image.new("RGB", (32, 48), (int(latent.float().mean().sigmoid() * 255), 0, 0))

    def preview(self, latent: torch.Tensor) -> Image.Image:
        self.asked.append(("preview", latent.shape))
        return Image.new("RGB", (4, 6))


def step(index: int = 0, **changes: object) -> Step:
    """A step, with nothing recorded but what is given."""
    facts = {"t": 900.0, "alpha_bar": 0.2, "alpha_bar_next": 0.5, "guidance_scale": 7.5}
    return Step(index=index, **{**facts, **changes})


def trace(
    *prompts: str,
    steps: int = 4,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    noise: bool = True,
    **changes: object,
) -> Trace:
    """A run as `generate` leaves it: what a step leaves is what the next one begins with."""
    prompts = prompts or ("a red cat and a red dog",)
    generator = torch.Generator().manual_seed(seed)

    def latent() -> torch.Tensor:
        return torch.randn(len(prompts), 4, 8, 12, generator=generator).to(dtype)

    samples = [latent() for _ in range(steps + 1)]
    alpha_bars = torch.linspace(0.1, 1, steps + 1).tolist()
    made = []
    for i in range(steps):
        parts = {"sample": samples[i], "sample_next": samples[i + 1], "x0": latent()}
        if noise:
            parts |= {"eps_uncond": latent(), "eps_cond": latent(), "eps": latent()}
        bars = {"alpha_bar": alpha_bars[i], "alpha_bar_next": alpha_bars[i + 1]}
        made.append(step(i, t=999.0 - 100 * i, **bars, **parts))
    pictures = [Image.new("RGB", (96, 64), (10 * i, 100, 200)) for i in range(len(prompts))]
    facts = {
        "steps": made,
        "latent": samples[-1],
        "images": pictures,
        "prompts": prompts,
        "negative_prompts": ("ugly",) * len(prompts),
        "settings": {"model": "made-up", "sampler": "ddim", "seed": list(range(len(prompts)))},
        "tokens": [tokens(text) for text in prompts],
        "attention": attention(*prompts, steps=steps, halves=("uncond", "cond")),
        "preview_matrix": MATRIX,
    }
    return Trace(**{**facts, **changes})
