"""What the mixture playground is given: the library's own schedules and worlds, checked."""

import dataclasses

import numpy as np
import pytest
import torch

from sdlearn.equations import mixtures, trajectories
from sdlearn.equations.schedules import NoiseSchedule
from sdlearn.views import widgets
from sdlearn.views.widgets.mixture import DRAWN, SAMPLERS, WORLDS


def schedules(widget):
    """The alpha_bars in the page, by name."""
    found = {}
    for kept in widget.schedules:
        start, length = kept["at"]
        data = widget.blob[start : start + length]
        found[kept["name"]] = torch.from_numpy(np.frombuffer(data, dtype="<f8").copy())
    return found


def test_its_schedules_are_the_librarys_to_the_bit():
    here = schedules(widgets.mixture())
    assert torch.equal(here["scaled-linear"], NoiseSchedule.scaled_linear().alpha_bars)
    assert torch.equal(here["cosine"], NoiseSchedule.cosine().alpha_bars)


def test_ones_own_schedule_comes_first():
    own = NoiseSchedule.linear(250, 4e-4, 0.08)
    widget = widgets.mixture(schedule=own)
    assert widget.schedule == "linear"
    assert torch.equal(schedules(widget)["linear"], own.alpha_bars)
    short = NoiseSchedule.scaled_linear(steps=250)  # of the same name as one that is here
    assert torch.equal(
        schedules(widgets.mixture(schedule=short))["scaled-linear"], short.alpha_bars
    )


def test_its_samplers_are_known_to_the_library():
    assert set(SAMPLERS) <= set(trajectories.SAMPLERS)


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_is_a_mixture_with_room_around_it(name):
    world = mixtures.Mixture(**widgets.mixture(name).components())
    assert float(world.means.abs().max()) + 3 * float(world.stds.max()) < 2.9  # the plane's edge
    assert len(world.names) == int(world.labels.max()) + 1 >= 2


def test_the_three_groups_are_lesson_08s():
    world = mixtures.Mixture(**widgets.mixture("three groups").components())
    lesson = mixtures.three_groups(std=0.5)
    assert torch.allclose(world.means, lesson.means) and world.names == lesson.names
    assert torch.allclose(world.stds, lesson.stds)


def test_ones_own_mixture_comes_first_and_comes_back():
    own = dataclasses.replace(
        mixtures.ring(5), weights=torch.tensor([0.5, 0.2, 0.1, 0.1, 0.1], dtype=torch.float64)
    )
    widget = widgets.mixture(own, group="group 2", guidance_scale=3)
    assert widget.world == "your mixture" == widget.worlds[0]["name"]
    back = mixtures.Mixture(**widget.components())
    for name in ("means", "stds", "weights", "labels"):
        assert torch.allclose(getattr(back, name), getattr(own, name)), name


def test_a_drawing_becomes_a_mixture_of_python():
    widget = widgets.mixture()
    widget.world, widget.names = DRAWN, ["blue", "orange"]
    with pytest.raises(ValueError, match="Nothing is drawn yet"):
        widget.components()
    widget.spots = [[0.5, 1.0, 0.2, 1.0, 1], [-1.0, 0.0, 0.1, 3.0, 0]]
    drawn = mixtures.Mixture(**widget.components())
    assert drawn.weights.tolist() == [0.25, 0.75]
    assert drawn.given("orange").means.tolist() == [[0.5, 1.0]]


def test_two_settings_stand_side_by_side():
    one, other = widgets.mixture(sampler="heun", steps=7, other={"steps": 3}).sides
    assert one == {"sampler": "heun", "steps": 7, "guidance_scale": 1.0}
    assert other == {**one, "steps": 3}
    assert widgets.mixture(other="ddpm").sides[1]["sampler"] == "ddpm"


def test_where_widgets_cannot_run_there_is_a_figure():
    bundle = widgets.mixture("smile", steps=5)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "<img alt=" in data["text/html"] and "smile" in data["text/html"]
    assert data["text/plain"] == "[Mixture playground: smile, ddim in 5 steps]"
    assert "application/vnd.jupyter.widget-view+json" in data


def test_an_empty_drawing_has_no_figure_and_shows_all_the_same():
    widget = widgets.mixture()
    widget.world = DRAWN
    assert widget.figure() is None
    assert "text/plain" in widget._repr_mimebundle_()[0]


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"mixture": "moon"}, ValueError, "three groups"),
        ({"mixture": 3}, TypeError, "no means"),
        ({"mixture": mixtures.two_peaks()}, ValueError, "dims=2"),
        (
            {"mixture": dataclasses.replace(mixtures.ring(2), stds=torch.zeros(2).double())},
            ValueError,
            "width above 0",
        ),
        ({"schedule": "quick"}, ValueError, "cosine"),
        ({"schedule": 3}, TypeError, "NoiseSchedule"),
        ({"schedule": NoiseSchedule.linear().spaced(20)}, ValueError, "not what its spaced"),
        (
            {"schedule": NoiseSchedule.linear().with_zero_terminal_snr()},
            ValueError,
            "zero terminal",
        ),
        ({"sampler": "magic"}, ValueError, "euler_ancestral"),
        ({"steps": 0}, ValueError, "1 to 100"),
        ({"steps": True}, ValueError, "whole number"),
        ({"guidance_scale": 9}, ValueError, "0 to 8"),
        ({"group": "birds"}, ValueError, "cats, dogs, humans"),
        ({"other": {"seed": 3}}, ValueError, "seed"),
        ({"other": "magic"}, ValueError, "heun"),
        ({"spacing": "wide"}, ValueError, "trailing"),
        ({"seed": 1.5}, TypeError, "seed"),
    ],
)
def test_bad_input_is_told(given, error, told):
    with pytest.raises(error, match=told):
        widgets.mixture(**given)


@pytest.mark.parametrize(
    ("trait", "value", "told"),
    [
        ("world", "moon", "three groups"),
        ("spacing", "wide", "trailing"),
        ("schedule", "linear", "cosine"),
        ("progress", 5.0, "from 0 to 1"),
        ("sides", [], "one setting or two"),
        ("sides", [{"sampler": "ddim", "steps": 0, "guidance_scale": 1.0}], "1 to 100"),
    ],
)
def test_what_is_set_later_is_checked_too(trait, value, told):
    widget = widgets.mixture()
    before = getattr(widget, trait)
    with pytest.raises(ValueError, match=told):
        setattr(widget, trait, value)
    assert getattr(widget, trait) == before
