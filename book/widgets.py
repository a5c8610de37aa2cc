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
OURS = "sdlearn.views.widgets."
"""Where the classes of our widgets are: a widget of sdlearn/views/widgets/NAME.py has NAME.js."""


def scripts(source: Path, target: Path) -> list[Path]:
    """Write the widgets' scripts and styles into `target`, for all pages; return what is there."""
    target.mkdir(parents=True, exist_ok=True)
    names = sorted(path.stem for path in source.glob("*.js") if "." not in path.stem)
    names.remove("kit")
    parts = ["const widgets = {};", _text(source / "kit.js")]
    for name in names:
        files = [*sorted(source.glob(f"{name}.*.js")), source / f"{name}.js"]
        module = "\n".join(map(_text, files))
        if module.count(EXPORT) != 1:
            raise ValueError(f"{name}.js must end in one line {EXPORT!r}: the book replaces it.")
        body = module.replace(EXPORT, f"widgets[{json.dumps(name)}] = {{")
        parts.append(f"(() => {{\n{body}}})();")
    parts.append(_text(Path(__file__).parent / "widgets.js"))
    styles = [_text(source / f"{name}.css") for name in ["kit", *names]]
    script = "\n".join(parts)
    made = {"sdlearn.js": f"(() => {{\n{script}}})();\n", "sdlearn.css": "\n".join(styles)}
    for name, text in made.items():
        path = target / name
        if not path.exists() or _text(path) != text:
            path.write_text(text, encoding="utf-8")
    return [target / name for name in made]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


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
    name = str(model["state"].get("_anywidget_id", ""))
    return name[len(OURS) :].split(".")[0] if name.startswith(OURS) else None


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
