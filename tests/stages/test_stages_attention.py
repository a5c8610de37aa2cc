"""Where each word looks: what is kept is what the network computed, and nothing stays behind."""

import contextlib
import re
from unittest import mock

import pytest
import tiny
import torch
from diffusers.models.attention_processor import AttnProcessor
from side_by_side import PROMPT, hole, model, photo, pipeline, same_pictures, scheduler, theirs

from sdlearn.models import wrap
from sdlearn.stages import attention, interventions
from sdlearn.trace import Record

OTHER = "the dream beach"
EVERYTHING = Record(self_attention=True, heads="each", halves=("uncond", "cond"), dtype="float32")
BOTH = ("uncond", "cond")


@contextlib.contextmanager
def explicit(unet):
    """diffusers' own softmax, spelt out, and its answers: {path of a layer: one for each call}."""
    kept, before = {}, unet.attn_processors
    unet.set_attn_processor(AttnProcessor())
    with contextlib.ExitStack() as stack:
        for path, module in unet.named_modules():
            if hasattr(module, "get_attention_scores"):
                stack.enter_context(
                    mock.patch.object(
                        module,
                        "get_attention_scores",
                        _kept(module.get_attention_scores, kept.setdefault(path, [])),
                    )
                )
        yield kept
    unet.set_attn_processor(before)


def _kept(compute, answers):
    def scores(*arguments):
        answers.append(compute(*arguments))
        return answers[-1]

    return scores


# --- the truth


@pytest.mark.parametrize(
    ("kind", "sampler", "prompt", "settings"),
    [
        ("sd1", "ddim", PROMPT, {"height": 72, "width": 88}),  # 9 x 11, 5 x 6 and 3 x 3 places
        ("sd1", "heun", [PROMPT, OTHER], {"negative_prompt": [OTHER, "a"]}),
        ("sd2-v", "ddim", "dreambeach, dreambeach", {"height": 64, "width": 48}),
        ("sdxl", "euler", PROMPT, {"height": 48, "width": 64}),
    ],
)
def test_kept_is_what_an_explicit_softmax_says(kind, sampler, prompt, settings):
    settings = {"steps": 2, "seed": 3, "guidance_scale": 4.0, **settings}
    trace = model(kind).generate(prompt, sampler=sampler, record=EVERYTHING, **settings)
    pipe = pipeline(kind)
    with explicit(pipe.unet) as expected:
        theirs(pipe, prompt, sampler=scheduler(kind, sampler), **settings)
    pictures, calls = len(trace.images), [step.calls for step in trace.steps]
    assert {place.path for place in attention.places(pipe.unet)} < set(expected)
    for kept, cross in ((trace.attention.kept, True), (trace.attention.kept_self, False)):
        places = attention.places(pipe.unet, cross=cross)
        assert len(kept) == len(places) * 2 * sum(calls)
        for (step, call, half, layer), ours in kept.items():
            answers = expected[places[layer].path][sum(calls[:step]) + call]
            answers = answers.unflatten(0, (2 * pictures, -1)).chunk(2)[BOTH.index(half)]
            torch.testing.assert_close(ours, answers, rtol=1e-3, atol=1e-5)
            torch.testing.assert_close(ours.sum(-1), torch.ones(ours.shape[:-1]))
            assert ours.shape[-1] == (77 if cross else ours.shape[-2])


def test_the_network_sees_another_picture_where_the_maps_differ():
    """The comparison above would find a wrong half, a wrong step and a wrong layer."""
    kept = model("sd1").generate(PROMPT, steps=2, record=EVERYTHING).attention.kept
    for other in [(1, 0, "cond", 0), (0, 0, "uncond", 0), (0, 0, "cond", 1)]:
        assert not torch.allclose(kept[0, 0, "cond", 0], kept[other], rtol=1e-3, atol=1e-5)


def test_every_place_shares_out_one():
    record = Record(heads="each", dtype="float32")
    trace = model("sd1").generate(PROMPT, steps=2, seed=3, record=record)
    kept = trace.attention
    total = kept.start.values + kept.end.values + kept.padding.values
    total = total + sum(kept[position].values for position in kept.tokens[0].typed)
    torch.testing.assert_close(total, torch.ones_like(total))
    torch.testing.assert_close(
        sum(kept[word].values for word in ("a", "red", "cat", "on", "the", "grass")),
        sum(kept[position].values for position in kept.tokens[0].typed),
    )


# --- layers and sizes


@pytest.mark.parametrize(
    ("kind", "level_of"),
    [
        ("sd1", {"down.0": 0, "down.1": 1, "mid": 2, "up.1": 1, "up.2": 0}),
        ("sdxl", {"down.1": 1, "down.2": 2, "mid": 2, "up.0": 2, "up.1": 1}),
    ],
)
def test_layers_have_the_size_of_their_level(kind, level_of):
    trace = model(kind).generate(PROMPT, steps=1, height=72, width=88, seed=[0, 1])
    sizes = [(9, 11), (5, 6), (3, 3)]
    layers = trace.attention.layers
    assert {layer.name.rpartition(".")[0].rpartition(".")[0] or "mid" for layer in layers} == set(
        level_of
    )
    for index, layer in enumerate(layers):
        level = next(at for name, at in level_of.items() if layer.name.startswith(name))
        assert (layer.rows, layer.columns) == sizes[level]
        module = model(kind).parts.unet.get_submodule(layer.module)
        assert module.is_cross_attention and module.heads == layer.heads
        raw = trace.attention.raw(0, index, picture=1)
        assert raw.shape == (1, layer.rows, layer.columns, 77)
    order = [layer.name.partition(".")[0] for layer in layers]
    assert order == sorted(order, key=["down", "mid", "up"].index)
    assert len({layer.name for layer in layers}) == len(layers)
    # SDXL has two transformer layers in a block at its lowest level
    assert ("mid.0.1" in {layer.name for layer in layers}) == (kind == "sdxl")


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (("mid",), {"mid.0.0"}),
        (("down.0", "mid"), {"down.0.0.0", "down.0.1.0", "mid.0.0"}),
        (("up.2.1.0",), {"up.2.1.0"}),
    ],
)
def test_only_the_layers_that_were_asked_for(chosen, names):
    part = (
        model("sd1")
        .generate(
            PROMPT, steps=1, record=Record(layers=chosen, self_attention=True, dtype="float32")
        )
        .attention
    )
    assert {layer.name for layer in part.layers} == names
    whole = model("sd1").generate(PROMPT, steps=1, record=Record(dtype="float32")).attention
    for name in names:
        assert torch.equal(part.raw(0, name), whole.raw(0, name))
    assert {key[3] for key in part.kept_self} == set(range(len(names)))


def test_only_every_so_manieth_step():
    trace = model("sd1").generate(PROMPT, steps=5, record=Record(every=2))
    assert trace.attention.steps == (0, 2, 4)
    assert {key[0] for key in trace.attention.kept} == {0, 2, 4}
    assert len(trace.steps) == 5


@pytest.mark.parametrize("guidance_scale", [0.0, 1.0])
def test_a_half_that_was_not_asked_is_not_kept(guidance_scale):
    trace = model("sd1").generate(PROMPT, steps=1, guidance_scale=guidance_scale, record=EVERYTHING)
    half = "cond" if guidance_scale else "uncond"
    assert trace.attention.halves == (half,)
    assert {key[2] for key in trace.attention.kept} == {half}


def test_heads_are_kept_as_their_mean():
    each, mean = (
        model("sd1").generate(PROMPT, steps=1, record=Record(heads=heads, dtype="float32"))
        for heads in ("each", "mean")
    )
    for layer in mean.attention.layers:
        wanted = each.attention.raw(0, layer.name).mean(0, keepdim=True)
        torch.testing.assert_close(mean.attention.raw(0, layer.name), wanted)


# --- words


def test_a_word_of_several_pieces_is_their_sum():
    trace = model("sd1").generate("a dreambeach", steps=1, record=Record(dtype="float32"))
    positions = trace.tokens[0].words["dreambeach"]
    assert len(positions) > 1
    raw = trace.attention.raw(0, "mid.0.0")[..., list(positions)].sum(-1)
    torch.testing.assert_close(trace.attention["dreambeach"].layer("mid.0.0").values[0], raw[0])


def test_repeated_words_can_be_told_apart():
    trace = model("sd1").generate("the cat on the grass", steps=1, record=Record(dtype="float32"))
    first, second = (trace.attention["the", which].values for which in (0, 1))
    torch.testing.assert_close(trace.attention["the"].values, first + second)
    assert not torch.allclose(first, second)


def test_the_words_of_each_half_and_picture():
    trace = model("sd1").generate(
        [PROMPT, OTHER], negative_prompt=["a beach", "the grass"], steps=1, record=EVERYTHING
    )
    assert list(trace.attention.of(1).words) == OTHER.split()
    assert list(trace.attention.half("uncond").of(1).words) == ["the", "grass"]
    grass = trace.attention.half("uncond").of(1)["grass"]
    position = 2
    raw = trace.attention.raw(0, "mid.0.0", half="uncond", picture=1)[..., position]
    torch.testing.assert_close(grass.layer("mid.0.0").values[0], raw)


def test_attention_in_every_kind_of_run():
    picture = photo()
    runs = {
        "image": model("sd1").image_to_image(picture, PROMPT, steps=2),
        "refiner": model("sdxl-refiner").image_to_image(picture, PROMPT, steps=4),
        "hole": model("sd1").inpaint(picture, hole(), PROMPT, steps=1),
        "channels": model("sdxl-inpainting").inpaint(picture, hole(), PROMPT, steps=1),
    }
    for name, trace in runs.items():
        values = trace.attention["cat"].mean().values
        assert values.shape[-2:] == (8, 8) or name in ("refiner", "channels"), name
        assert float(values.min()) > 0 and float(values.max()) < 1, name


# --- nothing stays behind


def state(unet):
    """What a probe could leave in a network."""
    return {
        path: (
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
            id(getattr(module, "processor", None)),
            module.training,
            sorted(vars(module)),
        )
        for path, module in unet.named_modules()
    }


class Bang(Exception):
    """What goes wrong in the middle of the network."""


@pytest.mark.parametrize("end", ["run", "error", "Ctrl-C", "abandoned", "error in an edit"])
def test_the_network_is_left_as_it_was(end):
    made = model("sd1")
    unet, before = made.parts.unet, state(made.parts.unet)
    settings = {"steps": 3, "seed": 3}
    expected = made.generate(PROMPT, record=(), **settings)
    changed = {"record": EVERYTHING, "intervene": interventions.scale_word("cat", 2.0)}

    def bang(*arguments, **more):
        places = attention.places(unet)  # hooks and changed layers are there just now
        assert all(place.module._forward_hooks for place in places)
        assert all(isinstance(place.module.processor, attention.Edited) for place in places)
        raise KeyboardInterrupt if end == "Ctrl-C" else Bang

    if end == "run":
        made.generate(PROMPT, **settings, **changed)
    elif end == "abandoned":
        walk = made.denoise(PROMPT, made.noise(3), made.schedule(3), **changed)
        next(walk)
        del walk
    elif end == "error in an edit":
        changed["intervene"] = lambda run: run.edit_attention(bang, "bang")
        with pytest.raises(Bang):
            made.generate(PROMPT, **settings, **changed)
    elif end == "error":
        with mock.patch.object(unet.mid_block, "forward", bang), pytest.raises(Bang):
            made.generate(PROMPT, **settings, **changed)
    else:
        with mock.patch.object(unet.mid_block, "forward", bang), pytest.warns(match="0 of 3"):
            trace = made.generate(PROMPT, **settings, **changed)
        assert trace.interrupted and len(trace) == 0
    assert state(unet) == before
    again = made.generate(PROMPT, record=(), **settings)
    assert torch.equal(again.latent, expected.latent)
    same_pictures(again.images, expected.images)


def test_one_probe_beside_another():
    """Two runs, step by step in turn: each keeps its own."""
    made, record = model("sd1"), Record(dtype="float32")
    schedule = made.schedule(2, "ddim")
    walks = [made.denoise(p, made.noise(3), schedule, record=record) for p in (PROMPT, OTHER)]
    for _ in range(2):
        for walk in walks:
            next(walk)
    for walk, prompt in zip(walks, (PROMPT, OTHER), strict=True):
        alone = made.generate(prompt, steps=2, sampler="ddim", seed=3, record=record)
        kept = walk.attention().kept
        assert kept.keys() == alone.attention.kept.keys()
        assert all(torch.equal(kept[key], maps) for key, maps in alone.attention.kept.items())


# --- what can't be read


def test_fused_projections_are_refused_until_they_are_unfused():
    made = wrap(tiny.pipeline("sd1"))
    plain = made.generate(PROMPT, steps=1)
    made.parts.unet.fuse_qkv_projections()
    with pytest.raises(ValueError, match=r"fused.*unfuse_qkv_projections\(\).*record="):
        made.generate(PROMPT, steps=1)
    torch.testing.assert_close(
        made.generate(PROMPT, steps=1, record=("latents", "noise")).latent,
        plain.latent,
        rtol=1e-3,
        atol=1e-4,
    )
    made.parts.unet.unfuse_qkv_projections()
    again = made.generate(PROMPT, steps=1)
    assert torch.equal(again.latent, plain.latent)
    assert torch.equal(again.attention["cat"].values, plain.attention["cat"].values)


def test_a_network_without_words_is_refused():
    unet = model("sd1").parts.unet
    with (
        mock.patch.object(attention, "PLACE", re.compile("nowhere")),
        pytest.raises(ValueError, match="No layer of attention to the words"),
    ):
        attention.places(unet)


def test_masked_attention_is_not_changed():
    place = attention.places(model("sd1").parts.unet)[0]
    edited = attention.Edited([], place.layer(8, 8))
    with pytest.raises(ValueError, match="masked"):
        edited(place.module, torch.zeros(1, 64, 16), None, torch.zeros(1, 1, 77))


@pytest.mark.parametrize("record", [(), ("latents",)])
def test_a_compiled_unet_draws_and_its_steps_are_kept(record):
    pipe = tiny.pipeline("sd1")
    expected = wrap(pipe).generate(PROMPT, steps=2, record=record)
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    assert torch.equal(wrap(pipe).generate(PROMPT, steps=2, record=record).latent, expected.latent)


def test_a_compiled_unet_has_no_attention_to_look_at():
    pipe = tiny.pipeline("sd1")
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    with pytest.raises(ValueError, match=r"compiled by torch.compile.*_orig_mod"):
        wrap(pipe).generate(PROMPT, steps=2)
    pipe.unet = pipe.unet._orig_mod
    assert wrap(pipe).generate(PROMPT, steps=2).attention["cat"]
