// The family explorer. All data is in the page: `sides` says what lies where in `blob`, and `levels`
// at which noise levels one can stop.

const PACE = 260; // milliseconds a level, when played
const LARGE = 288; // a picture's side, in pixels of the page
const PARTS = ["xt", "answer"];
const SYNCED = ["prompt", "place", "word"]; // what the kernel knows, too
const NAMES = { eps: "the noise, eps", v: "the velocity, v" };

// A sheet of small pictures: reds above greens above blues, as greys. Returns a canvas for each.
function unpacked(image, columns, rows) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const context = element("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return Array.from({ length: width / columns }, (_, frame) =>
    small(columns, rows, (i) => {
      const [x, y] = [frame * columns + (i % columns), Math.floor(i / columns)];
      return [...[0, 1, 2].map((plane) => data[4 * ((plane * rows + y) * width + x)]), 255];
    }));
}

// One model's run for one prompt.
class Run {
  constructor(header, bytes) {
    Object.assign(this, header);
    this.cut = ([offset, length]) => bytes.subarray(offset, offset + length);
    this.images = {};
  }

  async load() {
    const [rows, columns] = this.latent;
    for (const [part, at] of Object.entries(this.planes)) {
      this.images[part] = unpacked(await decoded(this.cut(at)), columns, rows);
    }
    this.finished = await decoded(this.cut(this.picture.at));
    return this;
  }

  // Which of its steps stands at a level; at the end, the last.
  step(place) {
    return this.at[Math.min(place, this.at.length - 1)];
  }

  word(text) {
    return this.words.find((one) => one.text.toLowerCase() === text.toLowerCase());
  }
}

const stepsOf = (step, who) => `${who ? `${who}, ` : ""}step ${step.index + 1} of ${step.total}`;

// A model: its pictures, where it stands, what it is made of.
class Panel {
  constructor({ name, parts }, number, alike) {
    this.name = name;
    const canvas = (side) => element("canvas", { className: "sd-picture", width: side, height: side, role: "img" });
    this.large = canvas(LARGE * SHARPEST);
    this.small = Object.fromEntries(PARTS.map((part) => [part, canvas((LARGE / 2) * SHARPEST)]));
    this.titles = Object.fromEntries(["large", ...PARTS].map((part) => [part, element("figcaption")]));
    this.facts = element("div", { className: "sd-facts" });
    this.figures = Object.fromEntries(PARTS.map((part) => [part, element("figure", {}, this.titles[part], this.small[part])]));
    const swatch = element("i", { "aria-hidden": "true" });
    const lines = parts.map(({ label, values }, line) =>
      element("div", { className: alike[line] ? "sd-alike" : "" }, element("dt", { textContent: label }), ...values.map((one) => element("dd", { textContent: one }))));
    this.column = element("section", { className: "sd-model", "aria-label": name },
      element("div", { className: "sd-name" }, swatch, name),
      element("figure", {}, this.titles.large, this.large),
      element("div", { className: "sd-pair" }, ...Object.values(this.figures)),
      this.facts,
      element("dl", {}, ...lines));
    this.column.style.setProperty("--sd-colour", COLOURS[number % COLOURS.length]);
  }

  show(run, { place, word, prompt }) {
    const at = run.step(place);
    const step = run.steps[at];
    const done = place >= run.at.length;
    const answer = NAMES[step.answers];
    this.draw(this.large, done ? run.finished : run.images.x0[at], done, word && run.word(word), run);
    const where = `${stepsOf(step, step.by)} · sigma ${short(step.sigma)}`;
    const unlit = word && !run.word(word) ? ` (no attention to “${word}” was kept)` : "";
    this.say("large", (done ? "the picture" : "x0: the picture so far") + unlit,
      `${this.name}, ${done ? "its picture" : `the picture so far (x0) at ${where}`}, for “${prompt}”` +
      (word ? (run.word(word) ? `; attention to “${word}”` : `; no attention to “${word}” was kept`) : "") + ".");
    this.figures.answer.hidden = !run.images.answer;
    for (const part of PARTS.filter((one) => run.images[one])) {
      this.draw(this.small[part], run.images[part][at], false, null, run);
      const title = part === "xt" ? "given: xt" : `answer: ${step.answers}`;
      const label = part === "xt" ? "the noisy sample xt that it was given" : `${answer}, that it answered`;
      this.say(part, title, `${this.name}, ${label}, at ${where}.`);
    }
    this.facts.textContent = `${where} · t\u00a0=\u00a0${short(step.t)}` +
      (run.seed === null || run.seed === undefined ? "" : ` · seed\u00a0${run.seed}`);
  }

  say(part, title, label) {
    this.titles[part].textContent = title;
    (part === "large" ? this.large : this.small[part]).setAttribute("aria-label", label);
  }

  // A place of a latent is a square; a finished picture is smooth.
  draw(canvas, image, smooth, word, run) {
    const [width, height] = smooth ? run.picture.size : [run.latent[1], run.latent[0]];
    canvas.height = Math.round((canvas.width * height) / width); // which also clears it
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    if (word) light(context, canvas.width, canvas.height, run.cut(word.at), word.grid);
  }
}

const [WIDE, HIGH] = [600, 16]; // of a line of steps, in its own units

// For each model a line with a mark at each of its steps, by noise level; and where we are.
class Stations {
  constructor(sides, levels) {
    this.height = (sigma) => Math.log(Math.min(Math.max(sigma ?? 1e4, 1e-4), 1e4));
    const heights = levels.map(this.height);
    [this.most, this.least] = [heights[0], heights[heights.length - 1]];
    const still = { "vector-effect": "non-scaling-stroke" };
    this.lines = sides.map(({ name }, number) => {
      const colour = COLOURS[number % COLOURS.length];
      const rail = drawn("line", { class: "sd-rail", x1: 0, x2: WIDE, y1: HIGH / 2, y2: HIGH / 2, ...still });
      const style = `stroke: ${clear(colour)}`;
      const marks = drawn("path", { style, class: "sd-marks", ...still });
      const here = drawn("path", { style, class: "sd-here", ...still });
      const level = drawn("line", { class: "sd-level", y1: 0, y2: HIGH, ...still });
      const svg = drawn("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none" }, rail, level, marks, here);
      return { svg, marks, here, level, parts: [element("span", { textContent: name }), svg] };
    });
    this.place = element("div", { className: "sd-stations", "aria-hidden": "true" }, // the facts say it in words
      ...this.lines.flatMap((line) => line.parts), element("span"),
      element("div", { className: "sd-ends" }, element("span", { textContent: "much noise" }), element("span", { textContent: "little noise" })));
  }

  x(sigma) {
    const share = (this.most - this.height(sigma)) / Math.max(this.most - this.least, 1e-9);
    return (4 + (WIDE - 8) * share).toFixed(1);
  }

  show(runs, level, place) {
    this.lines.forEach(({ marks, here, level: line }, i) => {
      const at = runs[i].step(place);
      const mark = (step, reach) => `M${this.x(step.sigma)},${HIGH / 2 - reach}v${2 * reach}`;
      marks.setAttribute("d", runs[i].steps.map((step) => mark(step, 4)).join(""));
      here.setAttribute("d", mark(runs[i].steps[at], 8));
      for (const end of ["x1", "x2"]) line.setAttribute(end, this.x(level));
    });
  }
}

// The words of the prompt that some model kept attention for.
function wordsOf(runs) {
  const found = new Map();
  for (const { text } of runs.flatMap((run) => run.words)) {
    if (!found.has(text.toLowerCase())) found.set(text.toLowerCase(), text);
  }
  return [...found.values()];
}

async function render({ model, el }) {
  const bytes = bytesOf(model.get("blob"));
  const [sides, levels, prompts] = [model.get("sides"), model.get("levels"), model.get("prompts")];
  const runs = await Promise.all(sides.map((side) => Promise.all(side.runs.map((header) => new Run(header, bytes).load()))));
  const state = Object.fromEntries(SYNCED.map((name) => [name, model.get(name)]));
  const alike = sides[0].parts.map((_, line) => new Set(sides.map((side) => side.parts[line].values.join())).size === 1);
  const panels = sides.map((side, number) => new Panel(side, number, alike));
  const stations = new Stations(sides, levels);
  let telling = false; // the model tells of each change at once, and of our own as well
  const chosen = () => runs.map((all) => all[state.prompt]);

  const change = (changes) => {
    Object.assign(state, changes);
    if (!wordsOf(chosen()).some((word) => word.toLowerCase() === state.word.toLowerCase())) state.word = "";
    telling = true;
    for (const name of SYNCED) model.set(name, state[name]);
    telling = false;
    model.save_changes?.();
    refresh();
  };

  const slider = element("input", { type: "range", min: 0, max: levels.length, step: 1 });
  slider.oninput = () => {
    stop();
    change({ place: Number(slider.value) });
  };
  const level = element("output", { "aria-live": "off" }); // played, it would never stop talking
  const select = element("select", {}, ...prompts.map((prompt, i) => element("option", { value: i, textContent: prompt })));
  select.onchange = () => change({ prompt: Number(select.value) });
  const words = element("div", { className: "sd-words", role: "group", "aria-label": "Words of the prompt" });
  const buttons = new Map(); // by word

  const [play, stop] = playing(PACE, () => state.place, levels.length, (place) => change({ place }));

  // Buttons stay the same while the prompt does: one that is focused keeps its focus.
  let spelled = null;
  const spell = (found) => {
    if (spelled !== JSON.stringify(found)) {
      spelled = JSON.stringify(found);
      buttons.clear();
      for (const word of found) {
        const button = element("button", { type: "button", textContent: word });
        button.onclick = () => change({ word: state.word.toLowerCase() === word.toLowerCase() ? "" : word });
        buttons.set(word, button);
      }
      words.replaceChildren(...(found.length ? ["Where it looks for"] : []), ...buttons.values());
    }
    for (const [word, button] of buttons) {
      button.setAttribute("aria-pressed", String(word.toLowerCase() === state.word.toLowerCase()));
    }
  };
  const refresh = () => {
    const shown = chosen();
    const done = state.place >= levels.length;
    const sigma = levels[Math.min(state.place, levels.length - 1)];
    slider.value = state.place;
    level.textContent = done ? "done" : `sigma ${short(sigma)}`;
    slider.setAttribute("aria-valuetext", done ? "the finished pictures" : `sigma ${short(sigma)}`);
    select.value = state.prompt;
    spell(wordsOf(shown));
    stations.show(shown, sigma, state.place);
    panels.forEach((panel, i) => panel.show(shown[i], { ...state, prompt: prompts[state.prompt] }));
  };

  const row = (...parts) => element("div", { className: "sd-controls" }, ...parts);
  const columns = element("div", { className: `sd-models${sides.length === 4 ? " sd-four" : ""}` }, ...panels.map((panel) => panel.column));
  columns.style.setProperty("--sd-lines", sides[0].parts.length);
  const root = element("div", { className: "sd-explorer sd-family", role: "group", "aria-label": "Family explorer" },
    prompts.length > 1
      ? row(element("label", { className: "sd-wide" }, "Prompt", select))
      : element("p", { className: "sd-prompt", textContent: `“${prompts[0]}”` }),
    words,
    element("div", { className: "sd-controls sd-walk" }, play, element("label", { className: "sd-wide" }, "Noise level", slider), level),
    stations.place,
    columns);
  ownKeys(root);
  el.append(root);

  // The kernel may ask for a place or a prompt that isn't there.
  const asked = () => {
    if (telling) return;
    for (const name of SYNCED) state[name] = model.get(name);
    state.place = Math.min(state.place, levels.length);
    state.prompt = Math.min(state.prompt, prompts.length - 1);
    refresh();
  };
  asked();
  for (const name of SYNCED) model.on(`change:${name}`, asked);
  return () => {
    stop();
    for (const name of SYNCED) model.off(`change:${name}`, asked);
  };
}

export default { render };
