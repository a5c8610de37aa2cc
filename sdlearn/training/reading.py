"""What a U-Net is told of a caption: by one text encoder or two, each token and the whole.

SD 1.x and 2.x take the last hidden state of one encoder. SDXL takes the layer before the last,
of its two encoders side by side (its refiner of the second alone), and beside that the second
one's projected answer for the caption as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from sdlearn.training.plans import Recipe
from sdlearn.training.tokenizer import load_tokenizer

PARTS = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}


class Reader:
    """The tokenizer and the text encoders of a model, frozen.

    Attributes:
        tokenizer: Cuts captions.
        encoders: One, or SDXL's two; the last one gives the pooled text.
        is_sdxl: Whether they are read as SDXL reads them.
    """

    def __init__(
        self, tokenizer: CLIPTokenizer, encoders: Sequence[nn.Module], *, is_sdxl: bool = False
    ) -> None:
        self.tokenizer, self.is_sdxl = tokenizer, is_sdxl
        self.encoders = [encoder.eval().requires_grad_(False) for encoder in encoders]

    @classmethod
    def load(cls, recipe: Recipe, places: dict[str, Path]) -> Reader:
        """Read the parts that a recipe's model has.

        Args:
            recipe: The recipe.
            places: A folder for each part: tokenizers and text encoders.
        """
        encoders = [
            kind.from_pretrained(places[part], torch_dtype=torch.float32)
            for part, kind in PARTS.items()
            if part in places
        ]
        words = places.get("tokenizer") or places["tokenizer_2"]
        return cls(load_tokenizer(words), encoders, is_sdxl=recipe.is_sdxl)

    def tokens(self, captions: list[str]) -> Tensor:
        """Captions as numbers of tokens, shape [captions, 77]."""
        return self.tokenizer(
            captions, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids

    @torch.no_grad()
    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Each token's vector, [captions, 77, width], and the caption's, [captions, width].

        Args:
            tokens: As `tokens` returns them.
        """
        for encoder in self.encoders:
            encoder.to(tokens.device)
        if not self.is_sdxl:
            return self.encoders[0](tokens).last_hidden_state, None
        answers = [encoder(tokens, output_hidden_states=True) for encoder in self.encoders]
        words = torch.cat([answer.hidden_states[-2] for answer in answers], dim=-1)
        return words, answers[-1].text_embeds
