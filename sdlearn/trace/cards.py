"""The records as a notebook shows them: pictures first, numbers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from string import punctuation
from typing import TYPE_CHECKING, Any

from PIL import Image

from sdlearn.trace import markup

if TYPE_CHECKING:
    from sdlearn.trace.maps import Attention
    from sdlearn.trace.records import Step
    from sdlearn.trace.trace import Trace
    from sdlearn.trace.wordmap import WordMap

MANY = 6
"""So many steps fit side by side."""
WORDS = 12
"""So many words are shown; who wants another one asks for it."""


def step_html(step: Step) -> str:
    """A step: what its tensors look like, and its numbers."""
    parts = []
    for name in ("xt", "eps", "x0", "x_next"):
        picture = _preview(step, name)
        if picture is not None:
            alt = f"preview of {name} at step {step.index}"
            parts.append(_small(picture, alt, name, width=112, crisp=True))
    return markup.card(
        f"Step {step.index}", [markup.row(parts), markup.table(step.facts())], kind="step"
    )


def wordmap_html(word: WordMap) -> str:
    """A word's map: the mean large, some steps small."""
    if not {"rows", "columns"} <= set(word.axes):
        return markup.card(repr(word), [], kind="wordmap")
    values = word.mean().values if len(word.axes) > 2 else word.values
    row, column = word.peak()
    said_of_it = (
        f"{word!r}: mean {float(values.mean()):.3g}, greatest {float(values.max()):.3g} "
        f"at row {row}, column {column}"
    )
    small = []
    if "steps" in word.axes and len(word.steps) > 1:
        for step in spread(word.steps, MANY):
            one = word.at(step=step)
            small.append(
                _small(one.image(88), f"{described(one)}, step {step}", f"step {step}", width=88)
            )
    large = markup.img(word.image(240), described(word), width=240)
    side = markup.note("", said_of_it) + markup.row(small)
    return markup.card(word.word, [markup.beside(large, side)], kind="wordmap")


def described(word: WordMap) -> str:
    """A map in words, for those who can't see it."""
    rows, columns = word.mean().values.shape if len(word.axes) > 2 else word.values.shape
    row, column = word.peak()
    vertical = ("top", "middle", "bottom")[3 * row // rows]
    sideways = ("left", "centre", "right")[3 * column // columns]
    return f"attention map of {word.word}: it peaks at the {vertical} {sideways}"


def attention_html(attention: Attention) -> str:
    """The attention of a run: the mean map of every word."""
    maps = []
    if attention.kept and attention.is_read and len(attention.tokens) == 1:
        maps = word_means(attention)
    pictures = [_small(word.image(104), described(word), word.word) for word in maps]
    return markup.card(repr(attention), [markup.row(pictures)], kind="attention")


def word_means(attention: Attention) -> list[WordMap]:
    """The mean maps of the first words; a repeated word is shown once, with all its places."""
    read = [word.text for word in attention.words.items if word.positions]
    read = [text for text in read if text not in punctuation]
    return [attention[text].mean() for text in list(dict.fromkeys(read))[:WORDS]]


def trace_html(trace: Trace) -> str:
    """A run: its picture, how it came about, where its words looked, and its settings."""
    count = len(trace.prompts)
    parts = []
    pictures = [
        markup.img(picture, f"picture of the prompt: {prompt}", width=288 if count == 1 else 144)
        for picture, prompt in zip(trace.images, trace.prompts, strict=False)
    ]
    parts.append(markup.beside(markup.row(pictures), _about(trace)))
    if previews := _previews(trace):
        parts += [markup.note("x0, as each step guessed it"), markup.row(previews)]
    if count == 1 and trace.images and "attention" in trace.recorded and trace.attention.is_read:
        lit = [
            _small(word.overlay(trace.images[0], size=104), described(word), word.word)
            for word in word_means(trace.attention)
        ]
        parts += [markup.note("Where each word looked"), markup.row(lit)]
    parts += [markup.note("Warning: ", warning) for warning in trace.warnings]
    return markup.card("", parts, kind="trace")


def _about(trace: Trace) -> str:
    rows: list[tuple[str, Any]] = []
    for name, texts in (("prompt", trace.prompts), ("negative prompt", trace.negative_prompts)):
        rows += [(name, text) for text in dict.fromkeys(texts) if text]
    rows += [(name, said(value)) for name, value in trace.settings.items() if value is not None]
    if trace.interrupted:
        rows.append(("interrupted", f"after {len(trace)} steps"))
    rows.append(
        ("recorded", f"{', '.join(trace.recorded) or 'nothing'}, {markup.amount(trace.nbytes)}")
    )
    rows += [("changed", change) for change in trace.changes]
    return markup.table(rows)


def _previews(trace: Trace) -> list[str]:
    count = len(trace.prompts)
    small = []
    for step in spread(trace.steps, MANY):
        picture = _preview(step, "x0")
        if picture is not None:
            which = "" if count == 1 else " (picture 0)"
            alt = f"preview of x0 at step {step.index}{which}"
            small.append(_small(picture, alt, f"step {step.index}{which}", crisp=True))
    return small


def _preview(step: Step, name: str) -> Image.Image | None:
    """A preview, or nothing where the part or the look is missing: a card shows what it can."""
    try:
        return step.preview(name)
    except ValueError:
        return None


def _small(
    picture: Image.Image, alt: str, caption: str, *, width: int = 104, crisp: bool = False
) -> str:
    return markup.captioned(markup.img(picture, alt, width=width, crisp=crisp), caption)


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """Returns so many of the items, the first and the last among them, evenly spread."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def said(value: object) -> str:
    """Returns a setting as text: words without quotes, lists without brackets."""
    if isinstance(value, (list, tuple)):
        return ", ".join(said(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
