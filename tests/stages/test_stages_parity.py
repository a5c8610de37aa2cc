"""Text to image, next to diffusers' pipelines: equal to the last bit, at the end of every step."""

from dataclasses import replace

import diffusers
import pytest
import tiny
import torch
from side_by_side import (
    COUNTERPARTS,
    PROMPT,
    generator,
    model,
    photo,
    pipeline,
    same,
    same_pictures,
    scheduler,
    theirs,
)

from sdlearn.models import wrap
from sdlearn.stages.pipeline import Model
from sdlearn.trace import Record

OTHER = "the dream beach"
EVERYTHING = Record(self_attention=True, heads="each", halves=("uncond", "cond"))

SIZES = {  # our names of SDXL's sizes, and diffusers'
    "crop": "crops_coords_top_left",
    "negative_crop": "negative_crops_coords_top_left",
}


def both(kind, prompt=PROMPT, *, sampler=None, record="latents", dtype=torch.float32, **settings):
    """Run ours and the pipeline with the same settings, and hold them next to each other."""
    settings = {"steps": 3, "seed": 3, **settings}
    known = {SIZES.get(name, name): value for name, value in settings.items()}
    if isinstance(settings["seed"], list):
        prompts = 1 if isinstance(prompt, str) else len(prompt)
        known["num_images_per_prompt"] = len(settings["seed"]) // prompts
    scheduled = scheduler(kind, sampler) if sampler is None or isinstance(sampler, str) else sampler
    trace = model(kind, dtype).generate(prompt, sampler=sampler, record=record, **settings)
    same(trace, theirs(pipeline(kind, dtype=dtype), prompt, sampler=scheduled, **known))
    return trace


# --- samplers


@pytest.mark.parametrize("name", [None, *COUNTERPARTS])
def test_every_sampler(name):
    both("sd1", sampler=name, steps=5)  # with 5 steps PLMS blends all that it remembers
    both("sd1", sampler=name, guidance_scale=1.0, record=())


@pytest.mark.parametrize("name", COUNTERPARTS)
@pytest.mark.parametrize("kind", ["sd2-v", "sdxl"])
def test_every_sampler_of_other_families(kind, name):
    both(kind, sampler=name)


@pytest.mark.parametrize(
    ("made", "settings"),
    [
        ("DEISMultistepScheduler", {}),
        ("DPMSolverSinglestepScheduler", {"use_karras_sigmas": True}),
        ("TCDScheduler", {}),
        ("DDIMScheduler", {"clip_sample": True, "timestep_spacing": "trailing"}),
        ("DDIMScheduler", {"prediction_type": "v_prediction"}),
        ("PNDMScheduler", {"skip_prk_steps": False}),
        ("EulerDiscreteScheduler", {"use_exponential_sigmas": True}),
    ],
)
def test_any_scheduler_object(made, settings):
    config = model("sd1").parts.scheduler.config
    mine, other = (
        getattr(diffusers, made).from_config(config, **settings) for who in ("ours", "theirs")
    )
    untouched = dict(vars(mine))
    trace = model("sd1").generate(PROMPT, sampler=mine, steps=4, seed=3, record="latents")
    assert vars(mine).keys() == untouched.keys()  # it was a copy that ran
    assert all(vars(mine)[name] is value for name, value in untouched.items())
    same(trace, theirs(pipeline("sd1"), PROMPT, sampler=other, steps=4, seed=3))


@pytest.mark.parametrize("name", COUNTERPARTS)
@pytest.mark.parametrize("record", [(), EVERYTHING], ids=["unrecorded", "recorded"])
def test_every_sampler_on_trained_weights(name, record):
    both("pocket-sd15", sampler=name, steps=2, record=record)


@pytest.mark.parametrize(
    "settings",
    [
        {"guidance_scale": 1.0},
        {"guidance_scale": 3.3, "guidance_rescale": 0.7},
        {"negative_prompt": "a dog", "height": 72, "width": 136},
        {"prompt": [PROMPT, OTHER], "seed": [3, 4, 5, 6]},
        {"dtype": torch.bfloat16},
        {"dtype": torch.bfloat16, "sampler": "euler", "record": EVERYTHING},
    ],
    ids=["no guidance", "rescaled", "odd size", "batch", "bf16", "bf16, recorded"],
)
def test_settings_on_trained_weights(settings):
    both("pocket-sd15", **{"steps": 2, **settings})


def test_ddim_with_fresh_noise():
    assert both("sd1", sampler="ddim", eta=0.7).settings["eta"] == 0.7


@pytest.mark.parametrize("made", ["DDIMScheduler", "EulerDiscreteScheduler"])
def test_zero_terminal_snr(made):
    """2305.08891: no signal at the first station, trailing timesteps, rescaled guidance."""
    sampler = getattr(diffusers, made).from_config(
        model("sd2-v").parts.scheduler.config,
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )
    settings = {"guidance_scale": 7.5, "guidance_rescale": 0.7, "record": EVERYTHING}
    trace = both("sd2-v", sampler=sampler, **settings)
    assert trace.steps[0].alpha_bar < 1e-7
    assert all(step.x0.isfinite().all() and step.eps.isfinite().all() for step in trace.steps)


# --- families


@pytest.mark.parametrize("kind", ["sd2-v", "sd2-eps", "sd-turbo", "sdxl", "sdxl-turbo"])
def test_every_family_as_it_comes(kind):
    usual = 1.0 if "turbo" in kind else 5.0 if kind == "sdxl" else 7.5
    record = ("latents", "noise", "attention")
    trace = both(kind, guidance_scale=usual, record=record)
    asked_for_nothing = model(kind).generate(PROMPT, steps=3, seed=3, record=())
    assert torch.equal(asked_for_nothing.latent, trace.latent)
    both(kind, guidance_scale=4.0, negative_prompt=OTHER, steps=2)


@pytest.mark.parametrize(
    "settings",
    [
        {"negative_prompt": ""},  # not the same as None: SDXL's None is zeros
        {"negative_prompt": OTHER},
        {"negative_prompt": OTHER, "negative_prompt_2": "a red beach"},
        {"prompt_2": OTHER, "guidance_scale": 1.0},
        {"prompt_2": OTHER, "negative_prompt": "", "guidance_rescale": 0.5},
        {"height": 72, "width": 88, "record": EVERYTHING},  # 9 x 11 places: odd at every level
        {"original_size": (512, 640), "target_size": (128, 96), "crop": (16, 8)},
        {"crop": (24, 40), "negative_original_size": (32, 48), "negative_target_size": (64, 72)},
        {
            "negative_original_size": (32, 48),
            "negative_crop": (8, 4),
            "negative_target_size": (64, 72),
        },
        {"denoising_end": 0.6, "steps": 5},
        {"denoising_end": 0.5, "steps": 5, "sampler": "heun"},
        {"sampler": "unipc", "height": 64, "width": 48},
    ],
    ids=" ".join,
)
def test_sdxl(settings):
    both("sdxl", **{"guidance_scale": 5.0, **settings})


def test_none_and_empty_are_two_negative_prompts_in_sdxl():
    none, empty = (
        model("sdxl").generate(PROMPT, negative_prompt=negative, steps=1, record=())
        for negative in (None, "")
    )
    assert not torch.equal(none.latent, empty.latent)


def test_a_unet_that_is_told_the_guidance():
    """Distilled as LCM is: the guidance goes in as an embedding, and nothing is asked twice."""
    pipe = tiny.pipeline("sd1")
    pipe.set_progress_bar_config(disable=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipe.unet = type(pipe.unet).from_config(pipe.unet.config, time_cond_proj_dim=15).eval()
    ends = []
    for guidance_scale in (8.0, 3.0):
        lcm, other = (diffusers.LCMScheduler(**tiny.BETAS, clip_sample=False) for _ in range(2))
        settings = {"steps": 2, "seed": 1, "guidance_scale": guidance_scale}
        trace = wrap(pipe).generate(PROMPT, sampler=lcm, **settings)
        same(trace, theirs(pipe, PROMPT, sampler=other, **settings))
        assert trace.steps[0].eps_uncond is None
        ends.append(trace.latent)
    assert not torch.equal(*ends)


# --- guidance


def test_guidance_0_is_the_negative_prompt_alone():
    """The formula's 0, where the pipelines take everything up to 1 for 1."""
    settings = {"steps": 3, "seed": 3}
    trace = model("sd1").generate(PROMPT, negative_prompt=OTHER, guidance_scale=0, **settings)
    same(trace, theirs(pipeline("sd1"), OTHER, guidance_scale=1.0, **settings))
    assert trace.steps[0].eps_cond is None
    assert torch.equal(trace.steps[0].eps, trace.steps[0].eps_uncond)


@pytest.mark.parametrize("guidance_scale", [0.4, 3])
def test_guidance_is_the_formula(guidance_scale):
    trace = model("sd1").generate(PROMPT, guidance_scale=guidance_scale, steps=2)
    for step in trace.steps:
        guided = step.eps_uncond + guidance_scale * (step.eps_cond - step.eps_uncond)
        assert torch.equal(step.eps, guided)
        assert not torch.allclose(step.eps_uncond, step.eps_cond)
    ends = [
        model("sd1").generate(PROMPT, guidance_scale=s, steps=1, record="noise").steps[0].eps
        for s in (0, 1)
    ]
    # One half alone is what it was beside the other one, but for rounding.
    first = model("sd1").generate(PROMPT, guidance_scale=guidance_scale, steps=1).steps[0]
    torch.testing.assert_close([first.eps_uncond, first.eps_cond], ends, rtol=1e-4, atol=1e-5)


def test_rescale_needs_two_halves():
    plain, rescaled = (
        model("sd1").generate(PROMPT, guidance_scale=1, guidance_rescale=r, steps=2, record=())
        for r in (0.0, 0.7)
    )
    assert torch.equal(plain.latent, rescaled.latent)


# --- batches, seeds, dtypes


@pytest.mark.parametrize(
    ("prompt", "settings", "pictures"),
    [
        (PROMPT, {"seed": [3, 4]}, 2),
        ([PROMPT, OTHER], {"seed": 3}, 2),  # both pictures' noise comes out of one generator
        ([PROMPT, OTHER], {"seed": [3, 4], "negative_prompt": ["a beach", "a cat"]}, 2),
        ([PROMPT, OTHER], {"seed": [3, 4, 5, 6]}, 4),
    ],
    ids=["seeds", "prompts", "seeds and prompts", "two seeds a prompt"],
)
@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_batches(kind, prompt, settings, pictures):
    # Euler a draws noise on the way: from each picture's own generator, where it has one.
    trace = both(kind, prompt, sampler="euler_ancestral", guidance_scale=4.0, steps=2, **settings)
    assert len(trace.images) == pictures


def test_one_negative_prompt_goes_for_all():
    one, each = (
        model("sd1").generate([PROMPT, OTHER], negative_prompt=negative, steps=1, record=())
        for negative in ("a beach", ["a beach", "a beach"])
    )
    assert torch.equal(one.latent, each.latent)


def test_a_batch_is_its_pictures():
    """A seed's picture, alone and among others: the same but for how sums are rounded."""
    batch = model("sd1").generate(PROMPT, seed=[3, 8], steps=3, sampler="ddpm")
    for picture, seed in enumerate((3, 8)):
        alone = model("sd1").generate(PROMPT, seed=seed, steps=3, sampler="ddpm")
        torch.testing.assert_close(batch.of(picture).latent, alone.latent, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(batch.latent[0], batch.latent[1], atol=0.1)


@pytest.mark.parametrize(
    ("kind", "sampler"),
    [("sd1", "ddim"), ("sd1", "dpmpp_2m"), ("sd2-v", "euler"), ("sdxl", "heun")],
)
def test_bfloat16(kind, sampler):
    trace = both(kind, sampler=sampler, dtype=torch.bfloat16, record=EVERYTHING, guidance_scale=4.0)
    assert trace.latent.dtype == torch.bfloat16


# --- recording, noise of one's own, prompts that were read before


@pytest.mark.parametrize(
    "record",
    [(), None, "noise", ("latents", "noise", "attention"), EVERYTHING],
    ids=["nothing", "None", "noise", "usual", "everything"],
)
def test_recording_changes_nothing(record):
    seen = []
    settings = {"steps": 3, "seed": 3}
    watch = {"record": record, "intervene": lambda run: seen.append(run.latent)}
    trace = model("sd1").generate(PROMPT, sampler="heun", **settings, **watch)
    run = theirs(pipeline("sd1"), PROMPT, sampler=scheduler("sd1", "heun"), **settings)
    same(trace, run)
    for before, after in zip(seen[1:], run.latents[1::2], strict=True):
        assert torch.equal(before, after)  # before a step it is what it was after the last one


def test_noise_of_ones_own():
    latent = torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(9))
    euler = scheduler("sd1", "euler")
    prompts = [PROMPT, OTHER]
    run = theirs(pipeline("sd1"), prompts, sampler=euler, latents=latent, height=48, width=64)
    same(model("sd1").generate(prompts, sampler="euler", latent=latent, steps=3), run)


def test_noise_is_what_a_run_begins_with():
    made = model("sd1")
    for seed in (5, [5, 6]):
        noise = made.noise(seed, height=48, width=72)
        settings = {"steps": 1, "seed": seed, "height": 48, "width": 72}
        run = made.generate(PROMPT, sampler="ddim", **settings)
        assert torch.equal(run.steps[0].sample, noise)


def test_a_prompt_that_was_read_before():
    made = model("sdxl")
    prompt, negative = made.encode(PROMPT, prompt_2=OTHER), made.encode("a beach")
    trace = made.generate(prompt, negative_prompt=negative, seed=[3, 4], steps=2)
    said = {"prompt_2": OTHER, "negative_prompt": "a beach", "num_images_per_prompt": 2}
    same(trace, theirs(pipeline("sdxl"), PROMPT, seed=[3, 4], steps=2, **said))


def test_a_vae_with_a_mean_and_a_spread_for_each_channel():
    pipe = tiny.pipeline("sdxl")
    pipe.set_progress_bar_config(disable=True)
    mean, std = [0.1, -0.2, 0.3, 0.0], [1.5, 0.5, 2.0, 1.0]
    pipe.vae.register_to_config(latents_mean=mean, latents_std=std)
    run = theirs(pipe, PROMPT, steps=1)
    same(wrap(pipe).generate(PROMPT, steps=1), run)
    plain = model("sdxl").generate(PROMPT, steps=1)
    with pytest.raises(AssertionError):
        same_pictures(plain.images, run.images)


def test_what_a_run_was_asked_is_enough_to_draw_it_again():
    made = model("sdxl")
    asked = {"sampler": "DPM++ 2M Karras", "steps": 2, "seed": 7, "guidance_scale": 3.0}
    more = {"crop": (8, 16), "height": 48, "guidance_rescale": 0.3, "denoising_end": 0.9}
    first = made.generate(PROMPT, **asked, **more)
    said = {
        name: value
        for name, value in first.settings.items()
        if name not in ("kind", "model", "family", "dtype")
    }
    again = made.generate(first.prompts[0], **said)
    same(
        again,
        theirs(
            pipeline("sdxl"),
            PROMPT,
            sampler=scheduler("sdxl", asked["sampler"]),
            steps=2,
            seed=7,
            guidance_scale=3.0,
            crops_coords_top_left=(8, 16),
            height=48,
            width=64,
            guidance_rescale=0.3,
            denoising_end=0.9,
        ),
    )
    assert not first.diff(again)


def test_two_runs_that_were_asked_otherwise_say_so():
    made, told = model("sdxl"), {"steps": 2, "seed": 1, "guidance_scale": 3.0, "record": ()}

    def settings(prompt, **more):
        return made.generate(prompt, **told, **more).settings

    usual = settings(PROMPT)
    assert not {name for name in usual if name.endswith("_read")} and "negative_prompt" not in usual
    assert settings(PROMPT, negative_prompt="")["negative_prompt"] == ""
    other = made.encode(PROMPT, prompt_2="a dog")
    assert settings(other)["prompt_read"] == {"prompt_2": ["a dog"]}
    assert settings(PROMPT, prompt_2="a dog") == {**usual, "prompt_2": "a dog"}
    assert settings(made.encode(PROMPT, skip=1))["prompt_read"] == {"skip": 1}
    assert settings(PROMPT, negative_prompt=other)["negative_prompt_read"] == {
        "prompt_2": ["a dog"]
    }
    bent = made.encode(PROMPT)
    bent = bent.with_embeddings(2 * bent.embeddings)
    first, second = (made.generate(one, **told) for one in (PROMPT, bent))
    assert first.diff(second).settings == {"prompt_read": (None, {"vectors": "changed"})}
    assert settings(made.encode(PROMPT).zeros())["prompt_read"] == {"vectors": "zeros"}

    small = model("sd1")
    run = small.generate(PROMPT, negative_prompt=small.encode("").zeros(), **told)
    assert run.settings["negative_prompt_read"] == {"vectors": "zeros"}
    assert "negative_prompt" not in small.generate(PROMPT, negative_prompt="", **told).settings


def test_a_models_own_scheduler_says_where_it_is_not_the_usual_one():
    made, told = model("sd1"), {"steps": 2, "seed": 1, "record": ()}
    assert "sampler_settings" not in made.generate(PROMPT, **told).settings
    clips = diffusers.DDIMScheduler(beta_schedule="scaled_linear")  # unsaid, as diffusers has it
    run = Model(replace(made.parts, scheduler=clips), "own").generate(PROMPT, **told)
    assert run.settings["sampler"] == "ddim"
    assert run.settings["sampler_settings"] == {"clip_sample": True}


@pytest.mark.parametrize(
    ("kind", "said", "changed"),
    [
        ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False}, {}),
        ("DDIMScheduler", {}, {}),
        ("PNDMScheduler", {"skip_prk_steps": True}, {}),
        ("EulerDiscreteScheduler", {}, {"timestep_spacing": "trailing"}),
    ],
)
@pytest.mark.filterwarnings("ignore:The configuration file of this scheduler")
def test_what_was_changed_in_a_scheduler_after_it_was_made_counts(kind, said, changed):
    """Pipelines mend settings that were left unsaid, and people change some in place."""
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    source = tiny.pipeline("sd1")
    own = getattr(diffusers, kind)(**betas, **said)
    pipe = diffusers.StableDiffusionPipeline(**{**source.components, "scheduler": own})
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler.register_to_config(**changed)
    made = wrap(pipe)
    expected = pipe(PROMPT, num_inference_steps=3, generator=generator(4), output_type="latent")
    for sampler in (None, pipe.scheduler):
        trace = made.generate(PROMPT, steps=3, seed=4, sampler=sampler, record=())
        assert torch.equal(trace.latent, expected.images)


def test_an_empty_second_wording_is_none_as_in_diffusers():
    wording = {"prompt_2": "", "negative_prompt": OTHER, "negative_prompt_2": ""}
    same(
        model("sdxl").generate(PROMPT, steps=2, **wording),
        theirs(pipeline("sdxl"), PROMPT, steps=2, **wording),
    )


def test_a_turbo_takes_few_steps_unless_it_is_told():
    turbo = model("sd-turbo")
    assert len(turbo.generate(PROMPT, record=()).steps) == 4
    assert len(turbo.image_to_image(photo(), PROMPT, strength=0.5).steps) == 2
    assert len(turbo.generate(PROMPT, steps=2).steps) == 2
    assert model("sd1").generate(PROMPT, record=()).settings["steps"] == 25
