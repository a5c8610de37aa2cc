// The trace explorer. All data is in the page: `sides` says what lies where in `blob`.

const PARTS = {
  x0: "picture so far (x0)",
  xt: "noisy sample (xt)",
  eps: "noise named (eps)",
  eps_cond: "noise named, with the prompt",
  eps_uncond: "noise named, without",
  difference: "what the prompt changes",
  channels: "channels of xt",
};
const PACE = 140; // milliseconds a step, when played

// One run: its numbers, and its panel.
class Side {
  constructor(header, bytes) {
    this.header = header;
    this.bytes = bytes;
    [this.channels, this.rows, this.columns] = header.latent;
    this.images = {};
  }

  cut([offset, length]) {
    return this.bytes.subarray(offset, offset + length);
  }

  async load() {
    for (const [name, sprite] of Object.entries(this.header.pictures)) {
      this.images[name] = await decoded(this.cut(sprite.at));
    }
  }

  parts() {
    const known = this.header.latents;
    return Object.keys(PARTS).filter((part) => {
      if (part === "difference") return known.eps_cond && known.eps_uncond;
      if (part === "channels") return known.xt;
      return part in this.header.pictures || (part in known && this.header.matrix);
    });
  }

  // A number of a latent at a step, channel and place.
  value(name, step, channel, place) {
    const packed = this.header.latents[name];
    if (!packed) return null;
    const count = this.rows * this.columns;
    const level = this.bytes[packed.at[0] + (step * this.channels + channel) * count + place];
    return packed.low[step] + ((packed.high[step] - packed.low[step]) * level) / 255;
  }

  // The map of a word: of a step over all layers, or of a layer over all steps.
  map(word, step, layer) {
    const [rows, columns] = word.grid;
    const count = rows * columns;
    const number = word.layers.indexOf(layer);
    const [from, index] = number < 0 ? [word.steps_at, step] : [word.layers_at, number];
    return this.bytes.subarray(from[0] + index * count, from[0] + (index + 1) * count);
  }

  word(text) {
    return this.header.words.find((one) => one.text.toLowerCase() === text.toLowerCase());
  }

  draw(context, width, height, { part, step, word, layer }) {
    const sprite = this.header.pictures[part];
    context.imageSmoothingEnabled = Boolean(sprite && sprite.decoded);
    context.imageSmoothingQuality = "high";
    if (sprite) {
      const [w, h] = sprite.size;
      context.drawImage(this.images[part], step * w, 0, w, h, 0, 0, width, height);
    } else if (part === "channels") {
      this.drawChannels(context, width, height, step);
    } else {
      context.drawImage(this.colours(part, step), 0, 0, width, height);
    }
    const shown = word && this.word(word);
    if (shown && part !== "channels") light(context, width, height, this.map(shown, step, layer), shown.grid);
  }

  // How many channels lie side by side and one under the other.
  tiles() {
    const across = Math.ceil(Math.sqrt(this.channels));
    return [across, Math.ceil(this.channels / across)];
  }

  drawChannels(context, width, height, step) {
    const [across, down] = this.tiles();
    for (let channel = 0; channel < this.channels; channel++) {
      const grey = small(this.columns, this.rows, (i) => {
        const level = 127.5 + 50 * this.value("xt", step, channel, i);
        return [level, level, level, 255];
      });
      const [x, y] = [channel % across, Math.floor(channel / across)];
      context.drawImage(grey, (x * width) / across, (y * height) / down, width / across - 2, height / down - 2);
    }
  }

  // Latents as colours, by the model's small matrix; a difference by how large it is.
  colours(part, step) {
    const far = part === "difference" ? this.distances(step) : null;
    const most = far && Math.max(...far, 1e-9);
    return small(this.columns, this.rows, (i) => {
      if (far) return [...heat(far[i] / most), 255];
      const colour = [0, 1, 2].map((rgb) => {
        let sum = (this.header.matrix[this.channels] ?? [0, 0, 0])[rgb];
        for (let c = 0; c < this.channels; c++) sum += this.value(part, step, c, i) * this.header.matrix[c][rgb];
        return (sum + 1) * 127.5;
      });
      return [...colour, 255];
    });
  }

  distances(step) {
    return Array.from({ length: this.rows * this.columns }, (_, i) => {
      let sum = 0;
      for (let c = 0; c < this.channels; c++) {
        sum += (this.value("eps_cond", step, c, i) - this.value("eps_uncond", step, c, i)) ** 2;
      }
      return Math.sqrt(sum);
    });
  }

  // What stands under the pointer, as text.
  read(step, x, y, layer) {
    const row = Math.min(Math.floor(y * this.rows), this.rows - 1);
    const column = Math.min(Math.floor(x * this.columns), this.columns - 1);
    const place = row * this.columns + column;
    const said = [`row ${row}, column ${column}`];
    for (const name of ["xt", "x0", "eps"]) {
      if (!this.header.latents[name]) continue;
      const values = Array.from({ length: this.channels }, (_, c) => this.value(name, step, c, place).toFixed(2));
      said.push(`${name} ${values.join(" ")}`);
    }
    const looks = this.header.words.map((word) => {
      const [rows, columns] = word.grid;
      const at = Math.min(Math.floor(y * rows), rows - 1) * columns + Math.min(Math.floor(x * columns), columns - 1);
      return [word.text, (this.map(word, step, layer)[at] / 255) * word.peak];
    });
    looks.sort((a, b) => b[1] - a[1]);
    const most = looks.slice(0, 3).map(([text, share]) => `${text} ${(100 * share).toFixed(1)}%`);
    if (most.length) said.push(`looks at ${most.join(", ")}`);
    return said.join(" · ");
  }
}

function chart(steps) {
  const logs = steps.map(({ sigma }) => Math.log(Math.max(sigma ?? 1e3, 1e-3)));
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const points = logs.map((log, i) => [
    4 + (292 * i) / Math.max(steps.length - 1, 1),
    6 + 44 * (1 - (log - low) / Math.max(high - low, 1e-9)),
  ]);
  const still = { "vector-effect": "non-scaling-stroke" };
  const mark = drawn("line", { stroke: "#0072b2", "stroke-width": 3, y1: 0, y2: 56, ...still });
  const line = drawn("polyline", {
    points: points.map((point) => point.join(",")).join(" "), fill: "none", stroke: "currentColor", ...still,
  });
  const svg = drawn(
    "svg",
    { class: "sd-chart", viewBox: "0 0 300 56", preserveAspectRatio: "none", "aria-hidden": "true" },
    line,
    mark,
  );
  return [svg, (step) => ["x1", "x2"].forEach((name) => mark.setAttribute(name, points[step][0]))];
}

function panel(side, state, change) {
  const [width, height] = side.header.pictures.x0.size;
  const canvas = element("canvas", {
    className: "sd-picture",
    width: 336 * SHARPEST,
    height: Math.round((336 * SHARPEST * height) / width),
    ...OPERATED,
  });
  const words = element("div", { className: "sd-words", role: "group", "aria-label": "Words of the prompt" });
  for (const word of side.header.words) {
    const button = element("button", { type: "button", textContent: word.text });
    button.onclick = () => change({ word: state.word.toLowerCase() === word.text.toLowerCase() ? "" : word.text });
    words.append(button);
  }
  const facts = element("output", { "aria-live": "off" }); // the slider says the step; played, it would never stop talking
  const pointed = element("div");
  const [svg, mark] = chart(side.header.steps);
  const caption = element("div", { className: "sd-read" }, facts, pointed);
  let [probe, walked] = [null, false]; // where numbers are read; whether keys went there

  const step = () => {
    const last = Math.max(state.count - 1, 1);
    return Math.round((state.place / last) * (side.header.steps.length - 1));
  };
  const look = () => {
    pointed.textContent = probe ? side.read(step(), ...probe, state.layer) : "Point at the picture to read its numbers.";
  };
  // How many latents lie side by side and one under the other: the channels each have a tile.
  const tiles = () => (state.part === "channels" ? side.tiles() : [1, 1]);
  const point = (event) => {
    const before = walked;
    walked = false;
    const box = canvas.getBoundingClientRect();
    const [across, down] = tiles();
    const inside = (value, count) => (Math.min(Math.max(value, 0), 0.9999) * count) % 1;
    probe = [inside((event.clientX - box.left) / box.width, across), inside((event.clientY - box.top) / box.height, down)];
    if (before) update(); // without the mark
    else look();
  };
  canvas.onpointermove = point;
  canvas.onpointerdown = point;
  canvas.onkeydown = (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const [x, y] = probe ?? [0.5, 0.5];
    const within = (value) => Math.min(Math.max(value, 0.001), 0.999);
    probe = [within(x + move[0] / side.columns), within(y + move[1] / side.rows)];
    walked = true;
    update();
  };

  readAloud(canvas, pointed);

  const context = canvas.getContext("2d");
  // A frame around the place that is read, light on dark and dark on light.
  const frame = ([x, y]) => {
    const [across, down] = tiles();
    const [wide, high] = [canvas.width / across / side.columns, canvas.height / down / side.rows];
    const corner = [Math.floor(x * side.columns) * wide, Math.floor(y * side.rows) * high];
    for (let tile = 0; tile < (across * down === 1 ? 1 : side.channels); tile++) {
      const [left, top] = [(tile % across) * (canvas.width / across), Math.floor(tile / across) * (canvas.height / down)];
      for (const [strokeStyle, lineWidth] of [["#000", 6], ["#fff", 2]]) {
        Object.assign(context, { strokeStyle, lineWidth });
        context.strokeRect(corner[0] + left, corner[1] + top, wide, high);
      }
    }
  };
  const update = () => {
    const now = step();
    const known = side.header.steps[now];
    context.clearRect(0, 0, canvas.width, canvas.height);
    side.draw(context, canvas.width, canvas.height, { ...state, step: now });
    if (walked) frame(probe);
    facts.textContent =
      `step ${known.index + 1} of ${side.header.total} · t = ${short(known.t)} · ` +
      `sigma ${short(known.sigma)} · SNR ${short(known.snr)}`;
    canvas.setAttribute(
      "aria-label",
      `${PARTS[state.part]} at step ${known.index + 1} of ${side.header.total}, for “${side.header.prompt}”` +
        (state.part !== "channels" && state.word && side.word(state.word) ? `; attention to “${state.word}”` : "") + ". Arrow keys read its numbers.",
    );
    for (const button of words.children) {
      button.setAttribute("aria-pressed", String(button.textContent.toLowerCase() === state.word.toLowerCase()));
    }
    mark(now);
    look();
  };
  const named = side.header.words.length ? words : element("p", { textContent: side.header.prompt });
  return [element("div", { className: "sd-side" }, named, canvas, svg, caption), update];
}

async function render({ model, el }) {
  const bytes = bytesOf(model.get("blob"));
  const sides = model.get("sides").map((header) => new Side(header, bytes));
  await Promise.all(sides.map((side) => side.load()));

  const count = Math.max(...sides.map((side) => side.header.steps.length));
  const state = { count, place: model.get("place"), part: model.get("part"), word: model.get("word"), layer: "" };
  const updates = [];
  let telling = false; // the model tells of each change at once, and of our own as well
  const change = (changes) => {
    Object.assign(state, changes);
    telling = true;
    for (const name of ["place", "part", "word"]) model.set(name, state[name]);
    telling = false;
    model.save_changes?.();
    refresh();
  };

  const slider = element("input", { type: "range", min: 0, max: count - 1, step: 1, value: state.place });
  slider.oninput = () => {
    stop();
    change({ place: Number(slider.value) });
  };
  const part = element("select");
  const everywhere = (of) => of(sides[0]).filter((one) => sides.every((side) => of(side).includes(one)));
  const parts = everywhere((side) => side.parts());
  for (const name of parts) {
    part.append(element("option", { value: name, textContent: PARTS[name] }));
  }
  part.onchange = () => change({ part: part.value });
  const layer = element("select");
  layer.append(element("option", { value: "", textContent: "all layers, this step" }));
  for (const name of everywhere((side) => side.header.words[0]?.layers ?? [])) {
    layer.append(element("option", { value: name, textContent: `${name}, all steps` }));
  }
  layer.onchange = () => change({ layer: layer.value });

  const [play, stop] = playing(PACE, () => state.place, count - 1, (place) => change({ place }));

  const refresh = () => {
    slider.value = state.place;
    const { steps, total } = sides[0].header; // of many steps not all were kept
    const at = Math.round((state.place / Math.max(count - 1, 1)) * (steps.length - 1));
    slider.setAttribute("aria-valuetext", `step ${steps[at].index + 1} of ${total}`);
    part.value = state.part;
    for (const update of updates) update();
  };
  const controls = element(
    "div",
    { className: "sd-controls" },
    play,
    element("label", { className: "sd-wide" }, "Step", slider),
    element("label", {}, "Show", part),
  );
  if (sides.some((side) => side.header.words.length)) controls.append(element("label", {}, "Attention", layer));
  const row = element("div", { className: "sd-sides" });
  for (const side of sides) {
    const [figure, update] = panel(side, state, change);
    row.append(figure);
    updates.push(update);
  }
  const root = element("div", { className: "sd-explorer", role: "group", "aria-label": "Trace explorer" }, controls, row);
  ownKeys(root);
  el.append(root);
  refresh();

  const asked = () => {
    if (telling) return;
    const part = model.get("part");
    if (parts.includes(part)) state.part = part;
    Object.assign(state, { place: Math.min(model.get("place"), count - 1), word: model.get("word") });
    refresh();
  };
  const names = ["change:place", "change:part", "change:word"];
  for (const name of names) model.on(name, asked);
  return () => {
    stop();
    for (const name of names) model.off(name, asked);
  };
}

export default { render };
