"""No network, no pickles, an empty cache: in every test of this folder."""

import pickle
import socket

import pytest
import tiny
import torch


@pytest.fixture(autouse=True)
def sealed(monkeypatch, tmp_path):
    """Whatever reaches for the network or opens a pickle fails the test."""

    def forbidden(*arguments, **options):
        raise AssertionError("this must not happen while a model is loaded")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(torch, "load", forbidden)
    monkeypatch.setattr(pickle, "load", forbidden)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty-cache"))
    for name in ("SDLEARN_MODEL", "SDLEARN_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """One folder in diffusers' layout for every kind; read only."""
    root = tmp_path_factory.mktemp("tiny")
    return {kind: tiny.save(kind, root) for kind in tiny.KINDS}


@pytest.fixture
def copy(folders, tmp_path):
    """A copy of a tiny model that a test may break."""
    import shutil

    def make(kind="sd1", name="model"):
        return shutil.copytree(folders[kind], tmp_path / name)

    return make


@pytest.fixture
def cache(monkeypatch, tmp_path, folders):
    """Put a tiny model into a Hub cache under the name of a repository."""
    import shutil

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(repository, kind="sd1", commit="0123abcd", revision="main"):
        folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / revision).write_text(commit)
        return shutil.copytree(folders[kind], folder / "snapshots" / commit)

    return put
