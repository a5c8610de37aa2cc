"""The conditioning explorer in a page: the book's, without a kernel, and one with a kernel."""

import base64
import json

import pytest

from sdlearn.views.widgets import conditioning
from tests.browsing import every_control_is_named, open_alive, write_pages
from tests.played import play
from tests.told import SIDE, Told, colour

HOSTILE = "a <b onclick=alert(1)>red</b> cat, <script>document.title='broken'</script>"
PROMPT = "a red cat on the grass"
SIZES, CROPS = [8, 24, 48], [0, 20, 40]


@pytest.fixture(scope="module")
def widget():
    return conditioning(Told(), PROMPT, sizes=SIZES, crops=CROPS, seed=3, repeats=2)


@pytest.fixture(scope="module")
def site(tmp_path_factory, widget):
    shown = {
        "cross": widget,
        "every": conditioning(Told(), PROMPT, sizes=SIZES, crops=CROPS, every=True),
        "alone": conditioning(Told(), HOSTILE, sizes=[32], crops=[0], height=40),
    }
    return write_pages(tmp_path_factory.mktemp("site"), shown)


@pytest.fixture
def page(opened, site):
    return lambda name="cross", **options: open_alive(opened, site, name, **options)


@pytest.fixture
def notebook(page, widget):
    """The explorer as a notebook has it, with a kernel that the test plays."""
    return play(page(), widget)


def drag_size(page, to):
    page.locator("input[type=range]").evaluate(
        "(slider, to) => {slider.value = to; slider.dispatchEvent(new Event('input'))}", to
    )


def told(page):
    """The six numbers that the page shows."""
    return [int(one) for one in page.locator(".sd-number").all_inner_texts()]


def shown_colour(page, which="canvas.sd-picture"):
    """The mean colour of a canvas: it tells the crop, and by how bright it is the size."""
    return page.locator(which).evaluate(
        """canvas => {
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            const sums = [0, 0, 0];
            for (let i = 0; i < data.length; i++) if (i % 4 < 3) sums[i % 4] += data[i];
            return sums.map((sum) => (4 * sum) / data.length);
        }"""
    )


def is_that_of(found, size, top, left, seed=3):
    expected = [one + (size / 4 + seed) / 2 for one in colour(top, left)]
    return max(abs(a - b) for a, b in zip(found, expected, strict=True)) < 4


def place_of(page, top, left):
    """Where a corner stands on the screen."""
    box = page.locator(".sd-plane").bounding_box()
    rim = 0.04 * (SIDE + CROPS[-1])
    whole = SIDE + CROPS[-1] + 2 * rim
    return (
        box["x"] + box["width"] * (left + rim) / whole,
        box["y"] + box["height"] * (top + rim) / whole,
    )


# -- the book --------------------------------------------------------------------------------------


def test_each_size_shows_its_picture_and_numbers(page):
    shown, seen = page(), set()
    assert told(shown) == [48, 48, 0, 0, SIDE, SIDE]
    for place, size in enumerate(SIZES):
        drag_size(shown, place)
        assert told(shown) == [size, size, 0, 0, SIDE, SIDE]
        assert shown.inner_text("caption") == f"time_ids = [{size}, {size}, 0, 0, {SIDE}, {SIDE}]"
        assert is_that_of(shown_colour(shown), size, 0, 0)
        assert shown.inner_text("output") == f"{size} x {size}"
        seen.add(shown.locator(".sd-curve .sd-ring").get_attribute("cx"))
    assert len(seen) == 3
    assert "No kernel runs behind this page" in shown.inner_text("main")
    assert "Drag the yellow dot" in shown.inner_text("main")


def test_the_corner_is_dragged_to_the_nearest_that_was_drawn(page):
    shown = page()
    shown.mouse.move(*place_of(shown, 0, 0))
    shown.mouse.down()
    shown.mouse.move(*place_of(shown, 11, 6), steps=3)
    assert told(shown)[2:4] == [20, 0]
    shown.mouse.move(*place_of(shown, 38, 19), steps=3)
    shown.mouse.up()
    assert told(shown) == [48, 48, 40, 20, SIDE, SIDE]
    assert is_that_of(shown_colour(shown), 48, 40, 20)
    assert is_that_of(
        shown_colour(shown, ".sd-plane canvas"), 48, 40, 20
    )  # it lies in the plane, too
    box, corner = shown.locator(".sd-plane canvas").bounding_box(), place_of(shown, 40, 20)
    assert abs(box["x"] - corner[0]) < 2 and abs(box["y"] - corner[1]) < 2
    shown.mouse.move(*place_of(shown, 0, 0))
    assert told(shown)[2:4] == [40, 20]  # let go is let go


def test_a_press_inside_the_picture_pushes_it_along(page):
    shown = page()
    x, y = place_of(shown, 55, 55)
    shown.mouse.move(x, y)
    shown.mouse.down()
    assert told(shown)[2:4] == [0, 0]
    to = place_of(shown, 75, 55)
    shown.mouse.move(*to, steps=3)
    shown.mouse.up()
    assert told(shown)[2:4] == [20, 0]


def test_the_corner_obeys_the_keys(page):
    shown = page()
    shown.locator(".sd-plane").focus()
    for key, corner in [
        ("ArrowDown", [20, 0]),
        ("ArrowRight", [20, 20]),
        ("ArrowRight", [20, 40]),
        ("ArrowRight", [20, 40]),
        ("ArrowUp", [0, 40]),
        ("ArrowUp", [0, 40]),
        ("ArrowLeft", [0, 20]),
    ]:
        shown.keyboard.press(key)
        assert told(shown)[2:4] == corner
        label = shown.locator(".sd-plane").get_attribute("aria-label")
        assert f"{corner[0]} below the top and {corner[1]} right" in label
    slider = shown.get_by_role("slider", name="Original size")
    slider.focus()
    shown.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == "8 by 8 pixels"


def test_what_was_not_drawn_is_said_and_the_nearest_shown(page):
    shown = page()
    shown.locator(".sd-plane").focus()
    shown.keyboard.press("ArrowDown")
    assert shown.inner_text("[role=status]") == ""
    drag_size(shown, 0)
    assert told(shown)[:4] == [8, 8, 0, 0]
    assert "at crop (0, 0) only" in shown.inner_text("[role=status]")
    shown.locator(".sd-plane").focus()
    shown.keyboard.press("ArrowRight")
    assert told(shown)[:4] == [48, 48, 0, 20]
    assert "at original 48 only" in shown.inner_text("[role=status]")


def test_dots_say_what_was_drawn(page):
    shown = page()
    assert shown.locator(".sd-dot").count() == shown.locator(".sd-dot.sd-has").count() == 9
    drag_size(shown, 0)
    assert shown.locator(".sd-dot").count() == 9 and shown.locator(".sd-dot.sd-has").count() == 1


def test_where_all_was_drawn_both_move_freely(page):
    shown = page("every")
    drag_size(shown, 0)
    shown.mouse.click(*place_of(shown, 40, 40))
    assert told(shown)[:4] == [8, 8, 40, 40]
    assert is_that_of(shown_colour(shown), 8, 40, 40, seed=0)
    assert shown.inner_text("[role=status]") == ""


def test_numbers_that_are_unusual_are_marked(page):
    shown = page()
    marked = ".sd-moved th"
    assert shown.locator(marked).all_inner_texts() == ["original height", "original width"]
    shown.locator(".sd-plane").focus()
    shown.keyboard.press("ArrowDown")
    assert "crop top" in shown.locator(marked).all_inner_texts()


def test_the_curve_says_what_was_measured(page, widget):
    shown = page()
    label = shown.locator(".sd-curve").get_attribute("aria-label")
    for size, details in widget.details.items():
        assert f"{sum(details) / 2:.1f} at {size}" in label
    assert shown.locator(".sd-seed").count() == 2 * len(SIZES)
    heights = [float(one.get_attribute("cy")) for one in shown.locator(".sd-seed").all()]
    assert heights == sorted(heights, reverse=True)  # more detail stands higher
    assert f"detail {widget.details[48][0]:.1f} grey levels" in shown.inner_text(".sd-facts")


def test_one_picture_alone_can_be_shown(page):
    shown = page("alone")
    assert told(shown) == [32, 51, 0, 0, 40, SIDE]
    assert "NaN" not in shown.locator("main").evaluate("one => one.outerHTML")


@pytest.mark.parametrize("size", [33, 35, 36])
def test_the_width_is_rounded_as_python_does_it(page, size):
    made = conditioning(Told(), PROMPT, sizes=[32, 40], crops=[0], height=2 * SIDE)
    shown = play(page(), made)
    drag_size(shown, size)
    assert told(shown) == made.ids(size, 0, 0)


def test_all_that_stays_the_same_is_said():
    how = {"sampler": "ddim", "guidance_scale": 4.0, "negative_original_size": (8, 8)}
    made = conditioning(Told(), PROMPT, sizes=[32], crops=[0], seed=3, **how)
    expected = "told, 12 steps, seed 3, ddim, guidance 4, negative original size (8, 8)"
    assert made.given == expected


def test_prompts_with_html_in_them_are_text(page):
    shown = page("alone")
    assert shown.title() == "A page"
    assert shown.locator("main b, main script:not([type])").count() == 0
    assert HOSTILE in shown.inner_text(".sd-given")
    assert "Drag the yellow dot" not in shown.inner_text("main")  # it has nowhere to go


@pytest.mark.parametrize("name", ["cross", "alone"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(page, name, width):
    shown = page(name, width=width)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_has_a_name(page):
    every_control_is_named(page(), words=4)


def test_in_the_dark_letters_are_light(page):
    shown = page(scheme="dark")
    shown.add_style_tag(content=":root{color-scheme:light dark}body{color:CanvasText}")
    for what, how in ((".sd-curve text", "fill"), (".sd-facts", "color")):
        place = shown.locator(what).first
        colour = place.evaluate(f"one => getComputedStyle(one).{how}")
        assert min(json.loads(f"[{colour[4:-1]}]")) > 200


# -- with a kernel ---------------------------------------------------------------------------------


def asked(page):
    page.wait_for_function("sent.length > 0")
    return page.evaluate("sent.map((one) => [one.what, one.given])")


def answer(page, widget, index=-1):
    """Be the kernel: answer a question of the page as Python does."""
    question = page.evaluate("index => sent.at(index)", index)
    said, (data,) = widget.answer(question["what"], **question["given"])
    page.evaluate(
        "([message, data]) => answered(message, data)",
        [{**said, "answer": question["ask"]}, base64.b64encode(data).decode("ascii")],
    )


def test_any_place_can_be_asked_for(notebook, widget):
    notebook.clock.install(time=0)
    notebook.clock.pause_at(1000)  # however slow this machine: both moves come within the pause
    drag_size(notebook, 30)
    notebook.mouse.click(*place_of(notebook, 10, 31))
    assert told(notebook)[:2] == [30, 30] and notebook.inner_text("[role=status]") == "Drawing …"
    top, left = told(notebook)[2:4]
    assert abs(top - 10) <= 1 and abs(left - 31) <= 1
    assert notebook.evaluate("sent.length") == 0  # the hand may not have let go yet
    notebook.clock.run_for(300)
    assert asked(notebook) == [["draw", {"size": 30, "top": top, "left": left}]]  # the newest alone
    assert notebook.locator(".sd-waiting").count() == 1
    answer(notebook, widget)
    notebook.wait_for_function(
        "document.querySelector('[role=status]').textContent.startsWith('Drawn')"
    )
    assert is_that_of(shown_colour(notebook), 30, top, left)
    assert notebook.locator(".sd-waiting").count() == 0
    assert [notebook.evaluate(f"model.get('{n}')") for n in ("size", "top", "left")] == [
        30,
        top,
        left,
    ]


def test_what_was_drawn_is_not_asked_again(notebook):
    drag_size(notebook, 24)
    assert is_that_of(shown_colour(notebook), 24, 0, 0)
    notebook.wait_for_timeout(500)
    assert notebook.evaluate("sent.length") == 0


def test_while_one_is_drawn_only_the_newest_waits(notebook, widget):
    drag_size(notebook, 30)
    asked(notebook)
    for size in (31, 32, 33):
        drag_size(notebook, size)
    notebook.wait_for_timeout(500)
    assert len(asked(notebook)) == 1
    answer(notebook, widget)
    notebook.wait_for_function("sent.length === 2")
    assert asked(notebook)[1][1]["size"] == 33
    assert told(notebook)[0] == 33 and notebook.locator(".sd-waiting").count() == 1


def test_after_an_answer_that_was_lost_it_asks_on(notebook, widget):
    notebook.clock.install(time=0)
    notebook.clock.pause_at(1000)
    drag_size(notebook, 30)
    notebook.clock.run_for(300)
    assert len(asked(notebook)) == 1
    notebook.clock.run_for(20_000)  # the kernel was interrupted, say
    assert "not answered" in notebook.inner_text("[role=status]")
    drag_size(notebook, 31)
    notebook.clock.run_for(300)
    assert [given["size"] for _, given in asked(notebook)] == [30, 31]
    answer(notebook, widget)
    notebook.wait_for_function(
        "document.querySelector('[role=status]').textContent.startsWith('Drawn')"
    )
    answer(notebook, widget, 0)  # better late than never: that picture is there, too, by now
    notebook.wait_for_timeout(200)
    drag_size(notebook, 30)
    assert notebook.locator(".sd-waiting").count() == 0


def test_an_error_is_shown_as_text(notebook):
    drag_size(notebook, 30)
    asked(notebook)
    notebook.evaluate("answered({ answer: sent[0].ask, error: '<b>no</b> memory' })")
    notebook.wait_for_function(
        "document.querySelector('[role=status]').textContent.includes('memory')"
    )
    assert notebook.inner_text("[role=status]") == "It was not drawn: <b>no</b> memory"
    notebook.wait_for_timeout(400)
    assert len(asked(notebook)) == 1  # it does not ask for the same again and again


def test_the_kernel_moves_the_page(notebook):
    notebook.evaluate("model.set('size', 24)")
    assert told(notebook)[0] == 24
    notebook.evaluate("cleanUp()")
    assert notebook.evaluate("listening()") == 0
