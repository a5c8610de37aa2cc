import warnings

import numpy as np
import pytest
import torch
from made_runs import LAYERS, attention, trace

from sdlearn.trace import Record

RUN = {
    "steps": 20,
    "calls": 1,
    "latent_shape": (2, 4, 8, 12),
    "halves": ("uncond", "cond"),
    "layers": LAYERS,
    "tokens": 77,
}


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (None, set()),
        ((), set()),
        ("latents", {"latents"}),
        (("latents", "attention"), {"latents", "attention"}),
        (["self_attention"], {"self_attention"}),
    ],
)
def test_what_is_named_is_kept(value, names):
    record = Record.of(value)
    parts = ("latents", "noise", "attention", "self_attention")
    assert {name for name in parts if getattr(record, name)} == names
    assert bool(record) == bool(names)
    assert Record.of(record) is record


def test_the_cost_said_before_is_the_memory_held_after():
    """The reckoning, held to a run that was made."""
    run = trace("a cat", "a dog", steps=6)
    shapes = {**RUN, "steps": 6, "tokens": 20, "latent_shape": (2, 4, 8, 12)}
    record = Record(halves=("uncond", "cond"), dtype="float32")
    assert record.cost(**shapes).total == run.nbytes
    assert Record.of("attention").cost(**shapes).latents == 0


@pytest.mark.parametrize("heads", ["mean", "each"])
@pytest.mark.parametrize("calls", [1, 2])
def test_the_cost_of_attention_is_what_it_takes(heads, calls):
    made = attention(steps=4, heads=heads, calls=calls, selves=True)
    record = Record(False, False, True, True, heads=heads, dtype="float32")
    shapes = {**RUN, "latent_shape": (1, 4, 8, 12), "tokens": 20, "steps": 4, "calls": calls}
    assert record.cost(**shapes).total == made.nbytes


def test_each_choice_makes_it_cheaper():
    full = Record(self_attention=True, heads="each", halves=("uncond", "cond"), dtype="float32")
    cheaper = [
        {"self_attention": False},
        {"heads": "mean"},
        {"halves": ("cond",)},
        {"dtype": "float16"},
        {"layers": ("up",)},
        {"every": 2},
        {"latents": False},
        {"noise": False},
        {"latents_dtype": "bfloat16"},
    ]
    for change in cheaper:
        values = {**vars(full), **change}
        assert Record(**values).cost(**RUN).total < full.cost(**RUN).total, change


def test_without_guidance_there_is_one_noise_and_one_half():
    alone = Record().cost(**{**RUN, "halves": ("cond",)})
    both = Record().cost(**RUN)
    assert both.noise == 3 * alone.noise and both.attention == alone.attention
    assert Record(halves=("uncond",)).cost(**{**RUN, "halves": ("cond",)}).attention == 0


def test_a_record_that_fits_stays_as_it_is():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Record().fitted(free=10**12, **RUN) == Record()


BIG = Record(heads="each", self_attention=True, dtype="float32", halves=("uncond", "cond"))


@pytest.mark.parametrize("share", [0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02])
def test_a_record_is_thinned_until_it_fits(share):
    floor = Record(attention=False).cost(**RUN).total
    budget = floor + int((BIG.cost(**RUN).total - floor) * share)
    record = Record(**{**vars(BIG), "budget": budget})
    with pytest.warns(UserWarning, match=r"would take .* Kept instead, .* To keep more") as caught:
        fitted = record.fitted(free=0, **RUN)
    assert len(caught) == 1
    assert fitted.cost(**RUN).total <= budget
    assert fitted.latents and fitted.noise  # only attention is thinned


def test_thinning_goes_from_steps_to_heads_to_layers_to_nothing():
    costs = [record.cost(**RUN).total for record in BIG._thinner(20, LAYERS)]
    records = list(BIG._thinner(20, LAYERS))
    assert [r.every for r in records[:3]] == [2, 4, 8] and records[3].heads == "mean"
    assert [n.name for n in records[4].chosen(LAYERS)] == ["mid.0.0", "up.1.0.0", "up.1.1.0"]
    again = next(i for i, r in enumerate(records) if not r.self_attention)
    assert records[again].attention and records[again].every == 1  # the words get a new chance
    for chain in (costs[:again], costs[again:]):
        assert chain == sorted(chain, reverse=True)
    assert not records[-1].attention


def test_it_refuses_where_it_may_not_thin_or_nothing_helps():
    with pytest.raises(MemoryError, match=r"refuse.*To keep more"):
        Record(budget=10, over="refuse").fitted(free=0, **RUN)
    with pytest.raises(MemoryError, match="even without attention"):
        Record(budget=10).fitted(free=0, **RUN)
    with pytest.raises(MemoryError, match="quarter of the free memory"):
        Record(latents=True, attention=False).fitted(free=100, **RUN)


def test_the_budget_is_a_quarter_of_what_is_free():
    need = Record().cost(**RUN).total
    assert Record().fitted(free=4 * need, **RUN) == Record()
    with pytest.warns(UserWarning):
        assert Record().fitted(free=4 * need - 4, **RUN) != Record()


def test_layers_are_chosen_by_names_and_their_beginnings():
    def names(*asked):
        return [layer.name for layer in Record(layers=asked).chosen(LAYERS)]

    assert names("up") == ["up.1.0.0", "up.1.1.0"]
    assert names("up.1.1", "mid.0.0") == ["mid.0.0", "up.1.1.0"]
    with pytest.raises(ValueError, match=r"no layer.*'up.1.0.1'.*Did you mean 'up.1"):
        names("up.1.0.1")
    with pytest.raises(ValueError, match="no layer"):
        names("u")  # a beginning ends at a dot


def test_attention_is_taken_at_every_nth_step():
    assert Record(every=np.int64(3)) == Record(every=3)
    assert type(Record(budget=np.int64(9)).budget) is int
    record = Record(every=3)
    assert [i for i in range(8) if record.takes(i)] == [0, 3, 6]
    assert not any(Record(attention=False).takes(i) for i in range(4))
    assert Record(layers="up").layers == ("up",) and Record(halves="uncond").halves == ("uncond",)


def test_a_cost_is_said_in_words():
    cost = Record().cost(**RUN)
    assert "latents" in str(cost) and "KiB" in str(cost) and "self_attention" not in str(cost)
    assert "total" in cost._repr_html_()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Record.of("latent"), "Did you mean 'latents'"),
        (lambda: Record.of(("latents", 3)), "one of"),
        (lambda: Record.of(7), "must name what to keep"),
        (lambda: Record.of(True), "must name what to keep"),
        (lambda: Record(latents="yes"), "True or False"),
        (lambda: Record(heads="all"), "'mean', 'each'"),
        (lambda: Record(halves=("positive",)), "'uncond', 'cond'"),
        (lambda: Record(halves=()), "attention=False"),
        (lambda: Record(layers=()), "attention=False"),
        (lambda: Record(layers=(1,)), "names of layers"),
        (lambda: Record(every=0), "whole number from 1"),
        (lambda: Record(every=2.0), "whole number"),
        (lambda: Record(dtype=torch.float16), "'float16'"),
        (lambda: Record(latents_dtype="float8"), "'float16'"),
        (lambda: Record(budget=-1), "budget"),
        (lambda: Record(over="die"), "'thin', 'refuse'"),
    ],
)
def test_a_wrong_record_is_explained(make, says):
    with pytest.raises((ValueError, TypeError), match=says):
        make()
