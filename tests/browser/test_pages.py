"""Every page of the book in a real browser: whole, alive, readable, by day and by night."""

import functools
import http.server
import threading
from pathlib import Path

import pytest

from tests.built_book import TINY, built, pages_of, script  # noqa: F401  (the fixture html)

vendor = script("vendor")

AXE = vendor.Package(
    name="axe-core",
    version="4.14.1",
    integrity="sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZ"
    "e37OgudVGtQ==",
    files={"axe.min.js": "axe.min.js"},
)
WIDE, PHONE = (1280, 900), (390, 844)
WHOLE = ("index.html", "symbols.html", "api/index.html", "lessons/00-tiny.html")
"""Pages on which axe-core looks at everything; see `barriers`."""


@pytest.fixture(scope="session")
def axe(pytestconfig):
    """The source of axe-core, which judges whether everybody can use a page; fetched once."""
    folder = Path(pytestconfig.cache.mkdir("axe"))
    vendor.vendor(AXE, folder)
    return (folder / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def served(html):
    """The book's address on a server of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=html)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def settled(page):
    """Wait until a page has drawn its formulas and its widgets live."""
    page.wait_for_load_state("load")
    page.wait_for_function(
        "[...document.querySelectorAll('.math')].every(one => one.querySelector('mjx-container'))",
        timeout=60_000,
    )
    for place in page.locator(".sd-widget").all():
        place.scroll_into_view_if_needed()
    page.wait_for_function(
        "!document.querySelector('.sd-widget:not([data-alive=yes])')", timeout=60_000
    )


def sticking_out(page, name):
    """Complaints about a page that is wider than its window."""
    found = []
    for width, height in (WIDE, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            found.append(f"{name} is {wide} pixels wide in a window of {width}")
    return found


def barriers(page, axe, whole=True):
    """What axe-core finds that keeps people out.

    Sidebar, code and formulas are alike on all pages, and most of what is on them. Unless the page
    is looked at as a whole they are left out, and axe-core is quick.
    """
    name = page.url.rpartition("/")[2]
    if not whole:
        page.evaluate(
            "document.querySelectorAll('.highlight, mjx-container').forEach(one => one.remove())"
        )
    page.evaluate(axe)
    found = page.evaluate(
        """part => axe.run(part, {preload: false, resultTypes: ['violations']})
            .then(told => told.violations)""",
        "html" if whole else ".bd-main",
    )
    return [
        f"{name}: {one['id']}: {node['target']}: {node['failureSummary'][:300]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(
    ("where", "scheme", "size"), [("file", "light", WIDE), ("http", "dark", PHONE)]
)
def test_every_page_is_whole_and_open_to_everybody(html, served, opened, axe, where, scheme, size):
    start = served if where == "http" else html.as_uri()
    page = opened(f"{start}/index.html", *size, scheme=scheme, origin=served)
    complaints = []
    for path in pages_of(html):
        name = path.relative_to(html).as_posix()
        page.goto(f"{start}/{name}")  # `opened` holds it to no error, and no request elsewhere
        settled(page)
        assert page.locator("html").get_attribute("data-theme") == scheme
        complaints += sticking_out(page, name)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        complaints += barriers(page, axe, whole=name in WHOLE)
    assert not complaints, "\n".join(complaints)


def test_axe_would_find_a_barrier(opened, axe, tmp_path):
    (tmp_path / "bad.html").write_text(
        '<!doctype html><html lang="en"><title>bad</title><main><h1>A</h1><img src="data:,"></main>'
    )
    assert "image-alt" in "".join(barriers(opened((tmp_path / "bad.html").as_uri()), axe))


def test_a_picture_keeps_its_colours_at_night(html, opened):
    page = opened((html / "lessons" / TINY).with_suffix(".html").as_uri(), scheme="dark")
    style = "one => [getComputedStyle(one).filter, getComputedStyle(one).backgroundColor]"
    assert page.locator(".cell_output img").evaluate(style) == ["none", "rgb(255, 255, 255)"]


# --- the cover ----------------------------------------------------------------------------------


def drawn(page):
    """What the cover's canvas shows; a page from a disk would not tell."""
    return page.evaluate("document.querySelector('.sd-cover canvas').toDataURL()")


def test_the_cover_plays_to_its_picture_and_lights_up_every_word(served, opened):
    page = opened(f"{served}/index.html", origin=served)
    cover = page.locator(".sd-cover")
    page.wait_for_selector(".sd-cover[data-moment=end]")  # less motion was asked for: the picture
    words = cover.locator(".sd-cover-prompt button").all_inner_texts()
    assert len(words) >= 2
    end = drawn(page)
    page.clock.install()
    page.get_by_role("button", name="Play again").click()
    pictures = {}
    for _ in range(300):
        moment = cover.get_attribute("data-moment")
        if moment in words and moment not in pictures:
            page.clock.run_for(900)  # until the light is full
        pictures.setdefault(moment, drawn(page))
        if moment == "end":
            break
        page.clock.run_for(130)
    assert [moment for moment in pictures if moment in words] == words
    assert len([moment for moment in pictures if moment.startswith("step")]) > 10
    assert list(pictures)[-1] == "end" and pictures["end"] == end
    told = [pictures["step 1"], *(pictures[word] for word in words), end]
    assert len(set(told)) == len(told)  # noise, every word's light, the picture


def test_the_cover_can_be_paused_and_its_words_held(html, opened):
    page = opened((html / "index.html").as_uri())
    cover = page.locator(".sd-cover")
    page.wait_for_selector(".sd-cover[data-moment=end]")
    end = cover.locator("canvas").screenshot()
    word = cover.locator(".sd-cover-prompt button").first
    word.click()
    assert word.get_attribute("aria-pressed") == "true"
    assert cover.locator("canvas").screenshot() != end
    word.click()
    assert cover.locator("canvas").screenshot() == end
    cover.get_by_role("button", name="Play again").click()
    cover.get_by_role("button", name="Pause").click()
    held = cover.get_attribute("data-moment")
    page.wait_for_timeout(700)
    assert cover.get_attribute("data-moment") == held and held.startswith("step")


def test_the_cover_plays_by_itself_where_motion_is_welcome(html, opened):
    page = opened((html / "index.html").as_uri())
    page.emulate_media(reduced_motion="no-preference")
    page.clock.install()  # a slow machine would meet the cover in the middle of its play
    page.reload()
    page.wait_for_selector(".sd-cover[data-moment='step 1']", state="attached")
    page.clock.run_for(1000)
    page.wait_for_selector(".sd-cover:not([data-moment='step 1'])")
    assert page.get_by_role("button", name="Pause").is_visible()


# --- what lessons ask, and paper -----------------------------------------------------------------


def test_a_prediction_unfolds_what_was_measured(html, opened):
    (path,) = (html / "lessons").glob("02-*.html")
    page = opened(path.as_uri())
    question, measured = page.locator(".sd-predict").first, page.locator(".sd-guess").first
    assert measured.get_attribute("open") is None
    choices = question.get_by_role("group", name="Your answer").get_by_role("button").all()
    choices[0].focus()
    for _ in choices[1:]:  # whoever walks past an answer has not given it
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
    assert measured.get_attribute("open") is None
    for choice in choices:
        choice.press("Enter")
        assert measured.get_attribute("open") is not None
        assert [one.get_attribute("aria-pressed") for one in choices].count("true") == 1
        assert choice.get_attribute("aria-pressed") == "true"
        said = measured.locator(".sd-said")
        assert said.count() == 1
        truth = measured.locator("strong").inner_text().removeprefix("Measured: ").rstrip(".")
        chosen = choice.inner_text()
        right = "and so it is" in said.inner_text()
        assert chosen in said.inner_text() and right == (chosen == truth)


def test_what_a_cell_prints_on_its_way_to_the_answer_is_folded_with_it(html, opened):
    (path,) = (html / "lessons").glob("11-*.html")
    page = opened(path.as_uri())
    folded = page.locator("details.sd-guess:not([open]) .output")
    assert folded.count() > 3
    assert not any(one.is_visible() for one in folded.all())
    telling = page.locator(".cell_output:has(details.sd-guess) > .output:not(:has(.sd-guess))")
    assert telling.count() == 0
    answer = page.locator("details.sd-guess:has(.output)").first
    answer.locator("summary").click()
    assert all(one.is_visible() for one in answer.locator(".output").all())


A4 = {"width": 700, "height": 1000}  # what is left of a sheet within its margins, in CSS pixels


@pytest.mark.parametrize("name", ["index", "myths", "api/trace", "lessons/01-*"])
def test_a_page_can_be_printed(html, opened, name):
    (path,) = html.glob(f"{name}.html")
    page = opened(path.as_uri(), scheme="dark")
    settled(page)
    page.set_viewport_size(A4)
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator("#pst-primary-sidebar").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= A4["width"]
    cut = page.evaluate(
        """high => [...document.querySelectorAll('.bd-article img, .bd-article canvas')].filter(
            one => getComputedStyle(one).breakInside !== 'avoid'
              || one.getBoundingClientRect().height > high).length""",
        A4["height"],
    )
    assert cut == 0
    ink = page.locator(".bd-article p").first.evaluate("one => getComputedStyle(one).color")
    assert max(map(int, ink.removeprefix("rgb(").rstrip(")").split(","))) < 100  # dark on paper
    widgets, folded = page.locator(".sd-widget"), page.locator("details.sd-guess:not([open])")
    assert not page.locator(".sd-live").filter(visible=True).count()
    assert widgets.locator(".sd-instead").filter(visible=True).count() == widgets.count()
    count = folded.count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert folded.count() == 0  # paper has nothing to click on
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert folded.count() == count and (count > 3) == name.startswith("lessons")
    assert page.pdf().startswith(b"%PDF")
