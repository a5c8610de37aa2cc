"""`views.matrix`: a table of numbers as a picture."""

import numpy as np
import pytest
import torch
from PIL import Image

from sdlearn import views

ALT = "a table of numbers"
VALUES = torch.tensor([[0.9, -0.4, 0.0], [-1.0, 1.0, -0.001]])


def texts_of(figure):
    (axis,) = figure.drawing.axes
    return [text.get_text() for text in axis.texts]


def test_every_number_stands_in_its_cell():
    figure = views.matrix(VALUES, ["a", "b"], ["c", "d", "e"], alt=ALT)
    assert texts_of(figure) == ["0.90", "-0.40", "0.00", "-1.00", "1.00", "0.00"]
    (axis,) = figure.drawing.axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["c", "d", "e"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
    assert texts_of(views.matrix(VALUES, ["a", "b"], ["c", "d", "e"], alt=ALT, form="")) == []


def test_numbers_can_be_told_from_their_cells():
    figure = views.matrix([[-1.0, 0.0, 1.0]], ["a"], ["b", "c", "d"], alt=ALT)
    (axis,) = figure.drawing.axes
    (shown,) = axis.images
    for text, value in zip(axis.texts, (-1.0, 0.0, 1.0), strict=True):
        cell = np.array(shown.cmap(shown.norm(value))[:3])
        ink = np.array([int(text.get_color()[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        grey = [0.299, 0.587, 0.114]
        assert abs(cell @ grey - ink @ grey) > 0.35


def test_pictures_can_head_the_rows_and_cells_be_outlined():
    pictures = [Image.new("RGB", (32, 32), "red"), torch.zeros(3, 16, 16)]
    figure = views.matrix(VALUES, pictures, ["c", "d", "e"], alt=ALT, outlined=[(0, 0), (1, 1)])
    (axis,) = figure.drawing.axes
    assert figure.pictures and len(axis.artists) == 2 and len(axis.patches) == 2
    assert len(figure.webp()) > 1000


@pytest.mark.parametrize("name", ["short", "a big red cat wearing a crown, on the grass"])
def test_nothing_is_drawn_beyond_the_paper(name):
    figure = views.matrix(np.eye(6), ["a row"] * 6, [name] * 6, alt=ALT, title="T", xlabel="x")
    figure.drawing.draw_without_rendering()
    (axis,) = figure.drawing.axes
    box = axis.get_tightbbox()
    width, height = figure.drawing.bbox.width, figure.drawing.bbox.height
    assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.zeros(3), np.zeros((0, 0))])
def test_another_shape_is_refused(values):
    with pytest.raises(ValueError, match="a row for each of 2 rows"):
        views.matrix(values, ["a", "b"], ["c", "d", "e"], alt=ALT)


def test_it_wants_a_description():
    with pytest.raises(ValueError, match="alt"):
        views.matrix(VALUES, ["a", "b"], ["c", "d", "e"], alt="")
