import json
import os
import random
import struct

import numpy as np
import pytest
import torch
from made_runs import MATRIX, FlatLook, attention, trace
from PIL import Image
from safetensors.torch import save_file

from sdlearn.trace import Trace


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def returned(run, path, **options):
    run.save(path)
    return Trace.load(path, **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("prompts", [("a red cat",), ("a cat", "a dog\ud83d 🙂 </script>")])
def test_everything_comes_back(path, dtype, prompts):
    run = trace(*prompts, dtype=dtype, interrupted=True, warnings=["mind the <cat>"])
    back = returned(run, path)
    assert len(back) == len(run) and not back.diff(run)
    for ours, theirs in zip(run, back, strict=True):
        assert ours.tensors().keys() == theirs.tensors().keys()
        for name, tensor in ours.tensors().items():
            assert torch.equal(tensor, getattr(theirs, name)) and tensor.dtype == dtype
        facts = ("index", "t", "alpha_bar", "alpha_bar_next", "guidance_scale", "changes", "calls")
        assert all(getattr(ours, name) == getattr(theirs, name) for name in facts)
    names = ("prompts", "negative_prompts", "settings", "tokens", "interrupted", "warnings")
    assert all(getattr(back, name) == getattr(run, name) for name in names)
    for ours, theirs in zip(run.images, back.images, strict=True):
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
    kept, again = run.attention.kept, back.attention.kept
    assert kept.keys() == again.keys() and all(torch.equal(kept[k], again[k]) for k in kept)
    assert back.attention.layers == run.attention.layers
    assert torch.equal(back.preview_matrix, MATRIX)


def test_a_run_is_kept_though_its_model_can_give_no_preview(path):
    class Blind(FlatLook):
        @property
        def matrix(self):
            raise ValueError("no numbers.")

    run = trace("a cat")
    run._matrix, run.look = None, Blind()
    with pytest.warns(UserWarning, match="no numbers. The trace is written without one."):
        back = returned(run, path)
    assert len(back) == len(run) and back.preview_matrix is None


def test_shared_tensors_are_stored_once_and_shared_again(path):
    run = trace(steps=5)
    back = returned(run, path)
    assert all(a.sample_next is b.sample for a, b in zip(back.steps, back.steps[1:], strict=False))
    assert back.latent is back.steps[-1].sample_next
    assert back.nbytes == run.nbytes
    apart = trace(steps=5)
    copies = [type(s)(**{**vars(s), "sample": s.sample.clone()}) for s in apart.steps]
    other = path.with_name("apart.safetensors")
    apart = Trace(steps=copies, latent=apart.latent, attention=apart.attention, images=apart.images)
    apart.save(other)
    assert other.stat().st_size > path.stat().st_size


def test_one_picture_of_a_batch_is_stored_alone(path):
    run = trace("a cat", "a dog").of(1)
    back = returned(run, path)
    assert back.prompts == ("a dog",) and not back.diff(run)
    assert path.stat().st_size < 0.7 * returned_size(trace("a cat", "a dog"), path)


def returned_size(run, path):
    run.save(path)
    return path.stat().st_size


def test_maps_are_the_same_after_reading(path):
    run = trace("a red cat", attention=attention("a red cat", steps=4, selves=True, heads="each"))
    back = returned(run, path)
    ours, theirs = (t.attention["cat"].layer("up").mean() for t in (run, back))
    assert torch.equal(ours.values, theirs.values)
    assert torch.equal(
        run.attention.self_attention(0, 1, 1, 1), back.attention.self_attention(0, 1, 1, 1)
    )


def test_without_a_model_there_is_a_preview_and_with_one_a_picture(path):
    run = trace()
    back = returned(run, path)
    assert back.steps[1].preview().tobytes() == run.steps[1].preview().tobytes()
    with pytest.raises(ValueError, match=r"Trace\.load\(path, model=model\)"):
        back.steps[1].image()
    look = FlatLook()
    assert returned(run, path, model=look).steps[1].image().size == (32, 48)
    holder = type("Model", (), {"look": look, "name": "made-up"})()
    assert Trace.load(path, model=holder).steps[0].look is look
    stranger = type("Model", (), {"look": look, "name": "other"})()
    with pytest.warns(UserWarning, match=r"'made-up'.*'other'"):
        Trace.load(path, model=stranger)
    with pytest.raises(TypeError, match=r"sd\.load"):
        Trace.load(path, model="pocket-sd15")


def test_a_trace_without_anything_recorded_is_saved_too(path):
    run = Trace(steps=(), latent=torch.zeros(1, 4, 2, 2))
    back = returned(run, path)
    assert len(back) == 0 and back.images == [] and back.preview_matrix is None
    with pytest.raises(ValueError, match="recorded no attention"):
        _ = back.attention


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    run = trace()
    run.save(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        trace(seed=3).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_place_that_can_not_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match="is a folder"):
        trace().save(tmp_path)
    with pytest.raises(OSError, match="does not exist"):
        trace().save(tmp_path / "nowhere" / "run.safetensors")
    with pytest.raises(FileNotFoundError, match="no file"):
        Trace.load(tmp_path / "missing.safetensors")


def test_a_file_cut_short_is_refused(path):
    trace().save(path)
    whole = path.read_bytes()
    for size in [0, 1, 7, 8, 9, 100, len(whole) // 3, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="cut short"):
            Trace.load(path)


def test_a_file_of_something_else_is_refused(path):
    Image.new("RGB", (9, 9)).save(path, "PNG")
    with pytest.raises(ValueError, match="no safetensors file"):
        Trace.load(path)
    save_file({"weight": torch.zeros(3)}, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="no trace: perhaps"):
        Trace.load(path)
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="no trace"):
        Trace.load(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "2"}, "newer sdlearn"),
        ({"version": "9" * 5000}, "newer sdlearn"),
        ({"version": "new"}, "damaged"),
        ({"trace": "{not json"}, "no JSON"),
        ({"trace": "[]"}, "no JSON object"),
        ({"trace": "[" * 100_000}, "no JSON"),
        ({"trace": "{}"}, "damaged"),
    ],
)
def test_a_strange_header_is_refused(path, changes, says):
    metadata = {"format": "sdlearn-trace", "version": "1", "trace": "{}", **changes}
    save_file({"latent": torch.zeros(1, 4, 2, 2)}, path, metadata=metadata)
    with pytest.raises(ValueError, match=says):
        Trace.load(path)


def rewritten(path, change):
    """Changes the JSON inside a trace's header, and leaves the tensors alone."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    outer = json.loads(data[8 : 8 + size])
    inner = json.loads(outer["__metadata__"]["trace"])
    change(inner)
    outer["__metadata__"]["trace"] = json.dumps(inner)
    head = json.dumps(outer).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(struct.pack("<Q", len(head)) + head + data[8 + size :])


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.pop("steps"),
        lambda h: h.update(steps=None),
        lambda h: h.update(latent="nothing"),
        lambda h: h["steps"][0].update(t="now"),
        lambda h: h["steps"][0].update(index=[0]),
        lambda h: h["steps"][0].update(alpha_bar=None),
        lambda h: h["steps"][0]["tensors"].update(sample="images.0"),
        lambda h: h["steps"][0]["tensors"].update(look="latent"),
        lambda h: h["steps"][0]["tensors"].update(t="latent"),
        lambda h: h.update(images=["latent"]),
        lambda h: h.update(preview_matrix="latent"),
        lambda h: h.update(prompts=[]),
        lambda h: h.update(settings=3),
        lambda h: h.update(tokens=[{}]),
        lambda h: h["attention"]["layers"].pop(),
        lambda h: h["attention"]["layers"][0].update(rows=0),
        lambda h: h["attention"]["layers"][0].update(rows=3),
        lambda h: h["attention"]["kept"].append([9, 0, "cond", 0, "latent"]),
        lambda h: h["attention"]["kept"].append([0, 0, "cond", 0.5, "latent"]),
        lambda h: h["attention"]["kept"].append([[], 0, "cond", 0, "latent"]),
        lambda h: h["attention"].update(tokens=[]),
        lambda h: h.update(attention=5),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(path, change):
    trace().save(path)
    rewritten(path, lambda header: None)
    assert not Trace.load(path).diff(trace())
    rewritten(path, change)
    with pytest.raises(ValueError, match="damaged"):
        Trace.load(path)


def test_no_flipped_byte_does_worse_than_a_value_error(path):
    """What loads in spite of the damage must be shown without an error; else it's a ValueError."""
    trace("a cat", steps=1).save(path)
    whole = path.read_bytes()
    (size,) = struct.unpack("<Q", whole[:8])
    dice = random.Random(0)
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[dice.randrange(8 + size)] = dice.randrange(256)
        path.write_bytes(damaged)
        try:
            run = Trace.load(path)
        except ValueError:
            continue
        repr(run)
