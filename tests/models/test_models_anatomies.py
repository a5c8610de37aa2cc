"""The anatomy of a model is counted: against known numbers, by hand, and against real runs."""

import ldm_layout
import pytest
import torch

import sdlearn as sd
from sdlearn.models import anatomies, anatomies_counted, rehearsal
from sdlearn.models.catalogue import PUBLISHED
from tests import tiny
from tests.models.test_models_published import networks, sparse

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
    one = rehearsal.rehearse(
        "unet",
        sd.models.published_configs("sd15")["unet"],
        anatomies_counted.denoising(sd.anatomy("sd15").family, 0),
        batch=2,
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
    call = anatomies_counted.decoding(16, 16)
    made = rehearsal.rehearse("vae", config, call)
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


def test_a_single_file_is_read_by_its_names_and_shapes_alone(tmp_path):
    layout = ldm_layout.checkpoint(networks("sd15"), "sd1")
    one = sd.anatomy(sparse(tmp_path / "somebody.safetensors", layout))
    assert one.name == "somebody" and one.blocks == sd.anatomy("sd15").blocks
    assert one.parts == sd.anatomy("sd15").parts


def test_what_a_transformer_does_is_part_of_what_its_block_does():
    for one in (sd.anatomy("sd15"), sd.anatomy("sdxl")):
        for block in one.blocks:
            assert (block.flops_of_transformers > 0) == bool(block.transformers)
            assert block.flops_of_transformers < block.flops
        assert sum(block.flops for block in one.blocks) < one.unet.flops


def test_a_turbo_answers_once_a_step():
    plain, turbo = sd.anatomy("sd21-base"), sd.anatomy("sd-turbo")
    assert (plain.calls, turbo.calls) == (2, 1)
    assert plain.unet.flops == turbo.unet.flops == turbo.flops_per_step
    assert plain.flops_per_step == 2 * turbo.flops_per_step
    assert plain.unet.working > 1.5 * turbo.unet.working


def test_they_show_themselves():
    one = sd.anatomy("pocket-sd15")
    assert "down 0" in str(one) and "16 x 16" in str(one) and f"{one.unet.parameters:,}" in str(one)
    both = sd.compare("pocket-sd15", "sd15")
    assert "859,520,964" in str(both) and "pocket-sd15" in both._repr_html_()
    assert "64 · 32 · 16 · 8" in str(both) and "8 · 8 · 8 · -" in str(both)
    alt = both.plot().alt
    assert "pocket-sd15" in alt and "64 x 64" in alt
    assert one.plot().alt.count("The U-Net of") == 1


def test_a_comparison_points_out_what_differs_and_nothing_else():
    shown = sd.compare("sd15", "sd14", "sd21")._repr_html_()
    rows = {row.split("</th>")[0].rpartition(">")[2]: row for row in shown.split("<tr>")}
    assert rows["channels"].count("<strong>") == 0
    assert rows["text encoders"].count("<strong>") == 1
    assert "<strong>340,387,840</strong>" in rows["text encoders"]


def test_a_name_with_html_in_it_is_text():
    hostile = "<b onclick=alert(1)>cat</b>"
    one = anatomies_counted.of_configs(sd.models.published_configs("sd15"), hostile)
    shown = [one._repr_html_(), anatomies.Comparison((one, one))._repr_html_()]
    assert all("<b " not in text and "&lt;b" in text for text in shown)


@pytest.mark.parametrize(
    "call, error, told",
    [
        (lambda: sd.anatomy("sd16"), ValueError, "sd15"),
        (lambda: sd.anatomy(7), TypeError, "got int"),
        (lambda: sd.anatomy("no/such/folder"), FileNotFoundError, "no such file or folder"),
        (lambda: sd.compare("sd15"), ValueError, "two models or more"),
        (lambda: sd.anatomy("sd15").memory("int3"), ValueError, "float32"),
        (lambda: sd.anatomy("sd15").fits(memory=-1), ValueError, "positive number of bytes"),
        (lambda: sd.anatomy("sd15").fits(memory="8 GB"), ValueError, "positive number of bytes"),
        (lambda: sd.anatomy("sd15").fits(memory=True), ValueError, "positive number of bytes"),
        (lambda: sd.anatomy("sd15").fits(memory=float("nan")), ValueError, "positive number"),
        (lambda: anatomies_counted.of_configs({}, "nothing"), ValueError, "has no U-Net"),
    ],
)
def test_wrong_calls_are_told_what_is_wrong(call, error, told):
    with pytest.raises(error, match=told):
        call()
