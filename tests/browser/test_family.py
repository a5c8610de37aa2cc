"""The family explorer in a page of the book: models in step, words, prompts, on any screen."""

import hashlib
import json
import math
import re

import numpy as np
import pytest

import sdlearn as sd
from sdlearn.views.widgets import family
from tests import tiny
from tests.browsing import every_control_is_named, open_alive, write_pages
from tests.played import play

HOSTILE = "a <b onclick=alert(1)>red</b> cat, <script>document.title='broken'</script>"
PROMPTS = ["a red cat on the grass", "a red cat on the beach"]
STEPS = {"first": 4, "second": 6, "xl": 9}


@pytest.fixture(scope="module")
def widgets():
    """Three models and two prompts; and one whose name and prompt are hostile, without noise."""
    kinds = {"first": "sd1", "second": "sd2-v", "xl": "sdxl"}
    models = {name: sd.wrap(tiny.pipeline(kind)) for name, kind in kinds.items()}
    anatomies = {name: model.anatomy() for name, model in models.items()}
    runs = {
        name: [model.generate(prompt, steps=STEPS[name], seed=3) for prompt in PROMPTS]
        for name, model in models.items()
    }
    runs["second"][1] = models["second"].generate(
        PROMPTS[1], steps=6, seed=3, record=("latents", "noise")
    )
    hostile = {
        name: models["first"].generate(HOSTILE, steps=2, record=("latents", "attention"))
        for name in (HOSTILE, *"234")
    }
    return {
        "three": family(runs, anatomies),
        "hostile": family(hostile, dict.fromkeys(hostile, anatomies["first"])),
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory, widgets):
    return write_pages(tmp_path_factory.mktemp("site"), widgets)


@pytest.fixture
def page(opened, site):
    return lambda name="three", **options: open_alive(opened, site, name, **options)


def pixels(page):
    """A digest of each picture: of every model the large one, what it was given, its answer."""
    urls = page.evaluate(
        "() => [...document.querySelectorAll('canvas.sd-picture')].map(one => one.toDataURL())"
    )
    return [hashlib.sha256(url.encode()).hexdigest() for url in urls]


def drag(page, place):
    page.locator("input[type=range]").evaluate(
        "(slider, to) => {slider.value = to; slider.dispatchEvent(new Event('input'))}", place
    )


def sigmas(page):
    """The noise level of each model, as the page says it."""
    facts = page.locator(".sd-facts").all_inner_texts()
    return [float(re.search(r"sigma ([\d.]+)", one)[1]) for one in facts]


def test_it_takes_the_figures_place_and_begins_with_the_pictures(page):
    shown = page()
    assert "the figure" not in shown.inner_text("body")
    assert shown.inner_text("output") == "done"
    assert shown.locator(".sd-model").count() == 3
    assert shown.locator(".sd-model figcaption").first.inner_text() == "the picture"


def test_every_level_shows_each_models_nearest_step(page, widgets):
    shown, levels = page(), widgets["three"].levels
    runs = [side["runs"][0] for side in widgets["three"].sides]
    for place, level in enumerate(levels):
        drag(shown, place)
        for found, run in zip(sigmas(shown), runs, strict=True):
            nearest = min(
                (s["sigma"] for s in run["steps"]), key=lambda s: abs(math.log(s / level))
            )
            assert found == pytest.approx(nearest, rel=0.01)
        said = shown.locator("input[type=range]").get_attribute("aria-valuetext")
        assert float(said.split()[1]) == pytest.approx(level, rel=0.01)


def test_every_step_of_a_model_is_another_picture(page, widgets):
    shown, seen = page(), [set() for _ in range(9)]
    for place in range(len(widgets["three"].levels)):
        drag(shown, place)
        for one, digest in zip(seen, pixels(shown), strict=True):
            one.add(digest)
    counts = [len(one) for one in seen]
    assert counts == [steps for steps in STEPS.values() for _ in range(3)]


def test_places_are_drawn_as_python_previews_them(page, widgets):
    """The page takes reds, greens and blues out of the sheet's greys."""
    shown = page()
    drag(shown, 0)
    side = shown.locator("canvas.sd-picture").nth(1)
    found = side.evaluate(
        """canvas => {
            const context = canvas.getContext("2d");
            const at = (i) => Math.round((i + 0.5) * canvas.width / 8);
            return [0, 3, 7].flatMap((y) => [0, 4, 7].map((x) =>
                [...context.getImageData(at(x), at(y), 1, 1).data.slice(0, 3)]));
        }"""
    )
    model = sd.wrap(tiny.pipeline("sd1"))
    preview = model.generate(PROMPTS[0], steps=4, seed=3).steps[0].preview("xt").convert("RGB")
    expected = [preview.getpixel((x, y)) for y in (0, 3, 7) for x in (0, 4, 7)]
    found, expected = np.array(found, dtype=float), np.array(expected, dtype=float)
    assert np.abs(found - expected).mean() < 8  # WebP is not exact
    assert np.abs(expected[1:] - expected[:-1]).mean() > 40  # so the number above says something


def test_a_word_lights_up_where_there_is_a_map(page):
    shown = page()
    before = pixels(shown)
    button = shown.get_by_role("button", name="cat")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    after = pixels(shown)
    changed = [a != b for a, b in zip(before, after, strict=True)]
    assert changed == [True, False, False] * 3
    shown.get_by_role("combobox", name="Prompt").select_option(PROMPTS[1])
    assert button.get_attribute("aria-pressed") == "true"  # this prompt has it, too
    labels = [
        one.get_attribute("aria-label") for one in shown.locator(".sd-model [role=img]").all()
    ]
    assert "attention to “cat”" in labels[0]
    assert "no attention to “cat” was kept" in labels[3]
    captions = shown.locator(".sd-model > figure:first-of-type figcaption").all_inner_texts()
    assert ["was kept" in one for one in captions] == [False, True, False]  # eyes are told, too
    button.click()
    assert "attention" not in shown.locator(".sd-model [role=img]").first.get_attribute(
        "aria-label"
    )


def test_another_prompt_brings_its_words_and_pictures(page):
    shown = page()
    shown.get_by_role("button", name="grass").click()
    before = pixels(shown)
    shown.get_by_role("combobox", name="Prompt").select_option(PROMPTS[1])
    assert all(a != b for a, b in zip(before, pixels(shown), strict=True))
    words = shown.locator(".sd-words button").all_inner_texts()
    assert words == PROMPTS[1].split()
    assert shown.locator("[aria-pressed=true]").count() == 0  # it has no grass


def test_arrow_keys_walk_and_a_word_keeps_its_focus(page, widgets):
    shown = page()
    slider = shown.get_by_role("slider", name="Noise level")
    slider.focus()
    shown.keyboard.press("Home")
    shown.keyboard.press("ArrowRight")
    assert slider.input_value() == "1"
    assert f"{widgets['three'].levels[1]:.3g}" in shown.inner_text("output")
    button = shown.get_by_role("button", name="red")
    button.focus()
    shown.keyboard.press("Enter")
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.textContent") == "red"
    assert button.get_attribute("aria-pressed") == "false"


def test_it_plays_to_the_end(page, widgets):
    shown = page()
    button = shown.get_by_role("button", name="Play")
    button.click()
    shown.wait_for_function("document.querySelector('input[type=range]').value > 1")
    shown.wait_for_function("document.querySelector('output').textContent === 'done'")
    shown.wait_for_function(
        "document.querySelector('.sd-walk button').textContent.includes('Play')"
    )


def test_the_parts_stand_under_each_model(page, widgets):
    shown = page()
    for column, side in zip(shown.locator(".sd-model").all(), widgets["three"].sides, strict=True):
        text = column.inner_text()
        for line in side["parts"]:
            assert line["label"] in text and all(value in text for value in line["values"])
    assert "answer: v" in shown.locator(".sd-model").nth(1).inner_text()
    assert "answer: eps" in shown.locator(".sd-model").nth(2).inner_text()
    alike = shown.locator(".sd-model").first.locator(".sd-alike dt").all_inner_texts()
    assert "latent" in alike and "family" not in alike


def test_names_and_prompts_with_html_in_them_are_text(page):
    shown = page("hostile")
    assert shown.title() == "A page"
    assert shown.locator("main b, main script:not([type])").count() == 0
    assert HOSTILE in shown.inner_text(".sd-model .sd-name")
    assert HOSTILE in shown.inner_text(".sd-live p")
    assert shown.locator("figure:visible").count() == 4 * 2  # no noise was kept: no answers


@pytest.mark.parametrize("name", ["three", "hostile"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(page, name, width):
    shown = page(name, width=width)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_three_models_stand_side_by_side(page):
    shown = page(width=390)
    tops = [one.bounding_box()["y"] for one in shown.locator(".sd-model").all()]
    assert len(set(tops)) == 1
    pair = [one.bounding_box() for one in shown.locator(".sd-pair").first.locator("canvas").all()]
    assert pair[0]["width"] == pytest.approx(pair[1]["width"], abs=0.5)  # whatever stands above


def test_everything_has_a_name(page):
    every_control_is_named(page(), words=4)


def test_in_the_dark_letters_are_light(page):
    shown = page(scheme="dark")
    shown.add_style_tag(content=":root{color-scheme:light dark}body{color:CanvasText}")
    colour = shown.locator(".sd-model dd").first.evaluate("one => getComputedStyle(one).color")
    assert min(json.loads(f"[{colour[4:-1]}]")) > 200


def test_the_kernel_and_the_page_know_of_each_other(page, widgets):
    shown = play(page(), widgets["three"])
    told = "['prompt', 'place', 'word'].map(model.get)"
    shown.get_by_role("button", name="grass").click()
    drag(shown, 2)
    assert shown.evaluate(told) == [0, 2, "grass"]
    shown.get_by_role("combobox", name="Prompt").select_option(PROMPTS[1])
    assert shown.evaluate(told) == [1, 2, ""]  # it has no grass
    before = pixels(shown)
    shown.evaluate("model.set('place', 500)")
    assert shown.inner_text("output") == "done" and pixels(shown) != before
    shown.evaluate("cleanUp()")
    assert shown.evaluate("listening()") == 0
