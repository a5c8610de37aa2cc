"""The generation explorer in Python: pictures as asked, cancelled in time, nothing left behind."""

import gc
import io
import json
import threading
import warnings
import weakref

import numpy as np
import pytest
from PIL import Image

import sdlearn as sd
from sdlearn.stages.samplers import SAMPLERS
from sdlearn.views.widgets import generation, settings, widget
from sdlearn.views.widgets.working import Cancelled, Worker
from tests import tiny

PATIENCE = 60
GRID = {"guidance_scale": [1, 7.5], "seed": [0, 1, 2]}
PROMPT = "a red cat on the grass"


@pytest.fixture(scope="module")
def grown(model):
    """An explorer with a grid."""
    made = generation(model, PROMPT, steps=2, grid=GRID, judge=lambda _, prompt: f"of {prompt}")
    yield made
    made.close()


@pytest.fixture
def explorer(model):
    made = model.explore(PROMPT, steps=2)
    yield made
    made.close()


class Gate:
    """Holds each step of a model's runs until the test lets it go."""

    def __init__(self, explorer):
        self.steps, self.open = 0, threading.Semaphore(0)
        self.reached = threading.Semaphore(0)
        generate = explorer._model.generate

        def held(*given, on_step, **options):
            def on_held_step(step):
                self.steps += 1
                self.reached.release()
                assert self.open.acquire(timeout=PATIENCE)
                on_step(step)

            return generate(*given, on_step=on_held_step, **options)

        explorer._model.generate = held

    def until_a_step(self):
        assert self.reached.acquire(timeout=PATIENCE)

    def let_go(self, steps=1):
        for _ in range(steps):
            self.open.release()


def same(one, other):
    return np.array_equal(np.asarray(one), np.asarray(other))


def asked(explorer, what, **given):
    """What the page would be answered."""
    sent = []
    explorer.send = lambda content, buffers=None: sent.append(content)
    explorer._asked(explorer, {"ask": 1, "what": what, "given": given}, [])
    (answer,) = sent
    return answer


def test_the_picture_is_the_models_own(explorer, model):
    expected = model.generate(PROMPT, steps=2, guidance_scale=7.5, seed=0)
    assert same(explorer.image, expected.image)
    assert explorer.shown["sampler"] == expected.settings["sampler"]
    sent = Image.open(io.BytesIO(explorer.picture))
    assert sent.format == "WEBP" and sent.size == expected.image.size


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a dog"},
        {"negative_prompt": "grass"},
        {"guidance_scale": 2},
        {"sampler": "heun"},
        {"steps": 4},
        {"seed": 5},
    ],
)
def test_every_setting_reaches_the_model(explorer, model, change):
    explorer.draw(**change)
    assert explorer.wait(PATIENCE)
    settings = {"steps": 2, "guidance_scale": 7.5, "seed": 0, **change}
    expected = model.generate(settings.pop("prompt", PROMPT), **settings)
    assert same(explorer.image, expected.image)
    assert change.items() <= explorer.shown.items()
    assert explorer.settings == {name: explorer.shown[name] for name in explorer.settings}


def test_every_step_is_told_and_previewed(explorer):
    told = []
    explorer.observe(lambda change: told.append(change["new"]), "progress")
    explorer.draw(steps=3, seed=1)
    assert explorer.wait(PATIENCE)
    steps = [one["step"] for one in told if one["doing"] == "picture"]
    assert steps == list(range(1, steps[-1] + 1)) and len(steps) >= 3
    assert told[-1]["doing"] == "" and "Drawn in" in told[-1]["said"]
    assert explorer.preview == b""  # a page that opens later has no use for it


def test_a_newer_wish_cancels_the_older_between_two_steps(explorer, model):
    gate = Gate(explorer)
    explorer.draw(steps=20, seed=1)
    gate.until_a_step()
    explorer.draw(steps=2, seed=2)
    explorer.draw(steps=2, seed=3)
    gate.let_go(30)
    assert explorer.wait(PATIENCE)
    assert gate.steps <= 1 + 3  # one of the first, none of the second
    assert same(explorer.image, model.generate(PROMPT, steps=2, guidance_scale=7.5, seed=3).image)


def test_stop_keeps_the_picture_that_was_there(explorer):
    before, gate = explorer.picture, Gate(explorer)
    explorer.draw(steps=20, seed=1)
    gate.until_a_step()
    assert asked(explorer, "stop") == {"answer": 1}
    gate.let_go(30)
    assert not explorer.wait(PATIENCE)  # it is at rest, and did not come to its end
    assert gate.steps == 1
    assert explorer.picture == before
    assert explorer.progress == {"doing": "", "said": "Stopped.", "error": ""}


def test_the_kernels_thread_is_free_meanwhile(explorer):
    gate = Gate(explorer)
    explorer.draw(seed=1)  # returns at once, though the gate is shut
    gate.until_a_step()
    assert not explorer.wait(timeout=0)
    gate.let_go(30)
    assert explorer.wait(PATIENCE)


def test_a_run_in_a_cell_is_not_read_by_the_threads(model, explorer):
    """Hooks that read one model's attention must not hear the other thread's run."""
    alone = model.generate(PROMPT, steps=2, seed=4).attention["cat"].mean().values
    explorer.draw(steps=30, seed=9)
    beside = model.generate(PROMPT, steps=2, seed=4).attention["cat"].mean().values
    explorer.stop()
    assert not explorer.wait(PATIENCE)
    assert (alone == beside).all()
    assert explorer._model.parts.unet is not model.parts.unet
    weights = zip(
        explorer._model.parts.unet.parameters(), model.parts.unet.parameters(), strict=True
    )
    assert all(one.data_ptr() == other.data_ptr() for one, other in weights)  # in one memory


def test_a_grid_holds_the_picture_of_each_pair(grown, model):
    grid = json.loads(json.dumps(grown.grid))
    assert [axis["name"] for axis in grid["axes"]] == list(GRID)
    assert set(grid["settings"]) | set(GRID) == set(grown.settings)
    assert [cell["verdict"] for cell in grid["cells"]] == [f"of {PROMPT}"] * 6
    width, height = grid["size"]
    sheet = Image.open(io.BytesIO(grown.sheet))
    assert sheet.format == "WEBP" and sheet.size == (3 * width, 2 * height)
    for place in range(6):
        scale, seed = GRID["guidance_scale"][place // 3], GRID["seed"][place % 3]
        picture = model.generate(PROMPT, steps=2, guidance_scale=scale, seed=seed).image
        x, y = place % 3 * width, place // 3 * height
        shown = np.asarray(sheet.crop((x, y, x + width, y + height)), dtype=float)
        far = np.abs(shown - np.asarray(picture, dtype=float)).mean()
        assert far < 12, place  # WebP is not exact


def test_a_grid_grows_cell_by_cell_and_can_be_stopped(explorer):
    gate, counts = Gate(explorer), []
    explorer.observe(lambda c: counts.append(sum(x is not None for x in c["new"]["cells"])), "grid")
    explorer.fill({"seed": [1, 2, 3], "steps": [1]})
    for _ in range(2):
        gate.until_a_step()
        gate.let_go()
    gate.until_a_step()
    explorer.stop()
    gate.let_go(10)
    assert not explorer.wait(PATIENCE)
    assert counts == [0, 1, 2]
    assert [cell is None for cell in explorer.grid["cells"]] == [False, False, True]
    assert "a grid of 2 pictures" in explorer.said()
    assert explorer.figure() is not None  # with a hole in it


def test_the_page_types_a_grid(explorer):
    given = {"rows": "sampler", "row_values": "ddim, Euler a,", "columns": "steps"}
    assert asked(explorer, "fill", **given, column_values="1, 2") == {"answer": 1}
    assert explorer.wait(PATIENCE)
    values = {axis["name"]: axis["values"] for axis in explorer.grid["axes"]}
    assert values == {"sampler": ["ddim", "Euler a"], "steps": [1, 2]}
    assert settings.read("prompt", "a cat, red | a dog") == ["a cat, red", "a dog"]
    assert settings.read("guidance_scale", "1, 7.5") == [1.0, 7.5]


def test_a_grid_has_the_settings_that_the_page_shows(explorer):
    given = {"rows": "steps", "row_values": "1", "columns": "sampler", "column_values": "ddim"}
    shown = {**explorer.settings, "seed": 4, "guidance_scale": 3.0}
    assert asked(explorer, "fill", **given, settings=shown) == {"answer": 1}
    assert explorer.wait(PATIENCE)
    assert (explorer.grid["settings"]["seed"], explorer.settings["guidance_scale"]) == (4, 3.0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), ValueError("no")])
def test_whatever_goes_wrong_the_page_has_its_answer(explorer, error, monkeypatch):
    def fail(what, **given):
        raise error

    monkeypatch.setattr(explorer, "answer", fail)
    sent = []
    monkeypatch.setattr(explorer, "send", lambda content, buffers=None: sent.append(content))
    message = {"ask": 7, "what": "draw"}
    if isinstance(error, KeyboardInterrupt):  # the kernel hears of it, too
        with pytest.raises(KeyboardInterrupt):
            explorer._asked(explorer, message, [])
    else:
        explorer._asked(explorer, message, [])
    assert sent == [{"answer": 7, "error": str(error) or type(error).__name__}]


def test_where_widgets_cannot_run_there_is_a_figure(grown, explorer):
    for one, words in ((grown, "A grid of pictures for"), (explorer, "A picture for")):
        bundle = one._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        assert f'<img alt="{words}' in data["text/html"]
        assert PROMPT in data["text/plain"]


@pytest.mark.parametrize("prompt", ["$a$ <b>cat</b> $", "", "“quoted” \\frac{1}"])
def test_any_text_can_be_a_prompt(model, prompt):
    made = generation(model, prompt, steps=1, grid={"prompt": [prompt], "seed": [0]})
    bundle = made._repr_mimebundle_()
    assert "<b>cat" not in (bundle[0] if isinstance(bundle, tuple) else bundle)["text/html"]
    made.close()


def test_what_a_judge_says_and_what_it_chokes_on(model):
    told = generation(model, PROMPT, steps=1, judge=lambda picture, _: f"{picture.width} wide")
    assert told.shown["verdict"] == f"{told.image.width} wide"

    def chokes(picture, prompt):
        raise ValueError("no such world")

    choked = generation(model, PROMPT, steps=1, judge=chokes)
    assert choked.shown["verdict"] == "Not judged: no such world"


def test_the_runs_own_warnings_are_told(explorer):
    explorer.draw(prompt="a red cat " * 40)
    assert explorer.wait(PATIENCE)
    assert "never sees" in explorer.shown["notes"][0]


def test_a_negative_prompt_that_does_nothing_is_told_quietly(explorer, recwarn):
    explorer.draw(guidance_scale=1, negative_prompt="grass")
    assert explorer.wait(PATIENCE)
    assert "does nothing" in explorer.shown["notes"][0]
    assert not [one for one in recwarn if "negative" in str(one.message)]


def test_what_fails_on_the_thread_reaches_the_page_and_the_cell(explorer):
    def breaks(*given, **options):
        raise RuntimeError("out of everything")

    explorer._model.generate = breaks
    explorer.draw()
    with pytest.raises(RuntimeError, match="out of everything"):
        explorer.wait(PATIENCE)
    assert explorer.progress["error"] == "out of everything"


@pytest.mark.parametrize(
    ("what", "given", "said"),
    [
        ("draw", {"sampler": "eulr"}, "euler"),
        ("draw", {"steps": 0}, "steps must be from 1"),
        ("draw", {"seed": None}, "seed must be a whole number"),
        ("draw", {"colour": "red"}, "no setting 'colour'"),
        (
            "fill",
            {"rows": "seed", "row_values": "1, x", "columns": "steps", "column_values": "1"},
            "got 'x'",
        ),
        (
            "fill",
            {"rows": "seed", "row_values": "1", "columns": "seed", "column_values": "2"},
            "both seed",
        ),
        ("dance", {}, "answers no questions"),
    ],
)
def test_the_page_is_told_what_was_wrong(explorer, what, given, said):
    assert said in asked(explorer, what, **given)["error"]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"prompt": 3}, TypeError, "prompt must be one text"),
        ({"prompt": ["a cat", "a dog"]}, TypeError, "got a list"),
        ({"negative_prompt": None}, TypeError, "negative_prompt"),
        ({"guidance_scale": "high"}, TypeError, "must be a number"),
        ({"guidance_scale": float("nan")}, ValueError, "from 0 to 100"),
        ({"sampler": "dimm"}, ValueError, "ddim"),
        ({"samplers": "ddim"}, TypeError, "samplers must be names"),
        ({"samplers": ["dimm"]}, ValueError, "ddim"),
        ({"steps": 2.5}, TypeError, "whole number"),
        ({"steps": True}, TypeError, "whole number"),
        ({"seed": -1}, ValueError, "from 0"),
        ({"judge": "strict"}, TypeError, "judge must be a function"),
        ({"grid": [1, 2]}, TypeError, "two settings"),
        ({"grid": {"seed": [1]}}, TypeError, "got 1 settings"),
        ({"grid": {"seed": [1], "guidance": [2]}}, ValueError, "guidance_scale"),
        ({"grid": {"seed": [], "steps": [2]}}, ValueError, "empty"),
        ({"grid": {"seed": 3, "steps": [2]}}, TypeError, "must be a list"),
        ({"grid": {"seed": [1, 1], "steps": [2]}}, ValueError, "twice"),
        ({"grid": {"seed": list(range(13)), "steps": [1, 2, 3, 4, 5]}}, ValueError, "64 pictures"),
    ],
)
def test_bad_input_is_told_and_leaves_no_thread(model, given, error, said):
    with pytest.raises(error, match=said):
        generation(model, **{"prompt": PROMPT, "steps": 1, **given})
    assert not [one for one in threading.enumerate() if one.name == "sdlearn-draws"]


def test_all_samplers_on_offer_exist():
    assert set(settings.SAMPLERS) <= set(SAMPLERS)


def test_closed_it_leaves_nothing_behind():
    model = sd.wrap(tiny.pipeline("sd1"))
    made = model.explore(PROMPT, steps=2)
    weight = weakref.ref(next(model.parts.unet.parameters()))
    made.draw(steps=200)
    made.close()
    assert made._worker.join(PATIENCE)
    assert made.comm is None
    assert not [one for one in threading.enumerate() if one.name == "sdlearn-draws"]
    with pytest.raises(ValueError, match="closed"):
        made.draw()
    made.close()  # twice does no harm
    del model
    gc.collect()
    assert weight() is None


def test_a_cell_that_is_run_again_closes_what_it_made(model, monkeypatch):
    class Shell:
        run = "first"

        def get_parent(self):
            return {"metadata": {"cellId": "the cell"}, "header": {"msg_id": self.run}}

    shell = Shell()
    monkeypatch.setattr(widget, "get_ipython", lambda: shell)
    monkeypatch.setattr(widget, "_of_cells", {})
    trace = model.generate(PROMPT, steps=2)
    old = [model.explore(PROMPT, steps=1), trace.explore()]
    assert all(one.comm is not None for one in old)  # one run may make several
    shell.run = "second"
    new = model.explore(PROMPT, steps=1)
    assert all(one.comm is None for one in old) and old[0]._model is None
    assert new.comm is not None
    new.close()


def test_a_worker_does_the_newest_job_alone():
    done, begun, go_on, worker = [], threading.Event(), threading.Event(), Worker()

    def first(cancelled):
        begun.set()
        assert go_on.wait(PATIENCE)
        done.append(("first", cancelled.is_set()))

    worker.start(first)
    assert begun.wait(PATIENCE)
    worker.start(lambda cancelled: done.append(("second", cancelled.is_set())))
    worker.start(lambda cancelled: done.append(("third", cancelled.is_set())))
    assert worker.superseded
    go_on.set()
    assert worker.join(PATIENCE)
    assert done == [("first", True), ("third", False)]
    assert issubclass(Cancelled, Exception)


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_without_a_word_it_is_drawn_as_generate_draws_it(kind):
    model = sd.wrap(tiny.pipeline(kind))
    made = generation(model, PROMPT, steps=2, height=48)
    expected = model.generate(PROMPT, steps=2, height=48)
    assert made.settings["guidance_scale"] == expected.settings["guidance_scale"]
    assert same(made.image, expected.image)
    made.close()
    with pytest.raises(ValueError, match="height"):
        generation(model, PROMPT, height=50)


def test_a_sampler_that_was_asked_for_can_be_chosen_in_the_page(model):
    made = model.explore(PROMPT, steps=2, sampler="dpm2")
    assert made.settings["sampler"] == "dpm2" and "dpm2" in made.samplers
    made.draw(sampler="lms")
    made.fill({"sampler": ["dpmpp_2m_sde", "ddim"], "seed": [0, 1]})
    assert made.wait()
    assert {"lms", "dpmpp_2m_sde"} <= set(made.samplers)
    assert len(made.samplers) == len(set(made.samplers))
    made.close()


def test_drawing_beside_a_cell_leaves_its_warnings_alone(model):
    """Python's own way to hold warnings back is one for all threads."""
    held = warnings.filters[:], warnings._showwarnmsg_impl
    made = model.explore(PROMPT + ", and much more" * 40, steps=2)
    for seed in range(6):
        made.draw(seed=seed)
        model.generate(PROMPT, steps=2, record=("latents",))
        made.wait()
    assert (warnings.filters[:], warnings._showwarnmsg_impl) == held
    made.close()


def test_what_a_run_has_to_say_is_shown_in_the_page_alone(model):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = model.explore(PROMPT + ", and much more" * 40, steps=2)
    ours = [one for one in caught if issubclass(one.category, UserWarning)]
    assert ours == [] and any("77" in note or "75" in note for note in made.shown["notes"])
    made.close()
