"""The prompt explorer: how a prompt is cut into tokens, at every key, and what they are near to.

Cutting happens in the page: CLIP's tokenizer is a few hundred rules, and they travel with the
widget. What a text encoder makes of the tokens needs the encoder, and so a kernel.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from sdlearn.trace import Tokens
from sdlearn.trace.silence import silently
from sdlearn.views import style
from sdlearn.views.figure import Figure
from sdlearn.views.widgets.packing import Blob
from sdlearn.views.widgets.widget import Widget, source

NEAR = 8
"""So many near words are shown."""
PAGE = 512 * 1024
"""A table of vectors travels with the page if it takes at most so many bytes."""
LEVELS = 32767  # a cosine of 1, as it is packed
CLIPS = (["NFC", "Replace", "Lowercase"], ["Split", "ByteLevel"])
"""What CLIP's tokenizer does to a text before its rules; the page does the same."""


class PromptExplorer(Widget):
    """A prompt to type in: its tokens, what is cut off, near words, likeness to a second prompt.

    Attributes:
        text: The prompt.
        other: A second one, or "".
        vocabulary: The tokenizer: its pieces, and where its rules lie in the blob.
        table: Where the tokens' vectors lie in the blob; empty if they are too many for a page.
        known: What the text encoder made of the first prompt and each of the others.
        blob: The bytes of all of this.
    """

    _esm = source("prompt", "js")
    _css = source("prompt", "css")
    text = traitlets.Unicode("").tag(sync=True)
    other = traitlets.Unicode("").tag(sync=True)
    vocabulary = traitlets.Dict().tag(sync=True)
    table = traitlets.Dict().tag(sync=True)
    known = traitlets.List().tag(sync=True)
    blob = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, model: Any, text: str, others: Sequence[str], clip: Any) -> None:
        tokenizer, encoder = _reader(model)
        self._model, self._clip = model, clip
        self._rows: Tensor = encoder.get_input_embeddings().weight.detach()
        blob = Blob()
        vocabulary = _vocabulary(tokenizer, blob)
        self._words = _whole_words(tokenizer)
        self._first: Tokens = self._read([text]).tokens
        super().__init__(
            text=text,
            other=others[0] if others else "",
            vocabulary=vocabulary,
            table=_table(self._rows, self._words, blob),
            known=[self._known(text, other, blob) for other in others],
            blob=blob.bytes(),
        )

    def figure(self) -> Figure:
        """The first prompt's tokens, in a row."""
        return chips(self._first)

    def close(self) -> None:
        """Close it, and let go of the model."""
        super().close()
        self._model = self._clip = None
        self._rows = torch.zeros(0)

    def said(self) -> str:
        """What it shows, in a line of text."""
        others = "".join(f", beside “{one['second']}”" for one in self.known[:1])
        return f"[Prompt explorer: the tokens of “{self.text}”{others}]"

    def answer(self, what: str, **given: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Answer "compare" (prompts `first` and `second`) and "near" (a token's `id`)."""
        if self._model is None:
            raise ValueError("This explorer was closed. Run the cell again.")
        if what == "compare":
            return self._compare(**given)
        if what == "near":
            return {"near": self.near(**given)}, []
        return super().answer(what, **given)

    def near(self, id: int) -> list[list[float]]:
        """The whole words whose vectors point most nearly where a token's does.

        Returns:
            Pairs of an id and a cosine, the nearest first.
        """
        if isinstance(id, bool) or not isinstance(id, int) or not 0 <= id < len(self._rows):
            raise ValueError(f"id must be a whole number from 0 to {len(self._rows) - 1}: {id!r}.")
        words = torch.tensor([one for one in self._words if one != id])
        rows = self._rows.float()
        cosines = cosine_similarity(rows[words.to(rows.device)], rows[id][None]).cpu()
        best = cosines.topk(min(NEAR, len(words)))
        return [[int(words[i]), float(cosines[i])] for i in best.indices]

    def _read(self, texts: list[str]) -> Any:
        """Read by the model, silently: what is cut off is shown in the page."""
        with silently():
            return self._model.encode(texts)

    def _compare(self, first: str, second: str) -> tuple[dict[str, Any], list[bytes]]:
        for name, text in (("first", first), ("second", second)):
            if not isinstance(text, str):
                raise TypeError(f"{name} must be a text, got a {type(text).__name__}.")
        read = self._read([first, second])
        vectors = [
            normalize(one[: len(tokens) - len(tokens.padding)].float(), dim=-1).cpu()
            for one, tokens in zip(read.embeddings, read.all_tokens, strict=True)
        ]
        cosines = vectors[0] @ vectors[1].T  # [tokens of the first, of the second]
        told = {
            "first": first,
            "second": second,
            "shape": list(cosines.shape),
            "pooled": None if read.pooled is None else _cosine(read.pooled),
            "clip": None if self._clip is None else _cosine(self._captions([first, second])),
        }
        levels = (cosines.clamp(-1, 1) * LEVELS).round().to(torch.int16)
        return told, [levels.contiguous().numpy().astype("<i2").tobytes()]

    def _captions(self, texts: list[str]) -> Tensor:
        with silently():
            return self._clip.captions(texts)

    def _known(self, first: str, second: str, blob: Blob) -> dict[str, Any]:
        told, (levels,) = self._compare(first, second)
        return {**told, "at": blob.add(levels)}


def prompt(
    model: Any,
    text: str = "a red cat on the grass",
    other: str | Sequence[str] = "",
    *,
    clip: Any = None,
) -> PromptExplorer:
    """A widget to type prompts into, and to see what becomes of them before a picture is drawn.

    Args:
        model: A model with a text encoder, as `sdlearn.load` returns it.
        text: The prompt to begin with.
        other: A second prompt, to compare; or several, of which the first is shown. What is given
            here can be compared in a page without a kernel too.
        clip: The model's whole CLIP, as `sdlearn.models.clip.load` returns it, if its verdict on
            the two prompts shall be shown.
    """
    others = tuple(other) if isinstance(other, list | tuple) else (other,)
    for name, given in (("text", text), *(("other", one) for one in others)):
        if not isinstance(given, str):
            raise TypeError(f"{name} must be a text, got a {type(given).__name__}.")
    if clip is not None and not hasattr(clip, "captions"):
        raise TypeError(
            f"clip must be what sdlearn.models.clip.load() returns, got a {type(clip).__name__}."
        )
    return PromptExplorer(model, text, [one for one in others if one], clip)


def _reader(model: Any) -> tuple[Any, Any]:
    """The tokenizer and the text encoder that read first; the refiner has the second ones only."""
    parts = getattr(model, "parts", None)
    if parts is None or not hasattr(model, "encode"):
        raise TypeError(
            "model must be a model, as sdlearn.load or sdlearn.wrap returns it, "
            f"got a {type(model).__name__}."
        )
    for end in ("", "_2"):
        pair = getattr(parts, f"tokenizer{end}", None), getattr(parts, f"text_encoder{end}", None)
        if None not in pair:
            return pair
    raise ValueError("This model was loaded without a text encoder: there is nothing to read.")


def _vocabulary(tokenizer: Any, blob: Blob) -> dict[str, Any]:
    """What the page needs to cut texts as the tokenizer does.

    A rule glues two pieces to a third, so that it takes three numbers; only pieces that no rule
    makes have to be spelled.
    """
    told = json.loads(tokenizer.backend_tokenizer.to_str())
    model, steps = told["model"], (_steps(told, "normalizer"), _steps(told, "pre_tokenizer"))
    ids = model.get("vocab", {})
    suffix = model.get("end_of_word_suffix")
    if steps != CLIPS or suffix != "</w>" or len(tokenizer) > 2**16:
        raise ValueError(
            "The prompt explorer knows CLIP's tokenizer, which all Stable Diffusion models up to "
            f"SDXL share, and this is another: {type(tokenizer).__name__} with {len(tokenizer):,} "
            f"pieces, steps {steps}, and {suffix!r} where a word ends."
        )
    rules = [(ids[one], ids[two], ids[one + two]) for one, two in model["merges"]]
    made = {glued for _, _, glued in rules}
    return {
        "size": len(tokenizer),
        "places": tokenizer.model_max_length,
        "start": tokenizer.bos_token_id,
        "end": tokenizer.eos_token_id,
        "padding": tokenizer.pad_token_id,
        "unknown": ids[model["unk_token"]],
        "pieces": {piece: number for piece, number in ids.items() if number not in made},
        "added": [[one["content"], one["id"], one["normalized"]] for one in told["added_tokens"]],
        "rules": blob.add(torch.tensor(rules).numpy().astype("<u2").tobytes()),
    }


def _steps(told: dict[str, Any], name: str) -> list[str]:
    part = told[name] or {}
    inside = part.get("normalizers") or part.get("pretokenizers") or [part]
    return [str(one.get("type")) for one in inside]


def _whole_words(tokenizer: Any) -> list[int]:
    """Ids of the pieces that end a word and can be read: no halves of a letter."""
    found = []
    for piece, number in tokenizer.get_vocab().items():
        if piece.endswith("</w>"):
            text = tokenizer.convert_tokens_to_string([piece]).strip()
            if text and not any(unicodedata.category(c)[0] == "C" or c == "�" for c in text):
                found.append(number)
    return sorted(found)


def _table(rows: Tensor, words: list[int], blob: Blob) -> dict[str, Any]:
    """The directions of the tokens' vectors, a byte for each number, and their lengths."""
    if rows.numel() > PAGE:
        return {"width": rows.shape[1]}
    rows = rows.float().cpu()
    peaks = rows.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)
    levels = (rows / peaks * 127).round().to(torch.int8)
    return {
        "width": rows.shape[1],
        "at": blob.add(levels.numpy().tobytes()),
        "lengths": blob.add(rows.norm(dim=1).numpy().astype("<f4").tobytes()),
        "words": blob.add(torch.tensor(words).numpy().astype("<u2").tobytes()),
    }


def _cosine(pair: Tensor) -> float:
    return float(cosine_similarity(pair[0].float(), pair[1].float(), dim=0))


def chips(tokens: Tokens) -> Figure:
    """The tokens of a prompt in a row, a colour for each word, their ids below them."""
    from matplotlib.figure import Figure as MatplotlibFigure

    shown = [token for token in tokens if token.kind != "padding"]
    lines, room = [[]], 0.0  # in inches
    for token in shown:
        wide = 0.09 * max(len(token.piece), len(str(token.id))) + 0.3
        if lines[-1] and room + wide > style.WIDTH - 0.2:
            lines.append([])
            room = 0.0
        lines[-1].append((token, room, wide))
        room += wide
    height = 0.62 * len(lines) + 0.45
    with style.house():
        drawing = MatplotlibFigure(figsize=(style.WIDTH, height))
        axis = drawing.add_axes((0, 0, 1, 1))
        axis.set(xlim=(-0.1, style.WIDTH - 0.1), ylim=(0, height))
        axis.axis("off")
        for number, line in enumerate(lines):
            for token, left, wide in line:
                _chip(axis, token, left, wide, height - 0.75 - 0.62 * number)
        title = f"{len(shown)} of {len(tokens)} places filled"
        title += ", and not all had room" if tokens.cut else ""
        axis.text(0, height - 0.25, title, fontsize=12, fontweight="bold")
    pieces = " ".join(token.piece for token in shown[:40])
    cut = f" Cut off: {tokens.cut[:200]}." if tokens.cut else ""
    alt = (
        f"The prompt “{tokens.text[:300]}” as {len(shown)} tokens in {len(tokens)} places: "
        f"{pieces}.{cut}"
    )
    return Figure(drawing, alt)


def _chip(axis: Any, token: Any, left: float, wide: float, bottom: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    own = token.word is None
    colour = style.MUTED if own else style.CYCLE[token.word % len(style.CYCLE)]
    look = {"boxstyle": "round,pad=0,rounding_size=0.06", "mutation_aspect": 1}
    place = ((left, bottom), wide - 0.08, 0.3)
    axis.add_patch(FancyBboxPatch(*place, **look, fc=(colour, 0.16), ec=colour, lw=1.2))
    middle = left + (wide - 0.08) / 2
    says = {"ha": "center", "va": "center", "parse_math": False}
    axis.text(middle, bottom + 0.15, token.piece, fontsize=10, **says)
    axis.text(middle, bottom - 0.11, str(token.id), fontsize=8, color=style.MUTED, **says)
