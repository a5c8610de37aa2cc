"""The anatomy of a model is counted: against known numbers, by hand, and against real runs."""

import pytest
import torch

import sdlearn as sd
from sdlearn.models import anatomies, rehearsal
from sdlearn.models.catalogue import PUBLISHED
from tests import tiny

UNETS = {  # as in the published weights, to the last parameter
    "sd14": 859_520_964,
    "sd15": 859_520_964,
    "sd20": 865_910_724,
    "sd21": 865_910_724,
    "sd-turbo": 865_910_724,
    "sdxl": 2_567_463_684,
    "sdxl-turbo": 2_567_463_684,
    "sdxl-refiner": 2_259_526_660,
}


@pytest.mark.parametrize("name", UNETS)
def test_every_published_model_is_counted_without_its_weights(name):
    one = sd.anatomy(name)
    assert one.unet.parameters == UNETS[name]
    assert one.parameters == PUBLISHED[name].parameters
    inside = sum(block.parameters for block in one.blocks)
    assert 0.98 * one.unet.parameters < inside < one.unet.parameters


def test_the_wiring_of_the_families():
    first, second, third = sd.anatomy("sd15"), sd.anatomy("sd21"), sd.anatomy("sdxl")
    assert [one.latent for one in (first, second, third)] == [
        (4, 64, 64),
        (4, 96, 96),
        (4, 128, 128),
    ]
    assert [one.picture for one in (first, second, third)] == [(512,) * 2, (768,) * 2, (1024,) * 2]
    assert [one.attentions for one in (first, second, third)] == [16, 16, 70]
    assert {b.heads for b in first.blocks} == {0, 8}  # as many everywhere ...
    assert {b.head_width for b in second.blocks} == {0, 64}  # ... and as wide everywhere
    assert third.blocks[0].transformers == () and third.blocks[2].transformers == (10, 10)
    assert [one.family.prediction for one in (first, second, third)] == ["eps", "v", "eps"]
    assert "crop" in third.conditions and "aesthetic" in sd.anatomy("sdxl-refiner").conditions


def test_the_work_of_a_layer_is_what_one_counts_by_hand():
    one = anatomies.rehearse(
        "unet",
        sd.models.published_configs("sd15")["unet"],
        anatomies._denoise(sd.anatomy("sd15").family, 0),
    )
    at = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
    assert one.flops["conv_in"] == 2 * 9 * 4 * 320 * 64 * 64
    assert one.flops[at + ".to_q"] == 2 * 320 * 320 * 64 * 64
    products = 2 * 2 * 64**4 * 320  # queries by keys, and weights by values
    assert one.flops[at] == products + 4 * one.flops[at + ".to_q"]


@pytest.mark.parametrize("family", ["sd1", "sd2-v", "sdxl"])
def test_it_is_the_work_of_a_real_run(family):
    model = sd.wrap(tiny.pipeline(family))
    one = sd.anatomy(model)
    prompt, latent = model.encode("a cat"), model.noise(0)
    with rehearsal.counting() as counter:
        for _ in model.denoise(prompt, latent, model.schedule(1), record=()):
            pass
    counted = counter.get_flop_counts()["UNet2DConditionModel"]  # the prompts' reading is not in it
    assert sum(counted.values()) == one.flops_per_step


def test_the_working_memory_is_that_of_a_real_run():
    config = sd.models.published_configs("sd15")["vae"] | {"block_out_channels": [32] * 4}
    call = anatomies._decode(16)
    made = anatomies.rehearse("vae", config, call)
    network = type(made.network).from_config(config).eval()
    with torch.no_grad(), rehearsal._Living(network) as living:
        call(network, 1)
    assert living.peak == pytest.approx(made.working, rel=0.01)
    picture = 32 * 128 * 128 * 4
    assert made.working > 2 * picture  # a layer's input and its output live together


def test_a_model_tells_the_same_from_a_name_a_folder_a_file_and_at_hand(tmp_path):
    pocket = sd.load("pocket-sd15", device="cpu")
    by_name = sd.anatomy("pocket-sd15")
    assert pocket.anatomy().blocks == by_name.blocks == sd.anatomy(pocket.source).blocks
    held = sum(p.numel() for n in pocket.parts.networks.values() for p in n.parameters())
    assert by_name.parameters == held


def test_can_this_machine_run_it():
    one = sd.anatomy("sdxl")
    full, half = one.fits(memory=12e9)
    assert full.weights == 2 * half.weights == 4 * one.parameters
    assert (full.ok, half.ok) == (False, True)
    assert full.needed == full.weights + full.working
    assert one.memory().ok is None
    assert all(fit.memory for fit in one.fits())


def test_they_show_themselves():
    one = sd.anatomy("pocket-sd15")
    assert "down 0" in str(one) and "16 x 16" in str(one) and f"{one.unet.parameters:,}" in str(one)
    both = sd.compare("pocket-sd15", "sd15")
    assert "859,520,964" in str(both) and "pocket-sd15" in both._repr_html_()
    alt = both.plot().alt
    assert "pocket-sd15" in alt and "64 x 64" in alt
    assert one.plot().alt.count("The U-Net of") == 1


def test_a_name_with_html_in_it_is_text():
    hostile = "<b onclick=alert(1)>cat</b>"
    one = anatomies.of_configs(sd.models.published_configs("sd15"), hostile)
    shown = [one._repr_html_(), anatomies.Comparison((one, one))._repr_html_()]
    assert all("<b" not in text and "&lt;b" in text for text in shown)


@pytest.mark.parametrize(
    "call, error, told",
    [
        (lambda: sd.anatomy("sd16"), ValueError, "sd15"),
        (lambda: sd.anatomy(7), TypeError, "got int"),
        (lambda: sd.anatomy("no/such/folder"), FileNotFoundError, "no such file or folder"),
        (lambda: sd.compare("sd15"), ValueError, "two models or more"),
        (lambda: sd.anatomy("sd15").memory("int3"), ValueError, "float32"),
        (lambda: sd.anatomy("sd15").fits(memory=-1), ValueError, "positive number of bytes"),
        (lambda: anatomies.of_configs({}, "nothing"), ValueError, "has no U-Net"),
        (lambda: sd.views.unets(), ValueError, "at least one"),
        (lambda: sd.views.unets("sd15"), TypeError, "sd.anatomy"),
    ],
)
def test_wrong_calls_are_told_what_is_wrong(call, error, told):
    with pytest.raises(error, match=told):
        call()
