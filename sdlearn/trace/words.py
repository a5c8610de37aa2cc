"""The words of a prompt, and how one asks for them: ``words["cat"]``, ``words["red cat"]``."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from sdlearn.trace import markup
from sdlearn.trace.whole import is_whole

# Letters and digits, joined by apostrophes and hyphens; a flag (two letters of its own kind);
# or a single sign, with an emoji's selectors, and with what a zero-width joiner glues to it.
_WORD = re.compile(
    "\\w+(?:['’\\-]\\w+)*|[\U0001f1e6-\U0001f1ff]{2}|[^\\w\\s](?:\ufe0f|\u200d[^\\w\\s])*"
)


@dataclass(frozen=True)
class Word:
    """A word or a sign of the prompt.

    Attributes:
        text: As it was typed.
        span: Its first character, and the one after its last.
        positions: Its tokens' positions; empty if it was cut off.
    """

    text: str
    span: tuple[int, int]
    positions: tuple[int, ...]


class WordNotFound(KeyError):
    """A word that the prompt doesn't hold, or that was cut off."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError itself would show the message in quotes


@dataclass(frozen=True)
class Words:
    """The words of a prompt, and where their tokens are.

    ``words["cat"]`` gives the positions of every "cat", ``words["cat", 1]`` those of the second
    one only, ``words["red cat"]`` those of a phrase. Capitals don't matter. Iterating gives the
    words as typed, in order, the repeated ones too.

    Attributes:
        items: One record per word.
    """

    items: tuple[Word, ...]

    def __getitem__(self, asked: str | tuple[str, int]) -> tuple[int, ...]:
        text, which = _question(asked)
        found = self.find(text)
        if not found:
            raise WordNotFound(self._absence(text))
        chosen = found
        if which is not None:
            if not -len(found) <= which < len(found):
                raise WordNotFound(
                    f"{text!r} stands {times(len(found))} in the prompt, so there is no "
                    f"number {which}. Count from 0: the last is words[{text!r}, {len(found) - 1}]."
                )
            chosen = (found[which],)
        positions = sorted({p for words in chosen for word in words for p in word.positions})
        if not positions:
            raise WordNotFound(
                f"{text!r} is in the prompt, but the network never read it: it was cut off, "
                "because the tokens before it fill all places. Move it forward, or shorten "
                f"the prompt. It read: {self._listed(read=True)}."
            )
        return tuple(positions)

    def find(self, text: str) -> tuple[tuple[Word, ...], ...]:
        """Returns every occurrence of a word or of a phrase of neighbouring words, in order."""
        wanted = [_folded(text[a:b]) for a, b in spans(text)]
        have = [_folded(word.text) for word in self.items]
        size = len(wanted)
        starts = range(len(have) - size + 1) if size else ()
        return tuple(self.items[i : i + size] for i in starts if have[i : i + size] == wanted)

    def __iter__(self) -> Iterator[str]:
        return (word.text for word in self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, text: object) -> bool:
        """Whether the prompt holds a word or a phrase (read by the network, or cut off)."""
        return isinstance(text, str) and bool(self.find(text))

    def __repr__(self) -> str:
        texts = [f"{word.text!r}: {_places(word)}" for word in self.items if word.positions]
        cut = len(self.items) - len(texts)
        return f"Words({', '.join(texts + [f'{cut} more cut off'] * bool(cut))})"

    def _repr_html_(self) -> str:
        rows = [(word.text, _places(word)) for word in self.items if word.positions]
        cut = " ".join(word.text for word in self.items if not word.positions)
        table = markup.table(rows, head=("word", "token positions"))
        return table + (markup.note("Cut off: ", cut) if cut else "")

    def _absence(self, text: str) -> str:
        if not self.items:
            return f"{text!r} is not in the prompt: the prompt holds no words."
        have = {_folded(word.text): word.text for word in self.items}
        near = difflib.get_close_matches(_folded(text), have, n=3)
        hint = f" Did you mean {' or '.join(repr(have[n]) for n in near)}?" if near else ""
        return f"{text!r} is not in the prompt.{hint} Its words: {self._listed()}."

    def _listed(self, *, read: bool = False) -> str:
        texts = dict.fromkeys(w.text for w in self.items if w.positions or not read)
        shown = ", ".join(list(texts)[:40])
        return shown + (f" and {len(texts) - 40} more" if len(texts) > 40 else "") or "none"


def spans(text: str) -> list[tuple[int, int]]:
    """Where the words are. Accents that are characters of their own stay with their letter."""
    shadow: list[str] = []  # the text, with every such mark replaced by what the pattern keeps
    for character in text:
        glued = unicodedata.category(character) in ("Mn", "Mc", "Me") or "🏻" <= character <= "🏿"
        after = shadow[-1] if shadow else " "
        if glued and not after.isspace():
            character = "_" if re.match(r"\w", after) else "\ufe0f"
        shadow.append(character)
    return [match.span() for match in _WORD.finditer("".join(shadow))]


def _folded(text: str) -> str:
    """A word as it is compared: capitals, curly apostrophes and ways to write é don't matter."""
    return unicodedata.normalize("NFC", text).casefold().replace("’", "'")


def _question(asked: object) -> tuple[str, int | None]:
    """Splits what stands in the brackets into the word and which of its occurrences."""
    text, which = asked if isinstance(asked, tuple) and len(asked) == 2 else (asked, None)
    if not isinstance(text, str) or not (which is None or is_whole(which)):
        raise TypeError(
            f'words[...] takes a word, words["cat"], or a word and which one of its '
            f'occurrences, words["cat", 1]; got {asked!r}.'
        )
    return text, which


def _places(word: Word) -> str:
    return ", ".join(map(str, word.positions))


def times(count: int) -> str:
    """Returns "once", "2 times" and so on."""
    return "once" if count == 1 else f"{count} times"
