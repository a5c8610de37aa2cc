"""The bar of a training: it passes the losses on, counts right, and can be read without widgets."""

import pytest

from sdlearn import views


def test_it_passes_on_every_loss_and_ends_full(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    bar = views.progress(iter([3.0, 2.0, 1.0]), 3, "points")
    assert list(bar) == [3.0, 2.0, 1.0]
    assert shown == [bar]
    label, filled, said = bar.widget().children
    assert label.value == "points" and (filled.value, filled.max) == (3, 3)
    assert said.value == "step 3 of 3, loss 2.000"


def test_it_takes_a_step_only_when_asked():
    taken = []

    def training():
        for step in range(5):
            taken.append(step)
            yield 1.0

    losses = iter(views.progress(training(), 5, "points"))
    next(losses)
    assert taken == [0]


def test_what_it_says_is_the_same_in_every_run_and_escaped():
    bundle = views.progress([], 1500, "<b>")._repr_mimebundle_()
    assert bundle["text/plain"] == "[Training: <b>, 1,500 steps]"
    assert "&lt;b&gt;" in bundle["text/html"] and "<b>" not in bundle["text/html"]


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_steps_must_be_a_count(steps):
    with pytest.raises(ValueError, match="steps must be a whole number"):
        views.progress([], steps, "points")
