"""One tiny Stable Diffusion, trained once; tests copy its folder and go on from there."""

import shutil

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from tiny_recipe import tiny

from sdlearn.training import measure
from sdlearn.training.workshop import Workshop


@pytest.fixture(autouse=True)
def one_thread():
    """Sums are rounded as the threads share them out: equal weights need equal threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """A handful of pictures is enough to see that measuring works."""
    monkeypatch.setattr(measure, "COUNT", 6)


@pytest.fixture
def accelerator():
    """A fresh accelerator: accelerate keeps the first one's settings for the whole process."""

    def make(precision="no"):
        AcceleratorState._reset_state(True)
        return Accelerator(mixed_precision=precision, cpu=True)

    yield make
    AcceleratorState._reset_state(True)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a finished tiny training."""
    folder = tmp_path_factory.mktemp("trained")
    AcceleratorState._reset_state(True)
    torch.set_num_threads(1)
    workshop = Workshop(tiny(), folder, Accelerator(mixed_precision="no", cpu=True))
    for stage in ("tokenizer", "clip", "text", "sides", "sight", "vae", "unet", "decoder"):
        workshop.train(stage)
    AcceleratorState._reset_state(True)
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of that folder, without the checkpoints of a stage."""

    def copy(without=None, name="copy"):
        folder = tmp_path / name
        shutil.copytree(trained, folder)
        if without:
            shutil.rmtree(folder / without)
        return folder

    return copy
