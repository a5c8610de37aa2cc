import math

import pytest
import torch
from made_runs import MATRIX, FlatLook, step
from PIL import Image

from sdlearn.trace import Look, MatrixLook

LATENT = torch.randn(2, 4, 6, 4, generator=torch.Generator().manual_seed(1))


def test_xt_is_on_the_books_scale_in_both_spaces():
    """(x0 + sigma eps) / sqrt(1 + sigma^2) = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps."""
    x0, eps, alpha_bar = LATENT, LATENT.flip(0), 0.3
    sigma = math.sqrt((1 - alpha_bar) / alpha_bar)
    kept = step(alpha_bar=alpha_bar, sample=math.sqrt(0.3) * x0 + math.sqrt(0.7) * eps)
    held = step(alpha_bar=alpha_bar, sample=x0 + sigma * eps, sigma_space=True)
    assert held.sigma == kept.sigma == sigma
    torch.testing.assert_close(held.xt, kept.xt)
    assert kept.xt is kept.sample  # nothing is computed where nothing must be


def test_the_last_step_ends_without_noise():
    last = step(alpha_bar_next=1.0, sample_next=LATENT, sigma_space=True)
    assert last.sigma_next == 0 and torch.equal(last.x_next, LATENT)
    assert step(alpha_bar=0.0).sigma == math.inf


def test_pictures_come_from_the_look_one_at_a_time():
    look = FlatLook()
    one = step(sample=LATENT, x0=LATENT, eps=LATENT, look=look)
    assert isinstance(look, Look)
    one.image(picture=1)
    one.preview("eps")
    assert look.asked == [("image", (1, 4, 6, 4)), ("preview", (1, 4, 6, 4))]


def test_a_matrix_previews_without_a_model():
    latent = torch.zeros(1, 4, 2, 3)
    latent[0, 0] = 1  # red
    picture = MatrixLook(MATRIX).preview(latent)
    assert picture.size == (3, 2)
    assert picture.getpixel((0, 0)) == (255, 128, 115)
    assert MatrixLook(MATRIX[:4]).preview(latent[0]).getpixel((0, 0)) == (255, 128, 128)
    assert MatrixLook(MATRIX).preview(latent.to(torch.bfloat16)).size == (3, 2)


def test_a_picture_of_the_batch_shares_the_memory():
    one = step(sample=LATENT, x0=LATENT).of(1)
    assert one.sample.shape == (1, 4, 6, 4) and one.x0.data_ptr() == LATENT[1].data_ptr()
    assert one.eps is None


def test_a_step_shows_itself():
    shown = step(sample=LATENT, x0=LATENT, x0_derived=True, changes=("<b>cat</b> twice",))
    html = shown._repr_html_()
    assert "x0 computed" in html and "&lt;b&gt;cat" in html and "<img" not in html
    seen = step(sample=LATENT, x0=LATENT, look=MatrixLook(MATRIX))._repr_html_()
    assert 'alt="preview of xt at step 0"' in seen and "tensor" not in repr(shown)
    assert repr(shown) == (
        "Step(0: t 900, sigma 2 to 1, guidance_scale 7.5, recorded: sample, x0, "
        "changed: <b>cat</b> twice)"
    )


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda s: s.image("x_next"), r'record=\("latents"'),
        (lambda s: s.preview("eps_cond"), r'record=\("noise"'),
        (lambda s: s.image("eps"), "noise"),
        (lambda s: s.image("x1"), "'xt', 'x0', 'x_next'"),
        (lambda s: s.image("x0", picture=2), "Use 0 to 1"),
        (lambda s: s.image("x0", picture="a"), "whole number"),
        (lambda s: s.image("x0"), "no model"),
        (lambda s: s.of(5), "no picture 5"),
        (lambda s: step(sample=LATENT[0]), r"\[batch, C, h, w\]"),
        (lambda s: step(sample=LATENT, x0=LATENT[:1]), "one shape"),
        (lambda s: step(alpha_bar=1.5), "alpha_bar must be from 0 to 1"),
        (lambda s: MatrixLook().preview(LATENT), "Trace.load"),
        (lambda s: MatrixLook(MATRIX).image(LATENT), "model=model"),
        (lambda s: MatrixLook(MATRIX[:2]).preview(LATENT), "2 rows"),
        (lambda s: MatrixLook(torch.zeros(4)), r"\[C, 3\]"),
        (lambda s: MatrixLook([[1, 2, 3]]), "list"),
    ],
)
def test_a_wrong_question_is_explained(ask, says):
    with pytest.raises((ValueError, TypeError), match=says):
        ask(step(sample=LATENT, x0=LATENT))


def test_a_look_returns_pictures():
    assert isinstance(step(x0=LATENT, look=FlatLook()).image(), Image.Image)
