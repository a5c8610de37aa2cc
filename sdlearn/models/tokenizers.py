"""A single checkpoint carries no tokenizer: here is where one is found.

All published families cut words by one vocabulary, CLIP's; only the padding differs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sdlearn.models import hub
from sdlearn.models.catalogue import PUBLISHED
from sdlearn.models.folders import has_tokenizer, load_tokenizer
from sdlearn.stages.families import Family

END, BANG = "<|endoftext|>", "!"

# What fills the places behind the prompt: CLIP's own code repeats the end, OpenCLIP's writes 0,
# which is the number of "!".
PADDING = {
    "sd1": {"tokenizer": END},
    "sd2": {"tokenizer": BANG},
    "sdxl": {"tokenizer": END, "tokenizer_2": BANG},
    "sdxl-refiner": {"tokenizer_2": BANG},
}


def tokenizers_for(
    family: Family, folder: Path | None = None, *, like: Path | None = None
) -> dict[str, Any]:
    """Return a family's tokenizers, by the names of `Parts`.

    Args:
        family: Says how many it needs, and how each pads.
        folder: A tokenizer's folder, or a model's that has one, of whatever family.
        like: The folder of a model whose tokenizers are taken as they are, where `folder` is not
            given; without either the Hub's cache is looked through.
    """
    source = folder or like or _in_cache()
    found = {}
    for part, padding in PADDING[family.name].items():
        places = [source / name for name in (part, *PADDING["sdxl"]) if (source / name).is_dir()]
        found[part] = load_tokenizer(places[0] if places else source)
        if folder or not like or places[:1] != [source / part]:
            found[part].pad_token = padding
    return found


def _in_cache() -> Path:
    for published in PUBLISHED.values():
        for repository in published.repositories:
            folder = hub.snapshot(repository)
            if folder and has_tokenizer(folder / "tokenizer"):
                return folder
    clip = hub.snapshot("openai/clip-vit-large-patch14")
    if clip and has_tokenizer(clip):
        return clip
    raise FileNotFoundError(
        "A single checkpoint carries no tokenizer, and the Hub's cache on this machine has none of "
        "CLIP's. Pass one: load(file, tokenizer=folder), where the folder has vocab.json and "
        "merges.txt, or is a model in diffusers' layout with a tokenizer in it."
    )
