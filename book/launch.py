"""Links that open a lesson in Colab or on Binder: one setting in conf.py, and none without it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit


def links(repository: str, branch: str, docname: str) -> list[tuple[str, str]]:
    """The places that can open a lesson, and the address of the lesson there.

    Args:
        repository: The address of the sources, or "".
        branch: The branch that they are opened from.
        docname: A page of the book.
    """
    page = PurePosixPath(docname)
    if not repository or str(page.parent) != "lessons" or not page.name[:2].isdigit():
        return []
    address = urlsplit(repository.removesuffix("/").removesuffix(".git"))
    path = quote(f"notebooks/{page.name}.ipynb")
    if address.scheme != "https" or address.path.count("/") < 2:
        raise ValueError(
            f"REPOSITORY must be empty or like https://github.com/OWNER/NAME, got {repository!r}."
        )
    if address.netloc != "github.com":
        whole = quote(address.geturl(), safe="")
        return [("Binder", f"https://mybinder.org/v2/git/{whole}/{branch}?labpath={quote(path)}")]
    name = address.path.strip("/")
    return [
        ("Colab", f"https://colab.research.google.com/github/{name}/blob/{branch}/{path}"),
        ("Binder", f"https://mybinder.org/v2/gh/{name}/{branch}?labpath={quote(path, safe='')}"),
    ]


def add_links(app: Any, pagename: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Put a lesson's links into its header, beside the theme's own buttons."""
    found = links(app.config.sd_repository, app.config.sd_branch, pagename)
    if found:
        buttons = [
            {"type": "link", "text": name, "tooltip": f"Open on {name}", "icon": "", "url": url}
            for name, url in found
        ]
        context["header_buttons"].append(
            {
                "type": "group",
                "tooltip": "Open this lesson on another machine",
                "icon": "fas fa-rocket",
                "buttons": buttons,
                "label": "launch-buttons",
            }
        )


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx of the setting and the links."""
    app.add_config_value("sd_repository", "", "html", [str])
    app.add_config_value("sd_branch", "main", "html", [str])
    app.connect("html-page-context", add_links, priority=900)  # after the theme's own buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
