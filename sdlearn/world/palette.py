"""Tones and colours: what "the body of a red cat" or "the gold of a crown" is in every style.

Colours have to stay nameable in every style and place, also where that is hard: a black thing at
night, a white one in snow, black in neon. The rules that see to it are here.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

RGB = tuple[int, int, int]

# Tones whose colour depends on the subject's colour.
SUBJECT_TONES = ("body", "dark", "light", "belly", "ink", "spot", "core")
# Tones that are the same on every subject.
FIXED: dict[str, RGB] = {
    "white": (255, 255, 255), "pupil": (38, 32, 48), "glint": (255, 255, 255),
    "pink": (244, 152, 164), "blush": (244, 140, 150), "amber": (246, 168, 44),
    "wood": (146, 98, 62), "leaf": (92, 176, 84), "leafdark": (62, 140, 72),
    "glass": (196, 230, 246), "tyre": (62, 62, 76), "metal": (178, 190, 206),
    "metaldark": (126, 138, 160), "cream": (255, 240, 212), "creamdark": (232, 208, 172),
    "cocoa": (112, 68, 46), "steam": (246, 246, 250), "honey": (255, 206, 62),
    "lamp": (255, 226, 130), "screen": (40, 58, 82), "screenlight": (150, 246, 226),
    "gold": (255, 198, 40), "golddark": (214, 146, 20), "ruby": (222, 44, 84),
    "slate": (64, 70, 104), "slatelight": (92, 100, 140), "ribbon": (226, 62, 84),
    "frame": (28, 52, 96), "lens": (206, 240, 250),
    "scarf": (214, 52, 66), "scarfwhite": (255, 248, 240),
    "cloud": (252, 252, 255), "cloudshade": (214, 226, 244),
}  # fmt: skip
TONES: tuple[str, ...] = (*SUBJECT_TONES, *FIXED)
TONE_NUMBER: dict[str, int] = {tone: i for i, tone in enumerate(TONES)}

# Parts of a scene, in the order of their numbers; a pixel's number is 1 + part * BLOCK + tone.
PARTS = ("props", "subject 1", "accessory 1", "subject 2", "accessory 2")
BLOCK = 44
SILENT = 250  # groups from here on have no outline of their own (see canvas.edges)
_NO_OUTLINE = {
    "ink", "blush", "pupil", "glint", "white", "screenlight", "cloudshade", "frame", "lens",
    "golddark", "ruby", "ribbon", "scarfwhite",
}  # fmt: skip
_LIKE_BODY = {"belly", "light"}  # patches of the body, not things on top of it

FLAT: dict[str, RGB] = {
    "red": (228, 52, 52), "orange": (247, 138, 32), "yellow": (253, 216, 54),
    "green": (46, 160, 84), "blue": (52, 106, 230), "purple": (134, 74, 198),
    "pink": (250, 150, 192), "brown": (132, 84, 52), "black": (48, 46, 58),
    "white": (251, 251, 253),
}  # fmt: skip
NEON: dict[str, RGB] = {
    "red": (255, 40, 44), "orange": (255, 126, 10), "yellow": (255, 238, 60),
    "green": (50, 250, 100), "blue": (52, 110, 255), "purple": (168, 72, 255),
    "pink": (255, 128, 190), "brown": (66, 40, 25), "black": (96, 98, 116),
    "white": (255, 255, 255),
}  # fmt: skip
PAPER: RGB = (247, 239, 222)


def mix(a: RGB | np.ndarray, b: RGB | np.ndarray, amount: float) -> RGB:
    """Returns the colour ``amount`` of the way from ``a`` to ``b``."""
    return tuple(round(x + (y - x) * amount) for x, y in zip(a, b, strict=True))  # type: ignore


def _subject_tones(colour: str, body: RGB) -> dict[str, RGB]:
    """The tones of a subject painted in full colour."""
    tones = {
        "body": body,
        "dark": mix(body, (40, 16, 70), 0.26),
        "light": mix(body, (255, 255, 255), 0.32),
        "belly": mix(body, (255, 246, 228), 0.55),
        "ink": mix(body, (34, 20, 46), 0.74),
        "spot": (255, 250, 240),
        "core": FIXED["honey"],
    }
    if colour == "black":  # its details must be lighter than itself
        tones |= {"dark": (30, 28, 38), "light": (92, 90, 106), "belly": (84, 82, 98),
                  "ink": (176, 176, 192), "spot": (214, 214, 226)}  # fmt: skip
    elif colour == "white":  # shaded with a cool grey, and its spots are grey
        tones |= {"dark": (216, 220, 234), "light": (255, 255, 255), "belly": (238, 240, 248),
                  "ink": (92, 92, 116), "spot": (206, 210, 226)}  # fmt: skip
    elif colour == "brown":
        tones |= {"belly": (196, 154, 116), "ink": (52, 28, 18)}
    if colour in ("yellow", "orange"):  # a yellow heart in a yellow flower could not be seen
        tones["core"] = (150, 94, 56)
    return tones


@lru_cache(maxsize=64)
def tone_colours(colour: str, style: str) -> np.ndarray:
    """Returns the colour of every tone [len(TONES), 3], float32, 0 to 255, for a style's fill."""
    tones = {**_subject_tones(colour, FLAT[colour]), **FIXED}
    if style == "line drawing":
        # A wash of watercolour: paler than paint, but black stays dark and white is gouache.
        wash = {"black": 0.16, "white": 0.0, "brown": 0.14, "yellow": 0.05}.get(colour, 0.24)
        tones = {t: mix(c, PAPER, wash if t in SUBJECT_TONES else 0.28) for t, c in tones.items()}
        if colour == "white":
            tones["body"] = tones["light"] = (255, 255, 255)
        tones |= {"white": (255, 255, 255), "pupil": (48, 44, 62), "glint": (255, 255, 255),
                  "frame": (36, 58, 108), "lens": (226, 246, 252)}  # fmt: skip
        tones["ink"] = (196, 196, 208) if colour == "black" else (70, 62, 84)
    elif style == "neon":
        tones = {t: mix((6, 4, 18), c, 0.30) for t, c in tones.items()}
        if colour == "black":  # truly black glass, darker than the night behind it
            tones |= dict.fromkeys(SUBJECT_TONES, (3, 3, 5))
        elif colour == "white":
            tones |= dict.fromkeys(SUBJECT_TONES, (104, 104, 122))
        elif colour == "brown":  # dull and earthy where orange glows
            tones |= dict.fromkeys(SUBJECT_TONES, (116, 72, 42))
        tones |= {"pupil": (14, 10, 30), "glint": (255, 255, 255), "white": (226, 230, 246),
                  "frame": (70, 210, 255), "lens": (34, 70, 100)}  # fmt: skip
        tones["ink"] = (196, 136, 96) if colour == "brown" else NEON[colour]
    return np.array([tones[t] for t in TONES], dtype=np.float32)


@lru_cache(maxsize=16)
def neon_lines(colour: str) -> np.ndarray:
    """Returns the colour of the glowing line around every tone [len(TONES), 3]."""
    own = dict.fromkeys(SUBJECT_TONES, NEON[colour])
    lines = {t: mix(c, (255, 255, 255), 0.12) for t, c in FIXED.items()}
    lines |= {"slate": (128, 150, 255), "slatelight": (128, 150, 255), "frame": (80, 220, 255),
              "lens": (80, 220, 255), "tyre": (150, 150, 190), "screen": (90, 230, 220),
              "cocoa": (190, 120, 80), "cloud": (110, 130, 190)}  # fmt: skip
    return np.array([{**lines, **own}[t] for t in TONES], dtype=np.float32)


@lru_cache(maxsize=1)
def outline_groups() -> list[int]:
    """Returns the table of 256 that maps a pixel's number to its outline group."""
    table = [0] * 256
    for part in range(len(PARTS)):
        for tone, i in TONE_NUMBER.items():
            number = 1 + part * BLOCK + i
            like = TONE_NUMBER["body"] if tone in _LIKE_BODY else i
            table[number] = SILENT if tone in _NO_OUTLINE else 1 + part * BLOCK + like
    return table


@lru_cache(maxsize=8)
def numbers(part: str) -> dict[str, int]:
    """Returns the pixel numbers of one part's tones."""
    first = 1 + PARTS.index(part) * BLOCK
    return {tone: first + i for tone, i in TONE_NUMBER.items()}
