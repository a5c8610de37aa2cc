// The generation explorer. A kernel draws; without one there are the pictures that were drawn before.

const LABELS = {
  prompt: "prompt", negative_prompt: "negative prompt", guidance_scale: "guidance scale",
  sampler: "sampler", steps: "steps", seed: "seed",
};
const SLIDERS = { guidance_scale: { least: 0, most: 15, step: 0.5 }, steps: { least: 1, most: 30, step: 1 } };
const TEXTS = ["prompt", "negative_prompt"];
const MOVED = 100; // milliseconds between two pictures that are asked for while something is dragged
const TYPED = 350; // and after the last key
const PATIENCE = 8000; // after so long without an answer the page says so
const LATE = "The kernel has not answered yet. It may be busy, or stopped: then run the cell again that made this.";
const NO_KERNEL = "No kernel runs behind this page, so nothing new can be drawn here: ";
const KEPT = "this picture was drawn when the notebook ran.";
const KEPT_GRID = "these pictures were drawn when the notebook ran. Pick one, and see its settings.";

function saidSetting(name, value) {
  if (name === "prompt") return `“${value}”`;
  if (name === "negative_prompt") return value ? `without “${value}”` : "no negative prompt";
  if (name === "guidance_scale") return `guidance ${value}`;
  if (name === "steps") return value === 1 ? "1 step" : `${value} steps`;
  return name === "seed" ? `seed ${value}` : String(value);
}

const titled = (name) => LABELS[name][0].toUpperCase() + LABELS[name].slice(1);
const saidSettings = (settings) => Object.keys(LABELS).map((name) => saidSetting(name, settings[name])).join(" · ");

// -- the picture ---------------------------------------------------------------------------------

// What is shown large: a finished picture, one of the grid, or one in the making.
function panel(model) {
  const canvas = element("canvas", { className: "sd-picture", width: 336 * SHARPEST, height: 336 * SHARPEST, role: "img" });
  const facts = element("div", { className: "sd-facts" });
  const verdict = element("div", { className: "sd-verdict" });
  const notes = element("div");
  const context = canvas.getContext("2d");

  const paint = (image, x, y, width, height) => {
    canvas.height = Math.round((canvas.width * height) / width); // which also clears it
    context.imageSmoothingQuality = "high";
    context.drawImage(image, x, y, width, height, 0, 0, canvas.width, canvas.height);
  };
  const tell = (settings, said = {}) => {
    const seconds = said.seconds === undefined ? "" : ` · ${said.seconds} s`;
    facts.textContent = saidSettings(settings) + seconds;
    verdict.textContent = said.verdict ?? "";
    notes.textContent = (said.notes ?? []).join(" ");
    canvas.setAttribute("aria-label", `The picture for ${saidSettings(settings)}`);
  };
  const making = () => {
    const { size: [width, height], step, steps } = model.get("progress");
    const colours = bytesOf(model.get("preview"));
    if (colours.length < 3 * width * height) return;
    paint(small(width, height, (i) => [colours[3 * i], colours[3 * i + 1], colours[3 * i + 2], 255]), 0, 0, width, height);
    canvas.setAttribute("aria-label", `A picture in the making, step ${step} of ${steps}`);
  };
  const caption = element("div", { className: "sd-read" }, facts, verdict, notes);
  return { parts: [canvas, caption], paint, tell, making };
}

// -- the grid ------------------------------------------------------------------------------------

// A table of small pictures; `pick(place, settings)` is called with the one that is chosen, `leave` when
// it is chosen again, and so no longer.
function sheet(model, pick, leave) {
  const place = element("div", { className: "sd-grid" });
  let [axes, buttons, picked] = ["", [], null];

  const settingsOf = (grid, cell) => {
    const [rows, columns] = grid.axes;
    const [row, column] = [Math.floor(cell / columns.values.length), cell % columns.values.length];
    return { ...grid.settings, [rows.name]: rows.values[row], [columns.name]: columns.values[column] };
  };
  const choose = (cell) => {
    picked = cell;
    buttons.forEach(({ button }, i) => button.setAttribute("aria-pressed", String(i === cell)));
    if (cell !== null) pick(cell, settingsOf(model.get("grid"), cell));
  };
  const walk = (event, cell) => {
    const across = model.get("grid").axes[1].values.length;
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
    const sameRow = Math.floor((cell + move) / across) === Math.floor(cell / across);
    if (move === undefined || (Math.abs(move) === 1 && across > 1 && !sameRow)) return;
    event.preventDefault();
    buttons[cell + move]?.button.focus();
  };
  const build = (grid) => {
    const [rows, columns] = grid.axes;
    const head = columns.values.map((value) => element("th", { scope: "col", textContent: saidSetting(columns.name, value) }));
    const table = element("table", {}, element("tr", {}, element("td"), ...head));
    table.style.setProperty("--sd-columns", columns.values.length);
    const others = Object.keys(grid.settings).map((name) => saidSetting(name, grid.settings[name]));
    table.prepend(element("caption", { textContent: `Each row another ${LABELS[rows.name]}, each column another ${LABELS[columns.name]}; else ${others.join(" · ")}` }));
    buttons = grid.cells.map((_, cell) => {
      const canvas = element("canvas", { "aria-hidden": "true", width: 1, height: 1 });
      const verdict = element("span");
      const button = element("button", { type: "button", "aria-pressed": "false" }, canvas, verdict);
      button.onclick = () => {
        choose(cell === picked ? null : cell);
        if (picked === null) leave();
      };
      button.onkeydown = (event) => walk(event, cell);
      return { button, canvas, verdict };
    });
    rows.values.forEach((value, row) => {
      const cells = columns.values.map((_, column) => element("td", {}, buttons[row * columns.values.length + column].button));
      table.append(element("tr", {}, element("th", { scope: "row", textContent: saidSetting(rows.name, value) }), ...cells));
    });
    place.replaceChildren(table);
  };
  const draw = (grid, image) => {
    grid.cells.forEach((cell, i) => {
      const { button, canvas, verdict } = buttons[i];
      const said = cell?.verdict.split("\n")[0] ?? "";
      button.disabled = cell === null;
      button.setAttribute("aria-label", Object.keys(LABELS).filter((name) => grid.axes.some((axis) => axis.name === name))
        .map((name) => saidSetting(name, settingsOf(grid, i)[name])).join(", ") + (cell ? `: ${said || "drawn"}` : ": not drawn"));
      verdict.textContent = said;
      if (cell === null && !model.get("progress").doing) canvas.width = 1; // what was begun there is given up
      if (cell === null || !image) return;
      const [width, height] = grid.size;
      const across = grid.axes[1].values.length;
      Object.assign(canvas, { width, height });
      canvas.getContext("2d").drawImage(image, (i % across) * width, Math.floor(i / across) * height, width, height, 0, 0, width, height);
    });
  };
  // The picture in the making, in its cell.
  const making = () => {
    const { cell, size: [width, height] } = model.get("progress");
    const colours = bytesOf(model.get("preview"));
    const canvas = buttons[cell]?.canvas;
    if (!canvas || colours.length < 3 * width * height) return;
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").drawImage(small(width, height, (i) => [...colours.slice(3 * i, 3 * i + 3), 255]), 0, 0);
  };
  let turn = 0;
  const update = async () => {
    const [grid, mine] = [model.get("grid"), ++turn];
    if (!grid.axes) return;
    const bytes = bytesOf(model.get("sheet"));
    const image = bytes.length ? await decoded(bytes) : null;
    if (mine !== turn) return; // a newer one came meanwhile
    if (axes !== JSON.stringify([grid.axes, grid.settings])) {
      axes = JSON.stringify([grid.axes, grid.settings]);
      picked = null;
      build(grid);
    }
    draw(grid, image);
  };
  return { place, update, making, choose, picked: () => picked, canvas: (cell) => buttons[cell].canvas };
}

// -- the controls --------------------------------------------------------------------------------

// Inputs for all settings; `moved(pause)` is called when one changes, `read` gives them all.
function controls(model, moved) {
  const settings = model.get("settings");
  const inputs = {};
  const rows = Object.keys(LABELS).map((name) => {
    const label = element("label", { className: "sd-wide" }, element("span", { textContent: titled(name) }));
    let input;
    if (name in SLIDERS) {
      const { least, most, step } = SLIDERS[name];
      input = element("input", { type: "range", min: least, max: most, step });
      const value = element("span", { className: "sd-value", "aria-hidden": "true" }); // the slider says it itself
      input.oninput = () => {
        input.step = step; // a value between two places stays as it is until it is moved
        input.show();
        moved(MOVED);
      };
      input.show = () => { value.textContent = input.value; };
      label.append(input, value);
    } else if (name === "sampler") {
      input = element("select", {}, ...model.get("samplers").map((one) => element("option", { value: one, textContent: one })));
      input.onchange = () => moved(0);
      label.append(input);
    } else {
      input = element("input", name === "seed" ? { type: "number", min: 0, max: 4294967295, step: 1 } : { type: "text" });
      input.oninput = () => moved(TYPED, true);
      label.append(input);
    }
    input.setAttribute("aria-label", titled(name)); // or its value would be a part of its name
    inputs[name] = input;
    return label;
  });
  const another = element("button", { type: "button", textContent: "Another seed" });
  another.onclick = () => {
    inputs.seed.value = Math.floor(Math.random() * 10000);
    moved(0);
  };
  const show = (given) => {
    for (const [name, input] of Object.entries(inputs)) {
      if (name in SLIDERS) {
        const places = given[name] / SLIDERS[name].step;
        input.step = Math.abs(places - Math.round(places)) < 1e-9 ? SLIDERS[name].step : "any";
        input.max = Math.max(input.max, given[name]);
      } else if (name === "sampler" && ![...input.options].some((one) => one.value === given[name])) {
        input.append(element("option", { value: given[name], textContent: given[name] })); // asked for in Python
      }
      input.value = given[name];
      input.show?.();
    }
  };
  const read = () => Object.fromEntries(Object.entries(inputs).map(([name, input]) => {
    const isText = TEXTS.includes(name) || name === "sampler";
    return [name, isText ? input.value : input.value === "" ? null : Number(input.value)];
  }));
  show(settings);
  const place = element("div", { className: "sd-settings", role: "group", "aria-label": "Settings" },
    ...rows.slice(0, -1), element("div", { className: "sd-seed" }, rows[rows.length - 1], another));
  return { place, show, read };
}

// Which two settings a grid is over, and their values; `fill(given)` is called with them.
function gridForm(model, fill) {
  const settings = model.get("settings");
  const usual = {
    guidance_scale: "1, 4, 8", seed: "0, 1, 2", steps: "2, 6, 12", sampler: model.get("samplers").slice(0, 3).join(", "),
    prompt: settings.prompt, negative_prompt: settings.negative_prompt,
  };
  const axis = (title, chosen) => {
    const select = element("select", { "aria-label": title }, ...Object.keys(LABELS).map((value) => element("option", { value, textContent: titled(value) })));
    const values = element("input", { type: "text", "aria-label": `${title}: values` });
    select.onchange = () => {
      values.value = usual[select.value];
      values.title = TEXTS.includes(select.value) ? "Put | between two texts" : "Put commas between the values";
    };
    select.value = chosen;
    select.onchange();
    return { row: element("div", { className: "sd-axis" }, element("label", {}, title, select), values), select, values };
  };
  const before = model.get("grid").axes ?? [{ name: "guidance_scale" }, { name: "seed" }];
  for (const { name, values } of before) {
    if (values) usual[name] = values.join(TEXTS.includes(name) ? " | " : ", ");
  }
  const [rows, columns] = [axis("Rows", before[0].name), axis("Columns", before[1].name)];
  const button = element("button", { type: "button", textContent: "Fill the grid" });
  button.onclick = () => fill({
    rows: rows.select.value, row_values: rows.values.value, columns: columns.select.value, column_values: columns.values.value,
  });
  return element("fieldset", { className: "sd-axes" }, element("legend", { textContent: "A grid over two settings" }), rows.row, columns.row, button);
}

// What is happening: a bar, words for all, and errors.
function teller(model) {
  const bar = element("progress", { max: 1, value: 0, "aria-label": "How far the drawing is" });
  const status = element("div", { role: "status", "aria-live": "polite" });
  const error = element("div", { className: "sd-error", role: "alert" });
  let before = "";
  const update = () => {
    const { doing, step, steps, cell, cells, said, error: wrong } = model.get("progress");
    const done = doing === "grid" ? (cell + step / steps) / cells : step / steps;
    bar.value = doing ? done : 0;
    bar.classList.toggle("sd-still", !doing);
    const now = doing === "grid" ? `Drawing picture ${cell + 1} of ${cells} …` : "Drawing …";
    const text = doing ? now : said ?? "";
    if (status.textContent !== text) status.textContent = text; // or a screen reader says it again
    if (wrong) error.textContent = wrong;
    else if (doing && !before) error.textContent = ""; // a new beginning; what is typed meanwhile may be wrong, too
    before = doing;
  };
  const fail = (problem) => { error.textContent = problem; };
  const withdraw = (problem) => { if (error.textContent === problem) fail(""); };
  return { parts: [bar, status, error], update, fail, withdraw };
}

async function render({ model, el }) {
  const kernel = kernelOf(model);
  const picture = panel(model);
  const tells = teller(model);
  let [timer, asking, turn, parts] = [null, 0, 0, null];
  let begun = false; // whether this view began what is being drawn: then it ends with it

  const ask = async (what, given) => {
    tells.fail("");
    asking += 1;
    if (what !== "stop") begun = true;
    const late = setTimeout(() => tells.fail(LATE), PATIENCE);
    try {
      await kernel.ask(what, given);
      tells.withdraw(LATE);
    } catch (error) {
      tells.fail(error.message);
      begun = false;
    }
    clearTimeout(late);
    asking -= 1;
  };
  // The settings as they are now: what waits for the end of the typing need not come any more.
  const settled = () => {
    clearTimeout(timer);
    timer = null;
    return parts.read();
  };
  const draw = () => {
    grid.choose(null);
    ask("draw", settled());
  };
  const moved = (pause, again = false) => {
    if (again) clearTimeout(timer);
    if (again || timer === null) timer = setTimeout(draw, pause);
  };

  const showPicture = async () => {
    const mine = ++turn;
    const bytes = bytesOf(model.get("picture"));
    if (!bytes.length) return;
    const image = await decoded(bytes);
    if (mine !== turn) return;
    picture.paint(image, 0, 0, image.naturalWidth, image.naturalHeight);
    picture.tell(model.get("shown"), model.get("shown"));
  };
  const showCell = (cell, settings) => {
    turn += 1;
    const { width, height } = grid.canvas(cell);
    picture.paint(grid.canvas(cell), 0, 0, width, height);
    picture.tell(settings, model.get("grid").cells[cell]);
    parts?.show(settings);
    stage.firstChild.scrollIntoView({ block: "nearest" }); // on a phone it may be out of sight
  };
  const leave = () => {
    parts?.show(model.get("settings"));
    showPicture();
  };
  const grid = sheet(model, showCell, leave);
  const progressed = () => {
    const { doing } = model.get("progress");
    if (!doing) begun = false;
    tells.update();
    if (button) button.textContent = doing ? "■ Stop" : "▶ Draw";
    if (doing === "picture") {
      if (grid.picked() !== null) return; // one of the grid is looked at meanwhile
      turn += 1;
      picture.making();
    } else if (doing === "grid") grid.making();
    else {
      grid.update();
      if (grid.picked() === null) showPicture();
    }
  };

  const button = kernel && element("button", { type: "button", textContent: "▶ Draw" });
  const stage = element("div", { className: "sd-stage" }, ...picture.parts);
  const side = element("div", { className: "sd-side" });
  if (kernel) {
    parts = controls(model, moved);
    button.onclick = () => (model.get("progress").doing ? ask("stop") : draw());
    side.append(parts.place, element("div", { className: "sd-controls" }, button, tells.parts[0]), ...tells.parts.slice(1));
    side.append(gridForm(model, (given) => ask("fill", { ...given, settings: settled() })));
  } else {
    const told = NO_KERNEL + (model.get("grid").axes ? KEPT_GRID : KEPT);
    side.append(element("p", { className: "sd-instead-of-controls", textContent: told }), grid.place);
  }
  const root = element("div", { className: "sd-explorer sd-generation", role: "group", "aria-label": "Generation explorer" },
    element("div", { className: "sd-sides" }, stage, side));
  if (kernel) root.append(grid.place);
  ownKeys(root);
  el.append(root);
  await Promise.all([showPicture(), grid.update()]);
  tells.update();

  const heard = {
    "change:progress": progressed,
    "change:shown": () => { if (grid.picked() === null) showPicture(); },
    "change:grid": grid.update,
    "change:settings": () => { if (!asking && timer === null) parts?.show(model.get("settings")); },
  };
  for (const [name, listener] of Object.entries(heard)) model.on(name, listener);
  return () => {
    clearTimeout(timer);
    for (const [name, listener] of Object.entries(heard)) model.off(name, listener);
    if (begun) kernel.ask("stop").catch(() => {}); // if the kernel is gone, so much the better
    kernel?.close();
  };
}

export default { render };
