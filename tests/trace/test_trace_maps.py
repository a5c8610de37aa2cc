import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_runs import LAYERS, PLACES, attention, tokens, trace
from PIL import Image

from sdlearn.trace import Attention, Trace, WordMap, grids, heat

CLOSE = {"atol": 1e-5, "rtol": 0}


@pytest.mark.parametrize("heads", ["mean", "each"])
@pytest.mark.parametrize("half", ["cond", "uncond"])
def test_all_positions_together_are_one_everywhere(heads, half):
    """Start, words, end and padding share every place: nothing is lost or counted twice."""
    looked = attention(heads=heads, halves=("uncond", "cond"), calls=2).half(half)
    words = [looked[p] for p in looked._read().typed]
    parts = [m.mean("heads") if heads == "each" else m for m in (*words, looked.start)]
    parts += [m.mean("heads") if heads == "each" else m for m in (looked.end, looked.padding)]
    total = sum(part.values for part in parts)
    torch.testing.assert_close(total, torch.ones_like(total), **CLOSE)
    assert total.shape == (3, 4, 8, 12)


def test_a_word_is_the_sum_of_its_positions():
    looked = attention()
    torch.testing.assert_close(looked["red"].values, looked[2].values + looked[6].values)
    torch.testing.assert_close(looked["red", 1].values, looked[6].values)
    torch.testing.assert_close(looked["red cat"].values, looked[2].values + looked[3].values)
    torch.testing.assert_close(looked[-1].values, looked[PLACES - 1].values)


def test_numbers_are_those_that_were_kept():
    looked = attention(heads="each", calls=2)
    got = looked["cat"].at(step=1, layer="up.1.1.0", head=1).values
    raw = [looked.raw(1, "up.1.1.0", call=call)[1, :, :, 3] for call in (0, 1)]
    torch.testing.assert_close(got, torch.stack(raw).mean(0))
    assert torch.equal(raw[0].flatten(), looked.kept[1, 0, "cond", 3][0, 1, :, 3])
    assert looked.raw(1, 3).shape == (2, 4, 6, PLACES)


def test_means_do_not_depend_on_their_order():
    looked = attention(heads="each")["cat"].layer("up")
    whole = looked.mean().values
    for order in itertools.permutations(("steps", "layers", "heads")):
        one = looked
        for axis in order:
            one = one.mean(axis)
        torch.testing.assert_close(one.values, whole)
    assert looked.mean("heads", "steps").axes == ("layers", "rows", "columns")


def test_a_coarse_layer_is_enlarged_without_changing_its_mean():
    """Bilinear, in whole multiples: the mean stays, for each layer and so for all together."""
    word = attention()["cat"].mean("steps")
    for index in range(len(LAYERS)):
        torch.testing.assert_close(word.values[index].mean(), word.parts[index].mean())
    each = torch.stack([part.mean() for part in word.parts])
    torch.testing.assert_close(word.mean().values.mean(), each.mean())
    assert word.parts[1].shape == (2, 3)  # until then every layer keeps its own size


def test_the_mean_over_a_side_is_exact_in_every_layer():
    word = attention()["cat"]
    over_time = word.mean("layers", "rows", "columns")
    assert over_time.axes == ("steps",) and over_time.shape == {"steps": 3}
    own = torch.stack([part.mean((-2, -1)) for part in word.parts]).mean(0)
    torch.testing.assert_close(over_time.values, own)
    assert word.mean("rows").axes == ("steps", "layers", "columns")
    assert word.mean("rows").values.shape == (3, 4, 12)


def test_layers_are_chosen_by_name_index_and_beginning():
    word = attention()["cat"]
    assert word.layer("mid.0.0").axes == word.layer(1).axes == ("steps", "rows", "columns")
    assert word.layer("mid.0.0").values.shape == (3, 2, 3)
    assert word.layer("up").values.shape == (3, 2, 4, 6)
    assert torch.equal(word.layer("up").layer("up.1.1.0").values, word.layer(3).values)
    assert word.layer("mid").axes == word.axes  # a beginning keeps the axis
    torch.testing.assert_close(word.at(step=-1, layer=0).values, word.parts[0][2])


def test_the_peak_scale_goes_from_zero_to_one():
    scaled = attention()["cat"].normalised()
    assert scaled.values.min() == 0 and scaled.values.max() == 1
    flat = WordMap("flat", ("rows", "columns"), (torch.ones(2, 2),), (), ())
    assert torch.equal(flat.normalised().values, torch.zeros(2, 2))


def test_shares_of_the_words_sum_to_one():
    looked = attention("a red cat")
    total = sum(looked[word].normalised("words").values for word in looked.words)
    torch.testing.assert_close(total, torch.ones_like(total), **CLOSE)
    mean = sum(looked[word].mean().normalised("words").values for word in looked.words)
    torch.testing.assert_close(mean, torch.ones(8, 12), **CLOSE)


@pytest.fixture
def spot():
    """A word that looks at one place of a wide picture, in the finest of two layers."""
    layers = LAYERS[:1]
    kept = torch.full((1, 1, 96, PLACES), 1e-6)
    kept[0, 0, 2 * 12 + 9, 3] = 0.5
    return Attention(layers, (tokens("a red cat"),), (), (0,), kept={(0, 0, "cond", 0): kept})


def test_a_map_points_where_the_word_looks(spot):
    word = spot["cat"]
    assert word.peak() == (2, 9) == word.mean().peak()
    mask = np.zeros((64, 96), dtype=bool)
    mask[12:28, 64:88] = True  # that place, and as far as the light of its neighbours reaches
    assert word.inside(mask) > 0.95
    assert word.inside(~mask) < 0.05
    assert word.inside(mask) + word.inside(~mask) == pytest.approx(1)
    assert word.iou(np.zeros_like(mask)) == 0
    exact = np.zeros((8, 12))
    exact[2, 9] = 1
    assert word.iou(exact) == word.iou(torch.tensor(exact)) == 1
    assert word.iou(Image.fromarray((255 * exact).astype(np.uint8))) == 1


def test_an_overlay_is_bright_where_the_word_looks(spot):
    picture = Image.new("RGB", (96, 64), (90, 120, 150))
    over = np.asarray(spot["cat"].overlay(picture)).astype(int).sum(-1)
    assert over.shape == (64, 96)
    row, column = divmod(int(over.argmax()), 96)
    assert (row // 8, column // 8) == (2, 9)
    assert over[60, 5] < 0.5 * (90 + 120 + 150)
    bare = np.asarray(spot["cat"].overlay(picture, alpha=0))
    assert np.abs(bare[20, 76].astype(int) - [90, 120, 150]).max() <= 30
    assert spot["cat"].overlay(picture, size=48).size == (48, 32)
    assert spot["cat"].overlay(picture, size=(60, 40)).size == (60, 40)


def test_the_picture_of_a_map_shows_its_places(spot):
    picture = spot["cat"].image(120)
    assert picture.size == (120, 80)
    assert picture.getpixel((95, 25)) == tuple(heat.TABLE[-1].astype(int))
    assert picture.getpixel((0, 0)) == tuple(heat.TABLE[0].astype(int))


def test_colours_keep_their_order_for_colour_blind_readers_and_in_grey():
    """Simulated after Viénot, Brettel and Mollon (1999): lightness rises all the way."""
    linear = (heat.colours(np.linspace(0, 1, 64)[None])[0] / 255.0) ** 2.2
    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    deutan = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    for blindness in (np.eye(3), protan, deutan):
        light = (linear @ blindness.T).clip(0, 1) @ [0.2126, 0.7152, 0.0722]
        assert (np.diff(light) > 0).all()


def test_pictures_are_never_mixed_be_their_prompts_one_or_several():
    same = attention("a cat", "a cat", selves=True)
    assert list(same.words) == ["a", "cat"]
    for ask in (lambda: same["cat"], lambda: same.start, lambda: same.self_attention(0, 0, 0, 0)):
        with pytest.raises(ValueError, match=r"2 pictures.*attention\.of\(0\)"):
            ask()
    assert "2 pictures: .of(0) is the first" in repr(same)
    assert "2 pictures" in same._repr_html_() and "<img" not in same._repr_html_()
    second = same.of(1)["cat"].at(step=2, layer=0).values
    assert torch.equal(second.flatten(), same.kept[2, 0, "cond", 0][1, 0, :, 2])
    mixed = attention("a cat", "a dog here")
    with pytest.raises(ValueError, match=r"different prompts.*attention\.of\(0\)"):
        mixed["cat"]
    assert mixed.of(1)["dog"].peak() and "cat" not in mixed.of(1).words
    with pytest.raises(ValueError, match="no picture 2"):
        mixed.of(2)
    assert mixed.of(0).kept[0, 0, "cond", 0].data_ptr() == mixed.kept[0, 0, "cond", 0].data_ptr()


@pytest.mark.parametrize(
    ("scale", "half", "says"),
    [
        (0.0, "cond", r"guidance_scale=0.*never asked with the prompt.*halves=\"uncond\""),
        (1.0, "uncond", r"guidance_scale=1.*never asked without the prompt.*halves=\"cond\""),
    ],
)
def test_a_half_that_guidance_left_out_is_named_as_the_reason(scale, half, says):
    none = Attention(LAYERS, (tokens(),))
    guided = trace(attention=replace(none, halves=()), steps=2)
    assert not guided.attention.missing
    steps = [replace(step, guidance_scale=scale) for step in guided.steps]
    told = Trace(steps=steps, latent=guided.latent, attention=guided.attention)
    assert repr(told.attention) == "Attention(0 steps, 4 layers, no half, heads='mean', 0 bytes)"
    for ask in (lambda: told.attention["cat"], lambda: told.attention.half(half)):
        with pytest.raises(ValueError, match=says):
            ask()


def test_whole_numbers_of_numpy_are_whole_numbers():
    looked, two = attention(), np.int64(2)
    assert torch.equal(looked[two].values, looked[2].values)
    assert torch.equal(looked["red", np.int64(1)].values, looked["red", 1].values)
    found = looked["cat"].at(step=two, layer=two).values
    assert torch.equal(found, looked["cat"].at(step=2, layer=2).values)
    assert looked["cat"].at(layer=two).axes == ("steps", "rows", "columns")
    assert looked["cat"].mean().image(np.int64(60)).size == (60, 40)
    both = attention("a cat", "a cat")
    assert torch.equal(both.of(np.int64(1))["cat"].values, both.of(1)["cat"].values)
    for wrong in (True, np.bool_(True), 1.0):
        with pytest.raises(TypeError):
            both.of(wrong)


def test_each_half_has_the_words_of_its_prompt():
    looked = attention("a cat", halves=("uncond", "cond"))
    assert list(looked.words) == ["a", "cat"] and list(looked.half("uncond").words) == ["ugly"]
    assert not torch.equal(looked.half("uncond")[1].values, looked[1].values)


def test_self_attention_says_where_a_place_looks():
    looked = attention(selves=True)
    there = looked.self_attention(1, "up.1.0.0", row=2, column=5)
    assert there.shape == (4, 6)
    torch.testing.assert_close(there.sum(), torch.tensor(1.0))
    assert torch.equal(there.flatten(), looked.kept_self[1, 0, "cond", 2][0, 0, 2 * 6 + 5])


def test_a_last_call_that_was_interrupted_is_passed_over():
    looked = attention(steps=3)
    kept = dict(looked.kept)
    del kept[2, 0, "cond", 3]
    stopped = Attention(LAYERS, looked.tokens, (), (0, 1, 2), kept=kept)
    assert stopped["cat"].steps == (0, 1)
    none = {key: maps for key, maps in kept.items() if key[0] == 2}
    with pytest.raises(ValueError, match="no attention"):
        Attention(LAYERS, looked.tokens, (), (0, 1, 2), kept=none)["cat"]


def test_maps_show_themselves():
    looked = attention("a <b>cat</b>")
    for shown in (looked, looked["cat"], looked["cat"].mean(), looked["cat"].mean("rows", "steps")):
        html = shown._repr_html_()
        assert "<b>" not in html
    assert 'alt="attention map of cat: it peaks at the ' in looked["cat"]._repr_html_()
    assert repr(looked["cat"]) == "WordMap('cat': 3 steps x 4 layers x 8 rows x 12 columns)"
    assert np.asarray(looked["cat"]).shape == (3, 4, 8, 12)
    assert "4 layers" in repr(looked)


def test_maps_of_layers_with_different_heads_show_themselves():
    """SD 2.x has more heads where the layers are wider."""
    word = attention(heads="each")["cat"]
    assert repr(word) == "WordMap('cat': 3 steps x 4 layers x 2 to 4 heads x 8 rows x 12 columns)"
    assert "2 to 4 heads" in word._repr_html_() and "<img" in word._repr_html_()
    assert "2 heads x 4 rows" in repr(word.layer("up"))


def test_a_mask_is_brought_to_where_the_map_is(spot, monkeypatch):
    """As of a run on a GPU, whose masks lie in the CPU's memory."""

    class Elsewhere:
        def __init__(self, mask):
            self.mask, self.shape = mask, mask.shape

        def to(self, device):
            assert device == spot["cat"].values.device
            return self.mask

    here = grids.mask
    monkeypatch.setattr(grids, "mask", lambda given, grid: Elsewhere(here(given, grid)))
    exact = np.zeros((8, 12))
    exact[2, 9] = 1
    assert spot["cat"].iou(exact) == 1


WRONG = [
    (lambda a: a["bird"], "not in the prompt"),
    (lambda a: a[99], "no position 99"),
    (lambda a: a[1.5], "takes a word"),
    (lambda a: a.half("uncond"), "only 'cond'"),
    (lambda a: a.half("left"), "not recorded"),
    (lambda a: a.raw(9, 0), "steps 0, 1, 2"),
    (lambda a: a.raw(0, 0, call=3), "calls in that step: 0"),
    (lambda a: a.raw(0, "up"), "2 layers, one is wanted"),
    (lambda a: a.raw(0, "side"), "no layer is named 'side'"),
    (lambda a: a.raw(0, 7), "none of the 4 layers"),
    (lambda a: a.raw(0, 0, picture=1), "no picture 1"),
    (lambda a: a.self_attention(0, 0, 0, 0), "self-attention was not recorded"),
    (lambda a: attention(selves=True).self_attention(0, 0, 8, 0), r"no place \(8, 0\)"),
    (lambda a: a["cat"].at(head=0), 'heads="each"'),
    (lambda a: a["cat"].at(step=7), "Recorded steps: 0, 1, 2"),
    (lambda a: a["cat"].mean().at(step=0), "no axis 'steps'"),
    (lambda a: a["cat"].mean("places"), "no axis 'places'"),
    (lambda a: a["cat"].layer(None), "by its name or its index"),
    (lambda a: a["cat"].normalised("sum"), "peak"),
    (lambda a: a.start.normalised("words"), "no share"),
    (lambda a: a["cat"].inside(np.zeros((12, 8))), "not of the same picture"),
    (lambda a: a["cat"].inside(np.zeros(9)), r"\[height, width\]"),
    (lambda a: a["cat"].iou(np.ones((8, 12)), threshold=1), "threshold"),
    (lambda a: a["cat"].mean("rows").peak(), "no axis 'rows'"),
    (lambda a: a["cat"].overlay("cat.png"), "Pillow"),
    (lambda a: a["cat"].overlay(Image.new("RGB", (64, 96))), "not of the same picture"),
    (lambda a: a["cat"].overlay(Image.new("RGB", (96, 64)), alpha=2), "alpha"),
    (lambda a: a["cat"].image(0), "size"),
    (lambda a: a["cat"].image((3, 4, 5)), "size"),
    (lambda a: attention(heads="each")["cat"].values, "2 and 4 heads"),
    (lambda a: attention(heads="each")["cat"].at(head=2), "use 0 to 1"),
    (lambda a: Attention(LAYERS, ()), "tokens must hold"),
    (lambda a: Attention(LAYERS, a.tokens, (), (0,), kept=a.kept), "none of steps"),
    (lambda a: Attention(LAYERS[:1], a.tokens, (), (0, 1, 2), kept=a.kept), "1 layers"),
    (
        lambda a: Attention(
            LAYERS, a.tokens, (), (0,), kept={(0, 0, "cond", 0): torch.ones(1, 1, 95, PLACES)}
        ),
        r"\[pictures, heads, rows \* columns, keys\]",
    ),
    (lambda a: Attention(LAYERS, tuple(tokens(" x" * 18) for _ in "1"))["x"], "no attention"),
    (lambda a: Attention(LAYERS, (tokens("x " * 18),)).padding, "no padding"),
]


@pytest.mark.parametrize(("ask", "says"), WRONG)
def test_a_wrong_question_is_explained(ask, says):
    with pytest.raises((ValueError, TypeError, LookupError), match=says):
        ask(attention())
