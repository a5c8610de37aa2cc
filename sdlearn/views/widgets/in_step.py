"""Runs of several models, packed in step: by noise level, though their steps and sizes differ.

As in `packing`, one blob holds all bytes, and a header says in JSON what lies where.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sdlearn.trace import Step, Trace
from sdlearn.views.runs import evenly
from sdlearn.views.widgets.packing import LONGEST, Blob
from sdlearn.views.widgets.sheets import webp, within

SIDE = 256
"""The longest side of the finished pictures, in pixels."""
ANSWERS = {"eps": "the noise (eps)", "v": "the velocity (v)"}


class Frame(NamedTuple):
    """A step that is shown: it, its run, which of the side's models drew it, what that answers."""

    step: Step
    trace: Trace
    model: int
    answers: str


class Side(NamedTuple):
    """A model, or several that hand over: its name, their anatomies, its runs by prompt."""

    name: str
    anatomies: tuple[Any, ...]
    runs: dict[str, list[Trace]]


# -- noise levels ------------------------------------------------------------------------------


def levels_of(sigmas: Sequence[float]) -> list[float]:
    """All noise levels once, falling; those that differ by less than a thousandth are one."""
    levels: list[float] = []
    for sigma in sorted(sigmas, reverse=True):
        if not levels or _height(levels[-1]) - _height(sigma) > 1e-3:
            levels.append(sigma)
    return levels


def nearest_in(sigmas: Sequence[float], levels: Sequence[float]) -> list[int]:
    """For each level, which of the sigmas is nearest to it: by ratio, as noise is felt."""
    return [
        min(range(len(sigmas)), key=lambda i: abs(_height(sigmas[i]) - _height(level)))
        for level in levels
    ]


def _height(sigma: float) -> float:
    return math.log(min(max(sigma, 1e-4), 1e4))


def velocity(step: Step, eps: Tensor) -> Tensor:
    """The velocity that says the same as a noise: what a v-model's network answered."""
    keep, add = math.sqrt(step.alpha_bar), math.sqrt(1 - step.alpha_bar)
    if not keep:  # nothing of the picture is left in xt, and all that v can say is -x0
        return -step.x0
    return (eps - add * step.xt) / keep  # v = keep * eps - add * x0: 2202.00512, section 4


# -- what a side is made of --------------------------------------------------------------------


def parts_list(anatomies: Sequence[Any]) -> list[dict[str, Any]]:
    """Lines of "label" and "values", the same labels for every model; counted, not copied."""

    def line(label: str, first: Sequence[str], *others: Sequence[str]) -> dict[str, Any]:
        new = [texts for texts in others if list(texts) != list(first)]
        return {
            "label": label,
            "values": [*first, *(f"then: {text}" for one in new for text in one)],
        }

    return [
        line("family", *([str(one.family)] for one in anatomies)),
        line("reads the prompt with", *(_encoders(one) for one in anatomies)),
        line("a word comes as", *([f"{one.context:,} numbers"] for one in anatomies)),
        line("is also told", *([one.conditions] for one in anatomies)),
        line("answers", *([ANSWERS[one.family.prediction]] for one in anatomies)),
        line("latent", *([" x ".join(map(str, one.latent))] for one in anatomies)),
        line("picture", *(["{1} x {0}".format(*one.picture)] for one in anatomies)),
        line("U-Net", *([f"{one.unet.parameters:,} parameters"] for one in anatomies)),
        line("looks at words in", *([f"{one.attentions} layers"] for one in anatomies)),
    ]


def _encoders(anatomy: Any) -> list[str]:
    encoders = [part for part in anatomy.parts if part.name.startswith("text_encoder")]
    return [f"a {part.title} ({part.parameters:,} parameters)" for part in encoders]


def each(anatomies: Sequence[Any], group: Sequence[Trace]) -> list[Any]:
    """An anatomy for each run of those that hand over."""
    return list(anatomies) * (len(group) if len(anatomies) == 1 else 1)


# -- packing -----------------------------------------------------------------------------------


def chosen_frames(side: Side, traces: Sequence[Trace], frames: int) -> list[Frame]:
    """The steps that are shown, of one run or of several that hand over."""
    owners = each(side.anatomies, traces)
    every = [
        Frame(step, trace, number, anatomy.family.prediction)
        for number, (trace, anatomy) in enumerate(zip(traces, owners, strict=True))
        for step in trace.steps
    ]
    return [every[i] for i in evenly(len(every), frames)]


def packed(
    traces: Sequence[Trace], run: Sequence[Frame], levels: Sequence[float], blob: Blob
) -> dict[str, Any]:
    """A run's header; its bytes go into the blob."""
    parts = ["xt", "x0", *(["answer"] if all(_eps(frame) is not None for frame in run) else [])]
    names = [str(trace.settings.get("model", "")) for trace in traces]
    picture = within(finished(traces[-1]), SIDE)
    return {
        "steps": [
            {
                "by": names[frame.model] if len(traces) > 1 else "",
                "index": frame.step.index,
                "total": len(frame.trace),
                "t": float(frame.step.t),
                "sigma": finite(frame.step.sigma),
                "answers": frame.answers,
            }
            for frame in run
        ],
        "at": nearest_in([frame.step.sigma for frame in run], levels),
        "latent": list(traces[-1].latent.shape[2:]),
        "planes": {part: _planes([previewed(one, part) for one in run], blob) for part in parts},
        "picture": {"at": blob.add(webp(picture, 80)), "size": list(picture.size)},
        "seed": traces[0].settings.get("seed"),
        "words": _words(traces, blob),
    }


def finished(trace: Trace) -> Image.Image:
    """The picture of a run; where it made none, the last estimate."""
    return trace.image if trace.images else trace.steps[-1].preview("x0")


def _eps(frame: Frame) -> Tensor | None:
    """What the network said of the noise, with the prompt where it was asked so."""
    step = frame.step
    return step.eps_cond if step.eps_cond is not None else step.eps


def previewed(frame: Frame, part: str) -> Image.Image:
    """A latent through the model's straight line to colours: a pixel for each place."""
    if part != "answer":
        return frame.step.preview(part)
    eps = _eps(frame)
    answer = velocity(frame.step, eps) if frame.answers == "v" else eps
    return frame.trace.look.preview(answer)


def _planes(pictures: Sequence[Image.Image], blob: Blob) -> list[int]:
    """Small pictures side by side, their reds above their greens above their blues, all as greys.

    WebP keeps a colour for every second pixel only. Here each pixel is a place of a latent, and
    greys are kept for every pixel: smaller, and five times as near to the truth.
    """
    rows = np.concatenate([np.asarray(p.convert("RGB")) for p in pictures], axis=1)  # [h, n*w, 3]
    greys = Image.fromarray(np.concatenate(list(rows.transpose(2, 0, 1)), axis=0))
    if max(greys.size) > LONGEST:
        raise ValueError(
            f"{len(pictures)} steps of latents of {pictures[0].width} places are too wide for one "
            f"picture: use at most frames={LONGEST // pictures[0].width}."
        )
    return blob.add(webp(greys.convert("RGB"), 60))


def words_of(traces: Sequence[Trace]) -> list[str]:
    """The words that a network read and some run kept maps of; one that comes twice is one."""
    looked = [trace.attention for trace in traces if "attention" in trace.recorded]
    kept = [attention.words.items for attention in looked if attention.is_read]
    found: dict[str, str] = {}
    for word in (word for items in kept for word in items if word.positions):
        found.setdefault(word.text.lower(), word.text)
    return list(found.values())


def _words(traces: Sequence[Trace], blob: Blob) -> list[dict[str, Any]]:
    """Each word's map over all layers and steps, of the first run that kept it."""
    found = []
    for word in words_of(traces):
        trace = next(trace for trace in traces if word in words_of([trace]))
        values = trace.attention[word].mean().values
        levels = (values / (float(values.max()) or 1.0) * 255).round().to(torch.uint8)
        at = blob.add(levels.cpu().numpy().tobytes())
        found.append({"text": word, "grid": list(values.shape), "at": at})
    return found


def finite(sigma: float) -> float | None:
    """A noise level as JSON can say it: None is endless."""
    return None if math.isinf(sigma) else sigma
