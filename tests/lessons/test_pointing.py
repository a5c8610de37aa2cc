"""The pointing game: what counts as a hit, and that pocket-sd15's words find their things."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import sdlearn as sd
from sdlearn.lessons import pointing
from sdlearn.trace import WordMap

THING = np.zeros((32, 32), dtype=bool)
THING[8:16, 16:24] = True  # one cell of a map of 4 x 4, and a sixteenth of the picture


def shot(row, column):
    values = torch.zeros(4, 4)
    values[row, column] = 1.0
    return pointing._shot("cat", "subject", map_of(values), THING)


def map_of(values):
    return WordMap("cat", ("rows", "columns"), (values,), steps=(0,), layers=())


def test_a_peak_on_the_thing_is_a_hit():
    on, off = shot(1, 2), shot(2, 1)
    assert (on.hit, on.inside, on.iou) == (True, 1.0, 1.0)
    assert (off.hit, off.inside, off.iou) == (False, 0.0, 0.0)
    assert on.share == off.share == pytest.approx(1 / 16)


def test_a_map_that_looks_everywhere_alike_is_chance():
    even = pointing._shot("cat", "subject", map_of(torch.ones(4, 4)), THING)
    assert even.inside == pytest.approx(even.share)


def test_words_look_where_their_things_are():
    subject, accessory = pointing.play(sd.load("pocket-sd15", device="cpu"), 12, steps=10)
    assert subject.role == "subject" and subject.count >= 12
    assert (
        subject.hits >= 0.75
    )  # of 300 pictures at least 0.9: `python -m sdlearn.lessons.pointing`
    assert subject.inside > 1.5 * subject.chance
    assert accessory.role == "accessory"


def test_a_model_that_does_not_draw_what_is_asked_is_given_up(monkeypatch):
    class Blank:
        interrupted = False

        def generate(self, prompts, **settings):
            images = [Image.new("RGB", (128, 128))] * len(prompts)
            return SimpleNamespace(images=images, interrupted=self.interrupted)

    monkeypatch.setattr(pointing, "PATIENCE", 20)
    with pytest.raises(ValueError, match="Only 0 of 20 pictures show what was asked"):
        pointing.play(Blank())
    Blank.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        pointing.play(Blank())


@pytest.mark.parametrize(("hits", "code"), [(0.95, 0), (0.85, 1)])
def test_it_says_when_it_misses_its_goal(hits, code, monkeypatch, capsys):
    scores = [pointing.Score(role, 10, hits, 0.5, 0.1, 0.4) for role in ("subject", "accessory")]
    monkeypatch.setattr(pointing, "play", lambda *_, **__: tuple(scores))
    monkeypatch.setattr("sys.argv", ["pointing"])
    assert pointing.main() == code
    assert ("the goal is 90% hits" in capsys.readouterr().out) == bool(code)
