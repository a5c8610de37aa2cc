"""The generation explorer in a page: the book's, without a kernel, and one with a kernel played."""

import hashlib
import json

import pytest

import sdlearn as sd
from sdlearn.views.widgets.widget import source
from tests import tiny
from tests.browsing import as_kept, open_alive, write_pages

HOSTILE = "a <b onclick=alert(1)>red</b> cat, <script>document.title='broken'</script>"
PROMPT = "a red cat on the grass"
PICTURE = "canvas.sd-picture"

# What stands between a widget and its kernel in a notebook: the test is the kernel.
KERNEL = """
const state = STATE, listeners = {}, sent = [];
for (const [name, value] of Object.entries(state)) {
  if (value && value.base64 !== undefined) {
    state[name] = new DataView(Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0)).buffer);
  }
}
const model = {
  get: (name) => state[name],
  on: (name, heard) => (listeners[name] ??= []).push(heard),
  off: (name, heard) => { listeners[name] = listeners[name].filter((one) => one !== heard); },
  send: (message) => sent.push(message),
};
const emit = (name, ...given) => (listeners[name] ?? []).forEach((heard) => heard(...given));
window.sent = sent;
window.told = (changes) => {
  Object.assign(state, changes);
  Object.keys(changes).forEach((name) => emit(`change:${name}`));
};
window.answered = (message) => emit("msg:custom", message, []);
window.listening = () => Object.values(listeners).flat().length;
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Pages of the book: a grid, one picture, hostile texts; and one page with a kernel."""
    model = sd.wrap(tiny.pipeline("sd1"))
    grid = {"guidance_scale": [1, 7.5], "seed": [0, 1, 2]}
    hostile = {"prompt": [HOSTILE, "a cat"], "negative_prompt": ["", HOSTILE]}
    shown = {
        "grid": model.explore(PROMPT, steps=2, grid=grid, judge=lambda *_: "1 of 2\nfacts right"),
        "one": model.explore(PROMPT, steps=2),
        "hostile": model.explore(HOSTILE, steps=1, grid=hostile, judge=lambda _, prompt: prompt),
    }
    folder = write_pages(tmp_path_factory.mktemp("site"), shown)
    (folder / "live.html").write_text(live(shown["grid"]), encoding="utf-8")
    for widget in shown.values():
        widget.close()
    return folder


def live(widget):
    """A page as a notebook's: the module as it is, and a model that can send."""
    kept = as_kept(widget)
    state = {name: v for name, v in kept["state"].items() if not name.startswith("_")}
    for buffer in kept["buffers"]:
        state[buffer["path"][0]] = {"base64": buffer["data"]}
    module = source("generation", "js").replace("export default {", "const widget = {")
    kernel = KERNEL.replace("STATE", json.dumps(state).replace("<", "\\u003c"))
    start = (
        "widget.render({ model, el })"
        ".then((end) => { window.end = end; el.dataset.alive = 'yes'; })"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>:root{color-scheme:light dark}</style>"
        f"<style>{source('generation', 'css')}</style></head><body><main><div id=el></div></main>"
        f"<script>{kernel}\n{module}\nconst el = document.querySelector('#el');\n{start};</script>"
        "</body></html>"
    )


@pytest.fixture
def page(opened, site):
    return lambda name, **options: open_alive(opened, site, name, **options)


def pixels(page, which=PICTURE):
    """A digest of what a canvas shows."""
    url = page.locator(which).evaluate("canvas => canvas.toDataURL()")
    return hashlib.sha256(url.encode()).hexdigest()


def control(page, name, role="textbox"):
    """A control by what a screen reader calls it."""
    return page.get_by_role(role, name=name, exact=True)


def sent(page, what):
    """What the page asked its kernel, of one kind."""
    return [one["given"] for one in page.evaluate("sent") if one["what"] == what]


def until(page, condition):
    page.wait_for_function(condition, timeout=30_000)


# -- the book ----------------------------------------------------------------------------------


def test_the_book_says_why_nothing_can_be_moved(page):
    shown = page("grid")
    assert "No kernel runs behind this page" in shown.inner_text("main")
    assert shown.locator("main :is(input, select, progress)").count() == 0
    assert "the figure" not in shown.inner_text("body")


def test_a_cell_of_the_grid_shows_its_picture_and_settings(page):
    shown, seen = page("grid"), set()
    cells = shown.locator(".sd-grid button")
    assert cells.count() == 6
    for place in range(6):
        cells.nth(place).click()
        facts = shown.inner_text(".sd-facts")
        assert f"guidance {(1, 7.5)[place // 3]} ·" in facts
        assert f"seed {place % 3}" in facts and "2 steps" in facts
        assert [cells.nth(i).get_attribute("aria-pressed") for i in range(6)].index("true") == place
        seen.add(pixels(shown))
    assert len(seen) == 6
    assert shown.inner_text(".sd-verdict") == "1 of 2\nfacts right"
    assert cells.first.inner_text().strip() == "1 of 2"
    assert cells.nth(4).get_attribute("aria-label") == "guidance 7.5, seed 1: 1 of 2"


def test_arrow_keys_walk_through_the_grid(page):
    shown = page("grid")
    shown.locator(".sd-grid button").first.focus()
    focused = "document.activeElement.getAttribute('aria-label').split(':')[0]"
    walks = [
        ("ArrowRight", "guidance 1, seed 1"),
        ("ArrowDown", "guidance 7.5, seed 1"),
        ("ArrowDown", "guidance 7.5, seed 1"),
        ("ArrowLeft", "guidance 7.5, seed 0"),
        ("ArrowLeft", "guidance 7.5, seed 0"),
        ("ArrowUp", "guidance 1, seed 0"),
    ]
    for key, where in walks:
        shown.keyboard.press(key)
        assert shown.evaluate(focused) == where
    before = pixels(shown)
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("Enter")
    assert pixels(shown) != before


def test_one_picture_alone_is_shown_with_its_settings(page):
    shown = page("one")
    assert PROMPT in shown.inner_text(".sd-facts") and "guidance 7.5" in shown.inner_text(
        ".sd-facts"
    )
    assert shown.locator(".sd-grid button").count() == 0
    blank = shown.evaluate(
        "() => new Set(document.querySelector('canvas').getContext('2d')"
        ".getImageData(0, 0, 99, 99).data).size"
    )
    assert blank > 10


@pytest.mark.parametrize("cell", range(4))
def test_texts_with_html_in_them_are_text(page, cell):
    shown = page("hostile")
    shown.locator(".sd-grid button").nth(cell).click()
    assert shown.title() == "A page"
    assert shown.locator("main b, main script:not([type])").count() == 0
    assert "<script>" in shown.inner_text("main")


@pytest.mark.parametrize("name", ["grid", "hostile", "live"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(page, name, width):
    shown = page(name, width=width)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


# -- with a kernel -------------------------------------------------------------------------------


def test_every_control_is_sent_with_all_the_others(page):
    shown = page("live")
    control(shown, "Prompt").fill("a blue dog")
    control(shown, "Negative prompt").fill("grass")
    control(shown, "Steps", "slider").fill("7")
    control(shown, "Seed", "spinbutton").fill("41")
    control(shown, "Guidance scale", "slider").press("ArrowRight")
    control(shown, "Sampler", "combobox").select_option("heun")
    until(shown, "sent.length && sent.at(-1).given.sampler === 'heun'")
    assert sent(shown, "draw")[-1] == {
        "prompt": "a blue dog",
        "negative_prompt": "grass",
        "guidance_scale": 8,
        "sampler": "heun",
        "steps": 7,
        "seed": 41,
    }


def test_dragging_asks_a_few_times_and_typing_when_it_pauses(page):
    shown = page("live")
    moved = shown.evaluate(
        """() => {
            const slider = document.querySelector('input[type=range]');
            for (let i = 0; i <= 30; i++) {
                slider.value = i / 2;
                slider.dispatchEvent(new Event('input'));
            }
            return slider.value;
        }"""
    )
    until(shown, "sent.length > 0")
    assert [one["guidance_scale"] for one in sent(shown, "draw")] == [float(moved)]
    control(shown, "Prompt").press("End")
    control(shown, "Prompt").press_sequentially("es")
    until(shown, "sent.length > 1")
    assert sent(shown, "draw")[-1]["prompt"] == PROMPT + "es"


def test_the_picture_in_the_making_is_shown_and_can_be_stopped(page):
    shown = page("live")
    before = pixels(shown)
    shown.evaluate(
        """() => told({
            preview: new DataView(new Uint8Array(12).fill(99).buffer),
            progress: {doing: 'picture', step: 3, steps: 12, size: [2, 2], said: '', error: ''},
        })"""
    )
    assert pixels(shown) != before
    assert shown.locator("progress").evaluate("bar => bar.value") == 0.25
    assert shown.get_by_role("status").inner_text() == "Drawing …"
    shown.get_by_role("button", name="Stop").click()
    assert shown.evaluate("sent.at(-1).what") == "stop"
    shown.evaluate("told({progress: {doing: '', said: 'Stopped.', error: ''}})")
    assert shown.get_by_role("status").inner_text() == "Stopped."
    assert shown.get_by_role("button", name="Draw").count() == 1
    until(shown, f"document.querySelector('{PICTURE}').getAttribute('aria-label').includes('7.5')")
    assert pixels(shown) == before  # the finished picture comes back


def test_the_cell_in_the_making_is_shown(page):
    shown = page("live")
    first = ".sd-grid tr:nth-of-type(2) td:nth-of-type(2) canvas"
    before = pixels(shown, first)
    shown.evaluate(
        """() => told({
            preview: new DataView(new Uint8Array(12).fill(99).buffer),
            progress: {doing: 'grid', cell: 1, cells: 6, step: 1, steps: 2, size: [2, 2]},
        })"""
    )
    assert pixels(shown, first) != before
    assert shown.get_by_role("status").inner_text() == "Drawing picture 2 of 6 …"
    assert shown.locator("progress").evaluate("bar => bar.value") == pytest.approx(0.25)


def test_a_grid_is_asked_for_as_it_was_typed(page):
    shown = page("live")
    control(shown, "Rows", "combobox").select_option("sampler")
    control(shown, "Rows: values").fill("ddim, heun")
    shown.get_by_role("button", name="Fill the grid").click()
    assert sent(shown, "fill") == [
        {
            "rows": "sampler",
            "row_values": "ddim, heun",
            "columns": "seed",
            "column_values": "0, 1, 2",
            "settings": sent(shown, "fill")[0]["settings"],
        }
    ]


def test_a_grid_has_what_the_controls_say(page):
    shown = page("live")
    shown.locator(".sd-grid button").nth(1).click()  # guidance 1, seed 1: the controls follow
    control(shown, "Prompt").fill("a dog")
    shown.get_by_role("button", name="Fill the grid").click()
    (asked,) = sent(shown, "fill")
    expected = {"prompt": "a dog", "guidance_scale": 1, "seed": 1}
    assert expected.items() <= asked["settings"].items()
    shown.wait_for_timeout(600)  # longer than the pause after the last key
    assert sent(shown, "draw") == []  # it would have given up the grid


def test_a_cell_that_is_picked_again_gives_way_to_the_picture(page):
    shown = page("live")
    before = pixels(shown)
    cell = shown.locator(".sd-grid button").nth(1)
    cell.click()
    until(shown, "document.querySelector('.sd-grid button[aria-pressed=true]')")
    assert pixels(shown) != before
    cell.click()
    assert cell.get_attribute("aria-pressed") == "false"
    assert control(shown, "Guidance scale", "slider").input_value() == "7.5"
    until(shown, "document.querySelector('.sd-facts').textContent.includes('guidance 7.5')")
    assert pixels(shown) == before


def test_a_picture_in_the_making_does_not_paint_over_a_cell(page):
    shown = page("live")
    shown.locator(".sd-grid button").nth(1).click()
    picked = pixels(shown)
    shown.evaluate(
        "() => told({preview: new DataView(new Uint8Array(12).fill(200).buffer), progress:"
        " {doing: 'picture', step: 1, steps: 2, size: [2, 2], said: '', error: ''}})"
    )
    assert pixels(shown) == picked
    shown.locator(".sd-grid button").nth(1).click()  # and shows when the cell is let go
    shown.evaluate("() => told({progress: {...model.get('progress'), step: 2}})")
    assert pixels(shown) != picked


def test_a_value_between_the_sliders_places_stays_until_it_is_moved(page):
    shown = page("live")
    guidance = control(shown, "Guidance scale", "slider")
    settings = shown.evaluate("state.settings")
    shown.evaluate("given => told({settings: given})", {**settings, "guidance_scale": 7.25})
    assert guidance.input_value() == "7.25"
    shown.get_by_role("button", name="Draw").click()
    assert sent(shown, "draw")[-1]["guidance_scale"] == 7.25
    guidance.focus()
    guidance.press("ArrowRight")
    assert float(guidance.input_value()) % 0.5 == 0


def test_what_is_typed_wrongly_is_told_while_something_is_drawn(page):
    shown = page("live")
    making = "{doing: 'picture', step: STEP, steps: 9, size: [1, 1], said: '', error: ''}"
    shown.evaluate(f"() => told({{progress: {making.replace('STEP', '1')}}})")
    control(shown, "Steps", "slider").fill("7")
    until(shown, "sent.some((one) => one.what === 'draw')")
    shown.evaluate("answered({answer: sent.at(-1).ask, error: 'no'})")
    alert = shown.get_by_role("alert")
    until(shown, "document.querySelector('[role=alert]').textContent")
    shown.evaluate(f"() => told({{progress: {making.replace('STEP', '2')}}})")
    assert alert.inner_text() == "no"
    shown.evaluate("() => told({progress: {doing: '', said: 'Stopped.', error: ''}})")
    shown.evaluate(f"() => told({{progress: {making.replace('STEP', '1')}}})")
    assert alert.inner_text() == ""


def test_a_cell_that_is_picked_sets_the_controls_and_draws_nothing(page):
    shown = page("live")
    shown.locator(".sd-grid button").nth(1).click()
    assert control(shown, "Guidance scale", "slider").input_value() == "1"
    assert control(shown, "Seed", "spinbutton").input_value() == "1"
    assert sent(shown, "draw") == []


def test_an_error_is_shown_as_text_and_goes_when_the_next_wish_is_fine(page):
    shown = page("live")
    shown.get_by_role("button", name="Draw").click()
    shown.evaluate("answered({answer: sent.at(-1).ask, error: '<b>steps</b> must be a number'})")
    alert = shown.get_by_role("alert")
    until(shown, "document.querySelector('[role=alert]').textContent")
    assert alert.inner_text() == "<b>steps</b> must be a number"
    shown.get_by_role("button", name="Draw").click()
    assert alert.inner_text() == ""
    shown.evaluate("told({progress: {doing: '', said: '', error: 'no memory'}})")
    assert alert.inner_text() == "no memory"


def test_a_sampler_that_python_chose_is_shown_and_sent(page):
    shown = page("live")
    settings = shown.evaluate("state.settings")
    shown.evaluate("given => told({settings: given})", {**settings, "sampler": "dpm2"})
    assert control(shown, "Sampler", "combobox").input_value() == "dpm2"
    control(shown, "Another seed", "button").click()
    until(shown, "sent.some((one) => one.what === 'draw')")
    assert sent(shown, "draw")[-1]["sampler"] == "dpm2"


def test_settings_from_a_cell_move_the_controls(page):
    shown = page("live")
    shown.evaluate(
        "() => told({settings: {prompt: 'a dog', negative_prompt: '', guidance_scale: 3,"
        " sampler: 'heun', steps: 9, seed: 8}})"
    )
    assert control(shown, "Prompt").input_value() == "a dog"
    assert control(shown, "Steps", "slider").input_value() == "9"
    assert sent(shown, "draw") == []


def test_a_view_that_goes_listens_no_more_and_stops_the_drawing(page):
    shown = page("live")
    shown.get_by_role("button", name="Draw").click()
    until(shown, "sent.at(-1)?.what === 'draw'")
    assert shown.evaluate("listening()") > 0
    shown.evaluate("end()")
    assert shown.evaluate("listening()") == 0
    assert shown.evaluate("sent.at(-1).what") == "stop"


def test_a_view_that_goes_leaves_alone_what_another_began(page):
    """Another view of the same widget, or the cell itself that was just run again."""
    shown = page("live")
    shown.evaluate(
        "told({progress: {doing: 'picture', step: 0, steps: 9, size: [2, 2], said: '', error: ''}})"
    )
    shown.evaluate("end()")
    assert sent(shown, "stop") == []
