"""The mixture playground in a page: its samplers are the library's, and every control tells."""

import hashlib
import json
import math

import pytest
import torch

from sdlearn.equations import guidance, mixtures, schedules
from sdlearn.equations.loops import Run
from sdlearn.equations.trajectories import SAMPLERS, trajectory
from sdlearn.views import widgets
from sdlearn.views.widgets.mixture import DRAWN
from sdlearn.views.widgets.mixture import SAMPLERS as OFFERED
from sdlearn.views.widgets.widget import source
from tests.browsing import as_kept, open_alive, write_pages
from tests.played import play

NOISE = schedules.NoiseSchedule.scaled_linear()
HOSTILE = "<b onclick=alert(1)>cats</b>"


def two_named(name):
    """Two groups, of which one is called so."""
    flat = mixtures.two_peaks(dims=2)
    return mixtures.Mixture(flat.means, flat.stds, flat.weights, flat.labels, (name, "dogs"))


@pytest.fixture(scope="module")
def shown():
    """The widgets of the pages, to look up in Python what the page was given."""
    full = widgets.mixture(steps=4)
    full.spots = [[math.cos(i), math.sin(i), 0.1, 1.0, 0] for i in range(160)]
    full.names, full.world = ["blue"], DRAWN
    return {
        "full": full,
        "plain": widgets.mixture(steps=12),
        "guided": widgets.mixture("letters", group="letter S", guidance_scale=3.0, steps=9),
        "two": widgets.mixture(mixtures.ring(8), steps=8, other="euler"),
        "uneven": widgets.mixture("two moons", steps=20, other={"sampler": "heun", "steps": 5}),
        "hostile": widgets.mixture(two_named(HOSTILE)),
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory, shown):
    """A page for each of them, and one with two playgrounds."""
    folder = write_pages(tmp_path_factory.mktemp("site"), shown)
    one, other = (folder / "plain.html").read_text(), (folder / "guided.html").read_text()
    body = other.split("<h1>A page</h1>")[1].split("</main>")[0]
    (folder / "both.html").write_text(one.replace("</main>", f"{body}</main>"))
    return folder


@pytest.fixture
def page(opened, site):
    return lambda name, **options: open_alive(opened, site, name, **options)


def runs(page, number=0):
    """What the page has worked out: for each side its stations, noises and points."""
    return page.evaluate(
        """number => document.querySelectorAll('.sd-mixture')[number].runs().map(run => ({
            ...run.side, calls: run.calls, alphaBars: [...run.alphaBars],
            noises: run.noises.map(one => [...one]), stops: run.stops.map(one => [...one]),
        }))""",
        number,
    )


def points(flat):
    return torch.tensor(flat, dtype=torch.float64).view(-1, 2)


def pixels(page, number=0):
    """A digest of what a plane shows."""
    url = page.evaluate("n => document.querySelectorAll('canvas')[n].toDataURL()", number)
    return hashlib.sha256(url.encode()).hexdigest()


def drag(page, label, value, number=0):
    page.get_by_label(label, exact=True).nth(number).evaluate(
        "(slider, to) => {slider.value = to; slider.dispatchEvent(new Event('input'))}", value
    )


def settle(page):
    """Wait for the points and the error that come when nothing is dragged."""
    page.wait_for_function(
        "![...document.querySelectorAll('[data-number]')].some(one => one.textContent === '…')"
    )


def number(page, key, side=0):
    settle(page)
    told = page.locator(f"[data-number={key}]").nth(side).inner_text()
    return float(told.split()[0].rstrip("%"))


def answer(widget, group="", scale=1.0):
    """The library's own network for what a playground shows."""
    world = mixtures.Mixture(**widget.components())

    def predict(xt, t, alpha_bar):
        uncond = world.eps(xt, alpha_bar)
        if not group:
            return uncond
        return guidance.classifier_free_guidance(
            uncond, world.given(group).eps(xt, alpha_bar), scale
        )

    return predict


class Told(Run):
    """A run whose noise is the page's."""

    noises = iter(())

    def draw(self, xt):
        return next(self.noises)


def in_python(run, predict, schedule):
    """The same run by the library: the points after every step."""
    told = Told(predict, schedule, "eps", None, None)
    told.noises = (points(noise) for noise in run["noises"])
    steps = list(SAMPLERS[run["sampler"]].loop(told, points(run["stops"][0])))
    return [step.x_next for step in steps], sum(step.calls for step in steps)


# --- it is right -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schedule", [NOISE, schedules.NoiseSchedule.cosine()], ids=lambda s: s.name
)
def test_its_samplers_are_the_librarys(page, shown, schedule):
    live = page("guided")
    live.get_by_label("Schedule", exact=True).select_option(schedule.name)
    plan = schedule.spaced(9, "trailing")
    for sampler in OFFERED:
        live.get_by_label("Sampler", exact=True).select_option(sampler)
        (run,) = runs(live)
        assert run["sampler"] == sampler
        expected, calls = in_python(run, answer(shown["guided"], "letter S", 3.0), plan)
        assert len(run["stops"]) == 10 and len(run["stops"][0]) == 600
        for stop, truth in zip(run["stops"][1:], expected, strict=True):
            torch.testing.assert_close(points(stop), truth, rtol=1e-8, atol=1e-8)
        assert run["calls"] == 2 * calls  # with the group, and without


def test_its_stations_are_the_librarys(page):
    live = page("plain")
    for steps in (7, 16):  # thirds, and halves that Python rounds to the even number
        drag(live, "Steps", steps)
        plans = {
            "trailing": NOISE.spaced(steps, "trailing"),
            "leading": NOISE.spaced(steps, "leading"),
            "linspace": NOISE.spaced(steps, "linspace"),
            "karras": NOISE.spaced(steps, "linspace", sigmas="karras"),
        }
        for spacing, plan in plans.items():
            live.get_by_label("Stations", exact=True).select_option(spacing)
            found = torch.tensor(runs(live)[0]["alphaBars"], dtype=torch.float64)
            torch.testing.assert_close(found, plan.alpha_bars, rtol=1e-9, atol=0)


def test_the_error_is_the_distance_to_many_steps(page, shown):
    live = page("plain")
    (run,) = runs(live)
    start = points(run["stops"][0])[:36]
    every = NOISE.spaced(1000, "trailing")
    *_, last = trajectory(answer(shown["plain"]), start, every, "heun")
    off = (points(run["stops"][-1])[:36] - last.x_next).norm(dim=1).mean()
    assert number(live, "error") == pytest.approx(float(off), abs=6e-4)


def test_paths_are_measured(page):
    live = page("plain")
    stops = torch.stack([points(stop) for stop in runs(live)[0]["stops"]])
    length = stops.diff(dim=0).norm(dim=2).sum(0).mean()
    straight = (stops[-1] - stops[0]).norm(dim=1).mean()
    assert number(live, "bend") == pytest.approx(float(length / straight), abs=6e-3)
    drag(live, "Steps", 1)
    assert number(live, "bend") == 1


def test_the_distance_falls_with_the_steps_to_that_of_exact_draws(page):
    live = page("uneven")
    live.get_by_role("button", name="Compare").click()
    live.get_by_label("Sampler", exact=True).select_option("ddim")
    seen = []
    for steps in (2, 5, 50):
        drag(live, "Steps", steps)
        seen.append(number(live, "distance"))
    assert seen[0] > 2 * seen[1] > 2 * seen[2]
    exact = float(live.get_by_text("exact draws").inner_text().split()[-1])
    assert seen[2] < 2.5 * exact


def test_the_score_is_counted(page):
    live = page("plain")
    assert number(live, "calls") == 12
    live.get_by_label("Sampler", exact=True).select_option("heun")
    assert number(live, "calls") == 23  # the last step has no noise to ask about
    live.get_by_label("Guide towards", exact=True).select_option("dogs")
    assert number(live, "calls") == 46


def test_ddim_is_euler_and_heun_is_not(page):
    live = page("two")
    said = live.locator(".sd-told")
    assert "end 0.000 apart" in said.inner_text()
    live.get_by_label("Sampler", exact=True).nth(1).select_option("heun")
    assert "end 0.000 apart" not in said.inner_text()


# --- every control tells ---------------------------------------------------------------------


def test_it_takes_the_figures_place_and_waits_for_no_training(page):
    live = page("plain")
    assert "the figure" not in live.inner_text("body")
    assert "step 12 of 12" in live.locator(".sd-read output").first.inner_text()
    assert "nothing is trained" in live.inner_text("body")


def test_every_step_is_another_picture(page):
    live, seen = page("plain"), set()
    for place in range(13):
        drag(live, "Step", place)
        assert f"step {place} of 12" in live.locator(".sd-read output").first.inner_text()
        seen.add(pixels(live))
    assert len(seen) == 13


def test_two_sides_move_in_step(page):
    live = page("uneven")
    drag(live, "Step", 8)
    told = live.locator(".sd-read > output").all_inner_texts()
    assert [text.split(" ·")[0] for text in told] == ["step 8 of 20", "step 2 of 5"]
    before = pixels(live, 0)
    drag(live, "Steps", 7, number=1)
    assert pixels(live, 0) == before, "the second side's setting is its own"


def test_every_mixture_flows(page):
    live, seen = page("plain"), set()
    names = live.get_by_label("Mixture", exact=True).evaluate(
        "one => [...one.options].map(o => o.value)"
    )
    assert names == [*[world["name"] for world in widgets.mixture().worlds], DRAWN]
    for name in names[:-1]:
        live.get_by_label("Mixture", exact=True).select_option(name)
        ends = points(runs(live)[0]["stops"][-1])
        assert bool(torch.isfinite(ends).all()) and float(ends.abs().max()) < 4
        seen.add(pixels(live))
    assert len(seen) == len(names) - 1


def test_guidance_goes_towards_the_group(page):
    live = page("plain")
    assert live.get_by_label("Guidance", exact=True).is_disabled()
    free = runs(live)[0]["stops"][-1]
    live.get_by_label("Guide towards", exact=True).select_option("cats")
    hits = []
    for scale in (0, 1, 4):
        drag(live, "Guidance", scale)
        hits.append(number(live, "hit"))
        if scale == 0:
            off = (points(runs(live)[0]["stops"][-1]) - points(free)).abs().max()
            assert float(off) < 1e-12, "a scale of 0 ignores the group"
    assert hits[0] < 50 and hits[1] > 85 and hits[2] == 100


@pytest.mark.parametrize(("control", "value"), [("Schedule", "cosine"), ("Stations", "leading")])
def test_the_stations_can_be_moved(page, control, value):
    live = page("plain")
    before = runs(live)[0]["alphaBars"]
    live.get_by_label(control, exact=True).select_option(value)
    assert runs(live)[0]["alphaBars"] != before


def test_other_noise_is_other_points(page):
    live = page("plain")
    first = runs(live)[0]["stops"][0]
    drag(live, "Noise", 3)
    assert runs(live)[0]["stops"][0] != first
    drag(live, "Noise", 0)
    assert runs(live)[0]["stops"][0] == first


def test_the_starting_noise_is_standard_normal(page):
    start = points(runs(page("plain"))[0]["stops"][0])
    assert float(start.mean(0).abs().max()) < 0.2
    assert float((start.T.cov() - torch.eye(2)).abs().max()) < 0.25


@pytest.mark.parametrize("layer", ["density", "score, as arrows", "paths"])
def test_layers_come_and_go(page, layer):
    live = page("plain")
    before = pixels(live)
    tick = live.get_by_label(layer, exact=True)
    tick.click()
    assert pixels(live) != before
    tick.click()
    assert pixels(live) == before


def test_a_point_can_be_followed_and_the_score_read(page):
    live = page("plain")
    before = pixels(live)
    live.locator("canvas").focus()
    live.keyboard.press("ArrowUp")
    read = live.locator(".sd-read").inner_text()
    assert "at (0.00, 0.20) the score is" in read and "following point" in read
    assert pixels(live) != before


def test_what_a_finger_pointed_at_can_still_be_read(page):
    live = page("plain")
    where = {"clientX": 200, "clientY": 300, "pointerId": 5, "bubbles": True}
    for kind, stays in (("touch", True), ("mouse", False)):
        for event in ("pointermove", "pointerleave"):
            live.locator("canvas").dispatch_event(event, {**where, "pointerType": kind})
        assert ("the score is" in live.locator(".sd-read").inner_text()) is stays


def test_a_seed_from_python_has_a_place_on_its_slider(page):
    live = play(page("plain"), widgets.mixture(seed=1234))
    seed = live.get_by_role("slider", name="Noise")
    assert seed.input_value() == "1234"
    seed.press("ArrowLeft")
    assert seed.input_value() == "1233"


def test_the_score_that_is_read_is_the_librarys(page, shown):
    live = page("plain")
    drag(live, "Step", 6)
    live.locator("canvas").focus()
    for key in ("ArrowUp", "ArrowRight"):
        live.keyboard.press(key)
    told = live.locator(".sd-read").inner_text().split("the score is (")[1].split(")")[0]
    world = mixtures.Mixture(**shown["plain"].components())
    alpha_bar = runs(live)[0]["alphaBars"][6]
    truth = world.score(torch.tensor([0.2, 0.2], dtype=torch.float64), alpha_bar)
    assert [float(one) for one in told.split(",")] == pytest.approx(truth.tolist(), abs=6e-3)


def test_it_plays_to_the_end_and_stops(page):
    live = page("plain")
    assert "step 12 of 12" in live.locator(".sd-read output").first.inner_text()  # not by itself
    live.get_by_role("button", name="Play").click()
    live.wait_for_function(
        "document.querySelector('.sd-read output').textContent.match(/step [1-9] /)"
    )
    assert live.get_by_role("button", name="Pause").count() == 1
    live.wait_for_function(
        "document.querySelector('.sd-read output').textContent.startsWith('step 12')"
        " && document.querySelector('.sd-mixture').textContent.includes('▶ Play')"
    )


# --- drawing ---------------------------------------------------------------------------------


def stroke(page, *places):
    """Draw a line through places of the plane, given as shares of its side."""
    canvas = page.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*at[0])
    page.mouse.down()
    for place in at[1:]:
        page.mouse.move(*place, steps=10)
    page.mouse.up()


def spots(page):
    return int(page.locator(".sd-told").inner_text().split()[0])


def test_one_draws_with_the_mouse_and_the_points_go_there(page):
    live = page("plain")
    live.get_by_role("button", name="Draw").click()
    live.get_by_role("button", name="Clear").click()
    assert spots(live) == 0 and "Nothing is drawn yet" in live.inner_text("body")
    assert live.get_by_label("Mixture", exact=True).input_value() == DRAWN
    stroke(live, (0.2, 0.3), (0.45, 0.3))
    assert spots(live) > 3
    ends = points(runs(live)[0]["stops"][-1])
    middle = ends.mean(0)
    assert -1.6 < float(middle[0]) < -0.3 and 0.8 < float(middle[1]) < 1.5
    live.get_by_label("Group", exact=True).select_option("1")
    stroke(live, (0.8, 0.8))
    names = live.get_by_label("Guide towards", exact=True).evaluate(
        "one => [...one.options].map(o => o.value)"
    )
    assert names == ["", "blue", "orange"]
    live.get_by_label("Guide towards", exact=True).select_option("orange")
    ends = points(runs(live)[0]["stops"][-1])
    assert float(ends[:, 0].min()) > 0.8 and float(ends[:, 1].max()) < -0.8


def test_a_stroke_is_erased_and_taken_back(page):
    live = page("plain")
    live.get_by_role("button", name="Draw").click()
    stroke(live, (0.1, 0.1), (0.3, 0.1))
    drawn = spots(live)
    assert drawn > 3 + 2, "painting on a mixture adds to it"
    live.get_by_role("button", name="Erase").click()
    stroke(live, (0.1, 0.1), (0.3, 0.1))
    assert spots(live) == 3
    undo = live.get_by_role("button", name="Undo")
    undo.click()
    assert spots(live) == drawn
    undo.click()
    assert (
        spots(live) == 3
        and live.get_by_label("Mixture", exact=True).input_value() == "three groups"
    )
    assert undo.is_disabled()


def test_the_size_of_a_spot_matters(page):
    live, ends = page("plain"), []
    live.get_by_role("button", name="Draw").click()
    for size in (0.05, 0.6):
        live.get_by_role("button", name="Clear").click()
        drag(live, "Size", size)
        stroke(live, (0.5, 0.5))
        ends.append(float(points(runs(live)[0]["stops"][-1]).std(0).mean()))
    assert ends[0] < 0.1 and ends[1] > 0.4


def test_one_draws_with_the_keyboard(page):
    live = page("plain")
    canvas = live.locator("canvas")
    canvas.focus()
    live.keyboard.press("Enter")
    assert spots(live) == 3, "keys paint only while Draw is pressed"
    live.get_by_role("button", name="Draw").press("Enter")
    canvas.focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp", "Enter"):
        live.keyboard.press(key)
    assert spots(live) == 4
    status = live.locator(".sd-status")
    assert status.inner_text() == "Spot added at -0.40, 0.20: 4 spots."
    assert live.get_by_label("Mixture", exact=True).input_value() == DRAWN
    live.keyboard.press("Delete")
    assert status.inner_text() == "Spot taken away at -0.40, 0.20: 3 spots."


def test_a_full_drawing_says_so(page):
    live = page("full")
    live.get_by_role("button", name="Draw").click()
    live.locator("canvas").focus()
    live.keyboard.press("Enter")
    assert spots(live) == 160
    assert "up to 160 spots" in live.locator(".sd-status").inner_text()
    live.keyboard.press("Delete")
    live.keyboard.press("Enter")
    assert spots(live) == 160 and "Spot added" in live.locator(".sd-status").inner_text()


# --- it is a good neighbour ------------------------------------------------------------------


def test_an_answer_comes_within_the_very_same_task(page):
    changed = page("plain").evaluate(
        """() => {
            const canvas = document.querySelector('canvas');
            const before = canvas.toDataURL();
            const steps = document.querySelector('.sd-set input');
            steps.value = 3;
            steps.dispatchEvent(new Event('input'));
            return canvas.toDataURL() !== before;
        }"""
    )
    assert changed


def test_a_heavy_run_is_thinned_while_it_is_dragged_and_then_whole(page):
    live = page("guided")
    live.get_by_label("Sampler", exact=True).select_option("heun")
    seen = live.evaluate(
        """() => {
            const steps = document.querySelector('.sd-set input');
            steps.value = 100;
            steps.dispatchEvent(new Event('input'));
            return document.querySelector('.sd-mixture').runs()[0].stops[0].length / 2;
        }"""
    )
    assert 36 <= seen < 300
    settle(live)
    assert len(runs(live)[0]["stops"][0]) == 600


def test_two_on_a_page_do_not_disturb_one_another(opened, site):
    live = open_alive(opened, site, "both")
    live.wait_for_function("document.querySelectorAll('[data-alive=yes]').length === 2")
    settle(live)
    before = pixels(live, 1), runs(live, 1)
    first = live.locator(".sd-mixture").first
    first.get_by_label("Mixture", exact=True).select_option("spiral")
    first.get_by_role("button", name="Draw").click()
    stroke(live, (0.3, 0.3), (0.6, 0.3))
    assert (pixels(live, 1), runs(live, 1)) == before
    assert live.get_by_role("button", name="Draw").nth(1).get_attribute("aria-pressed") == "false"


@pytest.fixture
def alone(opened, tmp_path, shown):
    """The widget as a notebook runs it: a module of its own, and a model that is listened to."""
    kept = as_kept(shown["uneven"])
    state = {name: value for name, value in kept["state"].items() if name[0] != "_"}
    script = source("mixture", "js").replace("export default {", "const widget = {")
    (tmp_path / "alone.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Alone</title><main></main>'
        f"<script type=module>\n{script}\nconst state = {json.dumps(state)};"
        f'const data = atob("{kept["buffers"][0]["data"]}");'
        """
        state.blob = new DataView(Uint8Array.from(data, (one) => one.charCodeAt(0)).buffer);
        window.state = state;
        window.heard = new Map();
        const model = {
          get: (name) => state[name],
          set: (name, value) => {
            const before = JSON.stringify(state[name]);
            state[name] = value;
            if (JSON.stringify(value) !== before) heard.get(`change:${name}`)?.();
          },
          save_changes() {},
          on: (name, call) => heard.set(name, call), off: (name) => heard.delete(name),
        };
        window.closeIt = widget.render({ model, el: document.querySelector("main") });
        </script></html>""",
        encoding="utf-8",
    )
    live = opened((tmp_path / "alone.html").as_uri())
    live.wait_for_selector(".sd-mixture")
    return live


def test_closing_it_stops_everything(alone):
    assert alone.evaluate("heard.size") > 0
    alone.get_by_role("button", name="Play").click()
    alone.evaluate("closeIt()")
    stood, error = pixels(alone), alone.locator("[data-number=error]").first.inner_text()
    alone.wait_for_timeout(700)
    assert pixels(alone) == stood
    assert alone.locator("[data-number=error]").first.inner_text() == error
    assert alone.evaluate("heard.size") == 0


def test_python_is_told_and_can_tell(alone):
    drag(alone, "Steps", 7, number=1)
    alone.get_by_role("button", name="Draw").click()
    stroke(alone, (0.1, 0.1))
    kept = alone.evaluate("state")
    assert [side["steps"] for side in kept["sides"]] == [20, 7]
    assert kept["world"] == DRAWN and len(kept["spots"]) == spots(alone) == 45
    assert alone.get_by_label("Mixture", exact=True).input_value() == DRAWN
    alone.evaluate(
        "state.sides = [{sampler: 'ddpm', steps: 3, guidance_scale: 1}]; state.world = 'spiral'"
    )
    alone.evaluate("heard.get('change:sides')()")
    assert alone.locator("canvas").count() == 1
    assert "step 3 of 3" in alone.locator(".sd-read output").first.inner_text()
    assert alone.get_by_label("Mixture", exact=True).input_value() == "spiral"


def test_the_numbers_stay_while_one_only_takes_up_the_brush(page):
    live = page("plain")
    before = number(live, "error")
    live.get_by_role("button", name="Draw").click()
    drag(live, "Size", 0.3)
    assert number(live, "error") == before


def test_a_name_with_html_in_it_is_text(page):
    live = page("hostile")
    live.get_by_label("Guide towards", exact=True).select_option(HOSTILE)
    live.get_by_role("button", name="Draw").click()
    assert live.locator("main b").count() == 0
    assert HOSTILE in live.locator(".sd-legend").inner_text()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(page, width):
    live = page("uneven", width=width)
    live.get_by_role("button", name="Draw").click()
    assert live.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_plane_takes_the_pages_colour(page, scheme):
    live = page("plain", scheme=scheme)
    live.get_by_label("density", exact=True).uncheck()
    live.get_by_label("paths", exact=True).uncheck()
    corner = live.evaluate(
        "[...document.querySelector('canvas').getContext('2d').getImageData(2, 2, 1, 1).data]"
    )
    assert corner == [0, 0, 0, 0]


def test_everything_is_labelled(page):
    live = page("uneven")
    live.get_by_role("button", name="Draw").click()
    bare = live.evaluate(
        """[...document.querySelectorAll('.sd-mixture :is(input, select, button)')]
           .filter(one => !(one.labels?.[0] ?? one).textContent.trim()).length"""
    )
    assert bare == 0
    said = live.locator("canvas").first.get_attribute("aria-label")
    assert "300 points after 20 of 20 steps of DDIM" in said and "Enter paints" in said
