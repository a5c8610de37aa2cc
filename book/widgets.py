"""The widgets in the book: alive without a kernel, without a network, from a memory stick.

A notebook keeps a widget as its state: its module's source, and its data. Here both become a part
of the page. A page opened from a disk may not load modules, so the module becomes a plain script,
once for the whole book; the data lies in the page, beside the figure that stands there until
the script has run.
"""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
EXPORT = "export default {"
KINDS = {"TraceExplorer": "explorer"}
"""Our widgets that live in the book: the class, and its files in sdlearn/views/widgets."""


def scripts(source: Path, target: Path) -> list[Path]:
    """Write the widgets' scripts and styles into `target`, for all pages; return what is there."""
    target.mkdir(parents=True, exist_ok=True)
    parts = []
    for name in sorted(set(KINDS.values())):
        module = (source / f"{name}.js").read_text(encoding="utf-8")
        if module.count(EXPORT) != 1:
            raise ValueError(f"{name}.js must end in one line {EXPORT!r}: the book replaces it.")
        body = module.replace(EXPORT, f"widgets[{json.dumps(name)}] = {{")
        parts.append(f"(() => {{\n{body}}})();")
    loader = (Path(__file__).parent / "widgets.js").read_text(encoding="utf-8")
    script = "const widgets = {};\n" + "\n".join(parts) + "\n" + loader
    style = "\n".join(
        (source / f"{name}.css").read_text(encoding="utf-8") for name in sorted(set(KINDS.values()))
    )
    made = {"sdlearn.js": f"(() => {{\n{script}}})();\n", "sdlearn.css": style}
    for name, text in made.items():
        path = target / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    return [target / name for name in made]


def enliven(notebook: dict) -> int:
    """Turn the widgets of a notebook that can live in the book into HTML; return how many."""
    kept = notebook["metadata"].pop("widgets", {}).get(STATE, {}).get("state", {})
    alive = 0
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            view = output.get("data", {}).pop(VIEW, None)
            model = kept.get(view["model_id"]) if view else None
            if model is not None and kind(model) is not None:
                output["data"]["text/html"] = living(model, output["data"].get("text/html", ""))
                alive += 1
    return alive


def kind(model: dict) -> str | None:
    """Which of our widgets a model is; None for those of others."""
    name = str(model["state"].get("_anywidget_id", "")).rpartition(".")[2]
    return KINDS.get(name)


def living(model: dict, figure: str | list[str]) -> str:
    """A widget as HTML: its data, and the figure that stands there until it is alive."""
    state = {n: v for n, v in model["state"].items() if not n.startswith("_") and n != "layout"}
    for buffer in model.get("buffers", ()):
        (name,) = buffer["path"]
        data = base64.b64decode(buffer["data"])
        state[name] = {"base64": base64.b64encode(data).decode("ascii")}
    told = json.dumps(state, ensure_ascii=False).replace("<", "\\u003c")
    name = html.escape(kind(model) or "", quote=True)
    return (
        f'<div class="sd-widget" data-widget="{name}"><div class="sd-instead">{"".join(figure)}'
        f'</div><script type="application/json">{told}</script></div>'
    )
