"""Where a model and its runs lie: moved and checked as in loading, and what is free there."""

import pytest
import tiny
import torch
from side_by_side import model

from sdlearn.models import clip, load, wrap
from sdlearn.models.places import choose_device
from sdlearn.stages import request


@pytest.mark.parametrize(
    "asked", [{"device": torch.float16}, {"dtype": "float16"}, {"dtype": "fp16"}]
)
def test_a_model_is_moved_as_torch_does_or_by_name(asked):
    moved = wrap(tiny.pipeline("sd1"))
    assert moved.to(**asked) is moved
    assert moved.dtype == torch.float16 and moved.device.type == "cpu"
    assert moved.to("cpu", torch.float32).dtype == torch.float32
    assert moved.to().dtype == torch.float32


def test_a_device_that_is_not_here_is_told_as_in_loading(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    with pytest.raises(ValueError) as loading:
        choose_device("cuda")
    with pytest.raises(ValueError, match="no CUDA GPU") as moving:
        model("sd1").to("cuda")
    assert str(moving.value) == str(loading.value)


def test_what_is_free_is_asked_where_the_latent_lies(monkeypatch):
    monkeypatch.setattr(request._machine, "memory", lambda: (1000, 2000))
    assert request._free(torch.device("cpu")) == 1000
    monkeypatch.setattr(request._machine, "memory", lambda: (None, None))
    assert request._free(torch.device("cpu")) == request.UNKNOWN
    asked = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda place: asked.append(place) or (70, 99))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda place: 20)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda place: 5)
    assert request._free(torch.device("cuda:1")) == 70 + 20 - 5
    assert asked == [torch.device("cuda:1")]


def test_a_pocket_model_stays_on_the_cpu_unless_somebody_asks(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    assert choose_device() == torch.device("cuda")
    assert choose_device(pocket=True) == torch.device("cpu")
    assert choose_device("cuda", pocket=True) == torch.device("cuda")
    assert load("pocket-sd15").device == torch.device("cpu")
    assert clip.load("pocket-sd15").network.logit_scale.device == torch.device("cpu")


def test_a_twin_has_the_same_memory_and_a_precision_of_its_own():
    one = wrap(tiny.pipeline("sd1"))
    other = one.twin()
    weights = [each.parts.unet.parameters() for each in (one, other)]
    for mine, theirs in zip(*weights, strict=True):
        assert mine is not theirs and mine.data_ptr() == theirs.data_ptr()
    before = one.generate("a red cat", steps=2).latent
    other.to(torch.float16)
    assert other.dtype == torch.float16 and one.dtype == torch.float32
    assert torch.equal(one.generate("a red cat", steps=2).latent, before)


def test_an_autoencoder_in_float32_for_a_while_is_the_twins_own(monkeypatch):
    """SDXL's overflows in half precision; another thread must not meet it in between."""
    one = wrap(tiny.pipeline("sdxl")).to(torch.float16)
    other, seen = one.twin(), []
    decode = type(other.parts.vae).decode

    def watched(self, *given, **options):
        seen.append((other.parts.vae.dtype, one.parts.vae.dtype))
        return decode(self, *given, **options)

    monkeypatch.setattr(type(other.parts.vae), "decode", watched)
    other.to_image(other.noise(0))
    assert seen == [(torch.float32, torch.float16)]
