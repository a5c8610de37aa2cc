"""The trace explorer in a page of the book: every control changes what it should, nothing else."""

import hashlib

import pytest

import sdlearn as sd
from tests import tiny
from tests.browsing import open_alive, write_pages

HOSTILE = "a <b onclick=alert(1)>red</b> cat, <script>document.title='broken'</script>"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A page with a run, one with two runs in step, and one with a hostile prompt."""
    model = sd.wrap(tiny.pipeline("sd1"))
    cat = model.generate("a red cat on the grass", steps=6)
    dog = model.generate("a blue dog on the grass", steps=4, seed=1)
    shown = {
        "one": cat.explore(),
        "two": cat.explore(dog, word="grass"),
        "hostile": model.generate(HOSTILE, steps=2).explore(),
    }
    return write_pages(tmp_path_factory.mktemp("site"), shown)


@pytest.fixture
def page(opened, site):
    return lambda name, **options: open_alive(opened, site, name, **options)


def pixels(page, number=0):
    """A digest of what a panel shows."""
    url = page.evaluate(
        "n => document.querySelectorAll('canvas.sd-picture')[n].toDataURL()", number
    )
    return hashlib.sha256(url.encode()).hexdigest()


def drag(page, place):
    page.locator("input[type=range]").evaluate(
        "(slider, to) => {slider.value = to; slider.dispatchEvent(new Event('input'))}", place
    )


def test_it_takes_the_figures_place(page):
    shown = page("one")
    assert "the figure" not in shown.inner_text("body")
    assert "step 6 of 6" in shown.inner_text("output")


def test_every_step_is_another_picture(page):
    shown, seen = page("one"), set()
    for place in range(6):
        drag(shown, place)
        assert f"step {place + 1} of 6" in shown.inner_text("output")
        seen.add(pixels(shown))
    assert len(seen) == 6


def test_every_part_is_another_picture(page):
    shown = page("one")
    drag(shown, 2)
    parts = shown.locator("select").first
    names = parts.evaluate("one => [...one.options].map(option => option.value)")
    assert names == ["x0", "xt", "eps", "eps_cond", "eps_uncond", "difference", "channels"]
    seen = set()
    for name in names:
        parts.select_option(name)
        seen.add(pixels(shown))
    assert len(seen) == len(names)


def test_a_word_lights_up_and_goes_out_again(page):
    shown = page("one")
    before = pixels(shown)
    button = shown.get_by_role("button", name="cat")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    lit = pixels(shown)
    assert lit != before
    shown.locator("select").nth(1).select_option(index=1)  # one layer, all steps
    assert pixels(shown) not in (lit, before)
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert pixels(shown) == before


def test_the_pointer_reads_numbers_and_so_do_the_arrow_keys(page):
    shown = page("one")
    canvas = shown.locator("canvas.sd-picture")
    canvas.hover(position={"x": 5, "y": 5})
    read = shown.locator(".sd-read").inner_text()
    assert "row 0, column 0" in read and "xt" in read and "%" in read
    canvas.focus()
    shown.keyboard.press("ArrowRight")
    assert "row 0, column 1" in shown.locator(".sd-read").inner_text()


def test_each_channels_tile_is_read_where_it_is_pointed_at(page):
    """The middle of a latent is the middle of each of its four tiles, by pointer and by keys."""
    shown = page("one")
    canvas = shown.locator("canvas.sd-picture")
    box = canvas.bounding_box()
    read = []
    for part, places in (("xt", [(0.51, 0.51)]), ("channels", [(0.26, 0.26), (0.76, 0.26)])):
        shown.locator("select").first.select_option(part)
        for x, y in places:
            canvas.hover(position={"x": x * box["width"], "y": y * box["height"]})
            read.append(shown.locator(".sd-read").inner_text().split(" · looks")[0])
    assert len(set(read)) == 1
    before = pixels(shown)
    canvas.focus()
    shown.keyboard.press("ArrowRight")
    assert shown.locator(".sd-read").inner_text() not in read
    assert pixels(shown) != before  # it is framed
    assert "attention" not in canvas.get_attribute("aria-label")


def test_it_plays_to_the_end_and_stops(page):
    shown = page("one")
    button = shown.get_by_role("button", name="Play")
    button.click()
    assert "Pause" in shown.locator(".sd-controls").inner_text()
    shown.wait_for_function(
        "document.querySelector('output').textContent.startsWith('step 6')"
        " && document.querySelector('.sd-controls').textContent.includes('Play')"
    )


def test_two_runs_move_in_step(page):
    shown = page("two")
    assert shown.locator("canvas.sd-picture").count() == 2
    drag(shown, 0)
    assert [text.split(" ·")[0] for text in shown.locator("output").all_inner_texts()] == [
        "step 1 of 6",
        "step 1 of 4",
    ]
    slider = shown.locator("input[type=range]")
    assert slider.get_attribute("aria-valuetext") == "step 1 of 6"
    first, second = pixels(shown, 0), pixels(shown, 1)
    drag(shown, 5)
    assert [text.split(" ·")[0] for text in shown.locator("output").all_inner_texts()] == [
        "step 6 of 6",
        "step 4 of 4",
    ]
    assert pixels(shown, 0) != first and pixels(shown, 1) != second


def test_dragging_is_answered_at_once(page):
    """In the page itself, not by the clock of the tests: no step may wait for anything."""
    shown = page("one")
    changed = shown.evaluate(
        """() => {
            const canvas = document.querySelector('canvas.sd-picture');
            const slider = document.querySelector('input[type=range]');
            const before = canvas.toDataURL();
            slider.value = 1;
            slider.dispatchEvent(new Event('input'));
            return canvas.toDataURL() !== before;  // within the very same task
        }"""
    )
    assert changed


def test_a_prompt_with_html_in_it_is_text(page):
    shown = page("hostile")
    assert shown.title() == "A page"
    assert shown.locator("main b, main script:not([type])").count() == 0
    assert shown.get_by_role("button", name="script").count() >= 1


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(page, width):
    shown = page("two", width=width)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


def test_a_widget_that_fails_leaves_the_figure(opened, site):
    text = (site / "one.html").read_text(encoding="utf-8").replace('"base64":', '"other":')
    (site / "broken.html").write_text(text, encoding="utf-8")
    shown = opened((site / "broken.html").as_uri(), expected="A widget of this page")
    shown.wait_for_selector("[data-alive=no]", timeout=60_000)
    assert "the figure" in shown.inner_text("body")
