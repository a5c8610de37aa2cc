"""The loop: it can be stopped, looked into and steered, and its records say what happened."""

import itertools

import diffusers
import pytest
import torch
from side_by_side import COUNTERPARTS, PROMPT, model

from sdlearn.equations import predictions, samplers
from sdlearn.stages.guiding import Guidance
from sdlearn.trace import Record

OTHER = "the dream beach"

GIVES_NO_X0 = ("plms", "dpmpp_2m", "DPM++ 2M Karras", "dpmpp_2m_sde", "unipc")
IN_SIGMA_SPACE = ("euler", "euler_ancestral", "heun", "dpm2", "lms")


def walk(prompt=PROMPT, *, kind="sd1", steps=3, sampler="ddim", seed=3, **settings):
    made = model(kind)
    schedule = made.schedule(steps, sampler)
    noise = made.noise(seed) * schedule.scheduler.init_noise_sigma
    return made.denoise(prompt, noise, schedule, **settings)


# --- the records


@pytest.mark.parametrize(
    ("kind", "sampler"),
    [("sd1", name) for name in COUNTERPARTS]
    + [("sd2-v", name) for name in ("ddim", "ddpm", "euler", "heun", "plms", "dpmpp_2m", "lcm")],
)
def test_a_record_agrees_with_itself(sampler, kind):
    """xt is x0 and eps at its noise level; a step begins where the last one ended."""
    steps = list(walk(kind=kind, sampler=sampler, steps=4, guidance_scale=4.0))
    assert [step.index for step in steps] == [0, 1, 2, 3]
    calls = {"heun": [2, 2, 2, 1], "dpm2": [2, 2, 2, 1], "plms": [2, 1, 1, 1]}
    assert [step.calls for step in steps] == calls.get(sampler, [1, 1, 1, 1])
    for step in steps:
        mixed = step.alpha_bar**0.5 * step.x0 + (1 - step.alpha_bar) ** 0.5 * step.eps
        torch.testing.assert_close(step.xt, mixed, rtol=1e-3, atol=1e-4)
        assert step.sigma_space == (sampler in IN_SIGMA_SPACE)
        assert step.x0_derived == (sampler in GIVES_NO_X0)
        assert step.guidance_scale == 4.0
    for step, after in itertools.pairwise(steps):
        assert step.sample_next is after.sample
        assert step.alpha_bar_next == after.alpha_bar > step.alpha_bar
        assert step.t > after.t
    assert steps[-1].alpha_bar_next > steps[-1].alpha_bar


@pytest.mark.parametrize("sampler", COUNTERPARTS)
def test_the_first_sample_has_the_noise_of_its_level(sampler):
    """Where a sampler says that it is, is where its scheduler puts a picture with noise."""
    schedule = model("sd1").schedule(4, sampler)
    scheduler = schedule.fresh(torch.device("cpu"))
    x0, eps = torch.ones(1, 4, 2, 2), torch.full((1, 4, 2, 2), -2.0)
    for place, group in enumerate(schedule.calls):
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(group[0].place)
        noisy = scheduler.add_noise(x0, eps, schedule.timesteps[place : place + 1])
        bar = group[0].alpha_bar
        expected = bar**0.5 * x0 + (1 - bar) ** 0.5 * eps
        if schedule.sigma_space:
            expected = expected / bar**0.5
        torch.testing.assert_close(noisy, expected, rtol=1e-4, atol=1e-4)


def test_velocity_is_told_as_noise_and_picture():
    steps = list(walk(kind="sd2-v", sampler="ddim", guidance_scale=4.0))
    made = model("sd2-v")
    embeddings = torch.cat([made.encode(text).embeddings for text in ("", PROMPT)])
    with torch.no_grad():
        for step in steps:
            batch = torch.cat([step.xt] * 2)
            answer = made.parts.unet(batch, int(step.t), embeddings, return_dict=False)[0]
            for half, v in zip(("uncond", "cond"), answer.chunk(2), strict=True):
                eps = predictions.eps_from_v(step.xt, v, step.alpha_bar)
                torch.testing.assert_close(getattr(step, f"eps_{half}"), eps)
                assert not torch.allclose(v, eps, atol=0.1)
        v = Guidance(4.0).guided(dict(zip(("uncond", "cond"), answer.chunk(2), strict=True)))
        torch.testing.assert_close(step.eps, predictions.eps_from_v(step.xt, v, step.alpha_bar))
        torch.testing.assert_close(step.x0, predictions.x0_from_v(step.xt, v, step.alpha_bar))


def test_what_the_answer_is_taken_for_is_the_samplers_business():
    """A scheduler that says v makes v of it, whatever the model's own one says."""
    config = model("sd1").parts.scheduler.config
    sampler = diffusers.DDIMScheduler.from_config(config, prediction_type="v_prediction")
    for step in walk(sampler=sampler):
        mixed = step.alpha_bar**0.5 * step.x0 + (1 - step.alpha_bar) ** 0.5 * step.eps
        torch.testing.assert_close(step.xt, mixed)


def test_a_clipped_x0_is_the_samplers_own():
    config = model("sd1").parts.scheduler.config
    sampler = diffusers.DDIMScheduler.from_config(config, clip_sample=True)
    step = next(walk(sampler=sampler))
    assert not step.x0_derived and step.x0.abs().max() <= 1


def test_only_what_was_asked_for_is_kept():
    tensors = {"sample", "sample_next", "x0", "eps", "eps_cond", "eps_uncond"}
    for record, kept in (
        ((), set()),
        ("latents", {"sample", "sample_next", "x0"}),
        ("noise", {"eps", "eps_cond", "eps_uncond"}),
        (("latents", "noise"), tensors),
    ):
        assert set(next(walk(record=record)).tensors()) == kept
    step = next(walk(guidance_scale=1.0))
    assert set(step.tensors()) == tensors - {"eps_uncond"}
    assert step.eps is step.eps_cond  # shared, and not counted twice


def test_latents_are_kept_smaller_if_asked():
    full, half = (
        list(walk(record=Record(attention=False, latents_dtype=dtype)))[-1]
        for dtype in (None, "float16")
    )
    assert {t.dtype for t in half.tensors().values()} == {torch.float16}
    assert torch.equal(full.sample_next.half(), half.sample_next)  # the run itself is the same


# --- by hand


def test_the_loop_is_the_run():
    steps = list(walk())
    trace = model("sd1").generate(PROMPT, sampler="ddim", steps=3, seed=3)
    assert torch.equal(steps[-1].sample_next, trace.latent)
    assert len(steps) == len(trace.steps) == 3


def test_it_can_be_stopped_and_gone_on_with():
    run = walk()
    assert (len(run), run.index, run.progress) == (3, 0, 0.0)
    first = next(run)
    assert (len(run), run.index) == (2, 1)
    assert torch.equal(run.latent, first.sample_next) and torch.equal(run.xt, first.x_next)
    assert run.alpha_bar == first.alpha_bar_next and run.t < first.t
    rest = list(run)
    assert len(rest) == 2 and run.progress == 1.0 and list(run) == []
    assert torch.equal(rest[-1].sample_next, list(walk())[-1].sample_next)


def test_guidance_can_be_set_for_one_step():
    run = walk(guidance_scale=7.5)
    run.guidance_scale = 1.0
    first, second = next(run), next(run)
    assert (first.guidance_scale, second.guidance_scale) == (1.0, 7.5)
    assert first.changes == ("guidance 7.5 -> 1",) and second.changes == ()
    assert first.eps_uncond is None and second.eps_uncond is not None
    alone = next(walk(guidance_scale=1.0))
    assert torch.equal(first.sample_next, alone.sample_next)


@pytest.mark.parametrize("sampler", ["ddim", "euler"])
def test_the_sample_can_be_moved(sampler):
    run = walk(sampler=sampler)
    next(run)
    before = run.xt
    run.xt = before.flip(-1)
    torch.testing.assert_close(run.xt, before.flip(-1))
    step = next(run)
    torch.testing.assert_close(step.xt, before.flip(-1))
    moved = float((before.flip(-1) - before).pow(2).mean().sqrt())
    assert step.changes == (f"xt moved by {moved:.3g} (root mean square)",)
    assert next(run).changes == ()


def test_the_prompt_can_be_changed_on_the_way():
    made = model("sdxl")
    run = walk(kind="sdxl")
    first = next(run)
    other = made.encode(OTHER)
    run.prompt(other)
    run.prompt(other)  # is the same, and told once
    second, third = next(run), next(run)
    assert second.changes == (f"prompt -> {OTHER!r}",) and third.changes == ()
    # As if the run had begun there, with the other prompt.
    alone = walk(OTHER, kind="sdxl")
    next(alone)
    alone.latent = first.sample_next
    assert torch.equal(next(alone).eps_cond, second.eps_cond)
    plain = walk(kind="sdxl")
    next(plain)
    assert not torch.allclose(next(plain).eps_cond, second.eps_cond)


def test_one_prompt_goes_for_every_picture():
    made = model("sd1")
    run = made.denoise(PROMPT, made.noise([3, 4]), made.schedule(2, "ddim"))
    run.prompt(made.encode(OTHER))
    run.prompt(made.encode([OTHER, "a red cat"]))
    assert len(next(run).sample) == 2
    assert run.cond.texts == (OTHER, "a red cat")


@pytest.mark.parametrize(
    ("name", "value", "error", "says"),
    [
        ("guidance_scale", float("nan"), ValueError, "guidance_scale must be at least 0"),
        ("guidance_scale", -1, ValueError, "guidance_scale must be at least 0"),
        ("guidance_scale", "7", TypeError, "guidance_scale must be a number"),
        ("xt", torch.zeros(1, 4, 1, 1), ValueError, r"xt must be a tensor \(1, 4, 8, 8\)"),
        ("xt", 0.0, ValueError, r"xt must be a tensor.*got float"),
        ("prompt", "a cat", TypeError, r"model\.encode"),
        ("prompt", ["a cat", "a dog"], ValueError, "2 prompts.*1 pictures"),
        ("prompt", "sdxl", ValueError, "24.*same model|same model"),
    ],
)
def test_wrong_steering_is_refused(name, value, error, says):
    run = walk(steps=1)
    if value == "sdxl":
        value = model("sdxl").encode("a cat")
    elif isinstance(value, list):
        value = model("sd1").encode(value)
    with pytest.raises(error, match=says):
        run.prompt(value) if name == "prompt" else setattr(run, name, value)
    assert run.changes == []
    assert torch.equal(next(run).sample_next, next(walk(steps=1)).sample_next)


def test_no_signal_at_all_has_an_infinite_sigma():
    sampler = diffusers.DDIMScheduler.from_config(
        model("sd2-v").parts.scheduler.config,
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )
    run = walk(kind="sd2-v", sampler=sampler, intervene=lambda run: run.xt)
    assert run.sigma == float("inf") and run.alpha_bar == 0
    assert torch.equal(run.xt, run.latent)
    assert next(run).sigma == float("inf")
    assert float(run.schedule.sigmas[0]) == float("inf") and float(run.schedule.snr[0]) == 0
    assert "inf" in repr(run.schedule) and "inf" in run.schedule._repr_html_()


# --- changed in place


@pytest.mark.parametrize("sampler", ["ddim", "euler", "unipc"])
def test_a_latent_that_is_changed_in_place_is_told_and_changes_no_record(sampler):
    def change(run):
        if run.index == 1:
            run.latent.mul_(1.5)

    plain = list(walk(sampler=sampler))
    steps = list(walk(sampler=sampler, intervene=change))
    assert [step.changes for step in steps] == [(), ("the latent was set",), ()]
    assert torch.equal(steps[0].sample_next, plain[0].sample_next)
    assert torch.equal(steps[1].sample, plain[0].sample_next * 1.5)


def test_the_callers_own_latent_stays_as_it_was():
    made = model("sd1")
    own = made.noise(3)
    before, schedule = own.clone(), made.schedule(2, "ddim")
    run = made.denoise(PROMPT, own, schedule)
    run.latent *= 2
    assert torch.equal(own, before) and torch.equal(run.latent, 2 * before)
    own.zero_()  # and the other way round
    first = next(run)
    assert first.changes == ("the latent was set",)
    assert torch.equal(first.sample, 2 * before)


def test_what_was_set_is_not_changed_from_outside():
    run = walk()
    mine = torch.ones_like(run.latent)
    run.latent = mine
    lent = run.latent
    lent += 1
    step = next(run)
    mine.zero_(), lent.zero_()
    assert torch.equal(step.sample, torch.full_like(mine, 2.0))


def test_looking_at_the_latent_changes_nothing():
    seen = []
    steps = list(walk(intervene=lambda run: seen.append(run.latent)))
    for step, after in itertools.pairwise(steps):
        assert step.sample_next is after.sample and after.changes == ()
    assert all(torch.equal(one, step.sample) for one, step in zip(seen, steps, strict=True))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (torch.zeros(1, 4, 1, 1), r"latent must be a tensor \(1, 4, 8, 8\)"),
        (1.5, "latent must be a tensor.*got float"),
        (torch.full((1, 4, 8, 8), float("nan")), "latent holds numbers that are none"),
    ],
)
def test_a_latent_that_does_not_fit_is_refused(value, says):
    with pytest.raises(ValueError, match=says):
        walk().latent = value


def test_after_the_last_step_there_is_no_timestep():
    run = walk(steps=1)
    next(run)
    with pytest.raises(IndexError, match=r"run is done.*between two steps"):
        _ = run.t


# --- where a step arrives


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("steps", [4, 7])
@pytest.mark.parametrize("kind", ["sd1", "sd2-v"])
def test_a_step_of_ddim_arrives_where_its_record_says(kind, steps, spacing):
    made = model(kind)
    schedule = made.schedule(steps, "ddim", timestep_spacing=spacing)
    run = list(made.denoise(PROMPT, made.noise(3), schedule))
    for step in run:
        mine = samplers.ddim_step(step.xt, step.eps, step.alpha_bar, step.alpha_bar_next)
        torch.testing.assert_close(mine, step.x_next, rtol=1e-4, atol=1e-4)
    assert run[-1].alpha_bar_next == float(schedule.alpha_bars[-1])
