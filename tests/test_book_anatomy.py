"""The book's page on the published models: counted, not typed."""

import re
from html import unescape
from xml.etree import ElementTree

import pytest

import sdlearn as sd
from sdlearn.models.anatomies_memory import GIB
from tests.built_book import ROOT, built, script  # noqa: F401  (the fixture html)

book = script("anatomies")
FOUR = ["sd15", "sd21", "sdxl", "sdxl-refiner"]
POCKET = [f"pocket-{name}" for name in FOUR]


@pytest.fixture(scope="module")
def anatomies():
    return [sd.anatomy(name) for name in FOUR]


def cells(table):
    """The rows of the first table in some HTML, as texts."""
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [
        [unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in rows
    ]


def test_the_page_holds_every_count_and_none_is_typed(html, anatomies):
    page = (html / "anatomy.html").read_text(encoding="utf-8")
    typed = (ROOT / "book" / "anatomy.md").read_text(encoding="utf-8")
    for one in anatomies:
        for part in one.parts:
            assert f"{part.parameters:,}" in page
            assert f"{part.parameters:,}" not in typed
        assert f"{one.parameters:,}" in page
    names_and_counted = r"sd\d+|\b[12]\.\d\b|\{.*?\}`.*?`"
    words = re.sub(names_and_counted, "", typed)
    assert not re.search(r"\d{4,}|\d[.,]\d|FLOP", words)


def test_the_page_draws_each_model_once_and_says_what_it_shows(html):
    page = (html / "anatomy.html").read_text(encoding="utf-8")
    labels = re.findall(r'<svg role="img" aria-label="([^"]*)"', page)
    assert [label.split(":")[0] for label in labels] == [
        f"The U-Net of {name}" for name in [*FOUR, *POCKET]
    ]
    drawn = "".join(re.findall(r"<svg role.*?</svg>", page, re.DOTALL))
    ids = re.findall(r'\bid="([^"]*)"', drawn)
    assert len(ids) == len(set(ids)) > 50
    for lesson in ("03", "05", "07", "08"):
        assert re.search(rf'href="lessons/{lesson}-[^"]*"><span[^>]*>lesson\s{lesson}</span>', page)


def test_a_drawing_is_in_the_colours_of_the_page(anatomies):
    drawn = book.drawings(anatomies[:1])
    (picture,) = re.findall(r"<svg.*?</svg>", drawn, re.DOTALL)
    ElementTree.fromstring(picture)  # it is whole
    for colour, variable in book.PAINT.items():
        assert colour not in picture.lower()
        assert f"var({variable})" in picture or variable == "--pst-color-background"
    assert not re.search(
        r"#[0-9a-f]{6}\b(?!-)", re.sub(r'href="#[^"]*"|url\(#[^)]*\)', "", picture)
    )
    assert book.drawings(anatomies[:1]) == drawn  # the same each time


def test_what_a_drawing_says_is_escaped(anatomies):
    figure = sd.views.unets(anatomies[0])
    figure.alt = 'three "little" <words>'
    assert 'aria-label="three &quot;little&quot; &lt;words&gt;"' in book.svg(figure, "one")


def test_the_table_of_memory_is_that_of_the_rule(anatomies):
    sizes = [4, 8, 12, 16, 24]
    header, *rows = cells(book.memory([*anatomies, sd.anatomy("sd14")], sizes))
    assert header[-5:] == [f"{size} GiB" for size in sizes]
    assert [row[0] for row in rows] == ["sd15, sd14", *FOUR[1:]]
    for row, one in zip(rows, anatomies, strict=True):
        for size, said in zip(sizes, row[-5:], strict=True):
            full, half = one.fits(size * GIB)
            assert said == ("yes" if full.ok else "in half" if half.ok else "no")


def test_the_table_of_networks_leaves_none_out(anatomies):
    header, *rows = cells(book.networks(anatomies))
    assert header[1:] == FOUR
    for place, one in enumerate(anatomies, start=1):
        numbers = [int(row[place].replace(",", "")) for row in rows if row[place] != "-"]
        assert sum(numbers[:-1]) == numbers[-1] == one.parameters


def test_the_page_knows_what_it_is_made_of():
    names = {path.name for path in book.sources()}
    assert {"anatomies.py", "anatomies_text.py", "rehearsal.py", "unets.py", "unet.json"} <= names
    assert all(path.is_file() for path in book.sources())
