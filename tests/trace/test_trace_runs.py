import math

import numpy as np
import pytest
import torch
from made_runs import FlatLook, attention, step, trace
from PIL import Image

from sdlearn.trace import Trace

HOSTILE = "<script>alert('x')</script> & \"quotes\" 🙂 </td>"


def test_a_trace_is_its_steps():
    run = trace(steps=5)
    assert len(run) == 5 and list(run) == list(run.steps) and run[2] is run.steps[2]
    assert run.image is run.images[0]
    assert run.recorded == ("latents", "noise", "attention")


def test_shared_memory_is_counted_once():
    run = trace(steps=5, attention=None)
    one = 4 * 8 * 12 * 4
    assert run.nbytes == (6 + 5 + 3 * 5) * one  # samples, x0, and three noises a step
    assert trace(steps=5, noise=False, attention=None).nbytes == (6 + 5) * one
    both = torch.zeros(2, 4, 2, 2)
    halves = step(eps_uncond=both[:1], eps_cond=both[1:])
    assert Trace(steps=[halves], latent=both[:1]).nbytes == both.nbytes


def test_one_picture_of_a_batch_is_a_whole_trace():
    run = trace("a cat", "a red dog")
    one = run.of(1)
    assert one.prompts == ("a red dog",) and one.settings["seed"] == 1
    assert one.image is run.images[1] and one.attention["dog"].peak()
    assert one.latent.data_ptr() == run.latent[1].data_ptr()
    assert torch.equal(one.steps[2].x0, run.steps[2].x0[1:])
    assert not one.of(0).diff(one)
    assert run.of(np.int64(1)).prompts == one.prompts


def test_one_picture_of_a_batch_says_what_draws_it_again():
    """A seed of its own, where it has one that draws it; else its place in the batch."""
    for settings, told in (
        ({"seed": [3, 4]}, {"seed": 4}),
        ({"seed": 3}, {"seed": 3, "picture": 1}),
        ({"seed": [3, 4], "kind": "image-to-image"}, {"seed": 4, "kind": "image-to-image"}),
        (
            {"seed": [3, 4], "kind": "inpainting"},
            {"seed": [3, 4], "kind": "inpainting", "picture": 1},
        ),
    ):
        one = trace("a cat", "a dog", settings=settings).of(1)
        assert one.settings == one.of(0).settings == told
    alone = trace("a cat", settings={"seed": [3], "kind": "inpainting"}).of(0)
    assert alone.settings == {"seed": 3, "kind": "inpainting"}


def test_what_is_missing_is_explained(monkeypatch):
    monkeypatch.setattr(Trace, "viewers", {})  # as if nobody had imported the views
    run = trace("a cat", "a dog", attention=None)
    with pytest.raises(ValueError, match=r"2 pictures.*trace\.images.*trace\.of\(0\)"):
        _ = run.image
    with pytest.raises(ValueError, match="recorded no attention"):
        _ = run.attention
    with pytest.raises(ValueError, match=r"interrupted.*to_image"):
        _ = trace(images=(), interrupted=True).image
    with pytest.raises(ValueError, match="no picture 2"):
        run.of(2)
    for draw in (run.plot, run.explore):
        with pytest.raises(ValueError, match=r"import sdlearn as sd; sd\.Trace"):
            draw()


def test_views_draw_what_they_registered(monkeypatch):
    monkeypatch.setitem(Trace.viewers, "plot", lambda run, **options: (run, options))
    run = trace()
    assert run.plot(rows=2) == (run, {"rows": 2})


def test_settings_are_json_from_the_beginning():
    run = trace(settings={"size": (8, 9), "scale": np.float32(0.5), "seed": torch.tensor(3)})
    assert run.settings == {"size": [8, 9], "scale": 0.5, "seed": 3}
    with pytest.raises(TypeError, match="settings"):
        trace(settings={"model": FlatLook()})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"latent": torch.zeros(4, 2, 2)}, r"\[pictures, C, h, w\]"),
        ({"latent": None}, "NoneType"),
        ({"prompts": ("a", "b")}, "prompts must hold one for each of the 1 pictures"),
        ({"images": [Image.new("RGB", (8, 8))] * 2}, "images"),
        ({"attention": attention("a", "b")}, "attention.tokens"),
        ({"preview_matrix": torch.zeros(3)}, "preview_matrix"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        trace(**changes)


def test_the_look_of_the_model_gives_its_matrix_to_the_trace():
    look = FlatLook()
    look.matrix = torch.ones(5, 3)
    run = trace(preview_matrix=None, look=look)
    assert run.steps[0].look is look and torch.equal(run.preview_matrix, look.matrix)


def test_hostile_texts_stay_texts():
    run = trace(
        HOSTILE,
        negative_prompts=(HOSTILE,),
        settings={HOSTILE: HOSTILE, "model": HOSTILE, "list": [HOSTILE]},
        warnings=[HOSTILE],
        steps=3,
    )
    pages = [run._repr_html_(), run.diff(trace("a cat"))._repr_html_()]
    pages += [run.attention._repr_html_(), run.attention["script"]._repr_html_()]
    for page in pages:
        assert "<script" not in page and "'x'" not in page and 'alt="">' not in page
        assert page.count("<td") == page.count("</td>")
    assert pages[0].count("&lt;script&gt;") >= 5 and "🙂" in pages[0]
    assert "background:#" not in "".join(pages) and "color:#" not in "".join(pages)


def test_a_trace_shows_its_picture_steps_words_and_settings():
    page = trace()._repr_html_()
    for part in ("preview of x0 at step 3", "attention map of cat", "guess", "ddim", "made-up"):
        assert part in page
    assert page.count("data:image/webp;base64,") == page.count("<img") == 1 + 4 + 5
    several = trace("a cat", "a dog", interrupted=True)._repr_html_()
    assert "after 4 steps" in several and several.count("picture of the prompt") == 2
    bare = Trace(steps=[step()], latent=torch.zeros(1, 4, 2, 2))._repr_html_()
    assert "<img" not in bare and "nothing" in bare


def test_a_book_of_a_prompt_is_shown_in_short():
    run = trace("cat " * 10_000)
    assert len(run._repr_html_()) < 100_000 and len(repr(run)) < 200


def test_changes_are_gathered():
    run = Trace(
        steps=[step(0), step(1, changes=("cat x 2", "guidance 3"))], latent=torch.zeros(1, 4, 2, 2)
    )
    assert run.changes == ("step 1: cat x 2", "step 1: guidance 3")
    assert "cat x 2" in run._repr_html_()


def test_numbers_that_are_none_are_a_difference():
    run = trace()
    first, *rest = run.steps
    lost = [type(s)(**{**vars(s), "sample": s.sample * math.nan}) for s in rest]
    broken = Trace(steps=[first, *lost], latent=run.latent, prompts=run.prompts)
    apart = run.diff(broken)
    assert apart and apart.first == 1 and apart.steps[1]["xt"].greatest == math.inf
    assert "nan" not in apart._repr_html_()
    assert broken.diff(broken).first is None


def test_equal_runs_do_not_differ():
    difference = trace().diff(trace())
    assert not difference and difference.first is None and difference.psnr == (math.inf,)
    assert "The same run" in str(difference) and "The same run" in difference._repr_html_()


def test_where_two_runs_part_ways():
    ours, theirs = trace(steps=6), trace(steps=6)
    steps = list(theirs.steps)
    for i in (3, 4, 5):
        changed = {"sample_next": steps[i].sample_next + 0.5}
        changed |= {"sample": steps[i].sample + 0.5} if i > 3 else {}
        steps[i] = type(steps[i])(**{**vars(steps[i]), **changed})
    bright = [Image.new("RGB", (96, 64), (0, 100, 210))]
    theirs = trace(steps=6)
    theirs = Trace(
        steps=steps,
        latent=theirs.latent + 0.5,
        images=bright,
        prompts=theirs.prompts,
        negative_prompts=theirs.negative_prompts,
        settings={**theirs.settings, "sampler": "euler"},
    )
    difference = ours.diff(theirs)
    assert difference and difference.first == 3
    assert difference.settings == {"sampler": ("ddim", "euler")}
    assert [step["xt"].greatest for step in difference.steps] == pytest.approx(
        [0, 0, 0, 0, 0.5, 0.5]
    )
    assert difference.latent.rms == pytest.approx(0.5)
    assert difference.psnr[0] == pytest.approx(10 * math.log10(255**2 / (100 / 3)))
    assert "part ways at step 3" in str(difference) and "dB" in difference._repr_html_()


def test_runs_of_other_length_and_size_are_compared_as_far_as_they_go():
    shorter = trace().diff(trace(steps=3))
    assert len(shorter.steps) == 3 and "4 steps, the other 3" in shorter.notes[0]
    small = Trace(steps=[], latent=torch.zeros(1, 4, 2, 2), images=[Image.new("RGB", (16, 16))])
    difference = trace().diff(small)
    assert difference.latent is None and difference.psnr == (None,)
    assert "different shapes" in str(difference) and difference._repr_html_()
    with pytest.raises(TypeError, match="two traces"):
        trace().diff("run.safetensors")
