"""A browser with no way out: what a page asks for beyond its own files is refused and counted."""

import os
import shutil

import pytest

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

    `expected` is the beginning of an error that must come.
    """
    pages, faults = [], []

    def look(url, width=1280, height=900, scheme="light", expected=""):
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
        )

        def route(asked):
            if asked.request.url.startswith(("file:", "data:", "blob:")):
                asked.continue_()
            else:
                faults.append(f"asked for {asked.request.url}")
                asked.abort()

        page.route("**/*", route)
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))

        def heard(message):
            if message.type == "error" and not (expected and message.text.startswith(expected)):
                faults.append(f"console: {message.text}")

        page.on("console", heard)
        page.goto(url)
        pages.append(page)
        return page

    yield look
    for page in pages:
        page.close()
    assert faults == []
