"""A widget as a notebook has it: its module as it is, and a model that listens and can send.

The test plays the kernel: `sent` holds what the page asked, `answered(message, bytes)` answers.
"""

from sdlearn.views.widgets.widget import source
from tests.browsing import as_kept, book_script

NOTEBOOK = """async ({ code, state }) => {
    const listeners = {};
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
    for (const [name, value] of Object.entries(state)) {
        if (value && value.base64 !== undefined) state[name] = new DataView(bytes(value.base64));
    }
    const emit = (name, ...given) => [...(listeners[name] ?? [])].forEach((one) => one(...given));
    window.sent = [];
    window.model = {
        get: (name) => state[name],
        set: (name, value) => {
            if (state[name] === value) return;
            state[name] = value;
            emit(`change:${name}`);  // at once, as a notebook's models do
        },
        save_changes() {},
        on: (name, heard) => (listeners[name] ??= []).push(heard),
        off: (name, heard) => {
            listeners[name] = listeners[name].filter((one) => one !== heard);
        },
        send: (message) => sent.push(message),
    };
    window.answered = (message, data) => emit("msg:custom", message, data ? [bytes(data)] : []);
    window.listening = () => Object.values(listeners).flat().length;
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const widget = (await import(url)).default;
    const place = document.createElement("main");
    document.body.replaceChildren(place);
    window.cleanUp = await widget.render({ model, el: place });
}"""


def play(page, widget):
    """Put a widget into a page that is open, in place of all that is there."""
    kept = as_kept(widget)
    state = {name: v for name, v in kept["state"].items() if not name.startswith("_")}
    for buffer in kept["buffers"]:
        state[buffer["path"][0]] = {"base64": buffer["data"]}
    code = source(book_script("widgets").kind(kept), "js")
    page.evaluate(NOTEBOOK, {"code": code, "state": state})
    return page
