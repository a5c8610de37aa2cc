"""The Hub's cache on this disk, read without the network; and the one place that downloads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from itertools import chain
from pathlib import Path, PurePosixPath

from sdlearn.models.catalogue import Published

NETWORKS = ("unet", "vae", "text_encoder", "text_encoder_2")
SMALL = ("scheduler", "tokenizer", "tokenizer_2")
SETTINGS = (".json", ".txt")
STEMS = ("diffusion_pytorch_model", "model")
_WORDS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
NEEDED = {
    "scheduler": (("scheduler_config.json",),),
    **{"tokenizer": _WORDS, "tokenizer_2": _WORDS},
}
"""What a part without weights needs: all of these files, or all of those."""
_WHOLE_OR_SHARDS = tuple(
    tuple(f"{stem}{half}{shard}" for stem in STEMS)
    for half, shard in (
        ("", "-[0-9]*-of-[0-9]*.safetensors"),
        ("", ".safetensors"),
        (".fp16", "-[0-9]*-of-[0-9]*.safetensors"),
        (".fp16", ".safetensors"),
    )
)
"""How a network's weights may be called, the least wanted first."""
_YES = {"1", "on", "yes", "true"}


def cache_dir() -> Path:
    """Return the folder where the Hugging Face libraries keep downloads, by their own rules."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{cache}/huggingface"
    return Path(home).expanduser() / "hub"


def offline() -> str | None:
    """Return the setting that forbids the network ("SDLEARN_OFFLINE=1"), or None."""
    for name in ("SDLEARN_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        value = os.environ.get(name, "")
        if value.lower() in _YES:
            return f"{name}={value}"
    return None


def snapshot(repository: str, revision: str = "main", cache: Path | None = None) -> Path | None:
    """Return the folder of one version of a repository in the cache, or None.

    Args:
        repository: As owner/name.
        revision: A branch, a tag or a commit.
        cache: The cache's folder, if not the usual one.
    """
    folder = (cache or cache_dir()) / f"models--{repository.replace('/', '--')}"
    reference = folder / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    found = folder / "snapshots" / commit
    return found if commit and found.is_dir() else None


def cached(
    repositories: Iterable[str],
    revision: str = "main",
    cache: Path | None = None,
    *,
    pickles: bool = True,
) -> Path | None:
    """Return the first snapshot of these repositories that is a whole pipeline, or None.

    One whose weights are safetensors comes before one that has them as pickles only.

    Args:
        repositories: Their names, the likeliest first.
        revision: A branch, a tag or a commit.
        cache: The cache's folder, if not the usual one.
        pickles: Whether one with pickles will do, so that `load` can say what is to be done.
    """
    found = [snapshot(repository, revision, cache) for repository in repositories]
    for allowed in (False, True) if pickles else (False,):
        for path in found:
            if path and not lacking(path, pickles=allowed):
                return path
    return None


def begun(
    repositories: Iterable[str], revision: str = "main", cache: Path | None = None
) -> Path | None:
    """Return the first snapshot of these repositories whose download didn't end, or None."""
    found = [snapshot(repository, revision, cache) for repository in repositories]
    named = [path for path in found if path and (path / "model_index.json").is_file()]
    return next((path for path in named if lacking(path)), None)


def lacking(folder: Path, *, pickles: bool = True) -> list[str]:
    """Return what a snapshot lacks of what its index names: nothing, if it came whole.

    The Hub's library links each file into the snapshot when it has all of it, so to be there is
    to be whole. `load` opens no pickles, and says why.

    Args:
        folder: The snapshot.
        pickles: Whether they count as weights here.
    """
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        named = {part for part, entry in index.items() if isinstance(entry, list) and any(entry)}
    except (OSError, ValueError, AttributeError):
        return ["model_index.json"]
    lacks = [
        part for part in NETWORKS if part in named and not _has_weights(folder / part, pickles)
    ]
    for part, choices in NEEDED.items():
        here = [all((folder / part / file).is_file() for file in files) for files in choices]
        if part in named and not any(here):
            lacks.append(part)
    return lacks


def _has_weights(folder: Path, pickles: bool) -> bool:
    """Whether a network's config lies there, and its weights, in one file or in several."""
    if not (folder / "config.json").is_file():
        return False
    for index in folder.glob("*.safetensors.index*.json"):
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue
        if names and all((folder / name).is_file() for name in names):
            return True
    endings = (".safetensors", ".fp16.safetensors", *((".bin", ".fp16.bin") if pickles else ()))
    names = (*STEMS, "pytorch_model")
    return any((folder / f"{name}{ending}").is_file() for name in names for ending in endings)


def wanted(files: Iterable[str]) -> list[str]:
    """Choose from a repository's files what a run needs: no pickles, and no weights twice.

    Half precision is taken where there is a choice; whoever wants full precision computes in it
    from these weights, whose roundings no eye sees.

    Args:
        files: Their paths inside the repository.
    """
    paths = [PurePosixPath(file) for file in files]
    settings = [
        path
        for path in paths
        if path.name == "model_index.json"
        or (len(path.parts) == 2 and path.parts[0] in NETWORKS + SMALL and path.suffix in SETTINGS)
    ]
    weights: dict[str, list[PurePosixPath]] = {}
    for patterns in _WHOLE_OR_SHARDS:  # what comes later is preferred, and stays
        for part in NETWORKS:
            inside = [path for path in paths if path.parts[:-1] == (part,)]
            found = [path for path in inside if any(path.match(one) for one in patterns)]
            weights |= {part: found} if found else {}
    return [str(path) for path in (*settings, *chain(*weights.values()))]


def fetch(repositories: Iterable[str], revision: str = "main") -> Path:
    """Download the first of these repositories that still exists, and return its folder.

    Args:
        repositories: As owner/name, first choice first.
        revision: A branch, a tag or a commit.
    """
    if setting := offline():
        raise ConnectionError(f"{setting} forbids downloads. Unset it, or load what is here.")
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError  # gated ones too

    repositories = tuple(repositories)
    for repository in repositories:
        try:
            files = HfApi().list_repo_files(repository, revision=revision)
        except RepositoryNotFoundError:
            continue
        except HfHubHTTPError:
            raise
        except Exception as error:  # of the HTTP library's own kind, and that changes
            if not type(error).__module__.startswith(("httpx", "requests")):
                raise
            raise ConnectionError(
                f"The Hub can't be reached ({error}), so {repository} can't be fetched. Connect "
                "this machine, or use pocket-sd15, which needs no network."
            ) from error
        chosen = wanted(files)
        if not any(file.endswith(".safetensors") for file in chosen):
            continue  # pickles only
        return Path(snapshot_download(repository, revision=revision, allow_patterns=chosen))
    raise LookupError(
        f"None of these repositories gives safetensors any more: {', '.join(repositories)}. They "
        "may have been deleted, or ask for a login (hf auth login). A repository that "
        "has the weights can be named itself: load('owner/name', download=True)."
    )


def missing(published: Published) -> FileNotFoundError:
    """Return the error for published weights that are not, or not whole, on this machine."""
    size = f"{published.download_bytes / 1e9:.1f} GB"
    size = size if published.half else f"up to {size}"
    blocked = f" (but {setting} forbids downloads)" if (setting := offline()) else ""
    call = f"sd.load({published.name!r}, download=True){blocked}"
    if part := begun(published.repositories, published.revision):
        return FileNotFoundError(f"{published.name} {_in_part(part)} {call} goes on with it.")
    return FileNotFoundError(
        f"{published.name} is not on this machine; its {size} can be fetched with "
        f"{call}, or use pocket-sd15."
    )


def absent(repository: str, revision: str) -> FileNotFoundError:
    """Return the error for a repository of the Hub that is not, or not whole, in the cache."""
    call = f"load({repository!r}, download=True)"
    if part := begun([repository], revision):
        return FileNotFoundError(f"{repository} {_in_part(part)} {call} goes on with it.")
    return FileNotFoundError(
        f"{repository!r} is no folder here, and as a repository of the Hub it is not in the cache "
        f"({cache_dir()}) with revision {revision!r}. It can be fetched with {call}."
    )


def _in_part(folder: Path) -> str:
    lacks = ", ".join(lacking(folder))
    return f"is on this machine only in part: its download didn't end, and {folder} lacks {lacks}."
