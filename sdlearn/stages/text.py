"""The first stage: a prompt becomes tokens, and the tokens become vectors.

One encoder or two (SDXL's stand side by side: the U-Net sees both answers at each position).
SD 2.x's encoder was published without its last layer, so that it needs no case of its own.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from sdlearn.stages import checks
from sdlearn.stages.parts import Parts
from sdlearn.trace import Tokens, Words

ZEROS = {"vectors": "zeros"}
"""What is unusual about a prompt that is no prompt."""


def forces_zeros(parts: Parts) -> bool:
    """Whether a model goes away from zeros where no negative prompt is given, as SDXL's base."""
    forces = parts.settings.get("force_zeros_for_empty_prompt")
    return parts.family.is_sdxl and bool(forces)


@dataclass(frozen=True, eq=False)
class Encoded:
    """What one text encoder made of the prompts.

    Attributes:
        name: ``text_encoder`` or ``text_encoder_2``.
        tokens: Of each prompt.
        ids: Shape [prompts, 77].
        embeddings: What the U-Net is given of it, shape [prompts, 77, C].
        pooled: One vector a prompt, where the family has it.
    """

    name: str
    tokens: tuple[Tokens, ...]
    ids: Tensor
    embeddings: Tensor
    pooled: Tensor | None
    _look: Callable[[Tensor], tuple[Tensor, tuple[Tensor, ...]]] = field(repr=False)

    def __repr__(self) -> str:
        """Whose answer, and its shapes."""
        pooled = "" if self.pooled is None else f", pooled {list(self.pooled.shape)}"
        return f"Encoded({self.name!r}, embeddings {list(self.embeddings.shape)}{pooled})"

    @property
    def before(self) -> Tensor:
        """The tokens' vectors before the transformer: they know their place, not each other."""
        return self._inside[0]

    @property
    def layers(self) -> tuple[Tensor, ...]:
        """The vectors before the first layer and after each one, each [prompts, 77, width]."""
        return self._inside[1]

    @cached_property
    def _inside(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        return self._look(self.ids)


@dataclass(frozen=True, eq=False)
class Prompt:
    """One prompt or several, read: tokens, words, and the vectors that the U-Net will see.

    Attributes:
        texts: The prompts.
        embeddings: Shape [prompts, 77, C]; both encoders' answers side by side in SDXL.
        pooled: Shape [prompts, width], where the family has it.
        encoders: What each encoder made of them.
        reader: The model that read them; None where the vectors are no longer its own.
        unusual: What its texts alone don't tell: layers that were skipped, another wording for the
            second encoder, vectors that were changed. A run that is given it says so.
    """

    texts: tuple[str, ...]
    embeddings: Tensor
    pooled: Tensor | None
    encoders: tuple[Encoded, ...]
    reader: Any = field(default=None, repr=False)
    unusual: Mapping[str, Any] = field(default_factory=dict, repr=False)

    viewers: ClassVar[dict[str, Callable[..., Any]]] = {}
    """How prompts are shown: `sdlearn.views` looks into them, and they know no view."""

    @property
    def text(self) -> str:
        """The prompt, if it is one."""
        self._alone("text", "texts")
        return self.texts[0]

    @property
    def tokens(self) -> Tokens:
        """Its tokens, as a table: position, id, piece, word."""
        self._alone("tokens", "all_tokens")
        if not self.encoders:
            raise ValueError("These vectors were read from no text: there are no tokens.")
        return self.all_tokens[0]

    @property
    def all_tokens(self) -> tuple[Tokens, ...]:
        """The tokens of every prompt."""
        return self.encoders[0].tokens if self.encoders else ()

    @property
    def words(self) -> Words:
        """Its words, and the positions of each: ``prompt.words["cat"]``."""
        return self.tokens.words

    def layer(self, number: int) -> Tensor:
        """The first encoder's vectors after a layer, 0 before the first; [prompts, 77, width]."""
        layers = self.encoders[0].layers
        if not -len(layers) <= number < len(layers):
            raise IndexError(
                f"The encoder has {len(layers) - 1} layers: 0 (before the first) to "
                f"{len(layers) - 1}, got {number}."
            )
        return layers[number]

    def with_embeddings(self, embeddings: Tensor, pooled: Tensor | None = None) -> Prompt:
        """The same prompt, with vectors of your own in place of the encoder's."""
        changed = {"embeddings": embeddings} | ({} if pooled is None else {"pooled": pooled})
        for name, new in changed.items():
            old = getattr(self, name)
            if not isinstance(new, Tensor) or old is None or new.shape != old.shape:
                wanted = "left out" if old is None else f"a tensor {tuple(old.shape)}"
                came = tuple(new.shape) if isinstance(new, Tensor) else type(new).__name__
                raise ValueError(f"{name} must be {wanted}, got {came}.")
            changed[name] = new.to(old)
        unusual = {**self.unusual, "vectors": "changed"}
        return replace(self, **changed, reader=None, unusual=unusual)

    def explore(self, other: str | Sequence[str] = "", **options: Any) -> Any:
        """A widget to type prompts into: pieces, words, what is cut off, neighbours, a comparison.

        Args:
            other: A second prompt to compare with, or several.
            **options: See `sdlearn.views.widgets.prompt`.
        """
        if self.reader is None or "explore" not in self.viewers:
            raise ValueError(
                "This prompt can't be explored: no model goes with it (its vectors were changed, "
                "or it came from elsewhere). model.encode(...).explore() does."
            )
        return self.viewers["explore"](self.reader, self.text, other, **options)

    def repeated(self, count: int) -> Prompt:
        """Each prompt `count` times in a row, for so many pictures of it."""
        if count == 1:
            return self
        return replace(
            self,
            texts=tuple(text for text in self.texts for _ in range(count)),
            embeddings=self.embeddings.repeat_interleave(count, dim=0),
            pooled=None if self.pooled is None else self.pooled.repeat_interleave(count, dim=0),
            encoders=tuple(
                replace(
                    encoded,
                    tokens=tuple(t for t in encoded.tokens for _ in range(count)),
                    ids=encoded.ids.repeat_interleave(count, dim=0),
                    embeddings=encoded.embeddings.repeat_interleave(count, dim=0),
                    pooled=None
                    if encoded.pooled is None
                    else encoded.pooled.repeat_interleave(count, dim=0),
                )
                for encoded in self.encoders
            ),
        )

    def zeros(self) -> Prompt:
        """SDXL's empty prompt: no text at all is not the encoder's answer to "", but zeros."""
        return replace(
            self,
            texts=("",) * len(self.texts),
            embeddings=torch.zeros_like(self.embeddings),
            pooled=None if self.pooled is None else torch.zeros_like(self.pooled),
            encoders=(),
            reader=None,
            unusual=ZEROS,
        )

    def __len__(self) -> int:
        """How many prompts."""
        return len(self.texts)

    def __repr__(self) -> str:
        """Texts and shape."""
        texts = ", ".join(map(repr, self.texts))
        return f"Prompt({texts:.120}, embeddings {list(self.embeddings.shape)})"

    def _repr_html_(self) -> str:
        parts = []
        for encoded in self.encoders:
            shape = " x ".join(map(str, encoded.embeddings.shape[1:]))
            parts.append(f"<p><b>{encoded.name}</b>: {html.escape(shape)}</p>")
            parts += [tokens._repr_html_() for tokens in encoded.tokens]
        return "".join(parts)

    def _alone(self, name: str, plural: str) -> None:
        if len(self.texts) != 1:
            raise ValueError(
                f"There are {len(self.texts)} prompts here, so .{name} is not one thing. "
                f"Use .{plural}."
            )


def encode(
    parts: Parts,
    texts: str | Sequence[str],
    texts_2: str | Sequence[str] | None = None,
    skip: int = 0,
) -> Prompt:
    """Read prompts with every text encoder that the model has.

    Args:
        parts: The model's parts.
        texts: A prompt, or several.
        texts_2: Another wording for SDXL's second encoder; None gives both the same, and so does
            "", as in diffusers. " " is read as nothing.
        skip: How many of each encoder's last layers to leave out.
    """
    texts = check_texts("prompt", texts)
    texts_2 = texts if texts_2 in (None, "") else check_texts("prompt_2", texts_2)
    if len(texts_2) != len(texts):
        raise ValueError(f"There are {len(texts)} prompts and {len(texts_2)} of prompt_2.")
    if parts.text_encoder is None and parts.text_encoder_2 is None:
        raise ValueError("This model was loaded without a text encoder: there is nothing to read.")
    both = {"text_encoder": texts, "text_encoder_2": texts_2}
    here = [name for name in both if getattr(parts, name) is not None]
    if len(here) == 1 and texts_2 != texts:
        raise ValueError("prompt_2 is for SDXL's second text encoder, and this model has one.")
    # SDXL's take the layer before the last as it is, so that one less can be left out.
    depth = min(parts.networks[name].config.num_hidden_layers for name in here)
    skip = checks.whole("skip", skip, 0, depth - 1 if parts.family.is_sdxl else depth)
    encoders = [_read(parts, name, both[name], skip) for name in here]
    cut = [tokens.cut for encoded in encoders for tokens in encoded.tokens if tokens.cut]
    if cut:
        checks.warn(
            f"The prompt is longer than {encoders[0].ids.shape[1]} tokens; the model never sees: "
            f"{cut[0]!r:.200}. Say the important things first."
        )
    dtype = parts.networks[encoders[-1].name].dtype
    embeddings = torch.cat([encoded.embeddings for encoded in encoders], dim=-1).to(dtype)
    unusual = {"skip": skip} if skip else {}
    if texts_2 != texts:
        unusual["prompt_2"] = list(texts_2)
    return Prompt(texts, embeddings, encoders[-1].pooled, tuple(encoders), unusual=unusual)


def check_texts(name: str, texts: object) -> tuple[str, ...]:
    """One text or several as a tuple, or an error that says what came instead."""
    if isinstance(texts, str):
        texts = (texts,)
    if not isinstance(texts, Sequence) or isinstance(texts, bytes):
        raise TypeError(
            f"{name} must be a text or a list of texts, got {type(texts).__name__}"
            + ('. For no prompt at all say "".' if texts is None else ".")
        )
    if not texts:
        raise ValueError(f'{name} is an empty list. For no prompt at all say "".')
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{name} must hold texts, and {text!r:.60} is none.")
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise ValueError(
                f"{name} holds half a character ({text!r:.60}), as texts do that were decoded "
                "wrongly. Write the character anew."
            )
    return tuple(texts)


@torch.no_grad()
def _read(parts: Parts, name: str, texts: tuple[str, ...], skip: int) -> Encoded:
    encoder = getattr(parts, name)
    tokenizer = getattr(parts, name.replace("text_encoder", "tokenizer"))
    if tokenizer is None:
        raise ValueError(f"This model has a {name}, but no tokenizer for it.")
    tokens, ids, mask = tokenize(tokenizer, [written_out(tokenizer, text) for text in texts])
    ids = ids.to(encoder.device)
    if parts.family.is_sdxl:
        answer = encoder(ids, output_hidden_states=True)
        embeddings = answer.hidden_states[-2 - skip]  # the layer before the last
        pooled = answer[0] if answer[0].ndim == 2 else None
    else:
        use_mask = getattr(encoder.config, "use_attention_mask", False)
        mask = mask.to(encoder.device) if use_mask else None
        answer = encoder(ids, attention_mask=mask, output_hidden_states=skip > 0)
        embeddings, pooled = answer[0], answer.pooler_output
        if skip:  # the last layer's vectors are normalised once more; these have to be, too
            norm = getattr(encoder, "text_model", encoder).final_layer_norm
            embeddings = norm(answer.hidden_states[-1 - skip])
    return Encoded(name, tokens, ids, embeddings, pooled, _inside(encoder))


def written_out(tokenizer: Any, text: str) -> str:
    """A text in which a learned word of several vectors stands with all of them.

    Textual inversion may learn several for one word, and adds them to the tokenizer as "<cat>",
    "<cat>_1" and so on; diffusers' pipelines write them out where somebody says "<cat>".
    """
    added = tokenizer.added_tokens_encoder
    if not any(f"{word}_1" in added for word in added):
        return text
    for piece in dict.fromkeys(tokenizer.tokenize(text)):
        if piece in added and f"{piece}_1" in added:
            numbers = itertools.takewhile(
                lambda n, p=piece: f"{p}_{n}" in added, itertools.count(1)
            )
            text = text.replace(piece, " ".join([piece, *(f"{piece}_{n}" for n in numbers)]))
    return text


def tokenize(tokenizer: Any, texts: Sequence[str]) -> tuple[tuple[Tokens, ...], Tensor, Tensor]:
    """Cut texts into tokens: the tokens of each, their ids, and the mask of what is no padding."""
    answer = tokenizer(
        list(texts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
        return_offsets_mapping=True,
    )
    tokens = tuple(
        Tokens.build(
            text,
            ids.tolist(),
            tokenizer.convert_ids_to_tokens(ids.tolist()),
            [tuple(place) for place in offsets.tolist()],
        )
        for text, ids, offsets in zip(texts, answer.input_ids, answer.offset_mapping, strict=True)
    )
    return tokens, answer.input_ids, answer.attention_mask


def _inside(encoder: Any) -> Callable[[Tensor], tuple[Tensor, tuple[Tensor, ...]]]:
    """What happens inside an encoder, asked for later and only if someone wants to see it."""

    @torch.no_grad()
    def look(ids: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        states = encoder(ids, output_hidden_states=True).hidden_states
        return states[0], tuple(states)

    return look
