"""The Hub's cache on this disk, read without the network; and the one place that downloads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from sdlearn.models.catalogue import Published

NETWORKS = ("unet", "vae", "text_encoder", "text_encoder_2")
SMALL = ("scheduler", "tokenizer", "tokenizer_2")
SETTINGS = (".json", ".txt")
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


def snapshot(repository: str, revision: str = "main") -> Path | None:
    """Return the folder of one version of a repository in the cache, or None.

    Args:
        repository: As owner/name.
        revision: A branch, a tag or a commit.
    """
    folder = cache_dir() / f"models--{repository.replace('/', '--')}"
    reference = folder / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    found = folder / "snapshots" / commit
    return found if commit and found.is_dir() else None


def cached(repositories: Iterable[str], revision: str = "main") -> Path | None:
    """Return the first snapshot of these repositories that holds a whole pipeline's index."""
    found = [snapshot(repository, revision) for repository in repositories]
    return next((path for path in found if path and (path / "model_index.json").is_file()), None)


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
    weights = {
        path.parent.name: path  # the half precision files come second, and stay
        for stem in ("diffusion_pytorch_model", "model")
        for ending in (".safetensors", ".fp16.safetensors")
        for path in paths
        if len(path.parts) == 2 and path.parts[0] in NETWORKS and path.name == stem + ending
    }
    return [str(path) for path in (*settings, *weights.values())]


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
        "may have been deleted, or ask for a login (huggingface-cli login). A repository that "
        "has the weights can be named itself: load('owner/name', download=True)."
    )


def missing(published: Published) -> FileNotFoundError:
    """Return the error for published weights that are not on this machine."""
    size = f"{published.download_bytes / 1e9:.1f} GB"
    size = size if published.half else f"up to {size}"
    blocked = f" (but {setting} forbids downloads)" if (setting := offline()) else ""
    return FileNotFoundError(
        f"{published.name} is not on this machine; its {size} can be fetched with "
        f"sd.load({published.name!r}, download=True){blocked}, or use pocket-sd15."
    )
