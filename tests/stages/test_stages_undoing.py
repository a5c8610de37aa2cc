"""Half a step is none: a walk that was broken off inside of a step goes on as if nothing had been.

The break is a Ctrl-C in the network, in its first call of a step or in its second.
"""

import diffusers
import pytest
import torch
from side_by_side import COUNTERPARTS, PROMPT, model

from sdlearn.stages import interventions
from sdlearn.stages.keeping import Keeper
from sdlearn.trace import Record

OTHER = "the dream beach"


def walk(sampler, **settings):
    made = model("sd1")
    schedule = made.schedule(4, sampler)
    noise = made.noise(3) * schedule.scheduler.init_noise_sigma
    return made.denoise(PROMPT, noise, schedule, guidance_scale=4.0, **settings)


def broken_off(run, monkeypatch, call):
    """Walk on, with Ctrl-C in one call of the network, counted from here; returns the steps."""
    unet, asked = run.parts.unet, []
    forward = unet.forward

    def press(*arguments, **more):
        asked.append(None)
        if len(asked) == call:
            raise KeyboardInterrupt
        return forward(*arguments, **more)

    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(unet, "forward", press)
        with pytest.raises(KeyboardInterrupt):
            for step in run:
                steps.append(step)
    return [*steps, *run]


@pytest.mark.parametrize("call", [1, 2, 4])
@pytest.mark.parametrize("sampler", COUNTERPARTS)
def test_a_walk_that_was_broken_off_ends_where_the_others_do(sampler, call, monkeypatch):
    whole, run = walk(sampler), walk(sampler)
    expected, steps = list(whole), broken_off(run, monkeypatch, call)
    assert torch.equal(run.latent, whole.latent)
    assert [step.index for step in steps] == [0, 1, 2, 3]
    for ours, theirs in zip(steps, expected, strict=True):
        assert ours.changes == theirs.changes and ours.calls == theirs.calls
        for name, tensor in theirs.tensors().items():
            assert torch.equal(getattr(ours, name), tensor)
    assert run.attention().kept.keys() == whole.attention().kept.keys()


def test_several_generators_go_back_too(monkeypatch):
    def two():
        made = model("sd1")
        schedule = made.schedule(3, "euler_ancestral")
        noise = made.noise([3, 4]) * schedule.scheduler.init_noise_sigma
        return made.denoise(PROMPT, noise, schedule, seed=[5, 6], record=())

    whole, run = two(), two()
    for _ in whole:
        pass

    def full(*_, **__):
        raise MemoryError

    # After the noise was drawn: the scheduler's step is done, its record is not.
    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "step", full)
        with pytest.raises(MemoryError):
            next(run)
    assert len(run) == 3
    for _ in run:
        pass
    assert torch.equal(run.latent, whole.latent)


def test_what_an_intervention_did_is_done_once(monkeypatch):
    """Prompt, latent and notes of the broken step are those that it began with."""
    other = model("sd1").encode(OTHER)

    def settings():
        def change(run):
            if run.index == 1:
                run.latent.mul_(1.5)

        return {"intervene": [interventions.prompt_from(other, 0.25), change]}

    whole, run = walk("heun", **settings()), walk("heun", **settings())
    with pytest.warns(UserWarning, match="another prompt is read"):
        expected = list(whole)
    with pytest.warns(UserWarning, match="another prompt is read"):
        steps = broken_off(run, monkeypatch, 4)
    assert expected[1].changes == (f"prompt -> {OTHER!r}", "the latent was set")
    assert [step.changes for step in steps] == [step.changes for step in expected]
    assert torch.equal(run.latent, whole.latent)


def test_attention_of_half_a_step_is_not_kept(monkeypatch):
    run = walk("heun", record=Record(self_attention=True))
    forward, asked = run.parts.unet.forward, []

    def press(*arguments, **more):
        asked.append(None)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return forward(*arguments, **more)

    monkeypatch.setattr(run.parts.unet, "forward", press)
    next(run)
    with pytest.raises(KeyboardInterrupt):
        next(run)
    assert {key[0] for key in (*run.attention().kept, *run.attention().kept_self)} == {0}


def test_a_scheduler_that_writes_into_its_tensors_goes_back(monkeypatch):
    """PNDM's Runge-Kutta sums the answers of four calls up in place."""
    config = model("sd1").parts.scheduler.config
    sampler = diffusers.PNDMScheduler.from_config(config, skip_prk_steps=False)
    whole, run = walk(sampler), walk(sampler)
    for _ in whole:
        pass
    broken_off(run, monkeypatch, 3)
    assert torch.equal(run.latent, whole.latent)
