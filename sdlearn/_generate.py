"""What `sdlearn generate` does: a picture for a prompt, with its settings written into it."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

    from sdlearn.trace import Trace

STRIPS = (".png", ".svg", ".pdf", ".webp", ".jpg", ".jpeg", ".tif", ".tiff", ".eps")
"""What a figure can be written as."""
KEY = "sdlearn"
"""Under this name a PNG's text holds the settings, as JSON."""


EXPECTED = (ValueError, TypeError, LookupError, OSError, RuntimeError, MemoryError, ImportError)
"""What a wrong wish may raise: of a word, a file, a repository, memory, a package."""


class GenerateError(Exception):
    """Something that the person at the keyboard can put right; the message says how."""


def generate(asked: Namespace) -> bool:
    """Draw, and write what was asked for; return whether the run came to its end."""
    out = Path(asked.out)
    _check_paths(asked, out)
    try:
        trace = _run(asked)
    except EXPECTED as error:
        raise GenerateError(_as_options(str(error))) from error
    if not trace.steps:
        return False
    for number, path in enumerate(_places(out, len(trace.images))):
        _save_picture(trace.images[number], path, settings(trace, number))
        print(path)
    if asked.trace:
        try:
            trace.save(asked.trace)
        except OSError as error:
            raise GenerateError(str(error)) from error
        print(asked.trace)
    if asked.strip:
        _save_figure(trace, Path(asked.strip), asked.words)
        print(asked.strip)
    return not trace.interrupted


def settings(trace: Trace, number: int = 0) -> dict[str, Any]:
    """All that is needed to draw one of a run's pictures again."""
    told = dict(trace.of(number).settings)
    told["prompt"] = trace.prompts[number]
    if trace.negative_prompts and trace.negative_prompts[number]:
        told["negative_prompt"] = trace.negative_prompts[number]
    if trace.interrupted:
        told["interrupted_after"] = len(trace)
    return told


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings that a picture of ours carries; empty for a picture of someone else's."""
    from PIL import Image

    with Image.open(path) as picture:
        text = getattr(picture, "text", {}).get(KEY, "{}")
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _run(asked: Namespace) -> Trace:
    from tqdm import tqdm

    from sdlearn import models

    model = models.load(
        asked.model,
        device=asked.device,
        dtype=asked.dtype,
        download=asked.download,
        tokenizer=asked.tokenizer,
        config=asked.config,
    )
    for word in asked.words:
        model.encode(asked.prompt).words[word]  # a wrong one is said before the work
    record = ("latents", "noise", "attention") if asked.trace else ("latents",)
    if asked.strip and asked.words:
        record = (*record, "attention")
    options: dict[str, Any] = {
        "steps": asked.steps,
        "seed": asked.seed[0] if len(asked.seed) == 1 else asked.seed,
        "negative_prompt": asked.negative,
        "guidance_scale": asked.guidance,
        "sampler": asked.sampler,
        "height": asked.height,
        "width": asked.width,
        "record": record if asked.trace or asked.strip else (),
    }
    if asked.strength is not None:
        options["strength"] = asked.strength
    draw: Callable[..., Trace] = model.generate
    given: list[Any] = []
    if asked.image:
        given.append(_opened(asked.image).convert("RGB"))
        draw = model.image_to_image
    if asked.mask:
        given.append(_opened(asked.mask))
        draw = model.inpaint
    with tqdm(desc=model.name, unit="step", disable=asked.quiet, leave=False) as bar:
        return draw(*given, asked.prompt, on_step=lambda step: bar.update(), **options)


def _opened(path: str) -> Image.Image:
    """A picture as it is looked at: a camera that was held upright says so, and turns nothing."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is too large ({error}). Make it smaller first.") from error


def _check_paths(asked: Namespace, out: Path) -> None:
    """Refuse before the work what could not be written after it."""
    if out.suffix.lower() != ".png":
        raise GenerateError(f"--out must be a .png, which can carry its settings, not {out.name}.")
    if asked.trace and not asked.trace.endswith(".safetensors"):
        raise GenerateError(f"--trace must end in .safetensors, and {asked.trace} does not.")
    if asked.mask and not asked.image:
        raise GenerateError("--mask says where to draw into a picture: give the picture, --image.")
    if asked.strength is not None and not asked.image:
        raise GenerateError("--strength says how far --image is redrawn: give a picture.")
    if asked.words and not asked.strip:
        raise GenerateError("--words are rows of --strip: say where that is to be written.")
    if asked.strip and Path(asked.strip).suffix.lower() not in STRIPS:
        raise GenerateError(f"--strip must end in one of {', '.join(STRIPS)}, not {asked.strip}.")
    if asked.strip and len(asked.seed) > 1:
        raise GenerateError("--strip shows one run: give one --seed.")
    for path in (out, asked.trace, asked.strip):
        if path and not Path(path).resolve().parent.is_dir():
            raise GenerateError(f"There is no folder {Path(path).parent}: make it first.")
        if path and Path(path).is_dir():
            raise GenerateError(f"{path} is a folder: name a file in it.")
    _check_apart(asked, out)


def _check_apart(asked: Namespace, out: Path) -> None:
    """Refuse to write over what is read, or twice into one file."""
    read = (("--image", asked.image), ("--mask", asked.mask))
    taken = {Path(path).resolve(): option for option, path in read if path}
    written = [("--out", path) for path in _places(out, len(asked.seed))]
    written += [("--trace", asked.trace), ("--strip", asked.strip)]
    for option, path in written:
        if path and (other := taken.setdefault(Path(path).resolve(), option)) != option:
            raise GenerateError(
                f"{path} is what {other} names, and {option} would write over it: name another "
                "file."
            )


def _places(out: Path, count: int) -> list[Path]:
    """A path for each picture: cat.png, or cat-0.png, cat-1.png... for several."""
    if count == 1:
        return [out]
    return [out.with_stem(f"{out.stem}-{number}") for number in range(count)]


def _as_options(message: str) -> str:
    """An error that speaks of `load`'s arguments, with what they are called here."""
    called = {"download=True": "--download", "tokenizer=": "--tokenizer", "config=": "--config"}
    named = [option for argument, option in called.items() if argument in message]
    return f"{message} (Here: {', '.join(named)}.)" if named else message


def _save_picture(picture: Image.Image, path: Path, told: dict[str, Any]) -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_itxt(KEY, json.dumps(told, ensure_ascii=False))
    text.add_itxt("Description", told["prompt"])
    draft = path.with_name(f".{path.name}.draft")
    try:
        picture.save(draft, format="PNG", pnginfo=text)
        os.replace(draft, path)
    except OSError as error:
        raise GenerateError(f"{path} could not be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _save_figure(trace: Trace, path: Path, words: list[str]) -> None:
    from sdlearn import views

    draft = path.with_name(f".draft-{path.name}")  # the ending says the format
    try:
        views.run(trace, words=words).save(draft)
        os.replace(draft, path)
    except (OSError, ValueError, KeyError) as error:
        raise GenerateError(f"{path} could not be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
