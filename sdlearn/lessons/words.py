"""Answers made of words: one text, several in an order, or several in none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """An answer in words; capitals, spaces and hyphens don't matter.

    Attributes:
        parts: The texts; sorted if their order doesn't count.
        ordered: Whether their order counts.
        single: Whether it is one text by itself.
    """

    parts: tuple[str, ...]
    ordered: bool = True
    single: bool = False

    @classmethod
    def of(cls, answer: object) -> Words | None:
        """Read an answer: a text, or a list, tuple or set of texts; None if it is none of those."""
        if isinstance(answer, str):
            return cls((_plain(answer),), single=True)
        if not isinstance(answer, list | tuple | set | frozenset):
            return None
        if not all(isinstance(part, str) for part in answer):
            return None
        words = cls(tuple(_plain(part) for part in answer))
        return words.without_order() if isinstance(answer, set | frozenset) else words

    def without_order(self) -> Words:
        """The same texts, each once, in no order."""
        return Words(tuple(sorted(set(self.parts))), ordered=False)

    @property
    def joined(self) -> str:
        """All the texts in one, whatever the quotes put apart."""
        return "".join(self.parts)

    @property
    def kind(self) -> str:
        """What a learner should write: a list where the order counts, else a set or a list."""
        return "list" if self.ordered else "set or list"


def _plain(text: str) -> str:
    """Without what doesn't matter: "U-Net" is "u net", and a curly apostrophe a straight one."""
    return "".join(text.lower().replace("’", "'").replace("-", "").split())
