"""Can a machine run it? One rule, said in words, and held against a real run."""

import html
import json
import subprocess
import sys
import time

import pytest
import torch
from diffusers.models.unets.unet_2d_blocks import CrossAttnDownBlock2D

import sdlearn as sd
from sdlearn.models import anatomies_machine as machine
from sdlearn.models.anatomies import Part
from sdlearn.models.anatomies_memory import GIB, MARGIN, RULE, Fit
from sdlearn.models.catalogue import PUBLISHED
from sdlearn.models.rehearsal import counting

RUN = """
import json, resource, sys
from pathlib import Path
import sdlearn as sd
if {load}:
    sd.load("pocket-sd15", device="cpu").generate("a cat", steps=2, seed=0, record=())
else:
    import diffusers, torch, transformers
    from sdlearn.models.loading import load
status = Path("/proc/self/status")
if status.exists():  # getrusage also counts what the process was that started this one
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    peak = int(line.split()[1]) * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(peak))
"""


def peak(load):
    """The most memory that a fresh Python ever took, in bytes."""
    pytest.importorskip("resource")
    line = [sys.executable, "-c", RUN.format(load=load)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_rule_holds_for_a_real_run():
    alone, running = peak(load=False), peak(load=True)
    needed = sd.anatomy("pocket-sd15").memory("float32")
    assert alone < MARGIN  # what the libraries take before there is a model
    assert running <= needed.needed
    assert needed.needed < 3 * running  # and it doesn't promise too little by far


def test_what_is_needed_is_weights_work_and_margin():
    one = sd.anatomy("sdxl")
    full, half = one.fits(memory=12 * GIB)
    assert full.weights == 2 * half.weights == 4 * one.parameters
    assert full.working == max(part.working for part in one.parts)
    assert full.needed == full.weights + full.working + full.margin
    assert (full.ok, half.ok) == (False, True)
    assert one.memory().ok is None and one.memory() == Fit.of(one.parts, "float32", None)
    assert all(fit.memory for fit in one.fits())
    exactly = one.fits(memory=full.needed)[0], one.fits(memory=full.needed - 1)[0]
    assert [fit.ok for fit in exactly] == [True, False]


def test_a_part_that_works_in_full_precision_needs_the_room_for_it():
    plain = [Part("vae", "", 1000, 0, 80_000), Part("unet", "", 5000, 0, 60_000)]
    upcast = [Part("vae", "", 1000, 0, 80_000, in_full=True), plain[1]]
    assert Fit.of(plain, "float16", None).working == 40_000
    assert Fit.of(upcast, "float16", None).working == 80_000 + 2 * 1000  # its weights, too
    assert Fit.of(upcast, "bfloat16", None).working == 40_000  # its range is that of float32
    assert Fit.of(upcast, "float32", None) == Fit.of(plain, "float32", None)
    vaes = [sd.anatomy(name).parts[-1] for name in ("sd15", "sdxl")]
    assert [vae.in_full for vae in vaes] == [False, True]


def test_all_models_by_name_are_asked_about(monkeypatch):
    monkeypatch.setattr(machine, "anatomy", lambda name: name)
    names = sd.can_run(memory=8e9).models
    assert set(PUBLISHED) | {"pocket-sd15"} <= set(names)


def test_verdicts_follow_the_rule_for_another_machine():
    table = sd.can_run("pocket-sd15", "sd15", "sdxl", memory=4 * GIB)
    assert [str(verdict) for verdict in table] == ["yes", "in half", "no"]
    assert len(table) == 3 and table["sd15"].half.ok and not table["sd15"].full.ok
    assert all(verdict.seconds is None for verdict in table)
    for verdict in table:
        assert verdict.ok == (verdict.half.needed <= 4 * GIB)
        assert f"{verdict.half.needed / GIB:.1f} GiB" in str(table)
    assert RULE in str(table) and RULE in table.rule and html.escape(RULE) in table._repr_html_()
    with pytest.raises(KeyError, match="there are pocket-sd15, sd15, sdxl"):
        table["sd21"]


def test_this_machine_is_measured(monkeypatch):
    monkeypatch.setattr(machine, "free_memory", lambda: 64 * GIB)
    table = sd.can_run("pocket-sd15", "sd15")
    first = next(iter(table))
    assert first.place.name == "RAM" and 1e8 < first.place.speed < 1e15
    assert first.seconds == first.model.flops_per_step / first.place.speed
    assert "estimates" in table.rule and "a step on the CPU, about" in str(table)
    assert first.seconds < table["sd15"].seconds
    unmeasured = sd.can_run("pocket-sd15", seconds=False)
    assert "estimates" not in unmeasured.rule and "about" not in str(unmeasured)


def test_the_estimate_is_near_a_real_step():
    block = CrossAttnDownBlock2D(320, 640, 1280, num_layers=1, cross_attention_dim=768)
    picture, told, words = (
        torch.randn(2, 320, 32, 32),
        torch.randn(2, 1280),
        torch.randn(2, 77, 768),
    )
    with torch.no_grad():
        with counting() as counter:
            block(picture, told, words)
        took = []
        for _ in range(5):
            begin = time.perf_counter()
            block(picture, told, words)
            took.append(time.perf_counter() - begin)
    estimated = counter.get_total_flops() / machine._speed()
    assert min(took) / 5 < estimated < 5 * min(took)  # a busy machine is no clock


def test_a_machine_that_does_not_say_is_not_guessed_at(monkeypatch):
    monkeypatch.setattr(machine, "free_memory", lambda: None)
    table = sd.can_run("pocket-sd15", seconds=False)
    assert table["pocket-sd15"].ok is None and str(table["pocket-sd15"]) == "?"
    assert "doesn't say" in table._repr_html_().replace("&#x27;", "'")


# -- with a GPU, which the tests pretend ----------------------------------------------------------


def never(*given):
    raise AssertionError("it was measured, and wasn't to be")


@pytest.fixture
def gpu(monkeypatch):
    """Pretend a machine of 16 GiB RAM with a CUDA GPU: `gpu(free, speed=..., name=...)`."""

    def pretend(free, speed=never, name="Pretended"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (int(free), 80 * GIB))
        monkeypatch.setattr(machine, "free_memory", lambda: 16 * GIB)
        monkeypatch.setattr(machine, "_speed", speed)

    return pretend


@pytest.fixture
def no_gpu(monkeypatch):
    """Pretend a machine without one; a test goes on from there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(machine._machine, "accelerator", lambda: None)
    return monkeypatch


@pytest.mark.parametrize(
    "gigabytes, expected",
    [
        (6, ["yes", "yes", "in half", "no"]),
        (8, ["yes", "yes", "yes", "no"]),
        (12, ["yes", "yes", "yes", "in half"]),
        (24, ["yes", "yes", "yes", "yes"]),
    ],
)
def test_the_rule_on_gpus_of_several_sizes(gpu, gigabytes, expected):
    gpu(free=gigabytes * GIB)
    table = sd.can_run("pocket-sd15", "sd15", "sd21", "sdxl", seconds=False)
    _, there = table.places
    found = [verdict for verdict in table if verdict.place is there]
    assert [str(verdict) for verdict in found] == expected
    for verdict in found:
        fits = [fit.needed <= gigabytes * GIB for fit in (verdict.full, verdict.half)]
        assert [verdict.full.ok, verdict.half.ok] == fits
        assert verdict.seconds is None  # nobody measured
    for shown in (str(table), table._repr_html_()):
        assert f"RAM: 16.0 GiB free; GPU (Pretended): {gigabytes}.0 GiB free" in shown
        assert "fits into RAM?" in shown and "fits into GPU?" in shown
        assert "a step on" not in shown and "estimates" not in shown
        assert "On a GPU it stands for the scratch space of its kernels" in shown


def test_what_this_process_keeps_of_the_gpu_is_free_to_it(gpu, monkeypatch):
    gpu(free=10 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 3 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 2 * GIB)  # by tensors in use
    assert sd.can_run("sdxl", seconds=False).places[1].free == 11 * GIB


def refuses(device, dtype):
    if device == "cuda":
        raise torch.cuda.OutOfMemoryError("CUDA out of <memory>.\nTried to allocate 2 MiB.")
    return 1e11


def test_a_gpu_that_cannot_be_measured_has_no_times(gpu):
    gpu(free=GIB // 2, speed=refuses)
    table = sd.can_run("pocket-sd15")
    assert [str(verdict) for verdict in table] == ["yes", "no"]
    assert "a step on the CPU" in str(table) and "a step on the GPU" not in str(table)
    assert "Asked for its speed, the GPU said: CUDA out of <memory>." in table.rule
    assert "Tried" not in table.rule and "&lt;memory&gt;" in table._repr_html_()


def test_a_gpu_that_says_nothing_is_not_guessed_at(gpu, monkeypatch):
    gpu(free=0)

    def fails():
        raise RuntimeError("CUDA error: all devices are busy")

    monkeypatch.setattr(torch.cuda, "mem_get_info", fails)
    table = sd.can_run("sd15", seconds=False)
    assert [str(verdict) for verdict in table] == ["yes", "?"]
    assert "Asked for its memory, the GPU said: CUDA error: all devices" in table.rule


def test_the_clock_waits_for_the_gpu(monkeypatch):
    waits, real = [], torch.Tensor.to

    def synchronize():
        waits.append(time.sleep(0.05))

    monkeypatch.setattr(torch.Tensor, "to", lambda one, device, kind: real(one, "cpu"))
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    for name in ("conv2d", "linear"):  # a GPU's calls return at once
        monkeypatch.setattr(torch.nn.functional, name, lambda *given, **options: None)
    speed = machine._speed("cuda", "float16")
    work = 2 * (2 * 640 * 32 * 32) * (640 * 9 + 5120)  # of the convolution, of the product
    assert len(waits) >= 3 and work / 5 < speed <= work / 0.05


def test_a_gpu_that_pytorch_cannot_use_is_said(no_gpu):
    no_gpu.setattr(machine, "_speed", lambda device, dtype: 1e11)
    assert "GPU" not in str(sd.can_run("sd15"))
    no_gpu.setattr(machine._machine, "accelerator", lambda: "cuda")
    for version, why in ((None, "a build for the CPU"), ("12.8", "finds none that works")):
        no_gpu.setattr(torch.version, "cuda", version)
        table = sd.can_run("sd15")
        assert [place.name for place in table.places] == ["RAM"]
        assert "the driver of an NVIDIA GPU" in table.rule and why in table.rule
        assert "a step on the CPU" in str(table) and "on the GPU" not in str(table)


def test_apples_gpu_shares_the_ram_and_was_not_measured(no_gpu):
    no_gpu.setattr(torch.backends.mps, "is_available", lambda: True)
    no_gpu.setattr(machine._machine, "accelerator", lambda: "mps")
    no_gpu.setattr(machine, "free_memory", lambda: 16 * GIB)
    no_gpu.setattr(machine, "_speed", lambda device, dtype: {"cpu": 1e11}[device])
    table = sd.can_run("sd15")
    assert [place.name for place in table.places] == ["RAM"] and str(table["sd15"]) == "yes"
    assert "How fast it is was not measured." in table.rule
    assert "Times on the CPU" in table.rule and "on the GPU" not in str(table)


def test_a_time_too_short_to_be_believed_is_not_said():
    shown = [machine._seconds(one) for one in (None, 0.00018, 0.099, 0.14, 3.14, 55, 150)]
    assert shown == ["-", "under 0.1 s", "under 0.1 s", "0.14 s", "3.1 s", "55 s", "2 min"]


def test_a_gpu_is_a_place_of_its_own(gpu):
    gpu(
        free=6 * GIB,
        speed=lambda device, dtype: {("cpu", "float32"): 1e11, ("cuda", "float16"): 1e13}[
            device, dtype
        ],
        name="<b>Fast</b>",
    )
    table = sd.can_run("sd15", "sd21", "sdxl")
    found = [(verdict.place.computes, str(verdict)) for verdict in table]
    assert found == [
        *[("CPU", "yes"), ("GPU", "yes")],
        *[("CPU", "yes"), ("GPU", "in half")],
        *[("CPU", "in half"), ("GPU", "no")],
    ]
    seconds = [verdict.seconds for verdict in table]
    assert seconds[0] == 100 * seconds[1]
    assert seconds[4] is None and seconds[5] is None  # full doesn't fit there, nothing does here
    shown = table._repr_html_()
    assert "&lt;b&gt;Fast" in shown and "<b>" not in shown
    assert "Times on the GPU are estimates: a step's work at 10 TFLOP a second" in table.rule
    assert "just reached there in half precision" in table.rule


@pytest.mark.parametrize(
    "call, error, told",
    [
        (lambda: sd.can_run(8e9), TypeError, r"can_run\(memory=8000000000.0\)"),
        (lambda: sd.can_run("sd16"), ValueError, "Did you mean"),
        (lambda: sd.can_run(["sd15", "sdxl"]), TypeError, "got list"),
        (lambda: sd.can_run("sd15", memory=0), ValueError, "positive number of bytes"),
        (lambda: sd.can_run("sd15", memory="8 GB"), ValueError, "Eight gigabytes are 8e9"),
        (lambda: sd.can_run("no/such/folder"), FileNotFoundError, "no such file or folder"),
    ],
)
def test_wrong_calls_are_told_what_is_wrong(call, error, told):
    with pytest.raises(error, match=told):
        call()


def test_nobodys_random_numbers_change():
    torch.manual_seed(0)
    expected = torch.randn(2)
    torch.manual_seed(0)
    machine._speed()
    assert torch.equal(torch.randn(2), expected)
