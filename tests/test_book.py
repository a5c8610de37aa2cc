"""The book is built for real, and nothing in it comes from elsewhere."""

import base64
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tarfile
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from sdlearn import _book

ROOT = Path(__file__).resolve().parents[1]
TINY = "00-tiny.ipynb"


def load(name):
    """Import one of the book's own scripts."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "book" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


sys.path.insert(0, str(ROOT / "book"))  # its scripts import one another, as Sphinx lets them
vendor, pages = load("vendor"), load("pages")


def tiny():
    """A notebook with a heading, a formula, code and a described picture."""
    v4 = nbformat.v4
    picture = v4.new_output(
        "display_data",
        data={
            "image/png": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
            "WjR9awAAAABJRU5ErkJggg==",
            "text/plain": "<Figure>",
        },
        metadata={"image/png": {"alt": "a single dot"}},
    )
    code = v4.new_code_cell("beta = 0.5", execution_count=1, outputs=[picture])
    return v4.new_notebook(
        cells=[v4.new_markdown_cell("# Tiny\n\n$\\bar\\alpha_t$ falls."), code],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
    )


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The finished pages of the book, with a tiny lesson before the real ones."""
    root = tmp_path_factory.mktemp("book")
    line = [sys.executable, str(ROOT / "book" / "vendor.py")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # in book/vendor, so that it is fetched only once
    leave = shutil.ignore_patterns("_build", "lessons", "__pycache__")
    shutil.copytree(ROOT / "book", root / "book", ignore=leave)
    (root / "notebooks").mkdir()
    for lesson in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(lesson, root / "notebooks")
    nbformat.write(tiny(), root / "notebooks" / TINY)
    assert _book.build(root) == 0
    return root / "book" / "_build" / "html"


def pages_of(html):
    """Return the book's pages; the theme leaves templates of its own in _static."""
    return [page for page in html.rglob("*.html") if "_static" not in page.parts]


class Assets(HTMLParser):
    """Everything that a page loads by itself: scripts, styles, pictures. Links are not loaded."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            loads = name in ("src", "srcset", "poster", "data") or (name, tag) == ("href", "link")
            if loads and value:
                self.found.append(value)


def assets(page):
    parser = Assets()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.found


def test_no_page_loads_anything_from_elsewhere(html):
    seen = 0
    for page in pages_of(html):
        for asset in assets(page):
            seen += 1
            assert not re.match(r"(\w+:)?//", asset), f"{page.name} loads {asset}"
            if not asset.startswith(("data:", "#")):
                path = (page.parent / asset.partition("?")[0].partition("#")[0]).resolve()
                assert path.exists(), f"{page.name} wants {asset}, which is not there"
    assert seen > 20


def test_no_style_loads_anything_from_elsewhere(html):
    styles = list(html.rglob("*.css"))
    assert styles
    for style in styles:
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"(@import|url\()\s*[\"']?\s*(url\()?[\"']?(https?:)?//", text), style


def test_no_inline_script_names_another_place(html):
    for page in pages_of(html):
        text = page.read_text(encoding="utf-8")
        for script in re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", text, re.DOTALL):
            assert "://" not in script, f"{page.name}: {script[:200]}"


def test_the_book_has_every_page(html):
    lessons = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))]
    for name in ("index", "symbols", "search", *(f"lessons/{lesson}" for lesson in lessons)):
        assert (html / f"{name}.html").is_file()
    index = (html / "index.html").read_text(encoding="utf-8")
    places = [index.index(f"lessons/{name}.html") for name in [Path(TINY).stem, *lessons]]
    assert places == sorted(places)


def test_the_formulas_are_drawn_by_a_script_that_is_here(html):
    page = (html / "symbols.html").read_text(encoding="utf-8")
    assert "_static/mathjax-tex-svg.js" in page
    assert "\\bar\\alpha_t" in page
    assert (html / "_static" / "mathjax-tex-svg.js").stat().st_size > 1_000_000


def test_a_picture_keeps_its_alt_text(html):
    page = (html / "lessons" / Path(TINY).with_suffix(".html")).read_text(encoding="utf-8")
    (tag,) = [tag for tag in re.findall(r"<img[^>]*>", page) if "_images" in tag]
    assert 'alt="a single dot"' in tag


def test_the_pages_fit_a_phone(html):
    assert 'name="viewport"' in (html / "index.html").read_text(encoding="utf-8")


def test_the_book_names_no_machine(html):
    for page in pages_of(html):
        assert str(html.parents[2]) not in page.read_text(encoding="utf-8")


# --- in a browser -------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_page_is_whole_in_a_browser_without_a_network(html, opened, width, scheme):
    for path in pages_of(html):
        page = opened(path.as_uri(), width=width, scheme=scheme)  # holds it to no error, no request
        page.wait_for_load_state("load")
        if page.locator(".math").count():
            page.wait_for_selector("mjx-container", state="attached", timeout=60_000)
        for place in page.locator(".sd-widget").all():
            place.scroll_into_view_if_needed()
        page.wait_for_function("!document.querySelector('.sd-widget:not([data-alive=yes])')")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path.name} is {wide} pixels wide in a window of {width}"
        page.close()


def test_a_prediction_unfolds_what_was_measured(html, opened):
    (path,) = (html / "lessons").glob("02-*.html")
    page = opened(path.as_uri())
    question, measured = page.locator(".sd-predict").first, page.locator(".sd-guess").first
    assert measured.get_attribute("open") is None
    for choice in question.locator("input").all():
        choice.check()
        assert measured.get_attribute("open") is not None
        said = measured.locator(".sd-said")
        assert said.count() == 1
        truth = measured.locator("strong").inner_text().removeprefix("Measured: ").rstrip(".")
        chosen = choice.evaluate("one => one.parentElement.textContent")
        right = "and so it is" in said.inner_text()
        assert chosen in said.inner_text() and right == (chosen == truth)


# --- the book's scripts -------------------------------------------------------------------------


def test_the_symbols_are_those_of_the_design():
    text = (ROOT / "book" / "symbols.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert names == [
        *("x0", "xt", "x_next", "eps", "v", "x0_hat", "beta", "alpha", "alpha_bar", "sigma"),
        *("x_sigma", "noise_std", "t", "flow_time", "i", "guidance_scale"),  # two that it lacks
    ]


def test_lessons_come_and_go_with_their_notebooks(tmp_path):
    source, target = tmp_path / "notebooks", tmp_path / "lessons"
    source.mkdir()
    nbformat.write(tiny(), source / "01-a.ipynb")
    nbformat.write(tiny(), source / "02-b.ipynb")
    pages.bring_lessons(source, target)
    before = (target / "02-b.ipynb").stat().st_mtime_ns
    (source / "01-a.ipynb").unlink()
    pages.bring_lessons(source, target)
    assert [path.name for path in target.iterdir()] == ["02-b.ipynb"]
    assert (target / "02-b.ipynb").stat().st_mtime_ns == before  # so that Sphinx skips it
    cell = json.loads((target / "02-b.ipynb").read_text(encoding="utf-8"))["cells"][1]
    assert cell["metadata"]["mystnb"] == {"image": {"alt": "a single dot"}}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of ours, with an npm that hands out the archive `tmp_path`/pkg.tgz."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "x.js").write_text("let x")
    with tarfile.open(tmp_path / "pkg.tgz", "w:gz") as tar:
        tar.add(tmp_path / "package", "package")
    digest = hashlib.sha512((tmp_path / "pkg.tgz").read_bytes()).digest()

    def download(package, scratch):
        return Path(shutil.copy(tmp_path / "pkg.tgz", scratch))

    monkeypatch.setattr(vendor, "download", download)
    integrity = f"sha512-{base64.b64encode(digest).decode()}"
    return vendor.Package("x", "1.0", integrity, {"x.js": "our-x.js"})


def test_a_package_is_fetched_once(package, tmp_path):
    assert vendor.vendor(package, tmp_path / "out") is True
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "our-x.js",
        "x.integrity",
    ]
    assert vendor.vendor(package, tmp_path / "out") is False
    (tmp_path / "out" / "our-x.js").unlink()
    assert vendor.vendor(package, tmp_path / "out") is True


def test_a_package_that_is_not_the_locked_one_is_refused(package, tmp_path):
    other = vendor.Package("x", "1.0", "sha512-other", {"x.js": "our-x.js"})
    with pytest.raises(vendor.VendorError, match="not the file that was locked"):
        vendor.vendor(other, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_npm_is_explained(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(vendor, "VENDOR", tmp_path)
    monkeypatch.setattr(vendor.shutil, "which", lambda name: None)
    with pytest.raises(vendor.VendorError, match="apt-get install npm"):
        vendor.vendor(vendor.PACKAGES[0], tmp_path)


def test_an_npm_without_network_is_explained(monkeypatch, tmp_path):
    def fail(line, **_):
        return subprocess.CompletedProcess(line, 1, "", "ENOTFOUND")

    monkeypatch.setattr(vendor.shutil, "which", lambda name: "npm")
    monkeypatch.setattr(vendor.subprocess, "run", fail)
    with pytest.raises(vendor.VendorError, match=r"needs the network, once.*\nENOTFOUND"):
        vendor.vendor(vendor.PACKAGES[0], tmp_path)
