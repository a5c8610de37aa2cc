"""The directive `cover`: the book's living picture, put into the page that it stands on.

The run was packed once by cover.py. Its pictures are one file; what else the player needs (the
prompt, the maps of the words) lies in the page, since a page opened from a disk may not fetch it.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

PAGE = """
<figure class="sd-cover">
<div class="sd-cover-picture" role="img" aria-label="{alt}"
  style="background-image: url(_static/cover.webp)"></div>
<figcaption><p class="sd-cover-prompt">{prompt}</p></figcaption>
<script type="application/json">{data}</script>
<script src="_static/cover.js" defer></script>
</figure>
"""


class Cover(SphinxDirective):
    """See the module."""

    def run(self) -> list[nodes.Node]:
        """The still picture, and what brings it to life."""
        path = Path(self.env.srcdir) / "static" / "cover.json"
        self.env.note_dependency(str(path))
        cover = json.loads(path.read_text(encoding="utf-8"))
        page = PAGE.format(
            alt=html.escape(f"A picture that {cover['model']} drew for “{cover['prompt']}”."),
            prompt=html.escape(cover["prompt"]),
            data=json.dumps(cover, ensure_ascii=False).replace("<", "\\u003c"),
        )
        return [nodes.raw("", page, format="html")]


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("cover", Cover)
    return {"parallel_read_safe": True}
