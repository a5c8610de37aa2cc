"""A prompt as the network reads it: which of its 77 places belong to "cat".

The network never sees words. It sees tokens: a start, pieces of words, an end, and padding.
Tokens and words are matched by the characters that they cover in the prompt as it was typed, so
repeated words, punctuation, capitals, accents and emoji each find their own tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sdlearn.trace import markup
from sdlearn.trace.words import Word, Words, spans, times

Kind = Literal["start", "word", "end", "padding"]


@dataclass(frozen=True)
class Token:
    """One place of the text that the network reads.

    Attributes:
        position: Its place, from 0.
        id: Its number in the vocabulary.
        piece: Its spelling there (``</w>`` marks the end of a word).
        kind: ``"start"``, ``"word"`` (a word or a piece of one), ``"end"`` or ``"padding"``.
        word: Which word of the prompt it belongs to: an index into ``Tokens.words.items``.
    """

    position: int
    id: int
    piece: str
    kind: Kind
    word: int | None = None


@dataclass(frozen=True, repr=False)
class Tokens(Sequence[Token]):
    """A prompt as the network reads it: a sequence of tokens.

    Attributes:
        text: The prompt as typed.
        items: The tokens.
        cut: The part of the prompt that did not fit, or ``""``.
        words: Its words; ``words["cat"]`` gives their positions.
    """

    text: str
    items: tuple[Token, ...]
    cut: str
    words: Words

    @classmethod
    def build(
        cls,
        text: str,
        ids: Sequence[int],
        pieces: Sequence[str],
        offsets: Sequence[tuple[int, int]],
    ) -> Tokens:
        """Reads a fast tokenizer's answer.

        What is start, end and padding shows in the offsets: these cover no characters. The ids
        can't tell, because the end may be typed by a person, and pads the rest in most models.

        Args:
            text: The prompt.
            ids: ``answer.input_ids``.
            pieces: ``tokenizer.convert_ids_to_tokens(ids)``.
            offsets: ``answer.offset_mapping``: first character and the one after the last.
        """
        if not len(ids) == len(pieces) == len(offsets):
            raise ValueError(
                f"ids, pieces and offsets must be equally long, got {len(ids)}, {len(pieces)} "
                f"and {len(offsets)}. Give those of one prompt, not of a batch."
            )
        offsets = [(int(begin), int(end)) for begin, end in offsets]
        typed = [i for i, (begin, end) in enumerate(offsets) if end > begin]
        read = max((offsets[i][1] for i in typed), default=0)
        places = spans(text)
        near = [(n, span) for n, span in enumerate(places) if span[0] < read]
        owners = {i: [n for n, span in near if _overlap(span, offsets[i])] for i in typed}
        items = tuple(
            Token(
                position=i,
                id=int(number),
                piece=str(piece),
                kind=_kind(i, typed),
                word=owners[i][0] if owners.get(i) else None,
            )
            for i, (number, piece) in enumerate(zip(ids, pieces, strict=True))
        )
        words = tuple(
            Word(text[a:b], (a, b), tuple(i for i in typed if n in owners[i]))
            for n, (a, b) in enumerate(places)
        )
        padded = any(token.kind == "padding" for token in items)  # then there was room for all
        return cls(text, items, "" if padded else text[read:].strip(), Words(words))

    @property
    def start(self) -> tuple[int, ...]:
        """Positions of the start token."""
        return self._of_kind("start")

    @property
    def end(self) -> tuple[int, ...]:
        """Positions of the end token."""
        return self._of_kind("end")

    @property
    def padding(self) -> tuple[int, ...]:
        """Positions of the padding."""
        return self._of_kind("padding")

    @property
    def typed(self) -> tuple[int, ...]:
        """Positions of everything that was typed: all but start, end and padding."""
        return self._of_kind("word")

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def to_json(self) -> dict[str, Any]:
        """Returns it as dictionaries, lists, numbers and text."""
        return {
            "text": self.text,
            "cut": self.cut,
            "tokens": [[t.id, t.piece, t.kind, t.word] for t in self.items],
            "words": [[*word.span, list(word.positions)] for word in self.words.items],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Tokens:
        """Reads what `to_json` returned; a ValueError says that it is something else."""
        try:
            text, cut = str(data["text"]), str(data["cut"])
            words = tuple(
                Word(text[a:b], (int(a), int(b)), tuple(int(p) for p in positions))
                for a, b, positions in data["words"]
            )
            items = tuple(
                Token(i, int(number), str(piece), kind, word)
                for i, (number, piece, kind, word) in enumerate(data["tokens"])
            )
            owners = [token.word for token in items if token.word is not None]
            places = [place for word in words for place in word.positions]
            sound = all(token.kind in get_args(Kind) for token in items)
            sound &= all(0 <= owner < len(words) for owner in owners)
            sound &= all(0 <= place < len(items) for place in places)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is no prompt that to_json wrote: {error!r}.") from error
        if not sound:
            raise ValueError("this is no prompt that to_json wrote: its tokens don't fit together.")
        return cls(text, items, cut, Words(words))

    def __repr__(self) -> str:
        return (
            f"Tokens({self.text!r:.80}: {len(self) - len(self.padding)} of {len(self)} places used)"
        )

    def __str__(self) -> str:
        rows = [f"{row[0]:>8}  {row[1]:>6}  {row[2]:<18} {row[3]}".rstrip() for row in self._rows()]
        cut = [f"cut off: {self.cut}"] if self.cut else []
        return "\n".join(["position      id  piece              word", *rows, *cut])

    def _repr_html_(self) -> str:
        rows = self._rows()
        own = {place for place, row in enumerate(rows) if self.items[place].kind != "word"}
        table = markup.table(rows, head=("position", "id", "piece", "word"), faint=own)
        if not self.cut:
            return table
        room = len(self.typed)
        return table + markup.note(f"Cut off, because only {room} tokens fit: ", self.cut)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """One row for each token, and one for all of the padding, which is all alike."""
        rows = []
        for token in self.items[: len(self) - len(self.padding)]:
            word = "" if token.word is None else self.words.items[token.word].text
            said = word if token.kind == "word" else f"({token.kind})"
            rows.append((str(token.position), str(token.id), token.piece, said))
        if pads := self.padding:
            first = self.items[pads[0]]
            places = f"{pads[0]}" if len(pads) == 1 else f"{pads[0]} to {pads[-1]}"
            rows.append((places, str(first.id), first.piece, f"(padding, {times(len(pads))})"))
        return rows

    def _of_kind(self, kind: Kind) -> tuple[int, ...]:
        return tuple(token.position for token in self.items if token.kind == kind)


def _kind(position: int, typed: list[int]) -> Kind:
    """What stands at a position, when those in `typed` cover characters of the prompt."""
    if position in typed or (typed and typed[0] < position < typed[-1]):
        return "word"
    if position == 0:
        return "start"
    return "end" if position == (typed[-1] if typed else 0) + 1 else "padding"


def _overlap(first: tuple[int, int], second: tuple[int, int]) -> bool:
    return first[0] < second[1] and second[0] < first[1]
