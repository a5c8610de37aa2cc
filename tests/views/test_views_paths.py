"""Paths through the plane: what is drawn, and what is refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from sdlearn import views


def drawn(figure: views.Figure) -> np.ndarray:
    """What a reader sees, as an array."""
    return np.asarray(Image.open(io.BytesIO(figure.webp())).convert("RGB")).astype(float)


def walk(count: int = 3, stations: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, stations, 2, generator=generator)


def test_every_path_is_drawn_from_its_start_to_its_end():
    (axis,) = views.paths([walk()], alt="three paths in the plane").drawing.axes
    lines = [line.get_xydata() for line in axis.lines]
    for path in walk().numpy():
        assert any(line.shape == path.shape and np.allclose(line, path) for line in lines)
        assert any(line.shape == (1, 2) and np.allclose(line, path[-1:]) for line in lines)
    assert any(np.allclose(line, walk()[:, 0].numpy()) for line in lines if line.shape == (3, 2))


def test_panels_stand_side_by_side_under_their_titles():
    drawing = views.paths([walk(), walk()], ["left", "right"], alt="two panels of paths").drawing
    assert [axis.get_title() for axis in drawing.axes] == ["left", "right"]
    assert len({axis.get_position().y0 for axis in drawing.axes}) == 1


def test_ring_and_dot_are_explained():
    drawing = views.paths([walk()], alt="three paths in the plane").drawing
    assert [text.get_text() for text in drawing.legends[0].get_texts()] == ["start", "end"]


def test_points_behind_the_paths_are_seen():
    crowd = torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    alt = "paths before a faint crowd"
    plain, crowded = (drawn(views.paths([walk()], alt=alt, behind=b)) for b in (None, crowd))
    assert np.any(plain != crowded, axis=-1).mean() > 0.002


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([],), "panels"),
        (([torch.randn(5, 2)],), "shape"),
        (([torch.randn(5, 4, 3)],), "shape"),
        (([torch.randn(0, 4, 2)],), "shape"),
        (([walk()], ["a", "b"]), "titles"),
    ],
)
def test_what_is_no_path_is_refused(arguments, named):
    with pytest.raises(ValueError, match=named):
        views.paths(*arguments, alt="some paths here")


def test_a_figure_of_paths_without_a_description_is_refused():
    with pytest.raises(ValueError, match="alt"):
        views.paths([walk()], alt="")
