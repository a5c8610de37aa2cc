"""A faster training learns the same."""

import sys

import pytest
import torch
from torch import nn

from sdlearn import cli
from sdlearn.training import loop, speed
from sdlearn.training.plans import Plan


class Weighted(nn.Module):
    """A module of our own: torch takes no graph of its own ones alone."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(20, 20), nn.Linear(20, 1)

    def forward(self, x):
        return self.second(self.first(x))


class Line(loop.Stage):
    """A straight line through points of one; its pictures need another batch than its steps."""

    name, seed = "line", 0
    plan = Plan(steps=4, batch=8, rate=1e-2, warmup=1, ema=0.5)

    def __init__(self):
        torch.manual_seed(0)
        self.model, self.drawn = Weighted(), 0

    def batch(self, step, generator):
        x = torch.randn(self.plan.batch, 20, generator=generator)
        return {"x": x, "y": x.sum(1, keepdim=True)}

    def loss(self, model, batch):
        return (model(batch["x"]) - batch["y"]).square().mean(), {}

    def load(self, exported):
        raise NotImplementedError

    def sample(self, model, path):
        with torch.no_grad():
            self.drawn += len(model(torch.ones(3, 20)))


@pytest.fixture
def graphs(monkeypatch):
    """What is compiled: it is kept here, and then run as it is, so that no compiler is needed."""
    taken, real = [], nn.Module.compile

    def backend(graph, inputs):
        taken.append(inputs)
        return graph.forward

    def compile_here(self, **more):
        real(self, backend=backend, **more)

    monkeypatch.setattr(nn.Module, "compile", compile_here)
    monkeypatch.setattr(speed.shutil, "which", lambda name: f"/bin/{name}")
    return taken


def test_a_compiled_training_ends_in_the_same_weights(accelerator, tmp_path, graphs):
    weights = []
    for compiled in (False, True):
        stage, folder = Line(), tmp_path / str(compiled)
        loop.train(stage, folder, accelerator(), sample_every=2, compiled=compiled)
        # The steps are one graph; the pictures, whose batch is smaller, make none of their own.
        assert len(graphs) == int(compiled)
        assert stage.drawn == 6
        loop.averaged(fresh := Line().model, folder)
        weights.append(fresh.state_dict())
    plain, compiled = weights
    assert plain.keys() == compiled.keys()
    for name in plain:
        torch.testing.assert_close(plain[name], compiled[name])


def test_without_a_compiler_it_says_so(monkeypatch):
    monkeypatch.setattr(speed.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="leave --compile out"):
        speed.compile_in_place(nn.Linear(2, 2), torch.device("cpu"))
    model = nn.Linear(2, 2)
    speed.compile_in_place(model, torch.device("cuda"))  # there torch brings what it needs
    assert model._compiled_call_impl is not None


def test_the_command_hands_it_on(monkeypatch):
    from sdlearn.training import run

    asked = {}
    monkeypatch.setattr(run, "run", lambda *_, **options: asked.update(options))
    assert cli.main(["train", "pocket-sd15", "--compile", "--stop-at", "3"]) == 0
    assert asked == {"stop_at": 3, "go_on": False, "compiled": True}


def test_memory_is_kept_where_the_c_library_can(monkeypatch):
    asked = {}

    class Mallopt:
        def mallopt(self, setting, value):
            asked[setting] = value
            return 1

    monkeypatch.setattr(speed.ctypes, "CDLL", lambda name: Mallopt())
    monkeypatch.setattr(sys, "platform", "linux")
    assert speed.keep_memory()
    assert asked == {-1: 2**31 - 1, -3: 2**31 - 1}
    monkeypatch.setattr(speed.ctypes, "CDLL", lambda name: object())
    assert not speed.keep_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not speed.keep_memory()


@pytest.mark.parametrize("faster", [True, False])
def test_a_cpu_learns_in_bfloat16_if_that_is_faster_there(faster, monkeypatch):
    cpu, half = torch.device("cpu"), torch.bfloat16
    # Now and then something else runs beside a measurement: the best of each counts.
    disturbed = iter([9.0, 9.0, *[0.0] * 14])
    took = {half: 1.0 if faster else 3.0, torch.float32: 2.0}
    monkeypatch.setattr(speed, "convolving", lambda dtype: took[dtype] + next(disturbed))
    monkeypatch.setattr(speed, "bfloat16_is_quick", lambda device: True)
    assert speed.bfloat16_learns_faster(cpu) == faster
    assert next(disturbed, None) is None  # eight of each


def test_what_has_no_bfloat16_is_not_measured_and_a_gpu_neither(monkeypatch):
    monkeypatch.setattr(speed, "convolving", lambda dtype: pytest.fail("measured"))
    for quick in (True, False):
        monkeypatch.setattr(speed, "bfloat16_is_quick", lambda device, quick=quick: quick)
        assert speed.bfloat16_learns_faster(torch.device("cuda")) == quick
    assert not speed.bfloat16_learns_faster(torch.device("cpu"))


def test_a_convolution_takes_time_in_either_precision():
    assert speed.convolving(torch.float32) > 0
    assert speed.convolving(torch.bfloat16) > 0
