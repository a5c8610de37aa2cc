"""The four styles: how an index map of subjects becomes a picture on a backdrop."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from .backdrops import GRID, backdrop, blow_up, paper_grain, samples_per_pixel
from .canvas import edges
from .layout import Composition
from .palette import (
    BLOCK,
    PAPER,
    PARTS,
    SILENT,
    SUBJECT_TONES,
    TONES,
    neon_lines,
    numbers,
    outline_groups,
    tone_colours,
)
from .places import VARIANTS
from .scene import Scene

ColoursOf = Callable[[str], np.ndarray]  # a subject's colour -> the colour of every tone


class _Job(NamedTuple):
    """What every style gets: ``fine`` pixels of ``index`` are one pixel of the picture."""

    scene: Scene
    composed: Composition
    index: Image.Image
    fine: int
    behind: np.ndarray  # [size, size, 3]
    size: int


def paint_index(composed: Composition, scene: Scene, size: int) -> tuple[Image.Image, int]:
    """Paints all parts into one index map; returns it and how many of its pixels make one."""
    pixel_art = scene.style == "pixel art"
    fine = 3 if pixel_art else samples_per_pixel(size)
    side = (GRID if pixel_art else size) * fine
    canvas = Image.new("L", (side, side))
    for part, pen in composed.parts:
        pen.paint(canvas, numbers(part), side, skip="glint" if pixel_art else None)
    if pixel_art:  # real pixels: the middle sample decides, nothing is averaged
        middle = np.ascontiguousarray(np.asarray(canvas)[1::3, 1::3])
        return Image.fromarray(middle), 1
    return canvas, fine


def draw(scene: Scene, composed: Composition, size: int) -> np.ndarray:
    """Returns the picture [size, size, 3], float32 from 0 to 255."""
    variant = composed.backdrop % VARIANTS
    mirror = bool((composed.backdrop // VARIANTS) % 2)
    behind = backdrop(scene.place, scene.style, variant, mirror, size)
    index, fine = paint_index(composed, scene, size)
    style = {"flat": _flat, "line drawing": _lines, "pixel art": _pixels, "neon": _neon}
    return style[scene.style](_Job(scene, composed, index, fine, behind, size))


def _table(scene: Scene, composed: Composition, colours: ColoursOf) -> np.ndarray:
    """The colour of every pixel number [256, 3]; number 0, the backdrop, is black."""
    table = np.zeros((256, 3), dtype=np.float32)
    for p, part in enumerate(PARTS):
        owner = int(part[-1]) - 1 if part[-1].isdigit() else 0
        if owner >= len(scene.subjects):
            break
        rows = colours(scene.subjects[owner].colour)
        if part.startswith("subject"):
            rows = rows.copy()
            rows[: len(SUBJECT_TONES)] *= 1 + 0.04 * composed.warmth[owner]
        table[1 + p * BLOCK : 1 + p * BLOCK + len(TONES)] = rows
    if scene.place == "at night" and scene.style in ("flat", "pixel art"):
        table[1:BLOCK] *= (0.56, 0.58, 0.78)  # clouds are dim at night; subjects keep their colour
    return np.clip(table, 0, 255)


def _look_up(index: Image.Image, table: np.ndarray, fine: int) -> np.ndarray:
    """Colours the index map and shrinks it; what is backdrop is black: premultiplied [s, s, 3]."""
    picture = index.copy()
    picture.putpalette(table.astype(np.uint8).ravel().tolist())
    return np.asarray(picture.convert("RGB").reduce(fine), dtype=np.float32)


_ANY = [0] + [255] * 255


def _cover(index: Image.Image, fine: int) -> np.ndarray:
    """How much of each pixel the shapes cover [s, s], 0 to 1."""
    shrunk = index.point(_ANY).reduce(fine)
    return np.asarray(shrunk, dtype=np.float32) * np.float32(1 / 255)


def _blurred(cover: np.ndarray, radius: float) -> np.ndarray:
    picture = Image.fromarray((cover * 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(radius)
    )
    return np.asarray(picture, dtype=np.float32) * np.float32(1 / 255)


def _relief(cover: np.ndarray, size: int) -> np.ndarray:
    """Light from the upper left on a softly rounded body: positive where lit [s, s]."""
    step = max(1, round(size / 42))
    soft = np.pad(_blurred(cover, size / 24), step, mode="edge")
    return soft[2 * step :, 2 * step :] - soft[: -2 * step, : -2 * step]


def _rim(cover: np.ndarray, reach: int) -> np.ndarray:
    """The thin line just outside a shape [s, s], 0 to 1."""
    wide = np.pad(cover, reach)
    side = np.maximum(wide[2 * reach :, reach:-reach], wide[: -2 * reach, reach:-reach])
    side = np.maximum(side, wide[reach:-reach, 2 * reach :])
    side = np.maximum(side, wide[reach:-reach, : -2 * reach])
    return np.maximum(side - cover, 0)


def _with_shadows(behind: np.ndarray, composed: Composition, depth: float) -> np.ndarray:
    """Darkens the ground softly under everything that stands on it."""
    size = len(behind)
    out = behind.copy()
    for at in composed.placed:
        if not at.grounded:
            continue
        rx, ry = at.half * 1.25, at.half * 0.26
        cy = at.y + at.half * 0.96
        x0, x1 = max(0, int((at.x - 1.1 * rx) * size)), min(size, int((at.x + 1.1 * rx) * size) + 1)
        y0, y1 = max(0, int((cy - 1.1 * ry) * size)), min(size, int((cy + 1.1 * ry) * size) + 1)
        dx = ((np.arange(x0, x1, dtype=np.float32) + 0.5) / size - at.x) / rx
        dy = ((np.arange(y0, y1, dtype=np.float32) + 0.5) / size - cy) / ry
        r2 = np.minimum(dx[None, :] ** 2 + dy[:, None] ** 2, 1)
        out[y0:y1, x0:x1] *= (1 - depth * (1 - r2) ** 1.5)[..., None]
    return out


def _flat(job: _Job) -> np.ndarray:
    scene, composed, index, fine, behind, size = job
    colour = _look_up(index, _table(scene, composed, lambda c: tone_colours(c, "flat")), fine)
    cover = _cover(index, fine)
    light = _relief(cover, size)
    colour = colour * (1 + np.minimum(light, 0) * 0.34)[..., None]
    colour += (np.maximum(light, 0) * cover * 46)[..., None]
    out = _with_shadows(behind, composed, 0.3)
    # Black at night and white in snow part from the backdrop by this rim.
    rim, depth = ((214, 218, 255), 0.5) if scene.place == "at night" else ((58, 40, 78), 0.42)
    edge = (_rim(cover, max(1, round(size / 128))) * depth)[..., None]
    out += (np.array(rim, dtype=np.float32) - out) * edge
    return out * (1 - cover[..., None]) + colour


def _lines(job: _Job) -> np.ndarray:
    scene, composed, index, fine, behind, size = job
    table = _table(scene, composed, lambda c: tone_colours(c, "line drawing"))
    colour = _look_up(index, table, fine)
    cover = _cover(index, fine)[..., None]
    paper = np.array(PAPER, dtype=np.float32)
    # The wash misses its outline by a hair, as a brush does, and pools unevenly.
    slip = max(1, round(size / 110))
    brushed = np.zeros_like(colour)
    brushed[:-slip, slip:] = colour[slip:, :-slip]
    wet = np.zeros_like(cover)
    wet[:-slip, slip:] = cover[slip:, :-slip]
    brushed = brushed * (1 + 0.12 * paper_grain(size))
    inside = np.minimum(cover, wet)
    out = (
        behind * (1 - cover)
        + (paper + 4) * (cover - inside)
        + brushed * (inside / np.maximum(wet, 1e-3))
    )
    width = max(1, round(1.1 * size * fine / 128))
    groups = np.asarray(index.point(outline_groups()))
    line = Image.fromarray(edges(groups, SILENT, width).astype(np.uint8) * 255).reduce(fine)
    ink = (np.asarray(line, dtype=np.float32) * np.float32(0.9 / 255))[..., None]
    return out + (np.array((52, 46, 66), dtype=np.float32) - out) * ink


def _pixels(job: _Job) -> np.ndarray:
    scene, composed, index, _, behind, size = job
    table = _table(scene, composed, lambda c: tone_colours(c, "flat"))
    number = np.asarray(index)
    colour = table[number]
    cover = (number > 0).astype(np.float32)
    light = _relief(cover, GRID)
    # Three tones, no more: shade, plain, light.
    colour = colour * np.where(light < -0.16, np.float32(0.78), np.float32(1))[..., None]
    colour += np.where((light > 0.2) & (cover > 0), np.float32(26), np.float32(0))[..., None]
    dark = (190, 196, 240) if scene.place == "at night" else (46, 34, 62)
    rim = _rim(cover, 1) > 0
    colour = np.where(rim[..., None], np.array(dark, dtype=np.float32), colour)
    shown = blow_up((cover > 0) | rim, size)[..., None]
    step = np.float32(255 / 21)
    return np.where(shown, blow_up(np.round(colour / step) * step, size), behind)


def _neon(job: _Job) -> np.ndarray:
    scene, composed, index, fine, behind, size = job
    fill = _look_up(index, _table(scene, composed, lambda c: tone_colours(c, "neon")), fine)
    cover = _cover(index, fine)[..., None]
    width = max(1, round(1.7 * size * fine / 128))
    line_at = edges(np.asarray(index.point(outline_groups())), SILENT, width)
    bright = index.copy()
    bright.putpalette(_table(scene, composed, neon_lines).astype(np.uint8).ravel().tolist())
    tubes = Image.new("RGB", index.size)
    tubes.paste(bright.convert("RGB"), mask=Image.fromarray(line_at.astype(np.uint8) * 255))
    tubes = tubes.reduce(fine)
    near = np.asarray(tubes.filter(ImageFilter.GaussianBlur(size / 56)), dtype=np.float32)
    far = np.asarray(tubes.filter(ImageFilter.GaussianBlur(size / 20)), dtype=np.float32)
    core = np.asarray(tubes, dtype=np.float32)
    light = behind * (1 - 0.94 * cover) + fill + core + near * 0.8 + far * 0.7
    # Too bright is scaled down, not cut off: cut off, a bright orange would turn into yellow.
    return light * (255 / np.maximum(light.max(-1, keepdims=True), 255))
