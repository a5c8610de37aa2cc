// The noise explorer. Pictures and schedules lie in `blob`; all else is computed here, on the spot.

const [WIDE, HIGH] = [360, 180]; // of a chart, in its own units
const FRAME = { left: 40, right: 350, top: 10, bottom: 160 };
const [REACH, BINS, TALLEST] = [4, 80, 0.8]; // of the histogram: values, bars, the highest density drawn
const DASHES = ["", "7 4", "7 3 2 3", "2 3", "9 3 2 3 2 3", "1 3"];
const RAISED = { "-": "⁻", ...Object.fromEntries([..."⁰¹²³⁴⁵⁶⁷⁸⁹"].entries()) };
const SYNCED = ["picture", "schedule", "t", "seed"]; // what the kernel knows, too
const LARGEST = 2 ** 31 - 1; // of the seeds
const SLICE = 30; // milliseconds of walking before the page may breathe
const CURVES = {
  alpha_bar: (alphaBar) => alphaBar,
  sigma: (alphaBar) => Math.sqrt((1 - alphaBar) / alphaBar),
  SNR: (alphaBar) => alphaBar / (1 - alphaBar),
};

// The middle square of a picture as numbers from -1 to 1: red, green and blue of each pixel.
function cropped(image, side) {
  const square = Math.min(image.naturalWidth, image.naturalHeight);
  if (!square) throw new Error("The picture has no size.");
  const context = element("canvas", { width: side, height: side }).getContext("2d");
  context.fillStyle = "white"; // behind what is transparent
  context.fillRect(0, 0, side, side);
  context.imageSmoothingQuality = "high";
  const [left, top] = [(image.naturalWidth - square) / 2, (image.naturalHeight - square) / 2];
  context.drawImage(image, left, top, square, square, 0, 0, side, side);
  const bytes = context.getImageData(0, 0, side, side).data;
  return Float64Array.from({ length: 3 * side * side }, (_, i) => bytes[4 * Math.floor(i / 3) + (i % 3)] / 127.5 - 1);
}

// xt = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps: DDPM (2006.11239), eq. 4
function jump(x0, eps, alphaBar) {
  const [keep, add] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
  const xt = new Float64Array(x0.length);
  for (let i = 0; i < xt.length; i++) xt[i] = keep * x0[i] + add * eps[i];
  return xt;
}

// The same way in small steps, each with noise of its own: DDPM, eq. 2. It can go on where it stands.
class Walk {
  constructor(x0, alphaBars, seed) {
    Object.assign(this, { x0, alphaBars, seed, x: Float64Array.from(x0), at: -1, normal: normals(~seed) });
  }

  step() {
    const before = this.at < 0 ? 1 : this.alphaBars[this.at];
    const alpha = this.alphaBars[++this.at] / before;
    const [keep, add] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
    const { x, normal } = this;
    for (let i = 0; i < x.length; i++) x[i] = keep * x[i] + add * normal();
  }

  // What all steps' noise amounts to: the one eps that leads from x0 to here.
  eps() {
    const alphaBar = this.alphaBars[this.at];
    const [keep, add] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
    const eps = new Float64Array(this.x.length);
    for (let i = 0; i < eps.length; i++) eps[i] = (this.x[i] - keep * this.x0[i]) / add;
    return eps;
  }

  leads(x0, alphaBars, seed, t) {
    return this.x0 === x0 && this.alphaBars === alphaBars && this.seed === seed && this.at <= t;
  }
}

function moments(values) {
  let [sum, squares] = [0, 0];
  for (const value of values) {
    sum += value;
    squares += value * value;
  }
  const mean = sum / values.length;
  const variance = squares / values.length - mean * mean;
  return { mean, variance, spread: Math.sqrt(variance) };
}

const fixed = (number, digits = 3) => number.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
const put = (number) => (number < 0 ? `(${fixed(number)})` : fixed(number));
const tenTo = (power) => (power ? `10${[...String(power)].map((sign) => RAISED[sign]).join("")}` : "1");
const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.01 ? 2 : 0)}%`;

// One of the three pictures, with a ring around the pixel whose numbers are read.
class Panel {
  constructor(name, side) {
    this.canvas = element("canvas", { className: "sd-picture", width: side, height: side, role: "img" });
    this.ring = element("i", { className: "sd-ring", "aria-hidden": "true" });
    this.ring.style.width = `${100 / side}%`;
    this.title = element("figcaption");
    const frame = element("div", { className: "sd-frame" }, this.canvas, this.ring);
    this.figure = element("figure", { className: `sd-${name}` }, this.title, frame);
    this.side = side;
  }

  show(values, title, label) {
    this.title.textContent = title;
    this.canvas.setAttribute("aria-label", label);
    if (values === this.shown) return;
    this.shown = values;
    const context = this.canvas.getContext("2d");
    const picture = context.createImageData(this.side, this.side);
    const { data } = picture;
    for (let from = 0, to = 0; from < values.length; to += 4) {
      for (let c = 0; c < 3; c++) data[to + c] = (values[from++] + 1) * 127.5;
      data[to + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
  }

  mark([row, column]) {
    this.ring.style.left = `${(100 * (column + 0.5)) / this.side}%`;
    this.ring.style.top = `${(100 * (row + 0.5)) / this.side}%`;
  }
}

const across = (share) => FRAME.left + (FRAME.right - FRAME.left) * share;
const up = (share) => FRAME.bottom - (FRAME.bottom - FRAME.top) * Math.min(Math.max(share, 0), 1);
const line = (points) => points.map(([x, y]) => `${across(x).toFixed(1)},${up(y).toFixed(1)}`).join(" ");

const stroke = (i) => ({ style: `--sd-colour: ${COLOURS[i]}`, "stroke-dasharray": DASHES[i] });

function axes(below, beside) {
  const text = (x, y, anchor, said) => drawn("text", { x, y, "text-anchor": anchor }, said);
  return drawn(
    "g",
    { class: "sd-axes" },
    drawn("path", { d: `M${FRAME.left},${FRAME.top}V${FRAME.bottom}H${FRAME.right}` }),
    ...below.map(([share, said]) => text(across(share), FRAME.bottom + 15, "middle", said)),
    ...beside.map(([share, said]) => text(FRAME.left - 5, up(share) + 4, "end", said)),
  );
}

// How often each value occurs: bars, the normal curve, and for a walk the jump's outline.
class Histogram {
  constructor() {
    this.bars = drawn("path", { class: "sd-bars" });
    this.outline = drawn("polyline", { class: "sd-outline" });
    const normal = Array.from({ length: 121 }, (_, i) => {
      const z = (i / 60 - 1) * REACH;
      return [i / 120, Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI) / TALLEST];
    });
    const ticks = [-4, -2, 0, 2, 4].map((z) => [(z / REACH + 1) / 2, fixed(z, 0)]);
    this.svg = drawn(
      "svg",
      { class: "sd-plot sd-histogram", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img" },
      axes(ticks, [[0, "0"], [0.4 / TALLEST, "0.4"], [1, "0.8"]]),
      this.bars,
      drawn("polyline", { class: "sd-normal", points: line(normal) }),
      this.outline,
    );
  }

  static heights(values) {
    const counts = new Array(BINS).fill(0);
    for (const value of values) {
      const bin = Math.floor(((value / REACH + 1) / 2) * BINS);
      if (bin >= 0 && bin < BINS) counts[bin]++;
    }
    const full = ((values.length * 2 * REACH) / BINS) * TALLEST;
    return counts.map((count) => count / full);
  }

  show(values, jumped, label) {
    const steps = (heights) => heights.flatMap((height, i) => [[i / BINS, height], [(i + 1) / BINS, height]]);
    this.bars.setAttribute("d", `M${line([[0, 0], ...steps(Histogram.heights(values)), [1, 0]])}Z`);
    this.outline.setAttribute("points", jumped ? line(steps(Histogram.heights(jumped))) : "");
    this.svg.setAttribute("aria-label", label);
  }
}

// The schedules' curves over t, and where we are on the chosen one; pointing at it moves t.
class Curves {
  constructor(schedules, choose) {
    this.schedules = schedules;
    this.lines = schedules.map((_, i) => drawn("polyline", { class: "sd-curve", ...stroke(i) }));
    this.scale = drawn("g");
    this.rule = drawn("line", { class: "sd-rule", y1: FRAME.top, y2: FRAME.bottom });
    this.dot = drawn("circle", { class: "sd-dot", r: 5 });
    const size = { class: "sd-plot sd-schedules", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img" };
    this.svg = drawn("svg", size, this.scale, ...this.lines, this.rule, this.dot);
    const point = (event) => {
      const box = this.svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * WIDE;
      choose(Math.min(Math.max((x - FRAME.left) / (FRAME.right - FRAME.left), 0), 1));
    };
    this.svg.onpointerdown = (event) => this.svg.setPointerCapture(event.pointerId);
    this.svg.onclick = point; // not before: a finger that goes up or down scrolls, and chooses nothing
    this.svg.onpointermove = (event) => event.buttons && point(event);
  }

  // A curve's numbers as shares of the height: as they are, or by their powers of ten.
  rescale(curve) {
    this.curve = curve;
    const known = this.schedules.map(({ alphaBars }) => Array.from(alphaBars, CURVES[curve]));
    if (curve === "alpha_bar") {
      this.share = (value) => value;
      this.ticks = [0, 0.5, 1].map((value) => [value, String(value)]);
    } else {
      const logs = known.flat().filter((value) => value > 0 && value < Infinity).map(Math.log10);
      const least = logs.reduce((a, b) => Math.min(a, b), -1);
      const most = logs.reduce((a, b) => Math.max(a, b), 1);
      this.share = (value) => (Math.log10(value) - least) / (most - least);
      const far = Math.ceil((most - least) / 6); // at most six marks, 1 among them
      const marks = [];
      for (let power = Math.ceil(least / far) * far; power <= most; power += far) marks.push(power);
      this.ticks = marks.map((power) => [this.share(10 ** power), tenTo(power)]);
    }
    known.forEach((values, i) => {
      const far = Math.max(Math.ceil(values.length / 200), 1);
      const kept = values.map((value, t) => [t / (values.length - 1), this.share(value)]);
      this.lines[i].setAttribute("points", line(kept.filter((_, t) => t % far === 0 || t === kept.length - 1)));
    });
  }

  show(curve, chosen, t) {
    if (curve !== this.curve) this.rescale(curve);
    const { alphaBars, name } = this.schedules[chosen];
    const last = alphaBars.length - 1;
    this.scale.replaceChildren(axes([0, 0.5, 1].map((share) => [share, String(Math.round(share * last))]), this.ticks));
    this.lines.forEach((one, i) => one.classList.toggle("sd-chosen", i === chosen));
    const [x, y] = [across(t / last), up(this.share(CURVES[curve](alphaBars[t])))];
    for (const end of ["x1", "x2"]) this.rule.setAttribute(end, x);
    this.dot.setAttribute("cx", x);
    this.dot.setAttribute("cy", y);
    const value = short(CURVES[curve](alphaBars[t]));
    this.svg.setAttribute("aria-label", `${curve} over t, for each schedule. At t = ${t} of ${name} it is ${value}.`);
  }
}

function legend(schedules) {
  const samples = schedules.map(({ name }, i) => {
    const sample = drawn("line", { class: "sd-curve sd-chosen", x1: 0, x2: 34, y1: 5, y2: 5, ...stroke(i) });
    return element("span", {}, drawn("svg", { width: 34, height: 10, "aria-hidden": "true" }, sample), name);
  });
  return element("div", { className: "sd-legend" }, ...samples);
}

function chooser(pairs) {
  const options = pairs.map(([value, textContent]) => element("option", { value, textContent }));
  return element("select", {}, ...options);
}

// What a person chooses: the controls, and one function that hears of every change.
function controls(pictures, schedules, change) {
  const made = {
    picture: chooser([...pictures.keys()].map((name) => [name, name])),
    schedule: chooser(schedules.map(({ name }) => [name, name])),
    way: chooser([["jump", "in one jump"], ["walk", "step by step"]]),
    curve: chooser(Object.keys(CURVES).map((name) => [name, name === "alpha_bar" ? name : `${name}, in powers of ten`])),
    seed: element("input", { type: "number", min: 0, max: LARGEST, step: 1 }),
    fresh: element("button", { type: "button", textContent: "Other noise" }),
    t: element("input", { type: "range", min: 0, step: 1, "aria-label": "t" }), // its output is not its name
    time: element("output", { "aria-live": "off" }), // the slider says it
    file: element("input", { type: "file", accept: "image/*" }),
  };
  for (const name of ["picture", "schedule", "way", "curve"]) made[name].onchange = () => change({ [name]: made[name].value });
  made.seed.onchange = () => change({ seed: Math.min(Math.max(Math.floor(Number(made.seed.value)), 0), LARGEST) || 0 });
  made.fresh.onclick = () => change({ seed: (Number(made.seed.value) + 1) % (LARGEST + 1) });
  made.t.oninput = () => change({ t: Number(made.t.value) });
  return made;
}

class Explorer {
  constructor(model, pictures, schedules, side) {
    Object.assign(this, { model, pictures, schedules, side });
    this.state = { way: "jump", curve: "alpha_bar", pixel: [side >> 1, side >> 1] };
    for (const name of SYNCED) this.state[name] = model.get(name);
    this.motion = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.controls = controls(pictures, schedules, (changes) => this.change(changes));
    this.controls.file.onchange = () => this.take(this.controls.file.files[0]);
    this.panels = Object.fromEntries(["x0", "eps", "xt"].map((name) => [name, new Panel(name, side)]));
    this.histogram = new Histogram();
    this.curves = new Curves(schedules, (share) => this.change({ t: Math.round(share * (this.alphaBars.length - 1)) }));
    this.notice = "";
    this.said = {
      note: element("p", { className: "sd-note", role: "status" }),
      formula: element("p", { className: "sd-formula" }),
      share: element("p", { className: "sd-said" }),
      values: element("p", { className: "sd-said" }),
      pixel: element("div", { className: "sd-read" }),
    };
    this.bar = element("div", { className: "sd-share", "aria-hidden": "true" }, element("i"), element("b"));
    this.readable();
  }

  get chosen() {
    return this.schedules.findIndex(({ name }) => name === this.state.schedule);
  }

  get alphaBars() {
    return this.schedules[this.chosen].alphaBars;
  }

  get x0() {
    return this.pictures.get(this.state.picture);
  }

  // Another schedule keeps the share of the way; what a page and a kernel both know is told.
  change(changes) {
    const before = this.alphaBars.length - 1;
    Object.assign(this.state, changes);
    if (changes.picture) this.notice = ""; // it was said of another one
    const last = this.alphaBars.length - 1;
    if ("schedule" in changes) this.state.t = Math.round((this.state.t / before) * last);
    this.state.t = Math.min(this.state.t, last);
    this.telling = true;
    for (const name of SYNCED) if (name !== "picture" || this.state.picture) this.model.set(name, this.state[name]);
    this.model.save_changes?.();
    this.telling = false;
    this.refresh();
  }

  // The kernel changed something.
  heard(name) {
    if (this.telling) return;
    this.state[name] = this.model.get(name);
    this.state.t = Math.min(this.state.t, this.alphaBars.length - 1);
    this.refresh();
  }

  // A picture of one's own. It is read here and goes nowhere.
  async take(file) {
    if (!file) return;
    try {
      this.pictures.set("", cropped(await decoded(file, file.type), this.side));
    } catch {
      this.notice = `“${file.name}” is no picture that this browser can read. Choose a PNG, JPEG or WebP file.`;
      this.refresh();
      return;
    }
    this.notice = `“${file.name}”: its middle square, as ${this.side} x ${this.side} pixels. It stays in this page.`;
    const { picture } = this.controls;
    const own = [...picture.options].find((option) => option.value === "") ?? element("option", { value: "" });
    own.textContent = file.name;
    picture.append(own);
    this.change({ picture: "" });
  }

  refresh() {
    cancelAnimationFrame(this.frame);
    const { state, controls: { t, time, ...rest } } = this;
    for (const name of ["picture", "schedule", "way", "curve", "seed"]) rest[name].value = state[name];
    t.max = this.alphaBars.length - 1;
    t.value = state.t;
    time.textContent = `${state.t} of ${t.max}`;
    this.said.note.textContent = this.notice;
    this.curves.show(state.curve, this.chosen, state.t);
    if (this.noise?.seed !== state.seed) {
      this.noise = { seed: state.seed, eps: Float64Array.from({ length: 3 * this.side ** 2 }, normals(state.seed)) };
    }
    if (state.way === "jump") this.show(state.t);
    else this.go();
  }

  // As many steps as fit in a moment, then a look, then on; any change stops it.
  go() {
    const { x0, alphaBars, state: { seed, t } } = this;
    if (!this.walk?.leads(x0, alphaBars, seed, t)) this.walk = new Walk(x0, alphaBars, seed);
    const end = performance.now() + SLICE;
    while (this.walk.at < t) {
      this.walk.step();
      if (performance.now() >= end) break;
    }
    const there = this.walk.at === t;
    if (there || !this.motion.matches) this.show(this.walk.at);
    this.said.note.setAttribute("aria-live", there ? "polite" : "off"); // not every frame aloud
    this.said.note.textContent = there ? this.notice : `${this.walk.at + 1} of ${t + 1} small steps`;
    if (!there) this.frame = requestAnimationFrame(() => this.go());
  }

  show(t) {
    const { x0, state, noise, walk, panels } = this;
    const alphaBar = this.alphaBars[t];
    const walked = state.way === "walk";
    const jumped = jump(x0, noise.eps, alphaBar);
    const now = { t, x0, alphaBar, eps: walked ? walk.eps() : noise.eps, xt: walked ? walk.x.slice() : jumped };
    Object.assign(now, { keep: Math.sqrt(alphaBar), add: Math.sqrt(1 - alphaBar), jumped: walked ? jumped : null });
    const name = state.picture || this.controls.picture.selectedOptions[0].textContent;
    panels.x0.show(x0, `${fixed(now.keep)} · x0`, `x0: the picture, ${name}`);
    const whence = walked ? "eps: all steps’ noise, together" : `eps: noise, seed ${state.seed}`;
    panels.eps.show(now.eps, `+ ${fixed(now.add)} · eps`, whence);
    panels.xt.show(now.xt, `= xt, t = ${t}`, `xt: ${name} at t = ${t}. Arrow keys read its numbers.`);
    this.tell(now);
    this.now = now;
    this.read();
  }

  // The numbers of the whole: formula, shares, and how the values are spread.
  tell({ t, x0, alphaBar, eps, xt, jumped, keep, add }) {
    const { said, histogram, bar } = this;
    said.formula.textContent =
      "xt = √alpha_bar · x0 + √(1 − alpha_bar) · eps = " +
      `√${fixed(alphaBar, 4)} · x0 + √${fixed(1 - alphaBar, 4)} · eps = ${fixed(keep)} · x0 + ${fixed(add)} · eps`;
    bar.style.setProperty("--sd-part", `${100 * alphaBar}%`);
    [bar.firstChild.textContent, bar.lastChild.textContent] = [`picture ${percent(alphaBar)}`, `noise ${percent(1 - alphaBar)}`];
    const own = moments(x0).variance;
    const really = (alphaBar * own) / (alphaBar * own + 1 - alphaBar);
    said.share.textContent =
      `Share of signal: alpha_bar = ${fixed(alphaBar, 4)} · sigma ${short(CURVES.sigma(alphaBar))} · ` +
      `SNR ${short(CURVES.SNR(alphaBar))}. So it is for a picture of variance 1. This one’s is ${short(own)}: ` +
      `of xt’s variance, ${percent(really)} is picture.`;
    const spread = (values) => {
      const found = moments(values);
      return `mean ${fixed(found.mean)}, spread ${fixed(found.spread)}`;
    };
    said.values.textContent = jumped
      ? `${t + 1} small steps: ${spread(xt)}. One jump (dashed): ${spread(jumped)}. All steps’ noise together: ${spread(eps)}.`
      : `xt: ${spread(xt)}. The line is the normal curve: mean 0, spread 1.`;
    histogram.show(xt, jumped, `Histogram of the values of xt, beside the normal curve. ${spread(xt)}.`);
  }

  // The numbers of one pixel, put into the formula.
  read() {
    const { x0, eps, xt, keep, add } = this.now;
    const [row, column] = this.state.pixel;
    const first = 3 * (row * this.side + column);
    const sums = ["red", "green", "blue"].map((colour, c) => {
      const [a, b, sum] = [x0, eps, xt].map((values) => values[first + c]);
      const text = `${fixed(keep)} · ${put(a)} + ${fixed(add)} · ${put(b)} = ${fixed(sum)}`;
      return element("div", {}, element("b", {}, colour), text);
    });
    this.said.pixel.replaceChildren(element("div", {}, `row ${row}, column ${column}:`), ...sums);
    for (const panel of Object.values(this.panels)) panel.mark(this.state.pixel);
  }

  // Pointer and arrow keys choose the pixel.
  readable() {
    const look = (...place) => {
      this.state.pixel = place.map((one) => Math.min(Math.max(Math.floor(one), 0), this.side - 1));
      this.read();
    };
    for (const { canvas } of Object.values(this.panels)) {
      canvas.onpointermove = canvas.onpointerdown = (event) => {
        const box = canvas.getBoundingClientRect();
        look(((event.clientY - box.top) / box.height) * this.side, ((event.clientX - box.left) / box.width) * this.side);
      };
    }
    readAloud(this.panels.xt.canvas, this.said.pixel);
    for (const [name, value] of Object.entries(OPERATED)) this.panels.xt.canvas.setAttribute(name, value);
    this.panels.xt.canvas.onkeydown = (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!move) return;
      event.preventDefault();
      look(this.state.pixel[0] + move[0], this.state.pixel[1] + move[1]);
    };
  }

  lay() {
    const { controls: made, panels, said } = this;
    const label = (className, ...parts) => element("label", { className }, ...parts);
    const row = (...parts) => element("div", { className: "sd-controls" }, ...parts);
    const upload = label("sd-file", "Own picture…", made.file);
    const root = element(
      "div",
      { className: "sd-explorer sd-noise", role: "group", "aria-label": "Noise explorer" },
      row(label("", "Picture", made.picture), upload, label("", "Schedule", made.schedule)),
      row(label("", "Noise added", made.way), label("", "Seed", made.seed), made.fresh),
      row(label("sd-wide", "t", made.t, made.time)),
      said.note,
      said.formula,
      element("div", { className: "sd-sum" }, ...Object.values(panels).map((panel) => panel.figure)),
      said.pixel,
      this.bar,
      said.share,
      element(
        "div",
        { className: "sd-plots" },
        element("div", {}, row(element("b", {}, "Values of xt")), this.histogram.svg, said.values),
        element("div", {}, row(label("", "Schedule’s", made.curve)), this.curves.svg, legend(this.schedules)),
      ),
    );
    ownKeys(root);
    return root;
  }
}

async function render({ model, el }) {
  const bytes = bytesOf(model.get("blob"));
  const cut = ([offset, length]) => bytes.slice(offset, offset + length);
  const side = model.get("side");
  const schedules = model.get("schedules").map(({ name, at }) => ({ name, alphaBars: new Float64Array(cut(at).buffer) }));
  const pictures = new Map();
  for (const { name, at } of model.get("pictures")) pictures.set(name, cropped(await decoded(cut(at)), side));
  const explorer = new Explorer(model, pictures, schedules, side);
  el.append(explorer.lay());
  explorer.refresh();
  const ears = SYNCED.map((name) => [`change:${name}`, () => explorer.heard(name)]);
  for (const [name, heard] of ears) model.on(name, heard);
  return () => {
    cancelAnimationFrame(explorer.frame);
    for (const [name, heard] of ears) model.off(name, heard);
  };
}

export default { render };
