"""A browser with no way out: what a page asks for beyond its own files is refused and counted."""

import base64
import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium, driven by Playwright."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        told = "There is no chromium here. On Debian and Ubuntu: sudo apt-get install chromium"
        if os.environ.get("SDLEARN_BROWSER") == "required":
            pytest.fail(told)
        pytest.skip(told)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def opened(browser):
    """Open a page; after the test it must have logged no error and asked for nothing elsewhere.

    `expected` is the beginning of an error that must come, `origin` the address of a server of this
    machine that the page may ask.
    """
    pages, faults = [], []

    def look(url, width=1280, height=900, scheme="light", expected="", origin="file:"):
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        page.set_default_timeout(120_000)  # a busy machine is no fault of the page's

        def route(asked):
            if asked.request.url.startswith(("file:", "data:", "blob:", origin)):
                asked.continue_()
            else:
                faults.append(f"asked for {asked.request.url}")
                asked.abort()

        page.route("**/*", route)
        page.on("pageerror", lambda error: faults.append(f"error: {error} on {page.url}"))

        def heard(message):
            if message.type == "error" and not (expected and message.text.startswith(expected)):
                faults.append(f"console: {message.text} on {page.url}")

        page.on("console", heard)
        page.goto(url)
        pages.append(page)
        return page

    yield look
    for page in pages:
        page.close()
    assert faults == []


def book_script(name):
    """One of the book's own scripts, imported."""
    spec = importlib.util.spec_from_file_location(f"book_{name}", ROOT / "book" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def as_kept(widget):
    """A widget as a notebook keeps it: its state, and its bytes apart."""
    state, buffers = {}, []
    kind = f"{type(widget).__module__}.{type(widget).__qualname__}"
    for name, value in widget.get_state().items():
        if isinstance(value, bytes):
            data = base64.b64encode(value).decode("ascii")
            buffers.append({"encoding": "base64", "path": [name], "data": data})
        elif not name.startswith("_") and name not in ("layout", "tabbable", "tooltip"):
            state[name] = value
    return {"state": {**state, "_anywidget_id": kind, "_esm": "no matter"}, "buffers": buffers}


def write_pages(folder, shown):
    """A page of the book for each widget of `shown`, by name, without the book around it."""
    widgets = book_script("widgets")
    widgets.scripts(ROOT / "sdlearn" / "views" / "widgets", folder)
    for name, widget in shown.items():
        body = widgets.living(as_kept(widget), "<p>the figure</p>")
        page = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<link rel="stylesheet" href="sdlearn.css"><script src="sdlearn.js" defer></script>'
            f"</head><body><main><h1>A page</h1>{body}</main></body></html>"
        )
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return folder


def open_alive(opened, folder, name, **options):
    """Open a page of `write_pages`, and wait until its widget lives."""
    shown = opened((folder / f"{name}.html").as_uri(), **options)
    shown.wait_for_selector("[data-alive=yes]", timeout=60_000)
    return shown


def every_control_is_named(shown, words):
    """Assert that each control has a label, and each drawing one of at least so many words."""
    controls = shown.locator("main").locator("input, select, button").all()
    drawings = shown.locator("main :is([role=img], [role=application])").all()
    assert controls and drawings
    for control in controls:
        named = control.evaluate("one => one.labels?.[0]?.textContent || one.textContent")
        assert named.strip()
    assert not shown.locator("main [role=img][tabindex]").count()  # arrows would not come through
    for drawing in drawings:
        assert len(drawing.get_attribute("aria-label").split()) >= words
