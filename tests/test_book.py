"""The book is built for real, and nothing in it comes from elsewhere."""

import ast
import base64
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from html import unescape
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path, PurePosixPath

import nbformat
import pytest
from PIL import Image

from sdlearn import __version__, _book
from tests.built_book import ROOT, TINY, built, pages_of, script, tiny  # noqa: F401  (html)

docstrings, evidence, launch, pages, tasks, vendor = map(
    script, ("docstrings", "evidence", "launch", "pages", "tasks", "vendor")
)
WRITTEN = [path.stem for path in (ROOT / "book").glob("*.md")]
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))
MEGABYTE = 1_000_000


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


def test_a_lesson_is_downloaded_as_it_is(html):
    given = html / "_sources" / "lessons"
    assert len(list(given.glob("*.ipynb"))) == len(LESSONS) + 1  # and the tiny one
    for lesson in LESSONS:
        assert (given / lesson.name).read_bytes() == lesson.read_bytes()


def test_no_style_loads_anything_from_elsewhere(html):
    styles = list(html.rglob("*.css"))
    assert styles
    for style in styles:
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"(@import|url\()\s*[\"']?\s*(url\()?[\"']?(https?:)?//", text), style


def test_no_inline_script_names_another_place(html):
    for page in pages_of(html):
        text = page.read_text(encoding="utf-8")
        for inline in re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", text, re.DOTALL):
            assert "://" not in inline, f"{page.name}: {inline[:200]}"


def test_the_book_has_every_page(html):
    lessons = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb"))]
    for name in (*WRITTEN, "search", *(f"lessons/{lesson}" for lesson in lessons)):
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


def test_every_link_within_the_book_leads_somewhere(html):
    names = {path: names_of(path) for path in pages_of(html)}
    broken = []
    for page in pages_of(html):
        for link in re.findall(r'<a[^>]*\shref="([^"]*)"', page.read_text(encoding="utf-8")):
            target, _, anchor = unescape(link).partition("#")
            if re.match(r"\w+:", target):
                continue
            path = (page.parent / target).resolve() if target else page
            if not path.exists() or (anchor and path in names and anchor not in names[path]):
                broken.append(f"{page.name}: {link}")
    assert broken == []


def names_of(page):
    text = page.read_text(encoding="utf-8")
    return {unescape(name) for name in re.findall(r'\s(?:id|name)="([^"]*)"', text)}


def test_the_book_is_small_enough_to_carry(html):
    for page in pages_of(html):
        assert page.stat().st_size < 3 * MEGABYTE, page.name
    files = [path for path in html.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40 * MEGABYTE


def test_a_book_of_which_nothing_has_changed_is_not_written_anew(html):
    lists = {"genindex", "py-modindex", "search"}  # Sphinx always writes these
    watched = [page for page in pages_of(html) if page.stem not in lists]
    before = [page.stat().st_mtime_ns for page in watched]
    assert _book.build(html.parents[2]) == 0
    assert [page.stat().st_mtime_ns for page in watched] == before


# --- its pages ----------------------------------------------------------------------------------


def test_every_myth_of_the_lessons_is_on_the_page_of_the_myths_once(html):
    page = (html / "myths.html").read_text(encoding="utf-8")
    for lesson in LESSONS:
        notebook = json.loads(lesson.read_text(encoding="utf-8"))
        for number, (_, said) in enumerate(evidence.myths(notebook), start=1):
            link = f"lessons/{lesson.stem}.html#myth-{lesson.stem[:2]}-{number}"
            assert page.count(link) == 1, (
                f"“{said}” ({lesson.name}) belongs on book/myths.md, with a `measured` of its own"
            )


def test_every_exercise_is_listed_with_the_mistakes_that_it_knows_and_no_hint(html):
    from sdlearn.lessons.checker import LESSONS as modules

    page = unescape((html / "exercises.html").read_text(encoding="utf-8"))
    for exercise in (exercise for module in modules for exercise in module.EXERCISES):
        assert f"#exercise-{exercise.id.replace('.', '-')}" in page
        for mistake in exercise.mistakes:
            assert re.sub(r"['’\"]", "", mistake.name) in re.sub(r"['’‘“”\"]", "", page)
            assert mistake.stronger not in page
        assert exercise.praise not in page


def test_every_model_and_the_checker_have_their_card(html):
    named = {path.parent.name for path in ROOT.glob("data/models/*/README.md")} | {"checker"}
    assert named == {path.stem for path in (html / "cards").glob("*.html")}


def test_the_api_pages_hold_every_public_name(html):
    missing = []
    for name in ("equations", "trace", "views", "lessons", "models"):
        page = (html / "api" / f"{name}.html").read_text(encoding="utf-8")
        for public in import_module(f"sdlearn.{name}").__all__:
            if f"sdlearn.{name}.{public}" not in page:
                missing.append(f"{name}.{public}")
    assert missing == []


ARXIV = re.compile(r"(?<![\d.])(?:0[7-9]|1\d|2\d)(?:0[1-9]|1[0-2])\.\d{4,5}(?![\d.]*\d)")


def cited():
    """The arXiv numbers in lessons, docstrings, comments and the glossary."""
    texts = [(ROOT / "book" / "glossary.md").read_text(encoding="utf-8")]
    for lesson in LESSONS:
        cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    for path in (ROOT / "sdlearn").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        texts += [node.value for node in ast.walk(ast.parse(source)) if is_text(node)]
        texts += re.findall(r"#.*", source)
    return {number for text in texts for number in ARXIV.findall(text)}


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_every_paper_that_is_cited_is_among_the_references():
    references = (ROOT / "book" / "references.md").read_text(encoding="utf-8")
    listed = ARXIV.findall(re.sub(r"\(https://[^)]*\)", "", references))
    assert len(cited()) > 40 and len(listed) == len(set(listed)) + 1  # one is an example above
    assert cited() - set(listed) == set()


def test_the_citation_is_of_this_version():
    for path in (ROOT / "CITATION.cff", ROOT / "book" / "cite.md"):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"version\s*[:=]\s*\{?" + re.escape(__version__), text), path.name
        assert "the sdlearn authors" in text


def test_the_cover_is_a_run_with_a_light_for_each_of_its_words():
    told = json.loads((ROOT / "book" / "static" / "cover.json").read_text(encoding="utf-8"))
    with Image.open(ROOT / "book" / "static" / "cover.webp") as sheet:
        assert sheet.width == told["frames"] * sheet.height and told["frames"] == told["steps"] + 1
    assert told["words"]
    for word in told["words"]:
        rows, columns = word["grid"]
        light = base64.b64decode(word["map"])
        assert len(light) == rows * columns and max(light) == 255 and min(light) == 0
        assert re.search(rf"\b{word['text']}\b", told["prompt"])
    files = (ROOT / "book" / "static").glob("cover.*")
    assert sum(path.stat().st_size for path in files) < 300_000


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


def test_what_is_brought_keeps_its_links_or_loses_them_whole():
    places = {PurePosixPath("data/models/m/README.md"): PurePosixPath("cards/m.md")}
    at = (PurePosixPath("notebooks/README.md"), PurePosixPath("lessons/map.md"), places)
    assert pages.relink("[a](../data/models/m/README.md#b)", *at) == "[a](../cards/m.md#b)"
    assert pages.relink("[a](https://x.org/y)", *at) == "[a](https://x.org/y)"
    assert pages.relink("see [a *b*](../Makefile)!", *at) == "see a *b*!"
    assert pages.relink("![a](b.png)", *at) == "![a](b.png)"


def test_a_card_that_is_gone_leaves_no_page(tmp_path):
    card = tmp_path / "data" / "models" / "m" / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text("# m\n![It falls.](curves/unet.png) ![gone](no.png)")
    picture = card.parent / "curves" / "unet.png"
    picture.parent.mkdir()
    picture.write_bytes(b"picture")
    cards = tmp_path / "book" / "cards"
    assert pages.bring_texts(tmp_path, tmp_path / "book") == [cards / "m.md"]
    assert (cards / "m.md").read_text() == "# m\n![It falls.](m/curves/unet.png) ![gone](no.png)"
    assert (cards / "m" / "curves" / "unet.png").read_bytes() == b"picture"
    card.unlink()
    pages.bring_texts(tmp_path, tmp_path / "book")
    assert [path for path in cards.rglob("*") if path.is_file()] == []


def test_myths_and_exercises_become_places_to_link_to():
    v4 = nbformat.v4
    text = 'One.\n\n**Myth: "a."** No.\n\n**Myth: "b\nc."** No.\n\n### Exercise 5.1 · A name\nDo.'
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell(text)])
    assert [said for _, said in evidence.myths(notebook)] == ["a.", "b c."]
    assert tasks.headings(notebook) == {"5.1": "A name"}
    pages.set_targets(notebook, "05")
    found = re.findall(r"^\((.*)\)=\n(.*)$", notebook["cells"][0]["source"], re.MULTILINE)
    assert [name for name, _ in found] == ["myth-05-1", "myth-05-2", "exercise-5-1"]
    assert [line[:7] for _, line in found] == ["**Myth:", "**Myth:", "### Exe"]


def test_what_was_measured_is_found_on_the_side_that_was_asked_for():
    def cell(text):
        output = nbformat.v4.new_output("stream", name="stdout", text=text)
        return nbformat.v4.new_code_cell("", outputs=[output])

    cells = [cell("far before"), cell("before\n"), nbformat.v4.new_markdown_cell(""), cell("after")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert evidence.found(notebook, 2, "printed", "before") == "before"
    assert evidence.found(notebook, 2, "printed", "after") == "after"
    assert evidence.found(notebook, 2, "figure", "after") is None
    told = '<details class="sd-guess"><summary>s</summary><b>Measured: a &lt; b.</b> 1</details>'
    assert evidence.verdict([{"data": {"text/html": told}}]) == "Measured: a < b. 1"


def test_what_a_cell_printed_in_pieces_stands_in_one_piece():
    pieces = [
        nbformat.v4.new_output("stream", name=name, text=text)
        for name, text in (("stdout", "one\n"), ("stderr", "no"), ("stdout", "two\n"))
    ]
    cells = [nbformat.v4.new_markdown_cell(""), nbformat.v4.new_code_cell("", outputs=pieces)]
    found = evidence.found(nbformat.v4.new_notebook(cells=cells), 0, "printed", "after")
    assert found == "one\ntwo"


def test_without_a_repository_no_lesson_has_links_and_with_one_each_has():
    page = "lessons/01-one-prompt-every-stage"
    assert launch.links("", "main", page) == []
    (colab, binder) = launch.links("https://github.com/o/n", "main", page)
    path = "notebooks/01-one-prompt-every-stage.ipynb"
    assert colab == ("Colab", f"https://colab.research.google.com/github/o/n/blob/main/{path}")
    assert binder[1] == "https://mybinder.org/v2/gh/o/n/main?labpath=" + path.replace("/", "%2F")
    assert [name for name, _ in launch.links("https://git.x.org/o/n", "main", page)] == ["Binder"]
    assert launch.links("https://github.com/o/n", "main", "glossary") == []
    assert launch.links("https://github.com/o/n", "main", "lessons/map") == []
    with pytest.raises(ValueError, match="like https://github"):
        launch.links("github.com/o/n", "main", page)


def test_the_links_join_the_buttons_of_a_lesson():
    class App:
        class config:
            sd_repository, sd_branch = "https://github.com/o/n", "main"

    context = {"header_buttons": []}
    launch.add_links(App, "index", "", context, None)
    assert context["header_buttons"] == []
    launch.add_links(App, "lessons/01-a", "", context, None)
    (group,) = context["header_buttons"]
    assert [button["text"] for button in group["buttons"]] == ["Colab", "Binder"]


def test_code_in_a_docstring_is_announced_and_sections_are_not():
    lines = ["One.", "", "    x = 1", "", "Args:", "    x: A number.", "", "So::", "", "    y"]
    announced = [*lines[:2], ".. code-block:: python", "", *lines[2:]]
    assert docstrings.mark_code(lines) == announced
    assert docstrings.mark_code(["One.", "", "    >>> x"]) == ["One.", "", "    >>> x"]
