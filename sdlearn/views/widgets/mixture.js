// The mixture playground. Points flow from noise to a mixture of round Gaussians, whose score is
// known exactly at every noise level: nothing is trained, so a drawn world answers at once.

const CROWD = 300; // points that flow
const BUDGET = 2e6; // components looked at while something is dragged
const MOST_STEPS = 100;
const MOST_SPOTS = 160;
const FULL = `A drawing holds up to ${MOST_SPOTS} spots. Erase some first.`;
const DRAWN = "your drawing";
const COLOUR_NAMES = ["blue", "orange", "green", "wine"]; // of COLOURS
const REST = 150; // milliseconds until a hand that drags is taken to rest
const WHOLE_RUN = 4000; // milliseconds, when played
const SPACINGS = {
  trailing: "from the last timestep down",
  leading: "in whole strides from 0",
  linspace: "evenly, both ends",
  karras: "crowded near the clean end",
};

// --- controls -------------------------------------------------------------------------------

function menu(name, options, change) {
  const select = element("select", { "aria-label": name });
  let filled = "";
  const fill = (entries, chosen) => {
    const made = ([value, textContent]) => element("option", { value, textContent });
    if (filled !== JSON.stringify(entries)) select.replaceChildren(...entries.map(made));
    filled = JSON.stringify(entries);
    select.value = chosen;
  };
  fill(options, options[0]?.[0] ?? "");
  select.onchange = () => change(select.value);
  return { place: element("label", {}, name, select), select, fill };
}

function slider(name, limits, change, told = String) {
  const input = element("input", { type: "range", "aria-label": name, ...limits });
  const said = element("span", { className: "sd-value" });
  const set = (value) => {
    input.value = value;
    said.textContent = told(value);
    input.setAttribute("aria-valuetext", told(value));
  };
  input.oninput = () => change(Number(input.value));
  return { place: element("label", { className: "sd-wide" }, name, input, said), input, set };
}

function tick(name, checked, change) {
  const input = element("input", { type: "checkbox", checked });
  input.onchange = () => change(input.checked);
  return element("label", {}, input, name);
}

const button = (textContent, onclick) => element("button", { type: "button", textContent, onclick });
const row = (className, ...parts) => element("div", { className: `sd-controls ${className}` }, ...parts);

// The numbers of a side: each has a name, a value, and a word about it.
const NUMBERS = {
  calls: "score asked",
  distance: "off the mixture",
  error: "off the exact paths",
  bend: "length of the paths",
  hit: "landed in the group",
};

const BEST = "from where Heun’s steps through all timesteps end";

function numbers() {
  const cards = Object.entries(NUMBERS).map(([key, name]) => {
    const [value, about] = [element("span", { className: "sd-number" }), element("small")];
    value.dataset.number = key;
    return { key, value, about, card: element("div", {}, element("span", { textContent: name }), value, about) };
  });
  const set = (key, number, remark) => {
    const { value, about, card } = cards.find((one) => one.key === key);
    [value.textContent, about.textContent, card.hidden] = [number, remark, number === ""];
  };
  return { place: element("div", { className: "sd-numbers" }, ...cards.map(({ card }) => card)), set };
}

// --- the playground -------------------------------------------------------------------------

const LAYERS = { density: "density", arrows: "score, as arrows", paths: "paths" };
const EXACT =
  "Every spot is a component of the mixture. A mixture’s score is known exactly at every noise level, " +
  "so the points flow at once: nothing is trained.";
const TRAITS = ["world", "group", "schedule", "spacing", "seed", "sides", "spots", "names", "progress"];

// What is set, what follows from it, and how the page and Python are told.
class Playground {
  constructor(model) {
    this.model = model;
    this.show = { density: true, arrows: false, paths: true };
    this.brush = { on: false, erase: false, label: 0, std: 0.15 };
    this.cursor = null;
    this.followed = null;
    this.past = []; // for undo
    const bytes = bytesOf(model.get("blob"));
    this.alphaBars = Object.fromEntries(
      model.get("schedules").map(({ name, at: [from, length] }) => {
        return [name, new Float64Array(bytes.slice(from, from + length).buffer)];
      }),
    );
    this.read();
  }

  read() {
    for (const name of TRAITS) this[name] = this.model.get(name);
  }

  // A model tells at once of each change, also of ours: that is no news.
  write() {
    this.writing = true;
    for (const name of TRAITS) this.model.set(name, this[name]);
    this.writing = false;
    this.model.save_changes?.();
  }

  get shown() {
    if (this.world === DRAWN) return { names: this.names, spots: this.spots };
    return this.model.get("worlds").find(({ name }) => name === this.world);
  }

  // Which group guides; -1 for none. A group without a spot guides nowhere.
  get label() {
    const { names, spots } = this.shown;
    const label = names.indexOf(this.group);
    return spots.some((spot) => labelOf(spot) === label) ? label : -1;
  }

  get most() {
    return Math.max(...this.sides.map(({ steps }) => steps));
  }

  ask(side) {
    return network(this.shown.spots, this.label, side.guidance_scale);
  }

  // All that the settings decide, with the same noise for every side. While something is being
  // dragged a heavy run takes fewer points: the rest follow when the hand rests.
  flow(dragging = false) {
    const { spots } = this.shown;
    this.points = dragging ? Math.max(TRAILS, Math.min(CROWD, Math.floor(BUDGET / this.work(spots)))) : CROWD;
    this.runs = spots.length ? this.sides.map((side) => this.run(side, spots)) : [];
    this.aim = spots.length ? this.goal(spots) : null;
  }

  // How many components must be looked at for one point.
  work(spots) {
    const asks = this.sides.map(({ sampler, steps }) => steps * (SAMPLERS[sampler].twice ? 2 : 1));
    const all = asks.reduce((sum, count) => sum + count, 0);
    return all * Math.max(spots.length, 1) * (this.label < 0 ? 1 : 2);
  }

  noise(seed, count) {
    const normal = normals(seed);
    const draw = () => Float64Array.from({ length: 2 * CROWD }, normal).subarray(0, 2 * this.points);
    return Array.from({ length: count }, draw);
  }

  run(side, spots) {
    const alphaBars = stationsOf(this.alphaBars[this.schedule], side.steps, this.spacing);
    const [starts] = this.noise(2 * this.seed, 1);
    const noises = SAMPLERS[side.sampler].draws ? this.noise(2 * this.seed + 1, side.steps) : [];
    const ask = this.ask(side);
    const stops = [starts, ...walk(side.sampler, alphaBars, ask, starts, noises)];
    return { side, alphaBars, stops, noises, calls: ask.calls, labels: landed(spots, stops[side.steps]) };
  }

  // Points as they should be, many of them; and how far off as few as ours are by chance.
  goal(spots) {
    const label = this.label;
    if (this.aim?.spots === spots && this.aim.label === label && this.aim.seed === this.seed) return this.aim;
    const wanted = label < 0 ? spots : spots.filter((spot) => labelOf(spot) === label);
    const truth = shadows(exact(wanted, 4 * CROWD, this.seed + 7));
    const chance = distance(shadows(exact(wanted, CROWD, this.seed + 11)), truth);
    return { spots, label, seed: this.seed, truth, chance };
  }

  // What a run should have come to: Heun's steps through every timestep, for some of the points.
  *exactly({ stops, side }) {
    const all = stationsOf(this.alphaBars[this.schedule], this.alphaBars[this.schedule].length, "trailing");
    yield* walk("heun", all, this.ask(side), stops[0].slice(0, 2 * TRAILS), []);
  }

  // Painting on a mixture that was there makes a drawing of it.
  takeOver() {
    const { names, spots } = this.shown;
    this.past.push([this.world, this.group, this.spots, this.names]);
    const mean = spots.reduce((sum, spot) => sum + spot[3], 0) / Math.max(spots.length, 1);
    this.spots = spots.map(([x, y, std, weight, label]) => [x, y, std, weight / mean, label]);
    this.names = [...names, ...COLOUR_NAMES.slice(names.length)];
    this.world = DRAWN;
  }

  undo() {
    const before = this.past.pop();
    if (before) [this.world, this.group, this.spots, this.names] = before;
    return Boolean(before);
  }

  // What changed nothing is nothing that could be taken back.
  forgetNothing() {
    const [world, , spots] = this.past[this.past.length - 1];
    if (world === DRAWN && spots.length === this.spots.length) this.past.pop();
  }

  add(x, y) {
    if (this.spots.length >= MOST_SPOTS) return false;
    this.spots = [...this.spots, [x, y, this.brush.std, 1, this.brush.label]];
    return true;
  }

  // Take the nearest spot away.
  takeAway(x, y) {
    const far = (spot) => Math.hypot(spot[0] - x, spot[1] - y);
    const least = Math.min(...this.spots.map(far));
    const nearest = this.spots.find((spot) => far(spot) === least);
    this.spots = this.spots.filter((spot) => spot !== nearest);
    return nearest !== undefined;
  }

  erase(x, y, reach) {
    this.spots = this.spots.filter((spot) => Math.hypot(spot[0] - x, spot[1] - y) > reach);
  }

  // Where a side stands; between two steps only while it is played.
  place({ steps }, sliding) {
    const place = this.progress * steps;
    return sliding ? Math.min(place, steps) : Math.round(place);
  }

  nearest(run, place, [x, y]) {
    const stop = run.stops[Math.round(place)];
    let [least, number] = [0.3, null];
    for (let i = 0; i < this.points; i++) {
      const far = Math.hypot(stop[2 * i] - x, stop[2 * i + 1] - y);
      if (far < least) [least, number] = [far, i];
    }
    return number;
  }
}

// A side: its settings, its plane, its numbers.
function panel(play, index, change, pointed) {
  const set = (changes, dragging) => {
    const turned = play.sides.map((side, i) => (i === index ? { ...side, ...changes } : side));
    change(() => { play.sides = turned; }, { dragging });
  };
  const known = Object.entries(SAMPLERS).map(([key, { name }]) => [key, name]);
  const sampler = menu("Sampler", known, (chosen) => set({ sampler: chosen }));
  const steps = slider("Steps", { min: 1, max: MOST_STEPS, step: 1 }, (count) => set({ steps: count }, true));
  const guide = (scale) => set({ guidance_scale: scale }, true);
  const guidance = slider("Guidance", { min: 0, max: 8, step: 0.1 }, guide, (scale) => Number(scale).toFixed(1));
  const square = { width: SIDE, height: SIDE, ...OPERATED };
  const canvas = element("canvas", { className: "sd-picture", ...square });
  const context = canvas.getContext("2d");
  const facts = element("output", { "aria-live": "off" }); // flowing, it would never stop talking
  const reading = element("div");
  const told = numbers();
  const read = element("div", { className: "sd-read" }, facts, reading, told.place);
  const place = element(
    "div",
    { className: "sd-plane", role: "group" },
    row("sd-set", sampler.place, steps.place, guidance.place),
    canvas,
    read,
  );
  pointed(canvas, index);
  readAloud(canvas, reading);

  const draw = (sliding = false) => {
    const [run, side] = [play.runs[index], play.sides[index]];
    context.clearRect(0, 0, SIDE, SIDE);
    if (run) drawRun(context, play, run, sliding);
    if (play.cursor) drawCursor(context, play.cursor, play.brush.on ? play.brush.std : 0);
    [facts.textContent, reading.textContent] = standing(play, run, sliding);
    canvas.setAttribute("aria-label", described(play, run, side));
  };
  const update = () => {
    const side = play.sides[index];
    place.setAttribute("aria-label", play.sides.length > 1 ? ["Left", "Right"][index] : "The plane");
    sampler.select.value = side.sampler;
    steps.set(side.steps);
    guidance.set(side.guidance_scale);
    guidance.input.disabled = play.label < 0;
  };
  const measure = () => count(play, play.runs[index], told.set);
  return { place, draw, update, measure, set: told.set };
}

function drawRun(context, play, run, sliding) {
  const at = play.place(run.side, sliding);
  const alphaBar = run.alphaBars[Math.floor(at)];
  context.imageSmoothingQuality = "high";
  if (play.show.density) context.drawImage(cloud(play.shown.spots, alphaBar), 0, 0, SIDE, SIDE);
  if (play.show.arrows) arrows(context, play.ask(run.side), alphaBar);
  drawFlow(context, run, at, { paths: play.show.paths, followed: play.followed });
}

// Where a side stands, and what stands under the pointer.
function standing(play, run, sliding) {
  if (!run) return ["Nothing is drawn yet.", "Press Draw and paint on the plane."];
  const at = Math.floor(play.place(run.side, sliding));
  const alphaBar = run.alphaBars[at];
  const levels = `alpha_bar ${short(alphaBar)} · sigma ${short(sigmaOf(alphaBar))}`;
  const reading = "Point at the plane to follow a point and to read the score.";
  return [`step ${at} of ${run.side.steps} · ${levels}`, play.cursor ? readAt(play, run, alphaBar) : reading];
}

function readAt(play, run, alphaBar) {
  const level = Math.min(alphaBar, 1 - 1e-9); // at 1 there is no noise, and a score all the same
  const eps = play.ask(run.side)(Float64Array.from(play.cursor), level);
  const pair = (ones) => `(${[...ones].map((one) => one.toFixed(2)).join(", ")})`;
  const score = pair(eps.map((one) => -one / Math.sqrt(1 - level)));
  const followed = play.followed === null ? "" : ` · following point ${play.followed + 1}`;
  return `at ${pair(play.cursor)} the score is ${score}${followed}`;
}

function described(play, run, side) {
  const { spots } = play.shown;
  const walked = `after ${play.place(side)} of ${side.steps} steps of ${SAMPLERS[side.sampler].name}`;
  const where = run ? `${CROWD} points ${walked}` : "An empty plane";
  const guided = play.label < 0 ? "" : `, guided towards ${play.group} at scale ${side.guidance_scale}`;
  const keys = play.brush.on
    ? "Arrow keys move the brush, Enter paints, Delete takes the nearest spot away."
    : "Arrow keys read the score.";
  return `${where}, on the mixture “${play.world}” of ${spots.length} components${guided}. ${keys}`;
}

// The numbers that are there at once; the error comes later.
function count(play, run, set) {
  if (!run) return Object.keys(NUMBERS).forEach((key) => set(key, "–", ""));
  const { label, points } = play;
  const end = run.stops[run.side.steps];
  const each = short(run.calls / run.side.steps);
  set("calls", `${run.calls} ×`, label < 0 ? `${each} a step` : `${each} a step: guidance asks twice`);
  const whole = points === CROWD; // fewer are not compared: chance would weigh more
  const aimed = label < 0 ? "exact draws" : `exact draws of “${play.group}”`;
  const far = whole ? distance(shadows(end), play.aim.truth).toFixed(3) : "…";
  set("distance", far, `${aimed}: ${play.aim.chance.toFixed(3)}`);
  set("bend", `${bend(run.stops).toFixed(2)} ×`, "a straight line is 1");
  const hits = run.labels.filter((one) => one === label).length;
  set("hit", label < 0 ? "" : `${Math.round((100 * hits) / points)}%`, "");
  const { draws } = SAMPLERS[run.side.sampler];
  set("error", draws ? "–" : "…", draws ? "it draws noise: there is no one path" : BEST);
}

// What pointer and keys do on a plane: they look, and while Draw is pressed they paint.
function handle(canvas, play, { look, painted, said }) {
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const within = (share) => (2 * Math.min(Math.max(share, 0), 1) - 1) * LIMIT;
    return [within((event.clientX - box.left) / box.width), -within((event.clientY - box.top) / box.height)];
  };
  let last = null; // where the stroke's last spot is, while it goes on
  let refused = false; // a spot of it, for want of room
  const paint = (place) => {
    const { erase, std } = play.brush;
    if (last && !erase && Math.hypot(place[0] - last[0], place[1] - last[1]) < Math.max(0.8 * std, 0.08)) return;
    last = place;
    if (erase) play.erase(...place, Math.max(std, 0.12));
    else if (!play.add(...place)) refused = true;
    painted();
  };
  canvas.onpointerdown = (event) => {
    if (!play.brush.on || event.button !== 0) return look(at(event));
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    play.takeOver();
    refused = false;
    play.cursor = at(event);
    paint(at(event));
  };
  canvas.onpointermove = (event) => {
    if (!last) return look(at(event));
    play.cursor = at(event);
    paint(at(event));
  };
  const ended = () => {
    if (!last) return;
    last = null;
    said(refused ? FULL : `${play.spots.length} spots.`);
    play.forgetNothing();
    play.write();
  };
  canvas.onpointerup = ended;
  canvas.onpointercancel = ended;
  // A finger that is lifted leaves as well, and what it pointed at is to be read then.
  canvas.onpointerleave = (event) => { if (!last && event.pointerType !== "touch") look(null); };
  canvas.onblur = () => look(null);
  canvas.onkeydown = (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const [x, y] = play.cursor ?? [0, 0];
    const [move, stride] = [moves[event.key], event.shiftKey ? 0.05 : 0.2];
    const within = (value) => Math.min(Math.max(Math.round(value * 100) / 100, -LIMIT), LIMIT);
    if (move) look([within(x + stride * move[0]), within(y + stride * move[1])]);
    else if (play.brush.on && ["Enter", " ", "Delete", "Backspace"].includes(event.key)) touch(event.key, [x, y]);
    else return;
    event.preventDefault();
  };
  const touch = (key, [x, y]) => {
    play.takeOver();
    const adding = key === "Enter" || key === " ";
    const done = adding ? play.add(x, y) : play.takeAway(x, y);
    play.cursor = [x, y];
    painted();
    play.forgetNothing();
    play.write();
    const what = `${adding ? "Spot added" : "Spot taken away"} at ${x.toFixed(2)}, ${y.toFixed(2)}`;
    if (done) said(`${what}: ${play.spots.length} spots.`);
    else said(adding ? FULL : "Nothing is drawn that could be taken away.");
  };
}

// The brush: whose spots it paints, how wide they are, and a way back.
function brushRow(play, refresh, paintedAll, said) {
  const group = menu("Group", [], (label) => { play.brush.label = Number(label); refresh(); });
  const widen = (std) => { play.brush.std = std; refresh(); };
  const width = slider("Size", { min: 0.05, max: 0.6, step: 0.05 }, widen, (std) => Number(std).toFixed(2));
  const eraser = button("Erase", () => { play.brush.erase = !play.brush.erase; refresh(); });
  const undo = button("Undo", () => { said(play.undo() ? "Taken back." : "Nothing to take back."); paintedAll(); });
  const clear = button("Clear", () => {
    play.takeOver();
    [play.spots, play.names, play.group] = [[], COLOUR_NAMES, ""];
    said("An empty plane. Paint on it.");
    paintedAll();
  });
  const place = row("sd-brush", group.place, width.place, eraser, undo, clear);
  const update = () => {
    place.hidden = !play.brush.on;
    const names = [...play.shown.names, ...COLOUR_NAMES.slice(play.shown.names.length)];
    play.brush.label = Math.min(play.brush.label, names.length - 1);
    group.fill(names.map((name, label) => [String(label), name]), String(play.brush.label));
    group.place.style.setProperty("--sd-group", colourOf(play.brush.label));
    width.set(play.brush.std);
    eraser.setAttribute("aria-pressed", String(play.brush.erase));
    undo.disabled = !play.past.length;
  };
  return { place, update };
}

// Play, pause, and where the points stand.
function player(play, redraw, write) {
  let [frame, begun] = [null, null];
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const scrub = slider("Step", { min: 0, step: 1 }, (place) => {
    stop();
    play.progress = place / play.most;
    redraw();
    write();
  });
  const stop = () => {
    if (frame !== null) cancelAnimationFrame(frame);
    frame = null;
    start.textContent = "▶ Play";
  };
  const tick = (now) => {
    begun ??= now - play.progress * WHOLE_RUN;
    play.progress = Math.min((now - begun) / WHOLE_RUN, 1);
    if (play.progress < 1) frame = requestAnimationFrame(tick);
    else stop();
    redraw(frame !== null && !still.matches);
    if (frame === null) write();
  };
  const start = button("▶ Play", () => {
    if (frame !== null) {
      stop();
      play.progress = Math.round(play.progress * play.most) / play.most;
      redraw();
      return write();
    }
    if (play.progress >= 1) play.progress = 0;
    begun = null;
    start.textContent = "❚❚ Pause";
    frame = requestAnimationFrame(tick);
  });
  const update = () => {
    scrub.input.max = play.most;
    const place = Math.round(play.progress * play.most);
    scrub.set(place);
    scrub.input.setAttribute("aria-valuetext", `step ${place} of ${play.most}`);
  };
  return { start, scrub: scrub.place, update, stop };
}

// The error of each side, found a little at a time when nothing else is to be done.
function follower(play, panels, whole) {
  let timer = null;
  const known = new Map();
  const keyOf = ({ side }) => {
    const scale = play.label < 0 ? 0 : side.guidance_scale;
    return JSON.stringify([play.world, play.group, play.schedule, play.seed, scale]);
  };
  const tell = (run, index, end) => {
    const ours = run.stops[run.side.steps].slice(0, end.length);
    panels()[index].set("error", apart(ours, end).toFixed(3), BEST);
  };
  const stop = () => clearTimeout(timer);
  const begin = (drawn) => {
    stop();
    if (drawn) known.clear();
    if (play.points < CROWD) timer = setTimeout(whole, REST);
    else timer = setTimeout(search, 0);
  };
  const search = () => {
    const open = play.runs.map((run, index) => [run, index]).filter(([run]) => !SAMPLERS[run.side.sampler].draws);
    const next = () => {
      if (!open.length) return;
      const [run, index] = open[0];
      const key = keyOf(run);
      if (known.has(key)) {
        tell(...open.shift(), known.get(key));
        return next();
      }
      work(play.exactly(run), null, (end) => { known.set(key, end); next(); });
    };
    next();
  };
  const work = (steps, end, done) => {
    const until = performance.now() + 8;
    while (performance.now() < until) {
      const { value, done: over } = steps.next();
      if (over) return done(end);
      end = value;
    }
    timer = setTimeout(() => work(steps, end, done), 4);
  };
  return { begin, stop };
}

function render({ model, el }) {
  const play = new Playground(model);
  const named = { role: "group", "aria-label": "Mixture playground" };
  const root = element("div", { className: "sd-explorer sd-mixture", ...named });
  const status = element("div", { className: "sd-status", role: "status" });
  const said = (text) => { status.textContent = text; };
  const planes = element("div", { className: "sd-planes" });
  let panels = [];

  const redraw = (sliding = false) => {
    for (const one of panels) one.draw(sliding);
    playing.update();
  };
  const refresh = () => {
    const { names, spots } = play.shown;
    world.fill([...play.model.get("worlds").map(({ name }) => [name, name]), [DRAWN, DRAWN]], play.world);
    const used = names.filter((_, label) => spots.some((spot) => labelOf(spot) === label));
    group.fill([["", "no group"], ...used.map((name) => [name, name])], play.label < 0 ? "" : play.group);
    schedule.select.value = play.schedule;
    spacing.select.value = play.spacing;
    Object.assign(seed.input, { min: Math.min(0, play.seed), max: Math.max(99, play.seed) });
    seed.set(play.seed);
    draw.setAttribute("aria-pressed", String(play.brush.on));
    compare.setAttribute("aria-pressed", String(play.sides.length > 1));
    root.classList.toggle("sd-drawing", play.brush.on);
    planes.classList.toggle("sd-two", play.sides.length > 1);
    if (panels.length !== play.sides.length) build();
    for (const one of panels) one.update();
    brush.update();
    legend.replaceChildren(...keys(play.shown));
    told.textContent = `${spots.length} components. ${EXACT}${gap(play)}`;
    redraw();
  };
  const flow = ({ dragging = false, drawn = false } = {}) => {
    play.flow(dragging);
    refresh();
    for (const one of panels) one.measure();
    errors.begin(drawn);
  };
  const change = (make, how) => {
    make();
    flow(how);
    play.write();
  };
  const painted = () => {
    play.followed = null;
    flow({ dragging: true, drawn: true });
  };
  const paintedAll = () => { painted(); play.write(); };
  const build = () => {
    const pointed = (canvas, index) => handle(canvas, play, {
      painted,
      said,
      look: (place) => {
        play.cursor = place;
        const run = play.runs[index];
        play.followed = place && run && !play.brush.on ? play.nearest(run, play.place(run.side), place) : null;
        redraw();
      },
    });
    panels = play.sides.map((_, index) => panel(play, index, change, pointed));
    planes.replaceChildren(...panels.map((one) => one.place));
  };

  const world = menu("Mixture", [], (name) => change(() => {
    [play.world, play.group, play.followed] = [name, "", null];
  }));
  const group = menu("Guide towards", [], (name) => change(() => { play.group = name; }));
  const draw = button("✎ Draw", () => { play.brush.on = !play.brush.on; play.followed = null; refresh(); });
  const compare = button("Compare two", () => change(() => {
    const [first, second] = play.sides;
    play.sides = second ? [first] : [first, { ...first, sampler: first.sampler === "heun" ? "ddim" : "heun" }];
    play.followed = null;
  }));
  const kinds = Object.keys(play.alphaBars).map((name) => [name, name]);
  const schedule = menu("Schedule", kinds, (name) => change(() => { play.schedule = name; }));
  const spaced = Object.entries(SPACINGS).map(([key, about]) => [key, `${key}: ${about}`]);
  const spacing = menu("Stations", spaced, (key) => change(() => { play.spacing = key; }));
  const reseed = (number) => change(() => { play.seed = number; }, { dragging: true });
  const seed = slider("Noise", { min: 0, max: 99, step: 1 }, reseed);
  const ticks = Object.entries(LAYERS).map(([key, name]) => {
    return tick(name, play.show[key], (shown) => { play.show[key] = shown; redraw(); });
  });
  const brush = brushRow(play, refresh, paintedAll, said);
  const playing = player(play, redraw, () => play.write());
  const errors = follower(play, () => panels, () => flow());
  const told = element("p", { className: "sd-told" });
  const legend = element("div", { className: "sd-legend" });

  root.append(
    row("", world.place, group.place, draw, compare),
    brush.place,
    row("", playing.start, playing.scrub),
    planes,
    legend,
    row("", element("span", { textContent: "Show" }), ...ticks),
    row("", schedule.place, spacing.place, seed.place),
    status,
    told,
  );
  root.runs = () => play.runs; // for whoever wants to compare: the tests do
  ownKeys(root);
  el.append(root);
  flow();

  const asked = () => {
    if (play.writing) return;
    play.read();
    flow({ drawn: true });
  };
  for (const name of TRAITS) model.on(`change:${name}`, asked);
  return () => {
    playing.stop();
    errors.stop();
    for (const name of TRAITS) model.off(`change:${name}`, asked);
  };
}

// Which mark is whose, where there is more than one group.
function keys({ names, spots }) {
  const here = new Set(spots.map(labelOf));
  const used = names.map((name, label) => [name, label]).filter(([, label]) => here.has(label));
  if (used.length < 2) return [];
  return used.map(([name, label]) => {
    const sign = element("span", { textContent: SIGNS[label % SIGNS.length], "aria-hidden": "true" });
    sign.style.color = clear(colourOf(label));
    return element("span", {}, sign, ` ${name}`);
  });
}

// How far apart two sides end: the same noise, so any difference is the settings'.
function gap(play) {
  if (play.runs.length < 2) return "";
  const [one, other] = play.runs.map((run) => run.stops[run.side.steps]);
  return ` Left and right begin with the same noise, and end ${apart(one, other).toFixed(3)} apart on average.`;
}

export default { render };
