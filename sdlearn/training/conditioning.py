"""What SDXL is told beside the prompt, and what its refiner adds: does either show?

Four questions, each answered by a measure of the pictures themselves:

- told of a smaller original, does it draw coarser (`details`)?
- told of a cut further to the right, does the thing stand further to the left (`cuts`)?
- with the last steps left to the refiner, are fine structures nearer to those of fresh drawings
  than with the base model alone, at the same number of steps (`refinement`)?
- and where both are given true drawings with that last noise, who brings back more (`restoration`)?
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image

from sdlearn import world
from sdlearn.equations import noising
from sdlearn.trace.detail import detail_of
from sdlearn.trace.ended import ended
from sdlearn.training import frames, sharing
from sdlearn.training.plans import Frames
from sdlearn.training.recipes import RECIPES

FIRST = 4 * 10**9  # scenes from here on: neither training nor PocketEval uses them
AT_ONCE = 10
DRAWINGS = 4  # of each caption, to compare with

Tell = Callable[..., list[Image.Image]]
"""Draws pictures of captions, with seeds, and with SDXL's settings: `original_size`, `crop`."""


@dataclass(frozen=True)
class Detail:
    """How fine the pictures of one original size are.

    Attributes:
        side: The original side that the model was told.
        model: The mean detail of its pictures, in grey levels.
        frames: The same of drawings that were made at this size and enlarged.
    """

    side: int
    model: float
    frames: float


@dataclass(frozen=True)
class Cut:
    """How far things move when the cut does.

    Attributes:
        axis: "left" or "top", the coordinate that was changed.
        asked: By how much of the picture's side the cut was moved.
        moved: How much things moved the other way, on average.
        pairs: How many pairs of pictures showed one thing both times.
    """

    axis: str
    asked: float
    moved: float
    pairs: int


@dataclass(frozen=True)
class Refinement:
    """How far the spectra of pictures are from those of fresh drawings, with and without refiner.

    Attributes:
        base: The base model's pictures, all steps its own.
        refined: Those of as many steps, of which the refiner did the last ones.
        count: Pictures of each kind.
        redrawn: Drawings that the autoencoder encoded and decoded: what it loses, nobody brings
            back; None where that was not measured.
        fresh: Other fresh drawings: so far two sets of them are apart by chance.
    """

    base: float
    refined: float
    count: int
    redrawn: float | None = None
    fresh: float = 0.0


@dataclass(frozen=True)
class Restoration:
    """How far the fine structure of true drawings is off when their last noise has been taken away.

    It is compared with the same drawings, encoded and decoded: what the autoencoder loses is
    nobody's fault here.

    Attributes:
        base: Mean squared error, as a part of the fine structure's power; the base model's.
        refined: The refiner's, from the same noise and with as many steps.
        nearer: In how many pictures the refiner is nearer.
        count: Of so many.
    """

    base: float
    refined: float
    nearer: int
    count: int


def captions(count: int) -> list[str]:
    """Captions of one thing each, the same every time, whose pictures have fine structure."""
    said, number = [], FIRST
    while len(said) < count:
        scene = world.sample(number)
        number += 1
        if len(scene.subjects) == 1 and scene.style == "flat":
            said.append(scene.caption(number))
    return said


def drawing(text: str, number: int, again: int = 0) -> world.Scene:
    """The scene that a caption tells, in a pose, at a place and before a backdrop of its own.

    Args:
        text: The caption.
        number: Which of the captions it is.
        again: Others give other drawings of the same caption.
    """
    return world.parse(text).replace(seed=FIRST + 10_000 * again + number)


def details(tell: Tell, drawn: Frames, count: int = 20) -> list[Detail]:
    """The detail of pictures for each original side that the model saw in training.

    Args:
        tell: Draws.
        drawn: How the training's pictures varied.
        count: Pictures for each side.
    """
    asked, rows = captions(count), []
    for side in drawn.sides:
        pictures = _draw(tell, asked, original_size=(side, side))
        there = [_enlarged(drawing(text, i), side, drawn.size) for i, text in enumerate(asked)]
        rows.append(Detail(side, _mean(map(detail_of, pictures)), _mean(map(detail_of, there))))
    return rows


def cuts(tell: Tell, drawn: Frames, count: int = 20) -> list[Cut]:
    """How far things move, when the cut moves from one end to the other.

    Args:
        tell: Draws.
        drawn: How the training's pictures varied.
        count: Pictures for each end.
    """
    far = frames.enlarged(drawn) - drawn.size
    asked, rows = captions(count), []
    for axis in ("left", "top"):
        places = []
        for end in (frames.CUTS, far):
            crop = (far // 2, end) if axis == "left" else (end, far // 2)
            pictures = _draw(tell, asked, crop=crop)
            places.append([_middle(reading, axis) for reading in world.read_all(pictures)])
        pairs = [(a, b) for a, b in zip(*places, strict=True) if a is not None and b is not None]
        moved = _mean(a - b for a, b in pairs) if pairs else float("nan")
        rows.append(Cut(axis, (far - frames.CUTS) / drawn.size, moved, len(pairs)))
    return rows


def refinement(
    base: Tell, refined: Tell, drawn: Frames, count: int = 20, redrawn: Tell | None = None
) -> Refinement:
    """How near fine structures come to those of fresh drawings of the same scenes.

    Args:
        base: Draws with the base model alone.
        refined: Draws with as many steps, the last ones the refiner's.
        drawn: How the training's pictures varied.
        count: Pictures of each kind.
        redrawn: Has the autoencoder encode and decode drawings of captions.
    """
    asked = captions(count)

    def drawings(again: int) -> list[Image.Image]:
        return [drawing(text, i, again).render(drawn.size) for i, text in enumerate(asked)]

    truth = _spectrum([one for again in range(1, DRAWINGS + 1) for one in drawings(again)])

    def gap(pictures: Sequence[Image.Image]) -> float:
        return float(np.abs(np.log10(_spectrum(pictures) / truth)).mean())

    gaps = [gap(_draw(tell, asked)) for tell in (base, refined)]
    return Refinement(
        *gaps, count, redrawn and gap(_draw(redrawn, asked)), gap(drawings(DRAWINGS + 1))
    )


def restoration(
    model: Any,
    refiner: Any,
    drawn: Frames,
    count: int = 20,
    *,
    steps: int = 25,
    guidance_scale: float = 5.0,
) -> Restoration:
    """True drawings, with as much noise as the refiner learnt on; both take it away.

    Args:
        model: The base model.
        refiner: Its refiner.
        drawn: How the training's pictures varied.
        count: How many drawings.
        steps: Of a whole run; each takes those from the handover on.
        guidance_scale: For both.
    """
    plain = {"steps": steps, "guidance_scale": guidance_scale, "sampler": "ddim", "record": ()}
    way = model.schedule(steps, "ddim")
    learnt = round(model.parts.scheduler.config.num_train_timesteps * (1 - HANDOVER))
    turn = int((way.timesteps >= learnt).sum())  # as many steps are the base model's
    asked, off = captions(count), []
    for begin in range(0, count, AT_ONCE):
        texts = asked[begin : begin + AT_ONCE]
        seeds = list(range(begin, begin + len(texts)))
        scenes = map(drawing, texts, seeds)
        clean = model.to_latent([scene.render(drawn.size) for scene in scenes]).mean
        xt = noising.add_noise(clean, model.noise(seeds), way.alpha_bars[turn])
        told = {"seed": seeds, "denoising_start": HANDOVER, **plain}
        both = [ended(one.image_to_image(xt, texts, **told)) for one in (model, refiner)]
        images = [trace.images for trace in both]
        for truth, ours, theirs in zip(model.draw(clean), *images, strict=True):
            off.append((_off(ours, truth), _off(theirs, truth)))
    base, refined = np.array(off).T
    nearer = int((refined < base).sum())
    return Restoration(float(base.mean()), float(refined.mean()), nearer, count)


def draws(model: Any, refiner: Any = None, *, steps: int = 25, guidance_scale: float = 5.0) -> Tell:
    """What draws with a model, and leaves the last steps to a refiner if there is one.

    Several processes that were started as one draw a part of the pictures each.

    Args:
        model: An SDXL.
        refiner: Its refiner; it takes over where the noise is as low as it learnt.
        steps: Of both together.
        guidance_scale: For both.
    """
    plain = {"steps": steps, "guidance_scale": guidance_scale, "sampler": "ddim", "record": ()}

    def tell(texts: Sequence[str], seeds: Sequence[int], **told: object) -> list[Image.Image]:
        if refiner is None:
            return ended(model.generate(list(texts), seed=list(seeds), **plain, **told)).images
        handed = ended(
            model.generate(list(texts), seed=list(seeds), denoising_end=HANDOVER, **plain, **told)
        )
        done = refiner.image_to_image(
            handed, list(texts), seed=list(seeds), denoising_start=HANDOVER, **plain
        )
        return ended(done).images

    return sharing.shared(tell)


HANDOVER = 1 - RECIPES["pocket-sdxl-refiner"].noise
"""The share of the run that the base model does; the refiner does what it has learnt."""


def measured(
    model: Any, refiner: Any = None, *, count: int = 20, **settings: float
) -> dict[str, Any]:
    """All that applies to a model, as plain values for a file; nothing for SD 1.x and 2.x.

    Args:
        model: The model.
        refiner: Its refiner, if that is what is being measured.
        count: Pictures for each question.
        **settings: For `draws`.
    """
    if model.family.name != "sdxl":
        return {}
    drawn = dataclasses.replace(RECIPES["pocket-sdxl"].frames, size=model.size[0])
    tell = draws(model, **settings)
    if refiner is not None:
        both = draws(model, refiner, **settings)

        def redrawn(texts: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
            scenes = map(drawing, texts, seeds)
            return model.draw(model.to_latent([one.render(drawn.size) for one in scenes]).mean)

        return {
            "refinement": asdict(refinement(tell, both, drawn, count, redrawn)),
            "restoration": asdict(restoration(model, refiner, drawn, count, **settings)),
        }
    return {
        "details": [asdict(row) for row in details(tell, drawn, count)],
        "cuts": [asdict(row) for row in cuts(tell, drawn, count)],
    }


def markdown(found: dict[str, Any]) -> str:
    """What `measured` found, for a model card."""
    lines = []
    if "details" in found:
        lines += [
            "Detail is the strength of what repeats within 8 pixels, in grey levels of 255.",
            "",
            "| told of an original side of | detail | of drawings of that side, enlarged |",
            "|---|---|---|",
        ]
        lines += [
            f"| {row['side']} | {row['model']:.2f} | {row['frames']:.2f} |"
            for row in found["details"]
        ]
        lines.append("")
    for row in found.get("cuts", ()):
        lines.append(
            f"- The cut's {row['axis']} moved by {row['asked']:.2f} of the side: things moved by "
            f"{row['moved']:.2f} the other way ({row['pairs']} pairs of pictures)."
        )
    if "refinement" in found:
        row = found["refinement"]
        chance = row.get("fresh", 0.0)
        gained = row["base"] - row["refined"]
        seen = "no difference" if abs(gained) <= chance else "a gain" if gained > 0 else "a loss"
        lines.append(
            "Fine structure against that of fresh drawings of the same scenes (mean distance of "
            f"the spectra beyond 8 pixels, in powers of ten, {row['count']} pictures): "
            f"{row['base']:.2f} with the base model alone, {row['refined']:.2f} with the refiner "
            f"for the last fifth of as many steps; other fresh drawings, {chance:.2f}. By this "
            f"measure it is {seen}."
        )
        if row.get("redrawn") is not None:
            lines[-1] += (
                f" The drawings themselves, encoded and decoded, are {row['redrawn']:.2f} away: "
                "that much is the autoencoder's."
            )
    if "restoration" in found:
        row = found["restoration"]
        lines += [
            "",
            "Given true drawings with that last fifth of the noise, each takes it away in as many "
            "steps. Of the fine structure's power (against the drawings encoded and decoded) "
            f"{row['base']:.2f} is wrong after the base model, {row['refined']:.2f} after the "
            f"refiner, which is nearer in {row['nearer']} of {row['count']}.",
        ]
    return "\n".join(lines).strip() + "\n"


def _fine(picture: Image.Image) -> np.ndarray:
    """What of a picture repeats within 8 pixels, [side, side, 3]."""
    colours = np.asarray(picture.convert("RGB"), dtype=np.float64)
    waves = np.fft.fftfreq(picture.width)
    radius = np.hypot(waves[:, None], waves[None])
    transformed = np.fft.fft2(colours, axes=(0, 1)) * (radius >= 1 / 8)[..., None]
    return np.fft.ifft2(transformed, axes=(0, 1)).real


def _off(picture: Image.Image, truth: Image.Image) -> float:
    """Squared error of the fine structure, as a part of its power."""
    fine = _fine(truth)
    return float(((_fine(picture) - fine) ** 2).mean() / (fine**2).mean())


def _enlarged(scene: world.Scene, side: int, size: int) -> Image.Image:
    """A scene, drawn small."""
    return scene.render(side).resize((size, size), Image.Resampling.BICUBIC)


def _draw(tell: Tell, asked: Sequence[str], **told: object) -> list[Image.Image]:
    """A picture of each caption, from the noise of its number; a few at once."""
    pictures = []
    for begin in range(0, len(asked), AT_ONCE):
        some = list(asked[begin : begin + AT_ONCE])
        pictures += tell(some, list(range(begin, begin + len(some))), **told)
    return pictures


def _middle(reading: world.Reading, axis: str) -> float | None:
    """Where the only thing of a picture is, from 0 to 1; None if there are more, or none."""
    if len(reading.things) != 1:
        return None
    (thing,) = reading.things
    return thing.x if axis == "left" else thing.y


def _spectrum(pictures: Sequence[Image.Image]) -> np.ndarray:
    """Mean power of waves shorter than 8 pixels, in eight rings from long to short."""
    side = pictures[0].width
    window = np.outer(np.hanning(side), np.hanning(side))
    power = np.zeros((side, side))
    for picture in pictures:
        grey = np.asarray(picture.convert("L"), dtype=np.float64)
        power += np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    waves = np.fft.fftfreq(side)
    radius = np.hypot(waves[:, None], waves[None])
    edges = np.linspace(1 / 8, 1 / 2, 9)
    rings = [power[(radius >= a) & (radius < b)].mean() for a, b in pairwise(edges)]
    return np.array(rings) / len(pictures) + 1e-9


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))
