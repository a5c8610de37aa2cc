"""Five widgets in a real JupyterLab with a live kernel, opened as `sdlearn lab` opens it."""

import hashlib
import json
import os
import secrets
import socket
import subprocess
import time
import urllib.request

import nbformat
import psutil
import pytest

from sdlearn import _lab
from tests.browsing import ROOT

PATIENCE = 120_000  # milliseconds; a busy machine is slow, and nothing here waits for nothing
CELLS = {
    "model": "import json\nimport sdlearn as sd\nfrom sdlearn.views import widgets\n"
    'from tests import tiny\nmodel = sd.wrap(tiny.pipeline("sd1"))',
    "trace": 'explorer = model.generate("a red cat on the grass", steps=4).explore()\nexplorer',
    "prompt": 'typed = widgets.prompt(model, "a red cat")\ntyped',
    "generation": 'drawer = model.explore("a red cat on the grass", steps=4)\ndrawer',
    "family": 'runs = {n: model.generate("a red cat", steps=n, seed=3) for n in (3, 5)}\n'
    'runs = {f"{n} steps": run for n, run in runs.items()}\n'
    "compared = widgets.family(runs, dict.fromkeys(runs, model.anatomy()))\ncompared",
    "conditioning": 'large = sd.wrap(tiny.pipeline("sdxl"))\n'
    'how = {"steps": 2, "guidance_scale": 20.0, "negative_original_size": (16, 16)}\n'
    'told = widgets.conditioning(large, "a red cat", sizes=[16, 64], crops=[0, 32], **how)\ntold',
    "read": "json.dumps([explorer.place, typed.text, drawer.settings, drawer.shown, "
    "compared.place, compared.word, [told.size, told.top, told.left]])",
    "measured": "from sdlearn.trace.detail import detail_of\n"
    'as_told = {"original_size": (told.size, told.size), "crop": (told.top, told.left)}\n'
    'image = large.generate("a red cat", seed=0, record=(), **as_told, **how).image\n'
    'f"detail {detail_of(image):.1f} grey levels"',
    "moved": "compared.place, told.size, told.left = 0, 64, 0",
    "long": 'drawer.draw(sampler="ddim", steps=900)',
    "other": '"six times seven is", 6 * 7',
    "left": "import threading\nfrom ipywidgets.widgets.widget import _instances\n"
    "explorers = [type(one) is type(drawer) for one in _instances.values()]\n"
    'threads = [one.name == "sdlearn-draws" for one in threading.enumerate()]\n'
    'f"explorers {sum(explorers)}, threads {sum(threads)}"',
}
SHOWN = ("trace", "prompt", "generation", "family", "conditioning")
PLACES = {name: place for place, name in enumerate(CELLS)}


class Lab:
    """A JupyterLab on a notebook of ours, and the page that shows it."""

    def __init__(self, page, address, faults):
        self.page, self.address, self.faults = page, address, faults

    def cell(self, name):
        """Where a cell stands in the page."""
        return self.page.locator(
            f".jp-Notebook .jp-Cell[data-windowed-list-index='{PLACES[name]}']"
        )

    def command(self, name):
        self.page.evaluate("name => jupyterapp.commands.execute(name)", name)

    def run(self, name):
        """Run a cell, and return the text that it shows when it is done."""
        before = self.count(name)
        self.page.evaluate(
            "place => { jupyterapp.shell.currentWidget.content.activeCellIndex = place; }",
            PLACES[name],
        )
        self.command("notebook:run-cell")
        self.page.wait_for_function(
            "([place, before]) => { const count = jupyterapp.shell.currentWidget.content"
            ".widgets[place].model.executionCount; return count !== null && count !== before; }",
            arg=[PLACES[name], before],
            timeout=PATIENCE,
        )
        return self.cell(name).locator(".jp-OutputArea").inner_text()

    def count(self, name):
        """The number of a cell's last run."""
        return self.page.evaluate(
            "place => jupyterapp.shell.currentWidget.content.widgets[place].model.executionCount",
            PLACES[name],
        )

    def read(self):
        """What Python sees: the explorer's step, the prompt, settings and picture of the drawer,
        level and word of the models side by side, and what SDXL is told."""
        return json.loads(self.told("read"))

    def told(self, name):
        """Run a cell that ends in a text, and return that text."""
        text = self.run(name)
        return text[text.index("'") + 1 : text.rindex("'")]

    def pixels(self, name):
        """A digest of the picture that a widget shows."""
        canvas = self.cell(name).locator("canvas.sd-picture").first
        return hashlib.sha256(canvas.evaluate("one => one.toDataURL()").encode()).hexdigest()

    def until(self, condition):
        """Wait for something that Python can tell."""
        end = time.monotonic() + PATIENCE / 1000
        while not condition():
            assert time.monotonic() < end, "It did not come about."
            self.page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """JupyterLab's address, its token in it. It is stopped whatever happens."""
    folder = tmp_path_factory.mktemp("lab")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS.values()])
    book.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(book, folder / "lesson.ipynb")
    own = {name: str(folder / "own" / name) for name in OWN}
    base = {**os.environ, **own, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    port, token = free_port(), secrets.token_hex(16)
    options = [
        "--no-browser",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True",
    ]
    with open(folder / "log", "w") as log:
        started = subprocess.Popen(
            _lab.command(folder, options), env=_lab.environment(base), stdout=log, stderr=log
        )
    try:
        await_answer(f"http://127.0.0.1:{port}/api/status?token={token}", started, folder / "log")
        yield f"http://127.0.0.1:{port}/lab/tree/lesson.ipynb?reset&token={token}"
    finally:
        end(started)


OWN = (
    *("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"),
    *("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"),
)
"""Folders that are the person's own: the test must neither see nor change them."""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def await_answer(url, process, log):
    """Wait until a server answers, or say why it does not."""
    end = time.monotonic() + PATIENCE / 1000
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")
            time.sleep(0.1)


def end(process):
    """End a server and its kernels: kindly, then not."""
    family = [process]
    if process.poll() is None:
        family += psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in family[1:]:
        if child.is_running():
            child.kill()


@pytest.fixture(scope="module")
def lab(browser, server):
    """The notebook, opened, with its model and its widgets."""
    host = server.split("/lab")[0]
    faults = []
    page = browser.new_page(viewport={"width": 1280, "height": 6400})
    page.set_default_timeout(PATIENCE)

    def route(asked):
        if asked.request.url.startswith((host, "data:", "blob:")):
            asked.continue_()
        else:
            faults.append(f"asked for {asked.request.url}")
            asked.abort()

    def heard(message):
        if message.type == "error":
            faults.append(f"console: {message.text} ({message.location['url']})")

    page.route("**/*", route)
    page.on("websocket", lambda one: None if local(one.url, host) else faults.append(one.url))
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("console", heard)
    page.goto(server)
    page.wait_for_function(
        "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
        "?.status === 'idle'",
        timeout=PATIENCE,
    )
    made = Lab(page, host, faults)
    made.run("model")
    for name in SHOWN:
        made.run(name)
    for name in SHOWN:
        made.cell(name).locator(".sd-explorer").wait_for(timeout=PATIENCE)
    yield made
    page.close()


def local(url, host):
    return url.split("://")[1].startswith(host.split("://")[1])


def test_dragging_the_trace_explorer_moves_picture_and_trait(lab):
    before, slider = lab.pixels("trace"), lab.cell("trace").locator("input[type=range]").first
    slider.fill("1")
    assert "step 2 of 4" in lab.cell("trace").locator("output").first.inner_text()
    assert lab.pixels("trace") != before
    lab.until(lambda: lab.read()[0] == 1)


@pytest.mark.parametrize(("name", "role"), [("trace", "slider"), ("generation", "combobox")])
def test_keys_of_a_control_do_nothing_to_the_cells(lab, name, role):
    cells, cell = lab.page.locator(".jp-Notebook .jp-Cell"), lab.cell(name)
    count, control = cells.count(), cell.get_by_role(role).first
    value = control.input_value()
    control.focus()
    for key in ("ArrowDown", "ArrowUp", "x", "d", "d", "b"):
        control.press(key)
        assert control.evaluate("one => one === one.getRootNode().activeElement"), key
    assert cells.count() == count
    lab.until(lambda: control.input_value() == value)


def test_undoing_in_a_field_undoes_nothing_in_a_cell(lab):
    field = lab.cell("prompt").locator("textarea").last
    before, typed = field.input_value(), lab.page.locator(".jp-InputArea-editor").all_inner_texts()
    field.press("End")
    field.press_sequentially(" x")
    for keys in ("Control+z", "Control+z", "Control+z", "Control+Shift+z", "Control+y"):
        field.press(keys)
    assert lab.page.locator(".jp-InputArea-editor").all_inner_texts() == typed
    field.fill(before)


def test_typing_in_the_prompt_explorer_cuts_and_reaches_python(lab):
    cell = lab.cell("prompt")
    box = cell.locator("input[type=text], textarea").first
    before = cell.inner_text()
    box.press("End")
    box.press_sequentially(" dream")
    lab.until(lambda: cell.inner_text() != before)
    assert "dream" in cell.inner_text()
    lab.until(lambda: lab.read()[1] == "a red cat dream")


def test_the_generation_explorer_draws_what_is_set(lab):
    cell, before = lab.cell("generation"), lab.pixels("generation")
    guidance = cell.get_by_role("slider", name="Guidance scale")
    guidance.fill("2.5")
    lab.until(lambda: "guidance 2.5" in cell.locator(".sd-facts").inner_text())
    assert lab.pixels("generation") != before
    settings, shown = lab.read()[2:4]
    assert settings["guidance_scale"] == shown["guidance_scale"] == 2.5


def test_a_grid_is_filled_from_the_page(lab):
    cell = lab.cell("generation")
    cell.get_by_role("textbox", name="Rows: values").fill("1, x")
    cell.get_by_role("button", name="Fill the grid").click()
    lab.until(lambda: "got 'x'" in cell.get_by_role("alert").inner_text())
    cell.get_by_role("textbox", name="Rows: values").fill("1, 7.5")
    cell.get_by_role("button", name="Fill the grid").click()
    lab.until(lambda: cell.locator(".sd-grid button:enabled").count() == 6)
    before = lab.pixels("generation")
    cell.locator(".sd-grid button").nth(4).click()
    assert lab.pixels("generation") != before
    assert "seed 1" in cell.locator(".sd-facts").inner_text()


def test_the_family_explorer_walks_and_lights_a_word(lab):
    cell, done = lab.cell("family"), lab.pixels("family")
    assert cell.locator("output").inner_text() == "done"
    cell.get_by_role("slider", name="Noise level").fill("2")
    assert "sigma" in cell.locator("output").inner_text()
    walked = lab.pixels("family")
    assert walked != done
    cell.get_by_role("button", name="cat", exact=True).click()
    assert lab.pixels("family") != walked
    lab.until(lambda: lab.read()[4:6] == [2, "cat"])


def test_the_conditioning_explorer_has_the_kernel_draw_what_it_tells(lab):
    cell, before = lab.cell("conditioning"), lab.pixels("conditioning")
    facts = cell.locator(".sd-facts")
    old = facts.inner_text()
    cell.get_by_role("slider", name="Original size").fill("24")  # 16 and 64 were drawn beforehand
    lab.until(lambda: "original 24 x 24, crop (0, 0) · detail" in facts.inner_text())
    drawn = lab.pixels("conditioning")
    assert drawn != before
    cell.locator(".sd-plane").press("ArrowRight")
    lab.until(lambda: "original 24 x 24, crop (0, 32) · detail" in facts.inner_text())
    assert lab.pixels("conditioning") not in (before, drawn)
    assert lab.read()[6] == [24, 0, 32]
    measured = lab.told("measured")
    assert facts.inner_text().endswith(measured) and not old.endswith(measured)


def test_python_moves_both_and_the_page_follows(lab):
    lab.run("moved")
    level = lab.cell("family").get_by_role("slider", name="Noise level")
    lab.until(lambda: level.input_value() == "0")
    facts = lab.cell("conditioning").locator(".sd-facts")
    lab.until(lambda: facts.inner_text().startswith("original 64 x 64, crop (0, 0) · detail"))


def test_other_cells_run_while_it_draws_and_stop_stops_it(lab):
    cell, shown = lab.cell("generation"), lab.read()[3]
    lab.run("long")
    cell.get_by_role("button", name="Stop").wait_for(timeout=PATIENCE)
    assert "42" in lab.run("other")
    cell.get_by_role("button", name="Stop").click()
    lab.until(lambda: cell.locator("[role=status]").inner_text() == "Stopped.")
    assert lab.read()[3] == shown  # the picture from before is still there


def test_a_cell_that_is_run_again_leaves_one_explorer_and_no_thread(lab):
    lab.run("generation")
    lab.cell("generation").locator(".sd-explorer").wait_for(timeout=PATIENCE)
    assert lab.cell("generation").locator(".sd-explorer").count() == 1
    assert "explorers 1, threads 0" in lab.run("left")


def test_nothing_left_the_machine_and_nothing_complained(lab):
    assert lab.faults == []
