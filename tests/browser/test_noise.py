"""The noise explorer in a page of the book: it adds noise as Python does, all controls work."""

import base64
import hashlib
import re

import numpy as np
import pytest
import torch
from PIL import Image

from sdlearn.equations import noising
from sdlearn.equations.schedules import NoiseSchedule
from sdlearn.views.widgets import noise
from sdlearn.views.widgets.widget import source
from tests.browsing import every_control_is_named, open_alive, write_pages

SIDE = 32
HOSTILE = "<b onclick=alert(1)>cat</b> & <script>document.title='broken'</script>"
FAMILY = {
    "linear": NoiseSchedule.linear(100),
    "cosine": NoiseSchedule.cosine(300),
    "mended": NoiseSchedule.linear(100).with_zero_terminal_snr(),
}

# A notebook's model in an empty page: whoever sets a value, all who listen hear of it at once.
NOTEBOOK = """async ({ code, state }) => {
    const ears = new Map();
    const blob = Uint8Array.from(atob(state.blob), (letter) => letter.charCodeAt(0));
    window.model = {
        get: (name) => (name === "blob" ? blob : state[name]),
        set: (name, value) => {
            if (state[name] === value) return;
            state[name] = value;
            for (const [ear, heard] of ears) if (heard === `change:${name}`) ear();
        },
        save_changes() {},
        on: (name, ear) => ears.set(ear, name),
        off: (name, ear) => ears.delete(ear),
    };
    window.listening = () => ears.size;
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const widget = (await import(url)).default;
    document.body.replaceChildren();
    window.cleanUp = await widget.render({ model, el: document.body });
}"""


def picture(seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def normals(seed, count):
    """The page's noise: mulberry32 and Box-Muller, as in kit.js."""
    state, drawn = seed & 0xFFFFFFFF, []
    for _ in range(2 * count):
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        mixed = ((state ^ (state >> 15)) * (state | 1)) & 0xFFFFFFFF
        mixed ^= (mixed + (mixed ^ (mixed >> 7)) * (mixed | 61)) & 0xFFFFFFFF
        drawn.append((mixed ^ (mixed >> 14)) / 4294967296)
    first, second = np.array(drawn[::2]), np.array(drawn[1::2])
    return np.sqrt(-2 * np.log(1 - first)) * np.cos(2 * np.pi * second)


def clean():
    return torch.tensor(np.array(picture())).double() / 127.5 - 1  # [row, column, colour]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    shown = {
        "two": noise({"one": picture(), "other": picture(1)}, FAMILY, side=SIDE),
        "hostile": noise({HOSTILE: picture()}, {HOSTILE: FAMILY["linear"]}, side=SIDE),
    }
    return write_pages(tmp_path_factory.mktemp("site"), shown)


@pytest.fixture
def page(opened, site):
    return lambda name="two", **options: open_alive(opened, site, name, **options)


def pixels(page, part):
    """What a panel shows, [row, column, colour], 0 to 255."""
    found = page.evaluate(
        """part => {
            const canvas = document.querySelector(`.sd-${part} canvas`);
            const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            return [...all.data];
        }""",
        part,
    )
    return np.array(found).reshape(SIDE, SIDE, 4)[..., :3]


def digest(page, selector):
    markup = page.locator(selector).evaluate("one => one.outerHTML")
    return hashlib.sha256(markup.encode()).hexdigest()


def drag(page, place):
    page.locator("input[type=range]").evaluate(
        "(slider, to) => {slider.value = to; slider.dispatchEvent(new Event('input'))}", place
    )


def walked(page):
    page.get_by_role("combobox", name="Noise added").select_option("walk")
    page.wait_for_function("document.querySelector('.sd-note').textContent === ''")


def shown_levels(values):
    return np.asarray(((values + 1) * 127.5).clamp(0, 255).round())


@pytest.mark.parametrize(("schedule", "t", "seed"), [("linear", 40, 0), ("cosine", 299, 12345)])
def test_it_adds_noise_as_python_does(page, schedule, t, seed):
    shown = page()
    shown.get_by_role("combobox", name="Schedule", exact=True).select_option(schedule)
    shown.get_by_role("spinbutton", name="Seed").fill(str(seed))
    shown.get_by_role("spinbutton", name="Seed").press("Tab")
    drag(shown, t)
    eps = torch.tensor(normals(seed, 3 * SIDE * SIDE)).view(SIDE, SIDE, 3)
    xt = noising.add_noise(clean(), eps, float(FAMILY[schedule].alpha_bars[t]))
    for part, values in (("x0", clean()), ("eps", eps), ("xt", xt)):
        assert np.abs(pixels(shown, part) - shown_levels(values)).max() <= 1  # .5 goes either way
    read = shown.locator(".sd-read").inner_text().replace("−", "-")
    sums = [float(one) for one in re.findall(r"= (-?[\d.]+)", read)]
    assert np.abs(np.array(sums) - xt[SIDE // 2, SIDE // 2].numpy()).max() < 0.00051
    alpha_bar = float(FAMILY[schedule].alpha_bars[t])
    formula = shown.locator(".sd-formula").inner_text()
    assert formula.endswith(f"{alpha_bar**0.5:.3f} · x0 + {(1 - alpha_bar) ** 0.5:.3f} · eps")
    said = shown.locator(".sd-said").all_inner_texts()
    found = re.search(r"mean (\S+), spread (\d\.\d+)", " ".join(said).replace("−", "-"))
    assert float(found[1]) == pytest.approx(float(xt.mean()), abs=0.00051)
    assert float(found[2]) == pytest.approx(float(xt.std(unbiased=False)), abs=0.00051)


def test_small_steps_end_where_the_jump_does(page):
    """Another noise, the same distribution; and one eps that leads straight there."""
    shown = page()
    drag(shown, 60)
    jumped = pixels(shown, "xt")
    walked(shown)
    assert np.abs(pixels(shown, "xt") - jumped).mean() > 10
    said = shown.locator(".sd-plots .sd-said").inner_text().replace("−", "-")
    (a, one), (b, two), (mean, std) = (
        map(float, found) for found in re.findall(r"mean (\S+), spread (\d\.\d+)", said)
    )
    margin = 5 / (3 * SIDE * SIDE) ** 0.5  # five standard errors of a mean
    assert abs(a - b) < 2 * margin and abs(one - two) < margin
    assert abs(mean) < margin and abs(std - 1) < margin
    assert "61 small steps" in said


def test_the_walk_is_ddpm_s_chain(page):
    shown = page()
    drag(shown, 5)
    walked(shown)
    noises = normals(-1, 6 * 3 * SIDE * SIDE).reshape(6, SIDE, SIDE, 3)
    alpha_bars, x, before = FAMILY["linear"].alpha_bars.tolist(), clean(), 1.0
    for t in range(6):
        x = noising.add_noise_between(x, torch.tensor(noises[t]), before, alpha_bars[t])
        before = alpha_bars[t]
    assert np.abs(pixels(shown, "xt") - shown_levels(x)).max() <= 1


def test_every_control_changes_what_it_should(page):
    shown = page()
    parts = ("x0", "eps", "xt")
    before = {part: pixels(shown, part) for part in parts}

    def changed():
        after = {part: pixels(shown, part) for part in parts}
        names = [part for part in parts if (after[part] != before[part]).any()]
        before.update(after)
        return names

    drag(shown, 10)
    assert changed() == ["xt"]
    shown.get_by_role("button", name="Other noise").click()
    assert changed() == ["eps", "xt"]
    assert shown.get_by_role("spinbutton", name="Seed").input_value() == "1"
    shown.get_by_role("combobox", name="Picture", exact=True).select_option("other")
    assert changed() == ["x0", "xt"]
    histogram, curves = digest(shown, ".sd-histogram"), digest(shown, ".sd-schedules")
    shown.get_by_role("combobox", name="Schedule", exact=True).select_option("cosine")
    assert changed() == ["xt"]
    assert shown.locator("output").inner_text() == "30 of 299"  # the same share of the way
    assert digest(shown, ".sd-histogram") != histogram
    assert digest(shown, ".sd-schedules") != curves


def test_each_curve_says_where_we_are(page):
    shown, seen = page(), set()
    drag(shown, 50)
    alpha_bar = float(FAMILY["linear"].alpha_bars[50])
    truth = {
        "alpha_bar": alpha_bar,
        "sigma": ((1 - alpha_bar) / alpha_bar) ** 0.5,
        "SNR": alpha_bar / (1 - alpha_bar),
    }
    for name, value in truth.items():
        shown.get_by_role("combobox", name="Schedule’s").select_option(name)
        label = shown.locator(".sd-schedules").get_attribute("aria-label")
        assert label.startswith(f"{name} over t") and "t = 50 of linear" in label
        assert float(label.rstrip(".").split()[-1]) == pytest.approx(value, rel=0.006)
        seen.add(digest(shown, ".sd-schedules"))
    assert len(seen) == 3


def test_a_schedule_may_end_at_nothing(page):
    shown = page()
    shown.get_by_role("combobox", name="Schedule", exact=True).select_option("mended")
    drag(shown, 99)
    for name in ("SNR", "sigma"):
        shown.get_by_role("combobox", name="Schedule’s").select_option(name)
    assert "alpha_bar = 0.0000" in shown.locator(".sd-explorer").inner_text()
    assert (pixels(shown, "xt") == pixels(shown, "eps")).all()
    told = shown.locator(".sd-explorer").evaluate("one => one.outerHTML")
    assert "NaN" not in told and "Infinity" not in told and "∞" in told


def test_pointing_at_the_curves_moves_t(page):
    shown = page()
    box = shown.locator(".sd-schedules").bounding_box()
    shown.mouse.click(box["x"] + box["width"] - 11, box["y"] + 40)
    assert shown.locator("output").inner_text() in ("98 of 99", "99 of 99")


def test_the_pointer_reads_numbers_and_so_do_the_arrow_keys(page):
    shown = page()
    canvas = shown.locator(".sd-xt canvas")
    canvas.hover(position={"x": 2, "y": 2})
    assert "row 0, column 0" in shown.locator(".sd-read").inner_text()
    canvas.focus()
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("ArrowDown")
    assert "row 1, column 1" in shown.locator(".sd-read").inner_text()


def test_a_picture_of_ones_own_is_cropped_and_stays_here(page, tmp_path):
    wide = Image.new("RGB", (3 * SIDE, SIDE), "red")
    wide.paste(picture(5), (SIDE, 0))
    path = tmp_path / "my <b>cat<b>.png"
    wide.save(path)
    shown = page()
    shown.locator("input[type=file]").set_input_files(path)
    shown.wait_for_function("document.querySelector('.sd-note').textContent.includes('stays')")
    assert (pixels(shown, "x0") == np.array(picture(5))).all()
    assert shown.locator(".sd-note b, option b").count() == 0
    shown.get_by_role("combobox", name="Picture", exact=True).select_option("one")
    assert (pixels(shown, "x0") == np.array(picture())).all()


def test_a_file_that_is_no_picture_is_told(page, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no picture", encoding="utf-8")
    shown = page()
    shown.locator("input[type=file]").set_input_files(path)
    shown.wait_for_function("document.querySelector('.sd-note').textContent.includes('PNG')")
    assert (pixels(shown, "x0") == np.array(picture())).all()


def test_dragging_is_answered_at_once(page):
    """In the page itself: the picture has changed when the slider's event is over."""
    changed = page().evaluate(
        """() => {
            const canvas = document.querySelector('.sd-xt canvas');
            const slider = document.querySelector('input[type=range]');
            const before = canvas.toDataURL();
            slider.value = 1;
            slider.dispatchEvent(new Event('input'));
            return canvas.toDataURL() !== before;
        }"""
    )
    assert changed


def test_names_with_html_in_them_are_text(page):
    shown = page("hostile")
    assert shown.title() == "A page"
    assert shown.locator("main option b, .sd-legend b, main script:not([type])").count() == 0
    assert HOSTILE in shown.locator(".sd-legend").inner_text()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(page, width):
    shown = page("hostile", width=width)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_has_a_name(page):
    every_control_is_named(page(), words=2)


@pytest.fixture
def notebook(page):
    """The explorer as a notebook has it, with a model that Python can change."""
    widget = noise({"one": picture(), "other": picture(1)}, FAMILY, side=SIDE)
    names = ("pictures", "schedules", "side", "picture", "schedule", "t", "seed")
    state = {name: getattr(widget, name) for name in names}
    state["blob"] = base64.b64encode(widget.blob).decode("ascii")
    shown = page()
    shown.evaluate(NOTEBOOK, {"code": source("noise", "js"), "state": state})
    return shown


def test_page_and_kernel_know_of_each_others_changes(notebook):
    notebook.get_by_role("combobox", name="Schedule", exact=True).select_option("cosine")
    told = "['picture', 'schedule', 't', 'seed'].map(model.get)"
    assert notebook.evaluate(told) == ["one", "cosine", 148, 0]
    before = pixels(notebook, "xt")
    notebook.evaluate("model.set('t', 20)")
    assert notebook.locator("output").inner_text() == "20 of 299"
    assert (pixels(notebook, "xt") != before).any()
    notebook.evaluate("model.set('picture', 'other')")
    assert (pixels(notebook, "x0") == np.array(picture(1))).all()
    notebook.evaluate("model.set('t', 5000)")  # no schedule is as long
    assert notebook.locator("output").inner_text() == "299 of 299"


def test_nothing_is_left_after_cleaning_up(notebook):
    drag(notebook, 90)
    notebook.evaluate(
        """() => {
            let ticks = 0;
            performance.now = () => (ticks += 100);  // a step for each look, and no more
            const all = [...document.querySelectorAll("select")];
            const way = all.find((one) => one.value === "jump");
            way.value = "walk";
            way.onchange();
            cleanUp();
        }"""
    )
    assert notebook.evaluate("listening()") == 0
    assert notebook.locator(".sd-note").inner_text() == "1 of 91 small steps"
    notebook.wait_for_timeout(300)
    assert notebook.locator(".sd-note").inner_text() == "1 of 91 small steps"
