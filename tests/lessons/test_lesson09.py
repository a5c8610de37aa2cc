"""The pipeline with open joints, and what the exercises of lesson 09 say of the library."""

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

import sdlearn as sd
from sdlearn.lessons import Exercise, Mistake, lesson09_assembly
from sdlearn.lessons.checker import Checker
from sdlearn.lessons.lesson09_assembly import Assembly

ASKED = {"negative_prompt": "a dog", "seed": 5, "steps": 2, "guidance_scale": 4.0}


@pytest.fixture(scope="module")
def model():
    return sd.load("pocket-sd15", dtype="float32")


def test_with_its_usual_parts_it_is_the_librarys_pipeline_in_every_bit(model):
    ours = Assembly(model)
    latent = ours.latent("a red cat", **ASKED)
    trace = model.generate("a red cat", sampler="ddim", record=(), **ASKED)
    assert torch.equal(latent, trace.latent)
    assert np.array_equal(ours.picture(latent), trace.image)


@pytest.mark.parametrize(
    "part",
    ["ids", "start", "stations", "ask", "guide", "step", "unscale", "paint"],
)
def test_every_part_can_be_exchanged(model, part):
    used = []
    usual = getattr(Assembly(model), part)

    def spied(*given):
        used.append(part)
        return usual(*given)

    ours = Assembly(model).but(**{part: spied})
    assert ours("a red cat", **ASKED) == Assembly(model)("a red cat", **ASKED)
    assert len(used) == (2 if part in ("ids", "ask", "guide", "step") else 1)


def test_stations_are_those_of_the_scheduler(model):
    scheduler = model.schedule(7, "ddim").scheduler
    path = lesson09_assembly.stations(scheduler.alphas_cumprod, 7, scheduler.config.steps_offset)
    assert [t for t, _, _ in path] == scheduler.timesteps.tolist()
    levels = model.schedule(7, "ddim").alpha_bars
    assert [here.item() for _, here, _ in path] == levels[:-1].tolist()
    assert [there.item() for _, _, there in path] == levels[1:].tolist()


def test_the_bill_of_exercise_3_is_what_a_run_costs(model):
    parts, calls = model.parts, Counter()
    counted = {"text": parts.text_encoder, "unet": parts.unet, "decoder": parts.vae.decoder}
    hooks = [
        network.register_forward_hook(lambda *_, name=name: calls.update([name]))
        for name, network in counted.items()
    ]
    try:
        model.generate(
            "a cat", seed=[0, 1, 2, 3], steps=3, sampler="ddim", guidance_scale=1, record=()
        )
    finally:
        for hook in hooks:
            hook.remove()
    assert calls == {"text": 1, "unet": 3, "decoder": 1}  # of 30 steps: (1, 30, 1)


# --- pictures as answers ------------------------------------------------------------------------


def card(grey: int) -> Image.Image:
    return Image.new("RGB", (4, 2), (grey, 0, 0))


DRAWN = Exercise(
    id="0.1",
    task="Draw a card.",
    kind="function",
    expected=card,
    mistakes=(Mistake("a bit too dark", "Look.", "Look closer.", lambda grey: card(grey - 1)),),
    nudge="No.",
    stronger_nudge="No again.",
    praise="Yes.",
    probes=lambda: [(7,), (200,)],
    tolerance=0.0,
)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (card, "right"),
        (lambda grey: np.array(card(grey)), "right"),
        (lambda grey: card(grey - 1), "mistake"),
        (lambda grey: card(grey + 1), "wrong"),
        (lambda grey: card(grey).resize((2, 2)), "unusable"),
        (lambda grey: card(grey).convert("L"), "unusable"),
        (lambda grey: (1, card(grey)), "unusable"),
        (lambda grey: [card(grey)], "unusable"),
        (lambda grey: "card.png", "unusable"),
    ],
)
def test_a_picture_is_compared_number_by_number(answer, outcome):
    verdict = Checker([DRAWN])("0.1", answer)
    assert verdict.outcome == outcome, verdict
