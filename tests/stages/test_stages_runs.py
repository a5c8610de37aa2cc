"""What a run leaves, whole or interrupted: its settings, its warnings; what a model says it is."""

import warnings
from unittest import mock

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler
from PIL import Image
from side_by_side import PROMPT, hole, model, photo, same_pictures

from sdlearn.stages import attention
from sdlearn.stages.parts import Parts
from sdlearn.trace import Record, Trace


def stop_after(count):
    """An on_step that presses Ctrl-C."""
    seen = []

    def on_step(step):
        seen.append(step)
        if len(seen) == count:
            raise KeyboardInterrupt

    return on_step


# --- interrupted


@pytest.mark.parametrize("count", [1, 2])
def test_an_interrupted_run_returns_what_it_has(count):
    whole = model("sd1").generate(PROMPT, steps=4, seed=3)
    with pytest.warns(UserWarning, match=f"Stopped after {count} of 4 steps") as caught:
        trace = model("sd1").generate(PROMPT, steps=4, seed=3, on_step=stop_after(count))
    assert [w.filename for w in caught if w.category is UserWarning] == [__file__]
    assert trace.interrupted and not whole.interrupted
    assert len(trace.steps) == count
    for ours, expected in zip(trace.steps, whole.steps, strict=False):
        assert torch.equal(ours.sample_next, expected.sample_next)
    assert torch.equal(trace.latent, whole.steps[count - 1].sample_next)
    assert trace.attention.steps == tuple(range(count))
    # The picture is the best guess so far: what the last step aimed at.
    same_pictures(trace.images, [whole.steps[count - 1].image("x0")])


def test_without_records_the_sample_itself_is_drawn():
    with pytest.warns(UserWarning, match="Stopped"):
        trace = model("sd1").generate(PROMPT, steps=4, record=(), on_step=stop_after(2))
    same_pictures(trace.images, [model("sd1").to_image(trace.latent)])


@pytest.mark.parametrize("method", ["image_to_image", "inpaint"])
def test_every_kind_of_run_can_be_interrupted(method):
    more = {"image_to_image": (photo(),), "inpaint": (photo(), hole())}[method]
    with pytest.warns(UserWarning, match="Stopped after 1 of"):
        trace = getattr(model("sd1"), method)(*more, PROMPT, steps=4, on_step=stop_after(1))
    assert trace.interrupted and len(trace.steps) == 1 and trace.image.size == (64, 64)


def test_stopped_while_the_picture_is_drawn_the_steps_are_kept(monkeypatch):
    def press(latent):
        raise KeyboardInterrupt

    tiny = model("sd1")
    whole = tiny.generate(PROMPT, steps=2, seed=3)
    monkeypatch.setattr(tiny.parts.vae, "decode", lambda *_, **__: press(None))
    with pytest.warns(UserWarning, match="Stopped while the picture was drawn"):
        trace = tiny.generate(PROMPT, steps=2, seed=3)
    assert trace.interrupted and not trace.images
    assert torch.equal(trace.latent, whole.latent)
    monkeypatch.undo()
    same_pictures([tiny.to_image(trace.latent)], whole.images)


def test_a_turbo_model_says_what_guidance_0_means_here():
    with pytest.warns(UserWarning, match="guidance_scale=0 ignores the prompt here"):
        model("sd-turbo").generate(PROMPT, steps=1, guidance_scale=0.0)


def test_a_mask_of_the_pictures_size_is_scaled_with_it():
    trace = model("sd1").inpaint(photo(96, 96), hole(96, 96), PROMPT, steps=2, height=64, width=64)
    same = model("sd1").inpaint(
        photo(96, 96),
        hole(96, 96).resize((64, 64), Image.Resampling.LANCZOS),
        PROMPT,
        steps=2,
        height=64,
        width=64,
    )
    assert trace.image.size == (64, 64)
    assert torch.equal(trace.latent, same.latent)


def test_a_trace_has_a_size_of_its_own():
    begun = model("sd1").generate(PROMPT, steps=2)
    with pytest.raises(ValueError, match="latent is for a height of 64, and height=32"):
        model("sd1").image_to_image(begun, PROMPT, steps=2, height=32)


def test_attention_of_what_had_no_words_can_be_shown():
    trace = model("sdxl").generate(PROMPT, steps=1, record=Record(halves=("uncond",)))
    assert "<" in trace._repr_html_()


def test_the_settings_say_what_the_seed_and_the_samplers_name_do_not():
    tiny = model("sd1")
    noise = tiny.noise(7)
    assert tiny.generate(PROMPT, steps=2, latent=noise).settings["latent"] == "given"
    assert "latent" not in tiny.generate(PROMPT, steps=2).settings
    trailing = EulerDiscreteScheduler.from_config(
        tiny.parts.scheduler.config, timestep_spacing="trailing"
    )
    trace = tiny.generate(PROMPT, steps=2, sampler=trailing)
    assert trace.settings["sampler_settings"]["timestep_spacing"] == "trailing"
    named = tiny.generate(PROMPT, steps=2, sampler="euler")
    assert "sampler_settings" in trace.diff(named).settings
    assert "sampler_settings" not in named.settings


def test_settings_of_a_scheduler_that_are_no_plain_json(tmp_path):
    tiny = model("sd1")
    betas = np.linspace(0.001, 0.012, 1000)
    mine = EulerDiscreteScheduler(trained_betas=betas)
    with pytest.warns(UserWarning, match="trained_betas is array"):
        trace = tiny.generate(PROMPT, steps=2, sampler=mine)
    assert "array" in trace.settings["sampler_settings"]["trained_betas"]
    trace.save(tmp_path / "run.safetensors")
    assert Trace.load(tmp_path / "run.safetensors").settings == trace.settings


def test_maps_too_large_for_all_heads_at_once_are_the_same(monkeypatch):
    record = Record(self_attention=True, dtype="float32")
    whole = model("sd1").generate(PROMPT, steps=1, record=record).attention
    monkeypatch.setattr(attention, "LARGE", 0)
    with mock.patch.object(attention, "attend", side_effect=AssertionError):
        one_by_one = model("sd1").generate(PROMPT, steps=1, record=record).attention
    assert whole.kept.keys() == one_by_one.kept.keys()
    for key, values in whole.kept.items():
        torch.testing.assert_close(one_by_one.kept[key], values)


def test_what_a_model_and_a_run_say_of_themselves():
    tiny = model("sdxl")
    shown = tiny._repr_html_()
    for said in ("reads the prompt", "UNet2DConditionModel", "text_encoder_2", "names the noise"):
        assert said in shown
    schedule = tiny.schedule(3, "ddim")
    walk = tiny.denoise("a <b>cat</b>", tiny.noise([3, 4]), schedule)
    next(walk)
    assert repr(walk) == "Denoising('a <b>cat</b>', 'a <b>cat</b>': 1 of 3 steps done, ddim)"
    assert "<b>" not in walk._repr_html_() and walk._repr_html_().count("<img") == 2
    for _ in walk:
        pass
    assert "done" in walk._repr_html_()


def test_an_error_of_ones_own_is_not_swallowed():
    def broken(step):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        model("sd1").generate(PROMPT, steps=2, on_step=broken)


def test_each_step_is_shown_as_soon_as_it_is_done():
    seen = []
    trace = model("sd1").generate(PROMPT, steps=3, on_step=seen.append)
    assert tuple(seen) == trace.steps


# --- settings and prompts


def test_a_trace_says_what_was_asked():
    trace = model("sdxl").generate(
        [PROMPT, "a cat"],
        negative_prompt="the beach",
        steps=2,
        seed=[3, 4],
        sampler="Euler a",
        crop=(8, 16),
        height=48,
    )
    assert trace.settings == {
        "kind": "text-to-image",
        "model": "StableDiffusionXLPipeline",
        "family": "SDXL",
        "sampler": "euler_ancestral",
        "steps": 2,
        "guidance_scale": 5.0,
        "seed": [3, 4],
        "height": 48,
        "width": 64,
        "dtype": "float32",
        "crop": [8, 16],
    }
    assert trace.prompts == (PROMPT, "a cat")
    assert trace.negative_prompts == ("the beach", "the beach")
    assert [tokens.text for tokens in trace.tokens] == [PROMPT, "a cat"]
    assert model("sd1").generate(PROMPT, guidance_scale=1, steps=1).negative_prompts == ()
    assert model("sd1").inpaint(photo(), hole(), PROMPT, steps=1).settings["kind"] == "inpainting"


def test_a_trace_is_saved_and_read_again(tmp_path):
    record = Record(halves=("uncond", "cond"), heads="each")
    trace = model("sd1").generate(
        PROMPT, negative_prompt="a", steps=2, sampler="heun", record=record
    )
    trace.save(tmp_path / "run.safetensors")
    again = Trace.load(tmp_path / "run.safetensors", model=model("sd1"))
    assert not again.diff(trace)
    same_pictures([again.steps[0].image("x0")], [trace.steps[0].image("x0")])
    assert torch.equal(again.attention["cat"].values, trace.attention["cat"].values)


def test_a_budget_is_kept():
    free = model("sd1").generate(PROMPT, steps=4)
    with pytest.warns(UserWarning, match="Recording this run would take"):
        thin = model("sd1").generate(PROMPT, steps=4, record=Record(budget=free.nbytes * 3 // 4))
    assert thin.nbytes <= free.nbytes * 3 // 4 and len(thin.attention.steps) < 4
    assert torch.equal(thin.latent, free.latent)
    with pytest.raises(MemoryError, match="refuse"):
        model("sd1").generate(PROMPT, steps=4, record=Record(budget=1000, over="refuse"))


@pytest.mark.parametrize("guidance_scale", [1.0, 7.5])
@pytest.mark.parametrize("sampler", ["ddim", "heun", "plms", "euler"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_cost_that_is_said_before_is_what_it_takes(monkeypatch, sampler, guidance_scale, dtype):
    said, fitted = {}, Record.fitted

    def spy(record, *, free, warn, **run):
        said["cost"] = record.cost(**run)
        return fitted(record, free=free, warn=warn, **run)

    monkeypatch.setattr(Record, "fitted", spy)
    asked = {"sampler": sampler, "guidance_scale": guidance_scale, "steps": 3, "seed": [0, 1]}
    record = Record(self_attention=True, heads="each", halves=("uncond", "cond"))
    trace = model("sd1", dtype).generate(PROMPT, record=record, **asked)
    kept, cost = trace.attention, said["cost"]
    calls = sum(step.calls for step in trace.steps)
    assert calls == {"heun": 5, "plms": 4}.get(sampler, 3)  # the last asks once; the first, twice
    words = sum(maps.nbytes for maps in kept.kept.values())
    places = sum(maps.nbytes for maps in kept.kept_self.values())
    assert (words, places) == (cost.attention, cost.self_attention)
    assert trace.nbytes - words - places == cost.latents + cost.noise


def test_a_negative_prompt_without_guidance_is_told():
    with pytest.warns(
        UserWarning, match="negative_prompt does nothing at guidance_scale=1"
    ) as said:
        model("sd-turbo").generate(PROMPT, negative_prompt="a beach", steps=1)
    assert [w.filename for w in said if w.category is UserWarning] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model("sd-turbo").generate(PROMPT, negative_prompt="", steps=1)
        model("sd1").generate(PROMPT, negative_prompt="a beach", steps=1)


def test_a_contrast_without_guidance_is_told():
    with pytest.warns(UserWarning, match="guidance_rescale does nothing at guidance_scale=1"):
        model("sd1").generate(PROMPT, guidance_scale=1, guidance_rescale=0.7, steps=1)


def test_two_prompts_in_the_same_columns_are_told():
    with pytest.warns(UserWarning, match="prompt_2 stands in the same columns"):
        model("sdxl").generate(PROMPT, prompt_2="the beach", steps=1, record="attention")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model("sdxl").generate(PROMPT, steps=1, record="attention")


def test_what_a_run_showed_is_not_changed_by_its_going_on():
    own = model("sd1")
    run = own.denoise(PROMPT, own.noise(0), own.schedule(3), record="attention")
    next(run)
    shown = run.attention()
    before = shown.nbytes
    list(run)
    assert shown.nbytes == before and shown["cat"].steps == (0,)


def test_a_second_negative_prompt_alone_is_told():
    """As in the pipelines it does nothing where no text at all stands for zeros."""
    sdxl = model("sdxl")
    assert sdxl.parts.settings["force_zeros_for_empty_prompt"]
    plain = sdxl.generate(PROMPT, steps=1)
    with pytest.warns(
        UserWarning, match='negative_prompt_2 alone does nothing.*negative_prompt=""'
    ):
        alone = sdxl.generate(PROMPT, steps=1, negative_prompt_2="a beach")
    assert torch.equal(alone.latent, plain.latent)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        both = sdxl.generate(PROMPT, steps=1, negative_prompt="", negative_prompt_2="a beach")
    assert not torch.equal(both.latent, plain.latent)


def test_a_run_that_ends_in_no_numbers_says_so():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, for a picture of none
        with pytest.warns(UserWarning, match="ended in numbers that are none.*float32"):
            trace = model("sd1").generate(PROMPT, steps=2, guidance_scale=1e38)
    assert "NaN" in trace.warnings[0]


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_a_prompt_of_zeros_can_be_drawn(kind):
    made = model(kind)
    with pytest.warns(UserWarning, match="no words to look at: no attention is kept"):
        trace = made.generate(made.encode(PROMPT).zeros(), steps=2)
    assert len(trace.steps) == 2 and trace.tokens == ()
    with pytest.raises(ValueError, match="no attention"):
        _ = trace.attention
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        quiet = made.generate(made.encode(PROMPT).zeros(), steps=2, record=())
    assert torch.equal(quiet.latent, trace.latent)


# --- what it is


def test_a_model_says_what_it_is():
    made = model("sd2-v")
    assert repr(made) == (
        "Model(StableDiffusionPipeline: SD 2.x (v-prediction), 64x64 pixels, 0.7 M parameters, "
        "cpu, float32)"
    )
    assert made.size == (64, 64) and made.factor == 8
    assert made.family is made.parts.family and made.dtype == torch.float32
    assert all(not network.training for network in made.parts.networks.values())


def test_parts_are_counted():
    parts = model("sdxl").parts
    assert list(parts.networks) == ["text_encoder", "text_encoder_2", "unet", "vae"]
    count = sum(p.numel() for n in parts.networks.values() for p in n.parameters())
    assert parts.nbytes == 4 * count
    nothing = Parts(None, None, parts.scheduler, None, None)
    assert nothing.networks == {}
    with pytest.raises(ValueError, match="no network among these parts"):
        _ = nothing.device


def test_a_trace_holds_what_its_run_had_to_say():
    tiny_sd1 = model("sd1")
    with pytest.warns(UserWarning, match="does nothing at guidance_scale=1"):
        trace = tiny_sd1.generate("a cat", negative_prompt="a dog", guidance_scale=1, steps=1)
    (said,) = trace.warnings
    assert "negative_prompt" in said
    assert tiny_sd1.generate("a cat", steps=1).warnings == ()


def test_thinning_is_told_at_the_callers_line_and_in_the_trace():
    tiny_sd1 = model("sd1")
    record = Record(budget=60_000)
    with pytest.warns(UserWarning, match="would take") as caught:
        trace = tiny_sd1.generate("a cat", steps=6, record=record)
    assert caught[0].filename == __file__
    assert "would take" in trace.warnings[0]
