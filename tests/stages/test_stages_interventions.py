"""Changing a run on purpose: what changes nothing changes nothing, and the record says the rest."""

import pytest
import torch
from side_by_side import PROMPT, model, same_pictures

from sdlearn.stages import interventions
from sdlearn.trace import Record

OTHER = "a red beach on the grass"
EACH = Record(heads="each", dtype="float32")


def draw(prompt=PROMPT, *, kind="sd1", record=EACH, **settings):
    settings = {"sampler": "ddim", "steps": 3, "seed": 3, **settings}
    return model(kind).generate(prompt, record=record, **settings)


@pytest.fixture(scope="module")
def plain():
    return draw()


@pytest.mark.parametrize(
    "intervene",
    [
        lambda run: None,
        [lambda run: None, lambda run: None],
        interventions.guidance_between(0.0, 1.0),
        interventions.guidance_of(lambda progress: 7.5),
        interventions.embeddings_of(lambda embeddings: embeddings.clone()),
        interventions.latent_at(1, lambda xt: xt.clone()),
    ],
    ids=["one", "two", "whole interval", "constant guidance", "same vectors", "same latent"],
)
def test_what_changes_nothing(plain, intervene):
    trace = draw(intervene=intervene)
    assert torch.equal(trace.latent, plain.latent)
    same_pictures(trace.images, plain.images)


# --- a word's weight


def test_a_factor_of_1_is_the_same_picture_but_for_rounding(plain):
    trace = draw(intervene=interventions.scale_word("cat", 1.0))
    torch.testing.assert_close(trace.latent, plain.latent, rtol=1e-4, atol=1e-4)
    assert trace.steps[0].changes == ("attention to 'cat' times 1",)


def test_a_factor_of_0_blinds_to_a_word(plain):
    trace = draw(intervene=interventions.scale_word("cat", 0.0))
    assert float(trace.attention["cat"].values.abs().max()) == 0
    assert float(plain.attention["cat"].values.min()) > 0
    assert not torch.allclose(trace.latent, plain.latent, atol=1e-3)
    # The other words' maps are what they were, at the first step and its first layer.
    first = plain.attention.layers[0].name
    for word in ("red", "grass"):
        ours, theirs = (t.attention[word].at(step=0, layer=first).values for t in (trace, plain))
        torch.testing.assert_close(ours, theirs)


def test_the_record_shows_the_factor(plain):
    trace = draw(intervene=interventions.scale_word("cat", 3.0))
    first = plain.attention.layers[0].name
    ours, theirs = (t.attention["cat"].at(step=0, layer=first).values for t in (trace, plain))
    torch.testing.assert_close(ours, 3 * theirs)


def test_a_factor_in_some_layers_and_at_some_steps(plain):
    change = interventions.scale_word("cat", 0.0, start=0.3, end=0.6, layers="up")
    trace = draw(intervene=change)
    assert [bool(step.changes) for step in trace.steps] == [False, True, False]
    assert torch.equal(trace.steps[0].sample_next, plain.steps[0].sample_next)
    assert not torch.equal(trace.steps[1].sample_next, plain.steps[1].sample_next)
    blind = {
        layer.name: float(trace.attention["cat"].at(step=1, layer=layer.name).values.max()) == 0
        for layer in trace.attention.layers
    }
    assert all(is_blind == name.startswith("up") for name, is_blind in blind.items())


def test_two_factors_multiply():
    once, twice = (
        draw(steps=1, intervene=[interventions.scale_word("cat", f) for f in factors])
        for factors in ((6.0,), (2.0, 3.0))
    )
    torch.testing.assert_close(once.latent, twice.latent)


def test_only_the_prompted_half_is_changed():
    record = Record(heads="each", dtype="float32", halves=("uncond", "cond"))
    trace = draw(
        negative_prompt=PROMPT, record=record, intervene=interventions.scale_word("cat", 0)
    )
    assert float(trace.attention["cat"].values.max()) == 0
    assert float(trace.attention.half("uncond")["cat"].values.min()) > 0


def test_each_picture_has_its_own_words():
    trace = draw([PROMPT, "the cat"], intervene=interventions.scale_word("cat", 0.0))
    for picture in range(2):
        assert float(trace.attention.of(picture)["cat"].values.max()) == 0
        assert float(trace.attention.of(picture)["the"].values.min()) > 0


# --- another run's attention


@pytest.mark.parametrize("sampler", ["ddim", "heun"])
@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_ones_own_attention_gives_the_same_picture(kind, sampler):
    settings = {"kind": kind, "sampler": sampler, "steps": 2}
    source = draw(**settings)
    trace = draw(**settings, intervene=interventions.attention_of(source, until=1.0))
    torch.testing.assert_close(trace.latent, source.latent, rtol=1e-3, atol=1e-4)


def test_another_word_takes_over_the_maps(plain):
    swapped = draw(OTHER, intervene=interventions.attention_of(plain, until=1.0))
    alone = draw(OTHER)
    assert not torch.allclose(swapped.latent, plain.latent, atol=1e-3)
    assert not torch.allclose(swapped.latent, alone.latent, atol=1e-3)
    torch.testing.assert_close(
        swapped.attention["beach"].values, plain.attention["cat"].values, rtol=1e-5, atol=1e-7
    )
    assert not torch.allclose(alone.attention["beach"].values, plain.attention["cat"].values)
    assert swapped.steps[0].changes == (f"attention of the run {PROMPT!r}",)


def test_a_new_word_keeps_its_own_map(plain):
    longer = draw("a red red cat on the grass", intervene=interventions.attention_of(plain, 1.0))
    torch.testing.assert_close(
        longer.attention["grass"].values, plain.attention["grass"].values, rtol=1e-5, atol=1e-7
    )
    assert not torch.allclose(longer.attention["red"].values, plain.attention["red"].values)


def test_attention_is_taken_over_for_a_part_of_the_run(plain):
    part = draw(OTHER, intervene=interventions.attention_of(plain, until=0.5))
    assert [bool(step.changes) for step in part.steps] == [True, True, False]


def test_pieces_match_one_for_one():
    tokens = model("sd1").encode(["a red cat", "a red grass", "a red dreambeach", "cat"]).all_tokens
    same = interventions.matched(tokens[0], tokens[1])
    assert same == [(i, i) for i in range(77)]
    longer = dict(interventions.matched(tokens[0], tokens[2]))
    pieces = tokens[2].words["dreambeach"]
    assert len(pieces) > 1 and not set(pieces) & set(longer)  # several for one: they keep their own
    assert longer[0] == 0 and longer[2] == 2
    assert longer[pieces[-1] + 1] == 4  # the end stands for the end
    shorter = dict(interventions.matched(tokens[0], tokens[3]))
    assert shorter[1] == 3


@pytest.mark.parametrize(
    ("source", "settings", "says"),
    [
        ({"record": Record(dtype="float32")}, {}, r'heads="each"'),
        ({"steps": 2}, {}, r"Step 0 of that run was at t = 501.*same sampler, number of steps"),
        ({"steps": 3, "record": Record(halves=("uncond",), heads="each")}, {}, "'cond' was not"),
        ({"record": Record(heads="each", every=2)}, {}, r"Step 1.*every=1"),
        ({"height": 72}, {}, "same size"),
        ({"height": 32, "width": 128}, {}, "same size"),  # as many places, in another shape
        ({"prompt": [PROMPT, OTHER]}, {}, r"2 pictures.*trace\.of\(0\)"),
        ({}, {"sampler": "heun"}, "call=1|same sampler"),
    ],
)
def test_attention_that_does_not_fit(source, settings, says):
    with pytest.raises(ValueError, match=says):
        draw(**settings, intervene=interventions.attention_of(draw(**source), until=1.0))


@pytest.mark.parametrize(
    "record", [(), EACH, Record(dtype="float32")], ids=["none", "each", "mean"]
)
def test_an_edit_is_asked_once_whether_or_not_it_is_recorded(record):
    """One that draws lots would otherwise be recorded otherwise than it was used."""
    asked, lots = [], torch.Generator()

    def change(run):
        lots.manual_seed(run.index)

        def edit(shares, layer):
            asked.append(layer.name)
            mixed = shares * torch.rand(shares.shape, generator=lots)
            return mixed / mixed.sum(-1, keepdim=True)

        run.edit_attention(edit, "mixed")

    drawn = draw(record=record, intervene=change)
    layers = len(set(asked))
    assert len(asked) == 3 * layers
    assert torch.equal(drawn.latent, draw(record=(), intervene=change).latent)


def test_two_prompts_that_follow_one_another_are_each_read_once():
    one, two = (model("sd1").encode(text) for text in (OTHER, "a blue dog"))
    turns = [interventions.prompt_from(one, 0.2), interventions.prompt_from(two, 0.6)]
    changes = [step.changes for step in draw(steps=5, record=(), intervene=turns).steps]
    assert changes == [(), (f"prompt -> {OTHER!r}",), (), ("prompt -> 'a blue dog'",), ()]


# --- prompt, guidance, latent, vectors


def test_another_prompt_from_the_middle(plain):
    other = model("sd1").encode(OTHER)
    trace = draw(intervene=interventions.prompt_from(other, start=0.5))
    assert torch.equal(trace.steps[1].sample_next, plain.steps[1].sample_next)
    assert [step.changes for step in trace.steps] == [(), (), (f"prompt -> {OTHER!r}",)]
    assert not torch.equal(trace.latent, plain.latent)
    whole = draw(intervene=interventions.prompt_from(other, start=0.0))
    assert torch.equal(whole.latent, draw(OTHER).latent)
    assert [bool(step.changes) for step in whole.steps] == [True, False, False]
    two = draw(seed=[3, 4], intervene=interventions.prompt_from(other, start=0.0))
    assert [bool(step.changes) for step in two.steps] == [True, False, False]


def test_the_maps_are_those_of_the_prompt_that_was_read():
    other = model("sd1").encode("a blue dog with a crown")
    with pytest.warns(UserWarning, match="From step 2 on another prompt is read"):
        trace = draw(intervene=interventions.prompt_from(other, start=0.5))
    assert trace.attention.steps == (0, 1)
    assert trace.attention["cat"].mean().values.sum() > 0
    with pytest.raises(LookupError, match="crown"):
        trace.attention["crown"]
    whole = draw(intervene=interventions.prompt_from(other, start=0.0))
    assert whole.attention.steps == (0, 1, 2)
    assert whole.attention["crown"].mean().values.sum() > 0


def test_guidance_in_an_interval(plain):
    trace = draw(intervene=interventions.guidance_between(0.3, 0.6))
    assert [step.guidance_scale for step in trace.steps] == [1.0, 7.5, 1.0]
    assert trace.steps[0].changes == ("guidance 7.5 -> 1",) and not trace.steps[1].changes
    assert torch.equal(trace.steps[0].eps, trace.steps[0].eps_cond)
    never = draw(guidance_scale=1.0, steps=2)
    nowhere = draw(steps=2, intervene=interventions.guidance_between(0.9, 1.0))
    assert torch.equal(never.latent, nowhere.latent)


def test_guidance_that_sets_in_where_there_was_none():
    trace = draw(
        guidance_scale=1.0,
        negative_prompt=OTHER,
        intervene=interventions.guidance_of(lambda progress: 1 + 3 * progress),
    )
    assert [step.guidance_scale for step in trace.steps] == [1.0, 2.0, 3.0]
    assert trace.negative_prompts == (OTHER,)
    step = trace.steps[1]
    torch.testing.assert_close(
        step.eps, step.eps_uncond + 2.0 * (step.eps_cond - step.eps_uncond), rtol=0, atol=0
    )


def test_a_latent_changed_in_place_leaves_the_record_as_it_was(plain):
    def emptied(xt):
        xt[..., :4] = 0
        return xt

    trace = draw(intervene=interventions.latent_at(1, emptied))
    assert torch.equal(trace.steps[0].sample_next, plain.steps[0].sample_next)
    assert "xt moved by 0 " not in trace.steps[1].changes[0]
    assert not trace.steps[1].sample[..., :4].any()


def test_a_latent_that_is_set_directly_is_told():
    def halved(run):
        if run.index == 1:
            run.latent = run.latent * 0.5

    trace = draw(intervene=halved)
    assert [step.changes for step in trace.steps] == [(), ("the latent was set",), ()]


def test_a_latent_in_double_precision_is_taken():
    double = draw(intervene=interventions.latent_at(1, lambda xt: 2 * xt.double()))
    single = draw(intervene=interventions.latent_at(1, lambda xt: 2 * xt))
    assert torch.equal(double.latent, single.latent)


def test_a_change_that_does_nothing_says_so():
    trace = draw(guidance_scale=0.0, intervene=interventions.scale_word("cat", 3.0))
    assert all("no effect" in step.changes[-1] for step in trace.steps)
    assert torch.equal(trace.latent, draw(guidance_scale=0.0).latent)


def test_half_a_step_is_none():
    made, twice = model("sd1"), interventions.scale_word("cat", 2.0)
    schedule = made.schedule(3, "heun")
    begun = made.noise(3) * schedule.scheduler.init_noise_sigma
    walk = made.denoise(PROMPT, begun, schedule, intervene=twice)
    first = next(walk)
    forward, calls = walk.parts.unet.forward, []

    def press(*given, **settings):
        calls.append(1)
        if len(calls) == 2:  # between Heun's two calls
            raise KeyboardInterrupt
        return forward(*given, **settings)

    walk.parts.unet.forward = press
    try:
        with pytest.raises(KeyboardInterrupt):
            next(walk)
    finally:
        del walk.parts.unet.forward
    assert torch.equal(walk.latent, first.sample_next)
    assert walk.edits == [] and walk.changes == []


@pytest.mark.parametrize("sampler", ["ddim", "euler"])
def test_a_latent_that_is_changed(sampler):
    trace = draw(sampler=sampler, intervene=interventions.latent_at(1, lambda xt: xt.flip(-1)))
    torch.testing.assert_close(trace.steps[1].xt, trace.steps[0].x_next.flip(-1))
    assert [len(step.changes) for step in trace.steps] == [0, 1, 0]
    assert "xt moved by" in trace.steps[1].changes[0]


def test_vectors_that_are_changed(plain):
    other = model("sd1").encode(OTHER)
    trace = draw(intervene=interventions.embeddings_of(lambda embeddings: other.embeddings))
    assert torch.equal(trace.latent, draw(OTHER).latent)
    assert trace.steps[0].changes == ("the prompt's vectors were changed",)
    assert trace.changes == ("step 0: the prompt's vectors were changed",)
    assert trace.prompts == (PROMPT,)


def test_several_at_once_are_all_told():
    trace = draw(
        steps=1,
        intervene=[
            interventions.scale_word("cat", 2.0),
            interventions.guidance_of(lambda progress: 3.0),
            interventions.latent_at(0, lambda xt: 2 * xt),
        ],
    )
    (step,) = trace.steps
    assert len(step.changes) == 3
    assert step.guidance_scale == 3.0


# --- wrong ones

NAN = float("nan")

WRONG = {
    "a word that is not there": (KeyError, "dog.*not in the prompt", "scale_word", ("dog", 2.0)),
    "a negative factor": (ValueError, "factor", "scale_word", ("cat", -1.0)),
    "a factor that is no number": (ValueError, "factor", "scale_word", ("cat", NAN)),
    "a factor that is a text": (TypeError, "factor", "scale_word", ("cat", "2")),
    "layers that are not there": (
        ValueError,
        "side.*The layers: down",
        "scale_word",
        ("cat", 2.0, 0.0, 1.0, "side"),
    ),
    "an empty part": (ValueError, "start=0.5, end=0.5", "scale_word", ("cat", 2.0, 0.5, 0.5)),
    "a part that is over": (ValueError, "start", "guidance_between", (2, 3)),
    "a part that is a text": (TypeError, "start", "guidance_between", ("0", 1)),
    "guidance that is no number": (ValueError, "guidance_scale", "guidance_of", (lambda p: NAN,)),
    "guidance that is nothing": (TypeError, "guidance_scale", "guidance_of", (lambda p: None,)),
    "a step that never comes": (
        ValueError,
        "step must be from 0 to 2, got 3",
        "latent_at",
        (3, lambda xt: xt),
    ),
    "a step before the first": (
        ValueError,
        "step must be at least 0",
        "latent_at",
        (-1, lambda xt: xt),
    ),
    "a latent of no numbers": (
        ValueError,
        "NaN or infinite",
        "latent_at",
        (0, lambda xt: xt * NAN),
    ),
    "a latent of another shape": (ValueError, "xt must be", "latent_at", (0, lambda xt: xt[0])),
    "vectors of another shape": (
        ValueError,
        "embeddings must be",
        "embeddings_of",
        (lambda embeddings: embeddings[..., :-1],),
    ),
    "vectors that are none": (ValueError, "embeddings must be", "embeddings_of", (lambda e: 1,)),
    "a prompt that was not read": (TypeError, r"model\.encode", "prompt_from", ("a dog", 0.0)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_interventions(name):
    error, says, make, arguments = WRONG[name]
    with pytest.raises(error, match=says):
        draw(record=(), intervene=getattr(interventions, make)(*arguments))


def test_a_negative_prompt_may_be_put_before_the_first_step():
    asked = model("sd1")
    walk = asked.denoise(PROMPT, asked.noise(0), asked.schedule(3))
    walk.uncond = asked.encode("a blue dog")
    *_, _ = walk
    same = asked.generate(PROMPT, seed=0, steps=3, negative_prompt="a blue dog")
    assert torch.equal(walk.latent, same.latent)


@pytest.mark.parametrize("name", ["cond", "uncond"])
def test_a_prompt_put_where_nobody_would_read_it_is_refused(name):
    other = model("sd1").encode("a blue dog")

    def put(run):
        if run.index == 1:
            setattr(run, name, other)

    with pytest.raises(AttributeError, match=f"run.{name} can't be set between steps"):
        draw(intervene=put, steps=3)
