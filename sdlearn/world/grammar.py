"""From words back to a scene: a small, forgiving parser with errors that teach."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from . import facts as f
from .scene import Scene, Subject

MAX_WORDS = 80  # more than a CLIP text encoder's 77 positions can hold

# Every phrase the parser knows: its words -> (role, fact). Longer phrases win.
_SYNONYMS: dict[str, dict[str, str]] = {
    "size": {"little": "small", "tiny": "small", "large": "big", "huge": "big"},
    "kind": {"kitten": "cat", "puppy": "dog", "bunny": "rabbit", "cup": "mug"},
    "colour": {},
    "accessory": {},
    "relation": {
        "over": "above", "under": "below", "to the left of": "left of", "on the left of": "left of",
        "to the right of": "right of", "on the right of": "right of", "on top of": "above",
    },
    "place": {
        "in the night": "at night", "on grass": "on the grass", "on sand": "on the sand",
        "in snow": "in the snow", "on the snow": "in the snow", "on snow": "in the snow",
        "on the beach": "on the sand", "on a beach": "on the sand", "at the beach": "on the sand",
        "in the sand": "on the sand", "in the grass": "on the grass", "in sky": "in the sky",
    },
    "style": {
        "flat illustration": "flat", "flat picture": "flat", "ink drawing": "line drawing",
        "pixel picture": "pixel art", "neon sign": "neon", "neon picture": "neon",
    },
}  # fmt: skip
_WORDS: dict[str, tuple[str, ...]] = {
    "size": f.SIZES, "kind": f.KINDS, "colour": f.COLOURS, "accessory": f.ACCESSORIES,
    "relation": f.RELATIONS, "place": f.PLACES, "style": f.STYLES,
}  # fmt: skip
_LINKS = {"wearing": "wear", "wears": "wear", "with": "wear", "and": "and"}
_FILLERS = {"a", "an", "the", "of", "is", "in", "as", "picture", "style"}

# What people say and Pocket World can't: where the nearest spelling would be no help.
_HINTS: dict[str, str] = {
    **dict.fromkeys(("two", "2", "both"), "Say each of them: 'a cat and a cat'."),
    **dict.fromkeys(("three", "3", "many", "several"), "A scene has one or two subjects."),
    **dict.fromkeys(("one", "1", "it", "that", "this"), "Name it: 'a cat'."),
    **dict.fromkeys(("no", "not", "without"), "Leave out what should not be there."),
    **dict.fromkeys(
        ("next", "beside", "near", "behind", "front"),
        f"Relations are {', '.join(f.RELATIONS)}; 'and' leaves it open.",
    ),
    **dict.fromkeys(
        ("gray", "grey", "violet", "gold", "golden", "silver", "dark", "light"),
        f"Colours are {', '.join(f.COLOURS)}.",
    ),
    **dict.fromkeys(
        ("photo", "photograph", "sketch", "painting", "image", "cartoon"),
        f"Styles are {', '.join(f.STYLES)}.",
    ),
}


@lru_cache(maxsize=1)
def _phrases() -> dict[tuple[str, ...], tuple[str, str]]:
    table = {(word,): (role, word) for word, role in _LINKS.items()}
    for role, words in _WORDS.items():
        table |= {tuple(w.split()): (role, w) for w in words}
        table |= {tuple(said.split()): (role, meant) for said, meant in _SYNONYMS[role].items()}
    return table


def vocabulary() -> tuple[str, ...]:
    """Returns every word that a caption may hold, in alphabetical order."""
    words = {word for phrase in _phrases() for word in phrase}
    return tuple(sorted(words | _FILLERS))


@dataclass
class _Draft:
    """What has been read of one subject so far."""

    said: dict[str, str] = field(default_factory=dict)
    closed: bool = False  # the kind has been named: adjectives now belong to the next subject


def _tokens(caption: str) -> list[tuple[str, str]]:
    """Splits a caption into (role, fact) pairs; unknown words raise."""
    words = re.findall(r"[^\s,.;:!?\"'“”„‘’()/–—-]+", caption.lower())
    if not words:
        raise ValueError('caption is empty. Write, for example, "a big red cat on the grass".')
    if len(words) > MAX_WORDS:
        raise ValueError(
            f"caption has {len(words)} words; Pocket World reads at most {MAX_WORDS}. "
            "A scene has one or two subjects, a place and a style: say less."
        )
    known = set(vocabulary())
    for word in words:
        if word not in known:
            raise ValueError(
                f"caption holds the unknown word {word!r}.{_hint(word)} "
                f"Pocket World knows these words: {', '.join(vocabulary())}."
            )
    out: list[tuple[str, str]] = []
    table, i = _phrases(), 0
    while i < len(words):
        for length in range(4, 0, -1):
            found = table.get(tuple(words[i : i + length]))
            if found and i + length <= len(words):
                out.append(found)
                i += length
                break
        else:
            if words[i] not in _FILLERS:
                raise ValueError(
                    f"caption: {words[i]!r} means nothing by itself here. Places are "
                    f"{', '.join(map(repr, f.PLACES))}; relations {', '.join(f.RELATIONS)}; "
                    f"styles {', '.join(f.STYLES)}."
                )
            i += 1
    return out


def _hint(word: str) -> str:
    """What to say in place of an unknown word, or nothing: no article, and nothing that links."""
    if word in _HINTS:
        return f" {_HINTS[word]}"
    named = {said[0] for said, (role, _) in _phrases().items() if len(said) == 1 and role in _WORDS}
    return f.near(word, named | {part for place in f.PLACES for part in place.split()[-1:]})


def _once(said: dict[str, str], role: str, fact: str, of: str) -> None:
    if role in said and said[role] != fact:
        raise ValueError(
            f"caption gives {of} more than one {role}: {said[role]!r} and {fact!r}. Name one."
        )
    said[role] = fact


def parse(caption: str) -> Scene:
    """Reads a caption.

    Capitals, commas and articles do not matter. What the caption leaves unsaid gets a plain
    default (a kind's usual colour, big, no accessory, on the grass, flat, left of);
    ``Scene.stated`` names what was said. The scene's seed is 0.

    Raises:
        ValueError: A word is unknown, or the caption says nothing, too much, or contradicts itself.
    """
    if not isinstance(caption, str):
        raise TypeError(f"caption must be text, not {type(caption).__name__} ({caption!r}).")
    drafts = [_Draft()]
    scene: dict[str, str] = {}
    wearing = False
    tokens = _tokens(caption)
    for i, (role, fact) in enumerate(tokens):
        draft = drafts[-1]
        if wearing and role in ("colour", "size"):
            raise ValueError(
                f"caption: what is worn has a colour and size of its own, so it can't be {fact}. "
                "Write 'wearing a hat'."
            )
        if wearing and role != "accessory":
            raise ValueError(
                f"caption: 'wearing' or 'with' needs {', '.join(f.ACCESSORIES)} after it, "
                f"not {fact!r}."
            )
        if role in ("place", "style"):
            _once(scene, role, fact, "the scene")
        elif role == "wear":
            if not draft.closed:
                raise ValueError(f"caption: who is {fact}? Name the subject first.")
            wearing = True
        elif role == "accessory":
            if not wearing:
                worn = fact if fact == "glasses" else f"a {fact}"
                raise ValueError(f"caption: write 'wearing {worn}' after the one who wears it.")
            _once(draft.said, role, fact, f"the {draft.said['kind']}")
            wearing = False
        elif role in ("relation", "and"):
            if role == "and" and i and tokens[i - 1][0] == "accessory" and _wears_next(tokens, i):
                wearing = True  # "wearing a crown and a scarf": let the next word say what is wrong
                continue
            if not draft.closed:
                raise ValueError(f"caption: {fact!r} needs a subject before it and one after it.")
            if role == "relation":
                if "relation" in scene:
                    raise ValueError(
                        f"caption has two relations, {scene['relation']!r} and {fact!r}. "
                        "Two subjects have one relation: name one."
                    )
                scene["relation"] = fact
            drafts.append(_Draft())
        else:  # size, colour, kind
            if draft.closed and role != "kind" and _ends_subject(tokens[i + 1 :]):
                raise ValueError(
                    f"caption: what a subject is like stands before it. Write "
                    f"'{fact} {draft.said['kind']}'."
                )
            if draft.closed:
                raise ValueError(
                    f"caption: what joins {fact!r} to the {draft.said['kind']}? Put a relation "
                    f"between two subjects: {', '.join(f.RELATIONS)}, or 'and'."
                )
            _once(draft.said, role, fact, "a subject")
            draft.closed = role == "kind"
    if wearing:
        raise ValueError(f"caption: 'wearing' what? One of {', '.join(f.ACCESSORIES)}.")
    return _finish(drafts, scene)


def _ends_subject(later: list[tuple[str, str]]) -> bool:
    """Whether no other kind follows that an adjective could belong to."""
    return next((role for role, _ in later if role in ("kind", "relation", "and")), "") != "kind"


def _wears_next(tokens: list[tuple[str, str]], i: int) -> bool:
    return i + 1 < len(tokens) and tokens[i + 1][0] == "accessory"


def _finish(drafts: list[_Draft], scene: dict[str, str]) -> Scene:
    if len(drafts) > 2:
        raise ValueError(f"caption has {len(drafts)} subjects; a Pocket World scene has 1 or 2.")
    for i, draft in enumerate(drafts):
        if not draft.closed:
            after = f" after {scene['relation']!r}" if i and "relation" in scene else ""
            raise ValueError(f"caption names no subject{after}. Name one of: {', '.join(f.KINDS)}.")
    stated = set(scene)
    subjects = []
    for i, draft in enumerate(drafts, start=1):
        said = draft.said
        stated |= {f"{i} {role}" for role in said}
        subjects.append(
            Subject(
                said["kind"],
                said.get("colour", f.USUAL_COLOUR[said["kind"]]),
                said.get("size", f.DEFAULT_SIZE),
                said.get("accessory"),
            )
        )
    relation = scene.get("relation", f.DEFAULT_RELATION) if len(subjects) == 2 else None
    return Scene(
        tuple(subjects),
        relation,
        scene.get("place", f.DEFAULT_PLACE),
        scene.get("style", f.DEFAULT_STYLE),
        stated=frozenset(stated),
    )
