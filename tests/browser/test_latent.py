"""The latent explorer in a page: what is edited, previewed, decoded, and what is said of it."""

import base64
import hashlib
import re

import numpy as np
import pytest
import torch
from PIL import Image

import sdlearn as sd
from sdlearn.views.widgets import latent
from sdlearn.views.widgets.latent import between
from sdlearn.views.widgets.widget import source
from tests import tiny
from tests.browsing import every_control_is_named, open_alive, write_pages

ROWS = COLUMNS = 8

# A notebook's model in an empty page: its kernel is the test, which answers when it wants to.
NOTEBOOK = """async ({ code, state }) => {
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const ears = new Map();
    window.counted = { urls: 0, asked: [] };
    const { createObjectURL, revokeObjectURL } = URL;
    URL.createObjectURL = (one) => (counted.urls++, createObjectURL.call(URL, one));
    URL.revokeObjectURL = (one) => (counted.urls--, revokeObjectURL.call(URL, one));
    const model = {
        get: (name) => (name === "blob" ? new DataView(bytes(state.blob).buffer) : state[name]),
        set() {},
        save_changes() {},
        on: (name, ear) => ears.set(ear, name),
        off: (name, ear) => ears.delete(ear),
        send: (message) => counted.asked.push(message),
    };
    window.answer = (message, data) => {
        const buffers = data ? [new DataView(bytes(data).buffer)] : [];
        for (const ear of [...ears.keys()]) ear(message, buffers);
    };
    window.listening = () => ears.size;
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const widget = (await import(url)).default;
    URL.revokeObjectURL(url);
    document.body.replaceChildren();
    window.cleanUp = await widget.render({ model, el: document.body });
}"""


def picture(seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def model():
    return sd.wrap(tiny.pipeline("sd1"))


@pytest.fixture(scope="module")
def pair(model):
    return latent(model, picture(0), picture(1), frames=5)


@pytest.fixture(scope="module")
def ends(model):
    return [model.to_latent(picture(seed)).mean for seed in (0, 1)]


@pytest.fixture(scope="module")
def site(tmp_path_factory, model, pair):
    shown = {"two": pair, "one": latent(model, picture(0))}
    return write_pages(tmp_path_factory.mktemp("site"), shown)


@pytest.fixture
def page(opened, site):
    return lambda name="two", **options: open_alive(opened, site, name, **options)


class Kernel:
    """A page as a notebook has it, and the kernel's side of it."""

    def __init__(self, page, widget):
        self.page, self.widget = page, widget
        names = ("shape", "latents", "matrix", "walks", "full")
        state = {name: getattr(widget, name) for name in names}
        state["blob"] = base64.b64encode(widget.blob).decode("ascii")
        page.evaluate(NOTEBOOK, {"code": source("latent", "js"), "state": state})

    def questions(self):
        return self.page.evaluate("counted.asked")

    def answer(self, question):
        """As the widget itself answers, in Python."""
        told, (data,) = self.widget.answer(question["what"], **question["given"])
        message = {**told, "answer": question["ask"]}
        self.page.evaluate(
            "([message, data]) => answer(message, data)",
            [message, base64.b64encode(data).decode("ascii")],
        )

    def wait(self, said):
        self.page.wait_for_function(
            "said => document.querySelector('.sd-source').textContent.includes(said)", arg=said
        )


@pytest.fixture
def kernel(page, pair):
    return Kernel(page(), pair)


def pixels(page, selector=".sd-decoded canvas"):
    url = page.locator(selector).first.evaluate("canvas => canvas.toDataURL()")
    return hashlib.sha256(url.encode()).hexdigest()


def drag(page, name, value):
    slider = page.get_by_role("slider", name=name)
    slider.evaluate("(one, to) => {one.value = to; one.oninput(); one.onchange()}", value)


def numbers(page, row, column):
    """The channels' values that the page reads at a place."""
    page.locator(".sd-decoded canvas").evaluate(
        """(canvas, [x, y]) => {
            const box = canvas.getBoundingClientRect();
            const at = { clientX: box.left + x * box.width, clientY: box.top + y * box.height };
            canvas.dispatchEvent(new PointerEvent("pointermove", at));
        }""",
        [(column + 0.5) / COLUMNS, (row + 0.5) / ROWS],
    )
    read = page.locator(".sd-reading").inner_text().replace("−", "-")
    assert read.startswith(f"row {row}, column {column}:")
    return np.array([float(one) for one in read.split(":")[1].split()])


def agree(page, latent, row=3, column=5):
    return np.abs(numbers(page, row, column) - latent[0, :, row, column].numpy()).max() < 0.0052


def said(page):
    return page.locator(".sd-source").inner_text()


def test_at_first_it_is_the_decoded_picture(page, ends):
    shown = page()
    assert "Decoded by the model" in said(shown)
    assert agree(shown, ends[0]) and agree(shown, ends[0], 7, 0)


@pytest.mark.parametrize("kind", ["linear", "spherical"])
def test_the_walk_goes_through_pictures_decoded_beforehand(page, ends, kind):
    shown, seen = page(), set()
    shown.get_by_role("combobox", name="way").select_option(kind)
    for share in (0, 0.25, 0.5, 0.75, 1):
        drag(shown, "walk", share)
        assert agree(shown, between(*ends, share, kind))
        assert "Decoded by the model" in said(shown)
        seen.add(pixels(shown))
    assert len(seen) == 5


def test_the_two_ways_differ_half_way(page):
    shown = page()
    drag(shown, "walk", 0.5)
    straight = pixels(shown)
    shown.get_by_role("combobox", name="way").select_option("spherical")
    assert pixels(shown) != straight


def test_gain_and_offset_change_their_channel_and_no_other(page, ends):
    shown = page()
    before = [pixels(shown, f".sd-channels figure:nth-child({i + 1}) canvas") for i in range(4)]
    decoded = pixels(shown)
    drag(shown, "gain of channel 1", -0.5)
    drag(shown, "offset of channel 2", 1.25)
    edited = ends[0].clone()
    edited[:, 1] *= -0.5
    edited[:, 2] += 1.25
    assert agree(shown, edited)
    after = [pixels(shown, f".sd-channels figure:nth-child({i + 1}) canvas") for i in range(4)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, False, True]
    assert pixels(shown) != decoded
    assert "Fast preview" in said(shown) and "no kernel" in said(shown)


def test_the_preview_is_the_models_own(page, model, ends):
    shown = page()
    drag(shown, "offset of channel 0", 0.5)
    edited = ends[0].clone()
    edited[:, 0] += 0.5
    found = shown.locator(".sd-decoded canvas").evaluate(
        """(canvas, n) => {
            const [context, step] = [canvas.getContext("2d"), canvas.width / n];
            return Array.from({ length: n * n }, (_, i) => {
                const [row, column] = [Math.floor(i / n), i % n];
                const at = [(column + 0.5) * step, (row + 0.5) * step];
                return [...context.getImageData(...at, 1, 1).data].slice(0, 3);
            });
        }""",
        COLUMNS,
    )
    true = np.array(model.preview(edited), dtype=float).reshape(-1, 3)
    apart = np.abs(np.array(found) - true).mean(1)  # in the middle of each place; it is smoothed
    assert apart.mean() < 3 and apart.max() < 20
    assert np.abs(np.array(found)[::-1] - true).mean() > 6  # so this says something


def test_the_brush_paints_a_soft_dab_once(page, ends):
    shown = page()
    drag(shown, "size", 1.5)
    drag(shown, "strength", -3)
    canvas = shown.locator(".sd-channels canvas").nth(2)
    box = canvas.bounding_box()
    place = [box["width"] / COLUMNS, box["height"] / ROWS]
    canvas.hover(position={"x": 4.5 * place[0], "y": 2.5 * place[1]})
    shown.mouse.down()
    for _ in range(3):  # to and fro over the same places: one stroke adds its strength once
        shown.mouse.move(box["x"] + 5.5 * place[0], box["y"] + 2.5 * place[1])
        shown.mouse.move(box["x"] + 4.5 * place[0], box["y"] + 2.5 * place[1])
    shown.mouse.up()
    edited, size = ends[0].clone(), torch.tensor(1.5)
    for row in range(ROWS):
        for column in range(COLUMNS):
            near = min(np.hypot(row - 2, column - 4), np.hypot(row - 2, column - 5))
            mask = float(torch.exp(-((near / size) ** 2)))
            edited[0, 2, row, column] += -3 * (mask if mask >= 0.01 else 0)
    for place in ((2, 4), (2, 5), (3, 5), (0, 0), (7, 7)):
        assert agree(shown, edited, *place)


def test_the_brush_obeys_the_keyboard(page, ends):
    shown = page()
    shown.locator(".sd-channels canvas").nth(0).focus()
    for key in ("ArrowUp", "ArrowLeft", "Enter"):
        shown.keyboard.press(key)
    edited = ends[0].clone()
    edited[0, 0, ROWS // 2 - 1, COLUMNS // 2 - 1] += 2  # the brush's first strength
    assert agree(shown, edited, ROWS // 2 - 1, COLUMNS // 2 - 1)


def test_undo_goes_back_edit_by_edit_and_reset_at_once(page):
    shown = page()
    undo, seen = shown.get_by_role("button", name="Undo"), [pixels(shown)]
    assert undo.is_disabled()
    drag(shown, "walk", 0.25)
    seen.append(pixels(shown))
    drag(shown, "gain of channel 0", 2)
    seen.append(pixels(shown))
    shown.locator(".sd-channels canvas").nth(1).click()
    assert len({*seen, pixels(shown)}) == 4
    undo.click()
    assert pixels(shown) == seen[2]
    shown.locator(".sd-channels canvas").nth(1).focus()
    shown.keyboard.press("Control+z")
    assert pixels(shown) == seen[1]
    shown.get_by_role("button", name="Reset").click()
    assert pixels(shown) == seen[0]
    undo.click()
    assert pixels(shown) == seen[1]
    undo.click()
    assert pixels(shown) == seen[0] and undo.is_disabled()


def test_a_drag_of_many_moves_is_one_edit(page):
    shown = page()
    before = pixels(shown)
    shown.get_by_role("slider", name="gain of channel 0").evaluate(
        "one => {for (const to of [1.5, 2, 2.5]) {one.value = to; one.oninput()} one.onchange()}"
    )
    shown.get_by_role("button", name="Undo").click()
    assert pixels(shown) == before


def test_a_single_latent_has_no_walk(page, ends):
    shown = page("one")
    assert shown.get_by_role("slider", name="walk").count() == 0
    assert agree(shown, ends[0])


def test_the_kernel_decodes_what_was_edited(kernel, ends, model):
    drag(kernel.page, "gain of channel 3", 2)
    assert "Fast preview" in said(kernel.page) and "is decoding" in said(kernel.page)
    before = pixels(kernel.page)
    (question,) = kernel.questions()
    edited = ends[0].clone()
    edited[:, 3] *= 2
    sent = torch.tensor(question["given"]["latent"]).view(edited.shape)
    assert (sent - edited).abs().max() < 1e-3
    kernel.answer(question)
    kernel.wait("just now")
    assert "Decoded by the model" in said(kernel.page) and pixels(kernel.page) != before
    assert (kernel.widget.latent - edited).abs().max() < 1e-3


def test_only_the_newest_edit_is_decoded(kernel):
    for value in (1.5, 2, 2.5, 3):
        drag(kernel.page, "gain of channel 0", value)
    assert len(kernel.questions()) == 1  # while one is under way, none is asked
    kernel.answer(kernel.questions()[0])
    kernel.page.wait_for_function("counted.asked.length === 2")
    assert "is decoding" in said(kernel.page)  # the first answer came too late to be shown
    first, last = (np.array(question["given"]["latent"]) for question in kernel.questions())
    cell = ROWS * COLUMNS
    assert np.abs(last[:cell] - first[:cell] * 2).max() < 1e-4
    kernel.answer(kernel.questions()[1])
    kernel.wait("just now")
    assert len(kernel.questions()) == 2


def test_what_was_decoded_beforehand_is_not_asked_for(kernel):
    drag(kernel.page, "walk", 0.5)
    assert kernel.questions() == [] and "beforehand" in said(kernel.page)
    drag(kernel.page, "walk", 0.37)
    assert len(kernel.questions()) == 1
    drag(kernel.page, "walk", 0.25)  # the answer for 0.37 is not wanted any more
    picture = pixels(kernel.page)
    kernel.answer(kernel.questions()[0])
    kernel.page.wait_for_timeout(300)
    assert pixels(kernel.page) == picture and "beforehand" in said(kernel.page)


def test_a_kernel_that_says_nothing_is_told_of(page, pair):
    shown = page()
    shown.clock.install()
    kernel = Kernel(shown, pair)
    drag(shown, "gain of channel 0", 2)
    shown.clock.fast_forward(5000)
    assert "is decoding" in said(shown)
    shown.clock.fast_forward(2000)
    assert "run the cell again" in said(shown) and "Fast preview" in said(shown)
    kernel.answer(kernel.questions()[0])  # it was only busy
    kernel.wait("just now")


def test_an_error_is_shown_as_text(kernel):
    drag(kernel.page, "gain of channel 0", 2)
    error = {"answer": kernel.questions()[0]["ask"], "error": "<b>no memory</b>"}
    kernel.page.evaluate("message => answer(message)", error)
    kernel.wait("<b>no memory</b>")
    assert kernel.page.locator(".sd-source b").count() == 1  # its own
    assert "Fast preview" in said(kernel.page)


def test_nothing_is_left_after_cleaning_up(kernel):
    drag(kernel.page, "gain of channel 0", 2)
    kernel.answer(kernel.questions()[0])
    kernel.wait("just now")
    drag(kernel.page, "gain of channel 0", 3)
    late = kernel.questions()[1]
    kernel.page.evaluate("cleanUp()")
    shown = pixels(kernel.page)
    kernel.answer(late)
    kernel.page.wait_for_timeout(300)
    assert pixels(kernel.page) == shown and "is decoding" in said(kernel.page)
    assert kernel.page.evaluate("[listening(), counted.urls]") == [0, 0]


def test_two_on_a_page_leave_each_other_alone(opened, site):
    (site / "both.html").write_text(
        re.sub(
            r"(<div class=\"sd-widget\".*</div>)(?=</main>)",
            lambda found: found[1] * 2,
            (site / "two.html").read_text(encoding="utf-8"),
            flags=re.DOTALL,
        ),
        encoding="utf-8",
    )
    shown = opened((site / "both.html").as_uri())
    shown.wait_for_function("document.querySelectorAll('[data-alive=yes]').length === 2")
    second = shown.locator(".sd-widget").nth(1)
    before = pixels(second)
    drag(shown.locator(".sd-widget").nth(0), "gain of channel 0", 2)
    assert pixels(second) == before
    assert pixels(shown.locator(".sd-widget").nth(0)) != before


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(page, width):
    shown = page(width=width)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_has_a_name(page):
    every_control_is_named(page(), words=4)
