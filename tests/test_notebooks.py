"""The form of the lessons. That they run and print what they say is nbval's part (see Makefile)."""

import copy
import json
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("**/*.ipynb"))
LESSONS = [path for path in LESSONS if ".ipynb_checkpoints" not in path.parts]

MAX_BYTES = 1_000_000
MAX_LINES = 20
MAX_COLUMNS = 76
MACHINE = re.compile(
    r"(?<![\w.:/])/(home|Users|root|work|tmp|opt|mnt|var|private)/\w|[A-Z]:\\\\?\w"
    r"|site-packages|ipykernel_\d|://(localhost|127\.0\.0\.1)"
)
MARKED = re.compile(r"^\s*#\s*(NBVAL_\w+)\b[^\S\n]*\S.*$", re.MULTILINE)
ENCODED = re.compile(r"base64,[A-Za-z0-9+/=\\n]+")
IMG = re.compile(r"<img\b[^>]*>", re.IGNORECASE | re.DOTALL)
ALT = re.compile(r"""\balt\s*=\s*(["'])\s*[^\s"'].*?\1""", re.IGNORECASE | re.DOTALL)


def faults(notebook: dict, size: int = 0) -> list[str]:
    """Return what keeps a notebook from being a lesson, each with the cell it stands in."""
    found = []
    if size > MAX_BYTES:
        found.append(f"{size} bytes; at most {MAX_BYTES}: save smaller pictures")
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        found.append("its kernel is not called python3, which every installation has")
    if notebook["metadata"].get("language_info", {}).get("name") != "python":
        found.append("no language_info: save it in JupyterLab, so that the book can colour it")
    count = 0
    for index, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        said = _text_faults(source) + (_markdown_faults(source) if _is(cell, "markdown") else [])
        if _is(cell, "code") and source.strip():
            count += 1
            said += _code_faults(source) + _output_faults(cell, count)
        found += [f"cell {index}: {fault}" for fault in said]
    return found


def _is(cell, kind):
    return cell["cell_type"] == kind


def _text_faults(text):
    place = MACHINE.search(ENCODED.sub("", text))
    return [f"names a place on one machine: {place.group()!r}"] if place else []


def _markdown_faults(source):
    found = ["a picture without alt text"] * len(re.findall(r"!\[\s*\]\(", source))
    return found + _img_faults(source)


def _img_faults(html):
    return ["an <img> without alt text" for tag in IMG.findall(html) if not ALT.search(tag)]


def _code_faults(source):
    lines = source.rstrip().split("\n")
    found = [f"{len(lines)} lines; at most {MAX_LINES}"] if len(lines) > MAX_LINES else []
    found += [f"{mark}: nbval obeys it on a line of its own" for mark in MARKED.findall(source)]
    wide = [line for line in lines if len(line) > MAX_COLUMNS]
    return found + [f"{len(line)} columns; at most {MAX_COLUMNS}: {line}" for line in wide]


def _output_faults(cell, count):
    found = []
    if cell["execution_count"] != count:
        found.append("not run in order from top to bottom: restart the kernel and run all cells")
    for output in cell["outputs"]:
        kind = output["output_type"]
        if kind == "error":
            found.append(f"ends in {output['ename']}")
        elif kind == "stream":
            found += _text_faults("".join(output["text"]))
            found += ["prints to stderr"] if output["name"] == "stderr" else []
        else:
            found += _display_faults(output["data"], output["metadata"])
    return found


def _display_faults(data, metadata):
    found = []
    texts = {mime: value for mime, value in data.items() if mime.startswith("text/")}
    for mime, value in texts.items():
        text = "".join(value)
        found += _text_faults(text) + (_img_faults(text) if mime == "text/html" else [])
    described = any(ALT.search(tag) for tag in IMG.findall("".join(data.get("text/html", ""))))
    for mime in data:
        if mime.startswith("image/") and not described:
            alt = (metadata.get(mime) or metadata).get("alt", "")
            found += [] if str(alt).strip() else ["a picture without alt text"]
    return found


# --- the lessons --------------------------------------------------------------------------------


def test_there_are_lessons():
    assert LESSONS, "notebooks/ holds no lesson"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_the_form_of_a_lesson(path):
    assert re.match(r"\d\d-[a-z0-9-]+\.ipynb$", path.name)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    nbformat.validate(notebook)
    assert faults(notebook, path.stat().st_size) == []


# --- the test of the test -----------------------------------------------------------------------


def png(metadata=None, **more):
    data = {"image/png": "iVBORw0KGgo=", **more}
    return {"output_type": "display_data", "data": data, "metadata": metadata or {}}


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": [text]}


def lesson(source="x = 1", outputs=(), count=1, markdown="# A lesson"):
    code = {"cell_type": "code", "source": source, "execution_count": count, "metadata": {}}
    return {
        "cells": [
            {"cell_type": "markdown", "source": [markdown], "metadata": {}},
            {**code, "outputs": list(outputs)},
            {**code, "source": "", "outputs": [], "execution_count": None},
        ],
        "metadata": {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}},
    }


GOOD = [
    lesson(),
    lesson("\n".join(["x" * 76] * 20) + "\n"),
    lesson("# NBVAL_IGNORE_OUTPUT\n# It may differ.\nx = 1"),
    lesson(outputs=[stream("0.5 / 0.25, https://arxiv.org/abs/2006.11239, a/home/b")]),
    lesson(outputs=[png({"image/png": {"alt": "two peaks"}}), png({"alt": "one blob"})]),
    lesson(outputs=[png({}, **{"text/html": "<img alt='two peaks' src='data:;base64,/tmp/a'>"})]),
    lesson(markdown="![two peaks](data:image/png;base64,iVBO/tmp/a)"),
]


@pytest.mark.parametrize("notebook", GOOD)
def test_a_good_lesson_passes(notebook):
    assert faults(notebook) == []


BAD = [
    (lesson(count=None), "not run in order"),
    (lesson(count=2), "not run in order"),
    (lesson("x" * 77), "77 columns"),
    (lesson("\n".join("x" * 21)), "21 lines"),
    (lesson("# NBVAL_IGNORE_OUTPUT: it may differ\nx = 1"), "on a line of its own"),
    (lesson(outputs=[{"output_type": "error", "ename": "ValueError"}]), "ends in ValueError"),
    (lesson(outputs=[stream("careful", "stderr")]), "prints to stderr"),
    (lesson(outputs=[stream("saved to /home/ada/x.png")]), "'/home/a'"),
    (lesson(outputs=[stream("in C:\\Users")]), "names a place"),
    (lesson("open('/tmp/x')"), "'/tmp/x'"),
    (lesson(outputs=[png(**{"text/plain": "<A at /home/x>"})]), "'/home/x'"),
    (lesson(outputs=[stream("ipykernel_123/5.py:1: UserWarning")]), "ipykernel_1"),
    (lesson(outputs=[png()]), "a picture without alt text"),
    (lesson(outputs=[png({"image/png": {"alt": " "}})]), "a picture without alt text"),
    (lesson(outputs=[png({"alt": "a"}, **{"text/html": "<img src='a'>"})]), "<img> without"),
    (lesson(outputs=[png({"alt": "a"}, **{"text/html": "<img alt='' src='a'>"})]), "<img> without"),
    (lesson(markdown="![](cat.png)"), "a picture without alt text"),
    (lesson(markdown="<img src='cat.png'>"), "<img> without"),
]


@pytest.mark.parametrize(("notebook", "complaint"), BAD)
def test_a_bad_lesson_is_found_out(notebook, complaint):
    found = faults(notebook)
    assert any(complaint in fault for fault in found), found


@pytest.mark.parametrize("missing", ["kernelspec", "language_info"])
def test_a_lesson_says_what_it_is_written_in(missing):
    notebook = copy.deepcopy(lesson())
    del notebook["metadata"][missing]
    assert len(faults(notebook)) == 1


def test_a_lesson_is_small():
    assert "at most" in faults(lesson(), size=MAX_BYTES + 1)[0]
