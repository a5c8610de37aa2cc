"""A trace handed on to another run: what it says of its latent is heeded."""

import itertools
import warnings

import pytest
import torch
from side_by_side import PROMPT, model

from sdlearn.trace import Trace


def half_way(sampler, kind="sdxl", **settings):
    return model(kind).generate(
        PROMPT, steps=8, sampler=sampler, denoising_end=0.5, seed=3, **settings
    )


def go_on(trace, sampler, kind="sdxl"):
    return model(kind).image_to_image(trace, PROMPT, steps=8, sampler=sampler, denoising_start=0.5)


def of_another_name(trace, name, family="SD 1.x"):
    settings = {**trace.settings, "model": name, "family": family}
    return Trace(steps=trace.steps, latent=trace.latent, prompts=trace.prompts, settings=settings)


@pytest.mark.parametrize(
    ("first", "then"), list(itertools.permutations(["euler", "ddim", "heun", "dpmpp_2m"], 2))
)
def test_another_sampler_goes_on_in_its_own_scaling(first, then):
    begun = half_way(first)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        ended = go_on(begun, then)
    if not ended.steps[0].sigma_space:  # it holds xt, and begins with the other's
        torch.testing.assert_close(ended.steps[0].xt, begun.steps[-1].x_next)
    else:  # it holds x0 + sigma * eps
        level = begun.steps[-1].alpha_bar_next
        torch.testing.assert_close(ended.steps[0].sample * level**0.5, begun.steps[-1].x_next)


@pytest.mark.parametrize("sampler", ["euler", "ddim"])
def test_in_the_same_scaling_nothing_is_touched(sampler):
    begun = half_way(sampler)
    assert torch.equal(go_on(begun, sampler).steps[0].sample, begun.latent)
    assert torch.equal(go_on(begun, sampler).latent, go_on(begun.latent, sampler).latent)


def test_a_trace_of_another_model_is_told():
    begun = model("sd1").generate(PROMPT, steps=2)
    other = of_another_name(begun, "pocket-sd21", "SD 2.x (v-prediction)")
    with pytest.warns(
        UserWarning, match=r"made by 'pocket-sd21'.*autoencoder.*trace\.image"
    ) as said:
        trace = model("sd1").image_to_image(other, PROMPT, steps=2)
    assert said[0].filename == __file__ and "pocket-sd21" in trace.warnings[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model("sd1").image_to_image(begun, PROMPT, steps=2)
        model("sd1").image_to_image(begun.latent, PROMPT, steps=2)


def test_base_and_refiner_share_their_autoencoder():
    begun = of_another_name(half_way("euler"), "sdxl-base", "SDXL")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        go_on(begun, "euler", "sdxl-refiner")


def test_half_a_run_is_no_picture():
    with pytest.warns(UserWarning, match=r"denoising_end=0\.5.*Say denoising_start=0\.5"):
        model("sdxl").image_to_image(half_way("ddim"), PROMPT, steps=2)
    whole = model("sdxl").generate(PROMPT, steps=2, denoising_end=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model("sdxl").image_to_image(whole, PROMPT, steps=2)


def test_a_picture_is_not_half_a_run():
    with pytest.warns(UserWarning, match=r"walked to its end.*denoising_end=0\.5, or say strength"):
        go_on(model("sdxl").generate(PROMPT, steps=2), "euler")
    with pytest.warns(UserWarning, match=r"stopped at denoising_end=0\.5.*at 0\.8\. Say"):
        model("sdxl").image_to_image(half_way("ddim"), PROMPT, steps=8, denoising_start=0.8)


def test_nor_is_a_clean_picture():
    picture = model("sdxl").generate(PROMPT, steps=1).image
    with pytest.warns(UserWarning, match="A picture holds no noise.*strength adds"):
        model("sdxl").image_to_image(picture, PROMPT, steps=4, denoising_start=0.5)


def test_nor_is_an_interrupted_one():
    whole = model("sd1").generate(PROMPT, steps=2)
    stopped = Trace(steps=whole.steps, latent=whole.latent, interrupted=True)
    with pytest.warns(UserWarning, match=r"was interrupted.*trace\.image"):
        model("sd1").image_to_image(stopped, PROMPT, steps=2)


def test_a_trace_that_kept_no_steps_is_taken_as_it_is():
    begun = half_way("euler")
    bare = Trace(steps=(), latent=begun.latent, settings=begun.settings)
    assert torch.equal(go_on(bare, "ddim").steps[0].sample, begun.latent)
