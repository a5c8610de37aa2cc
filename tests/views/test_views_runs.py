"""Figures of a run: the steps that were chosen, the rows asked for, words over pictures."""

import numpy as np
import pytest

from sdlearn import views
from sdlearn.views import runs


@pytest.fixture(scope="module")
def trace(model):
    return model.generate("a red cat on the grass", steps=4)


def pictures(figure):
    return sum(len(axis.images) for axis in figure.drawing.axes)


def test_a_run_has_a_row_for_each_part_and_each_word(trace):
    figure = views.run(trace, ("xt", "x0", "eps"), words=("cat", "grass"), columns=3)
    assert pictures(figure) == 5 * 3
    for said in ("a red cat on the grass", "xt", "x0", "“cat”", "4 steps"):
        assert said in figure.alt
    titles = [axis.get_title() for axis in figure.drawing.axes if axis.get_title()]
    assert [title.split("\n")[0] for title in titles] == ["step 1", "step 3", "step 4"]


def test_each_word_lies_over_the_estimate_alone(trace):
    """Whatever parts are shown, and whatever word comes before it."""

    def last_row(*words):
        axes = views.run(trace, ("xt",), words=words, columns=2).drawing.axes
        return [np.asarray(axis.images[0].get_array()) for axis in axes if axis.images][-2:]

    for one, other in zip(last_row("cat"), last_row("red", "cat"), strict=True):
        assert np.array_equal(one, other)


def test_a_schedule_of_one_station_is_seen_or_refused(model):
    figure = model.schedule(1, "euler").plot()
    assert figure.drawing.axes[0].lines[0].get_marker() == "o" and "falls" not in figure.alt
    nowhere = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    with pytest.raises(ValueError, match=r"stations \(inf, 0\) have no place"):
        model.schedule(1, "ddim", set_alpha_to_one=True, **nowhere).plot()


def test_a_trace_draws_itself_though_it_knows_no_view(trace):
    assert pictures(trace.plot(columns=2)) == 4
    assert pictures(trace.plot(columns=2, decoded=False)) == 4


def test_a_schedule_draws_itself(model):
    figure = model.schedule(5, "euler").plot()
    line = figure.drawing.axes[0].lines[0]
    assert len(line.get_xdata()) == 5  # the arrival, at sigma 0, has no place on a log axis
    assert "5 steps of euler" in figure.alt


def test_words_are_laid_over_the_picture(trace):
    figure = views.word_maps(trace)
    assert pictures(figure) == 1 + len({"a", "red", "cat", "on", "the", "grass"})
    assert pictures(views.word_maps(trace, ["cat"])) == 2


def test_several_pictures_are_refused_with_the_way_to_one(model):
    several = model.generate("a cat", seed=[0, 1], steps=1)
    for draw in (views.run, views.word_maps):
        with pytest.raises(ValueError, match=r"trace\.of\(0\)"):
            draw(several)
    assert pictures(views.run(several.of(1), columns=1)) == 2


def test_the_first_and_the_last_step_are_always_among_the_chosen():
    for count in (1, 2, 5, 25, 50):
        for columns in (2, 3, 7):
            chosen = runs.evenly(count, columns)
            assert chosen[-1] == count - 1
            assert chosen == sorted(set(chosen))
            assert count == 1 or chosen[0] == 0
            assert len(chosen) == min(count, columns)


def test_one_word_is_a_word_and_not_its_letters(trace):
    assert views.run(trace, "x0", "cat").alt.count("“cat”") == 1
    assert views.word_maps(trace, "cat").alt.endswith("looked: cat.")
