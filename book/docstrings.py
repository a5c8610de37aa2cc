"""Docstrings as the library writes them, made into what autodoc reads.

They are plain text for an editor and a notebook: Google's sections (napoleon reads those), code
indented under a line, names in backticks. reStructuredText wants a double colon before code, and
sees a quotation without it. A long signature Sphinx writes in a way that no browser expects.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.domains.python import PyObject

SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Example|Examples|Note):$")
LONG = re.compile(r"<dl>\s*(<dd><em class=\"sig-param\">.*?)</dl>", re.DOTALL)


def mark_code(lines: list[str]) -> list[str]:
    """Announce every indented block of code, outside of Google's sections."""
    marked: list[str] = []
    inside = False  # of a section, or of code that was announced
    for line in lines:
        indented = line.startswith("    ")
        if line.strip() and not indented:
            inside = bool(SECTION.match(line)) or line.rstrip().endswith("::")
        if indented and not inside and not (marked and marked[-1].strip()):
            if not line.lstrip().startswith(">>>"):
                marked += [".. code-block:: python", ""]
            inside = True
        marked.append(line)
    return marked


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Change a docstring in place, as autodoc wants it."""
    lines[:] = mark_code(lines)


def plain_signature(
    app: Any,
    what: str,
    name: str,
    thing: Any,
    options: Any,
    arguments: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Write a default that is made anew for each object as dots: those can be read."""
    return (arguments and arguments.replace("<factory>", "...")), returns


def flatten(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Write a signature of several lines as lines, not as a list of definitions within a term."""

    def lines(found: re.Match[str]) -> str:
        text = found.group(1).replace("<dd>", '<span class="sd-parameter">')
        return text.replace("</dd>", "</span>")

    if "sig-param" in context.get("body", ""):
        context["body"] = LONG.sub(lines, context["body"])


def setup(app: Any) -> dict[str, bool]:
    """Let autodoc ask before it reads a docstring; napoleon comes after us."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"  # as the docstrings have it
    app.connect("autodoc-process-docstring", process, priority=100)
    app.connect("autodoc-process-signature", plain_signature)
    app.connect("html-page-context", flatten)
    return {"parallel_read_safe": True}
