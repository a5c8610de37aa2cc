"""What the models never see in training, so that we can ask whether they compose what they learnt.

Three fixed sets of combinations are held out: colour x kind, accessory x kind, and pairs of kinds
in a relation. They come from small arithmetic rules rather than from a random draw, so that they
are easy to state, identical everywhere, and even: no kind, colour or accessory loses much.
"""

from __future__ import annotations

from .facts import ACCESSORIES, COLOURS, KINDS, OPPOSITE, RELATIONS
from .scene import Scene

# Every kind loses one colour of ten (10%); every colour loses one or two kinds of sixteen. None of
# them is a kind's usual colour, so that a plain "a cat" may stand for a scene seen in training.
HELDOUT_COLOURS: frozenset[tuple[str, str]] = frozenset(
    (COLOURS[(3 * i + 2) % len(COLOURS)], kind) for i, kind in enumerate(KINDS)
)

# Every second kind loses one accessory of four.
HELDOUT_ACCESSORIES: frozenset[tuple[str, str]] = frozenset(
    (ACCESSORIES[(i // 2) % len(ACCESSORIES)], kind) for i, kind in enumerate(KINDS) if i % 2 == 1
)


def _triples() -> frozenset[tuple[str, str, str]]:
    """Each kind is held out in one relation to three others, and the same seen from the other."""
    triples = set()
    for i, first in enumerate(KINDS):
        for step in (1, 3, 6):
            second = KINDS[(i + step) % len(KINDS)]
            relation = RELATIONS[(i + step) % len(RELATIONS)]
            # "cat left of dog" and "dog right of cat" are one picture: hold out both sentences.
            triples |= {(first, relation, second), (second, OPPOSITE[relation], first)}
    return frozenset(triples)


HELDOUT_RELATIONS: frozenset[tuple[str, str, str]] = _triples()


def heldout_reasons(scene: Scene) -> tuple[str, ...]:
    """Returns the held-out combinations in a scene, in words; empty for a training scene."""
    if not isinstance(scene, Scene):
        raise TypeError(f"scene must be a Scene, not {type(scene).__name__} ({scene!r}).")
    found = []
    for s in scene.subjects:
        if (s.colour, s.kind) in HELDOUT_COLOURS:
            found.append(f"{s.colour} {s.kind}")
        if (s.accessory, s.kind) in HELDOUT_ACCESSORIES:
            found.append(f"{s.kind} wearing {s.accessory}")
    if len(scene.subjects) == 2:
        triple = (scene.subjects[0].kind, scene.relation, scene.subjects[1].kind)
        if triple in HELDOUT_RELATIONS:
            found.append(" ".join(map(str, triple)))
    return tuple(found)


def is_heldout(scene: Scene) -> bool:
    """Says whether a scene contains a combination that no training scene contains."""
    return bool(heldout_reasons(scene))
