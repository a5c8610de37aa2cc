"""The first stage: a tokenizer of CLIP's kind, small, trained on captions and on this course.

Byte-level pairs, lower case, ``</w>`` at the end of a word, a start and an end token, 77 places:
what CLIP's tokenizer does with 49,408 tokens this one does with some 2,000. A word that it has
met often is one token, any other falls into pieces.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from sdlearn import world
from sdlearn.training.plans import Recipe

START, END, SUFFIX = "<|startoftext|>", "<|endoftext|>", "</w>"
PLACES = 77

# How CLIP cuts text before any pair is joined: endings such as 's, letters, single digits, signs.
WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)

CAPTIONS = 20_000
PROSE_WEIGHT = 12
"""Captions repeat few words without end; prose is read this many times, to get its share."""


def train_tokenizer(recipe: Recipe, prose: list[str], folder: Path) -> CLIPTokenizer:
    """Learn the pairs and write ``vocab.json`` and ``merges.txt``, as CLIP's tokenizer has them.

    Args:
        recipe: Says how large the vocabulary may become.
        prose: Ordinary English, so that ordinary words don't fall into letters.
        folder: Where the tokenizer goes.
    """
    bpe = Tokenizer(models.BPE(end_of_word_suffix=SUFFIX, continuing_subword_prefix=""))
    bpe.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary - len(alphabet) - 2,  # room for the letters that end a word
        initial_alphabet=alphabet,
        end_of_word_suffix=SUFFIX,
        special_tokens=[],
        show_progress=False,
    )
    bpe.train_from_iterator(_corpus(recipe, prose), trainer)
    merges = [tuple(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
    tokens = [*alphabet, *(letter + SUFFIX for letter in alphabet)]
    tokens += [first + second for first, second in merges]
    tokens += [START, END]  # CLIP numbers them last
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return _write(vocabulary, merges, folder)


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer that `train_tokenizer` wrote."""
    return CLIPTokenizer.from_pretrained(folder)


def _corpus(recipe: Recipe, prose: list[str]) -> Iterator[str]:
    for index in range(min(CAPTIONS, recipe.pictures)):
        yield world.sample(seed=index).caption(index)
    for _ in range(PROSE_WEIGHT):
        yield from prose


def _write(vocabulary: dict, merges: list[tuple[str, str]], folder: Path) -> CLIPTokenizer:
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)  # of a run that was killed
    draft.mkdir(parents=True)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    text = json.dumps(vocabulary, ensure_ascii=False)
    (draft / "vocab.json").write_text(text + "\n", encoding="utf-8")
    (draft / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    tokenizer = CLIPTokenizer(
        str(draft / "vocab.json"),
        str(draft / "merges.txt"),
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=PLACES,
    )
    tokenizer.save_pretrained(draft)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(draft, folder)
    return load_tokenizer(folder)
