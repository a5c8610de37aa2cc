// The latent explorer. Latents, and pictures decoded beforehand, lie in `blob`; what is edited is
// previewed here at once, and decoded by the model where a kernel listens.

const PATIENCE = 6000; // milliseconds until a kernel that says nothing is reported
const REMEMBERED = 50; // edits that can be undone
const STRONGEST = 3; // values of a channel, from the deepest blue to the deepest orange
const ENDS = [[0, 90, 160], [255, 255, 255], [200, 80, 0]];
const [DECODED, PREVIEW] = ["Decoded by the model", "Fast preview"];
const KINDS = { linear: "straight (linear)", spherical: "along the arc (spherical)" };

// A value as a colour: blue below 0, white at 0, orange above.
function diverging(value) {
  const at = Math.min(Math.max(value / STRONGEST, -1), 1);
  const end = ENDS[at < 0 ? 0 : 2];
  return ENDS[1].map((white, i) => white + (end[i] - white) * Math.abs(at));
}

// A latent between two. On the arc both ends count by sines of the angle between them.
function between(a, b, share, kind) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const angle = Math.acos(Math.min(Math.max(cosine, -1), 1));
  const arc = kind === "spherical" && Math.sin(angle) > 1e-6;
  const [far, near] = arc
    ? [Math.sin((1 - share) * angle) / Math.sin(angle), Math.sin(share * angle) / Math.sin(angle)]
    : [1 - share, share];
  return a.map((value, i) => far * value + near * b[i]);
}

// One or two latents and what was done to them: `gain * latent + offset + painted`, channel by channel.
class Edited {
  constructor(latents, [channels, rows, columns]) {
    Object.assign(this, { latents, channels, rows, columns, count: rows * columns, past: [] });
    this.reset();
  }

  reset() {
    const each = (value) => new Array(this.channels).fill(value);
    const painted = new Float32Array(this.channels * this.count);
    this.now = { share: 0, kind: "linear", gains: each(1), offsets: each(0), painted };
  }

  // Keeps what is, before it changes.
  remember() {
    const { gains, offsets, painted, ...rest } = this.now;
    this.past.push({ ...rest, gains: [...gains], offsets: [...offsets], painted: painted.slice() });
    if (this.past.length > REMEMBERED) this.past.shift();
  }

  undo() {
    if (this.past.length) this.now = this.past.pop();
  }

  get plain() {
    const { gains, offsets, painted } = this.now;
    return gains.every((gain) => gain === 1) && offsets.every((offset) => offset === 0) && painted.every((one) => one === 0);
  }

  unedited() {
    const [a, b] = this.latents;
    return b ? between(a, b, this.now.share, this.now.kind) : a;
  }

  values() {
    const { gains, offsets, painted } = this.now;
    const of = (i) => Math.floor(i / this.count);
    return this.unedited().map((value, i) => gains[of(i)] * value + offsets[of(i)] + painted[i]);
  }

  begin(channel) {
    this.remember();
    this.stroke = { channel, mask: new Float32Array(this.count), before: this.now.painted };
    this.now.painted = this.now.painted.slice();
  }

  // A soft round dab. However often one stroke crosses a place, it adds its strength there once.
  dab([row, column], size, strength) {
    const { channel, mask, before } = this.stroke;
    for (let i = 0; i < this.count; i++) {
      const far = Math.hypot(Math.floor(i / this.columns) - row, (i % this.columns) - column);
      mask[i] = Math.max(mask[i], Math.exp(-((far / size) ** 2)));
      if (mask[i] < 0.01) mask[i] = 0;
      this.now.painted[channel * this.count + i] = before[channel * this.count + i] + strength * mask[i];
    }
  }
}

// Each place's channels, mixed to a colour by the model's small matrix.
function preview(values, { channels, count, rows, columns }, matrix) {
  return small(columns, rows, (i) => {
    const colour = [0, 1, 2].map((rgb) => {
      let sum = (matrix[channels] ?? [0, 0, 0])[rgb];
      for (let c = 0; c < channels; c++) sum += values[c * count + i] * matrix[c][rgb];
      return (sum + 1) * 127.5;
    });
    return [...colour, 255];
  });
}

// Has the kernel decode. Only the newest latent matters: one is under way, the next one waits, and
// an answer that is no longer wanted is dropped.
class Decoder {
  constructor(kernel, heard) {
    Object.assign(this, { kernel, heard, newest: 0, asked: null, wanted: null });
  }

  want(values) {
    this.newest++;
    this.wanted = values;
    if (!this.asked) this.next();
  }

  drop() {
    this.newest++;
    this.wanted = null;
  }

  async next() {
    const number = this.newest;
    const latent = Array.from(this.wanted, (value) => Math.round(value * 1e5) / 1e5);
    const asked = (this.asked = {}); // another question may have taken its place when it is answered
    this.wanted = null;
    const timer = (this.timer = setTimeout(() => {
      this.asked = null;
      this.heard({ silent: true });
    }, PATIENCE));
    let found;
    try {
      const { buffers } = await this.kernel.ask("decode", { latent });
      found = { image: await decoded(buffers[0]) };
    } catch (error) {
      found = { error: error.message };
    }
    clearTimeout(timer);
    if (this.closed) return;
    if (this.asked === asked) this.asked = null;
    if (number === this.newest) this.heard(found);
    if (this.wanted && !this.asked) this.next();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.kernel.close();
  }
}

// A slider with its name and its value. One drag is one edit.
function slider(name, range, initial, heard) {
  const input = element("input", { type: "range", ...range, value: initial, "aria-label": name }); // without its value
  const said = element("output", { "aria-live": "off" }); // the slider itself says its value
  const show = (value) => {
    input.value = value;
    said.textContent = signed(value);
  };
  let dragged = false;
  input.oninput = () => {
    said.textContent = signed(Number(input.value));
    heard(Number(input.value), !dragged);
    dragged = true;
  };
  input.onchange = () => { dragged = false; };
  show(initial);
  return { show, label: element("label", { className: "sd-wide" }, name, input, said), input };
}

const signed = (value) => value.toFixed(2).replace("-", "−");

// The place of a latent that a pointer is over, [row, column].
function placed(event, { rows, columns }) {
  const box = event.currentTarget.getBoundingClientRect();
  const part = (share, count) => Math.min(Math.max(Math.floor(share * count), 0), count - 1);
  return [part((event.clientY - box.top) / box.height, rows), part((event.clientX - box.left) / box.width, columns)];
}

// One channel: its values as colours, to be painted on, and its gain and offset.
class Channel {
  constructor(number, edited, explorer) {
    Object.assign(this, { number, edited, explorer, place: [edited.rows >> 1, edited.columns >> 1] });
    const size = { width: edited.columns, height: edited.rows };
    this.canvas = element("canvas", { className: "sd-picture", ...size, ...OPERATED });
    this.ring = element("i", { className: "sd-ring", "aria-hidden": "true" });
    const edit = (key) => (value, first) => {
      if (first) edited.remember();
      edited.now[key][number] = value;
      explorer.refresh();
    };
    this.gain = slider("gain", { min: -2, max: 3, step: 0.05 }, 1, edit("gains"));
    this.offset = slider("offset", { min: -3, max: 3, step: 0.05 }, 0, edit("offsets"));
    for (const [name, { input }] of [["gain", this.gain], ["offset", this.offset]]) {
      input.setAttribute("aria-label", `${name} of channel ${number}`);
    }
    const frame = element("div", { className: "sd-frame" }, this.canvas, this.ring);
    const title = element("figcaption", {}, `channel ${number}`);
    this.figure = element("figure", {}, title, frame, this.gain.label, this.offset.label);
    readAloud(this.canvas, explorer.reading);
    this.paintable();
  }

  show(values) {
    const { count, rows, columns } = this.edited;
    const mine = values.subarray(this.number * count, (this.number + 1) * count);
    this.canvas.getContext("2d").drawImage(small(columns, rows, (i) => [...diverging(mine[i]), 255]), 0, 0);
    const [least, most] = [Math.min(...mine), Math.max(...mine)].map(signed);
    const said = `Channel ${this.number}, from ${least} to ${most}. Arrow keys move the brush, Enter paints.`;
    this.canvas.setAttribute("aria-label", said);
    this.gain.show(this.edited.now.gains[this.number]);
    this.offset.show(this.edited.now.offsets[this.number]);
  }

  mark([row, column]) {
    const { rows, columns } = this.edited;
    this.place = [Math.min(Math.max(row, 0), rows - 1), Math.min(Math.max(column, 0), columns - 1)];
    this.ring.style.top = `${(100 * (this.place[0] + 0.5)) / rows}%`;
    this.ring.style.left = `${(100 * (this.place[1] + 0.5)) / columns}%`;
    this.ring.style.width = `${(200 * this.explorer.brush.size) / columns}%`;
    this.explorer.read(this.place);
  }

  dab() {
    const { size, strength } = this.explorer.brush;
    this.edited.dab(this.place, size, strength);
    this.explorer.refresh();
  }

  paintable() {
    const { canvas, edited } = this;
    const at = (event) => this.mark(placed(event, edited));
    let painting = false;
    canvas.onpointerdown = (event) => {
      if (event.button > 0) return;
      canvas.setPointerCapture(event.pointerId);
      painting = true;
      at(event);
      edited.begin(this.number);
      this.dab();
    };
    canvas.onpointermove = (event) => {
      at(event);
      if (painting) this.dab();
    };
    canvas.onpointerup = () => { painting = false; };
    canvas.onpointercancel = () => { // the finger meant to scroll
      if (painting) edited.undo();
      painting = false;
      this.explorer.refresh();
    };
    canvas.onfocus = () => this.mark(this.place);
    canvas.onkeydown = (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!move && event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      if (move) return this.mark([this.place[0] + move[0], this.place[1] + move[1]]);
      edited.begin(this.number);
      this.dab();
    };
  }
}

class Explorer {
  constructor(model, edited, walks, kernel) {
    Object.assign(this, { edited, walks, brush: { size: edited.columns / 10, strength: 2 } });
    this.matrix = model.get("matrix");
    this.full = model.get("full");
    this.decoder = kernel && new Decoder(kernel, (found) => this.heard(found));
    const [across, down] = walks.linear.size;
    const width = 336 * SHARPEST;
    const height = Math.round((width * down) / across);
    this.canvas = element("canvas", { className: "sd-picture", width, height, role: "img" });
    this.canvas.onpointermove = this.canvas.onpointerdown = (event) => this.read(placed(event, edited));
    this.kind = element("b");
    this.source = element("span");
    this.place = [0, 0];
    this.reading = element("p", { className: "sd-reading" });
    this.channels = Array.from({ length: edited.channels }, (_, number) => new Channel(number, edited, this));
    this.controls = this.makeControls();
  }

  makeControls() {
    const { edited } = this;
    const change = (key) => (value, first) => {
      if (first) edited.remember();
      edited.now[key] = value;
      this.refresh();
    };
    const ways = Object.entries(KINDS).map(([value, textContent]) => element("option", { value, textContent }));
    const brush = (key) => (value) => { this.brush[key] = value; };
    const step = this.decoder ? 0.01 : 1 / Math.max(this.walks.linear.count - 1, 1); // in the book, where pictures are
    const made = {
      share: slider("walk to the other", { min: 0, max: 1, step }, 0, change("share")),
      kind: element("select", {}, ...ways),
      size: slider("size", { min: 0.5, max: edited.columns / 3, step: 0.1 }, this.brush.size, brush("size")),
      strength: slider("strength", { min: -4, max: 4, step: 0.1 }, this.brush.strength, brush("strength")),
      undo: element("button", { type: "button", textContent: "Undo" }),
      reset: element("button", { type: "button", textContent: "Reset" }),
    };
    made.kind.onchange = () => change("kind")(made.kind.value, true);
    made.undo.onclick = () => {
      edited.undo();
      this.refresh();
    };
    made.reset.onclick = () => {
      edited.remember();
      edited.reset();
      this.refresh();
    };
    return made;
  }

  refresh() {
    const { edited, controls: made } = this;
    this.values = edited.values();
    for (const channel of this.channels) channel.show(this.values);
    made.share.show(edited.now.share);
    made.kind.value = edited.now.kind;
    made.undo.disabled = !edited.past.length;
    this.read(this.place);
    const frame = edited.plain && this.frame();
    const known = frame && (this.full || !this.decoder);
    if (frame) this.draw(...frame, DECODED, `beforehand${known ? "." : ", and small; it is being decoded anew …"}`);
    else this.draw(preview(this.values, edited, this.matrix), [0, 0, edited.columns, edited.rows], PREVIEW, this.waiting());
    if (known) this.decoder?.drop();
    else this.decoder?.want(this.values);
  }

  // The picture that was decoded beforehand for this place of the walk, if there is one.
  frame() {
    const { image, size: [width, height], count } = this.walks[this.edited.now.kind];
    const place = this.edited.now.share * (count - 1);
    const number = Math.round(place);
    return Math.abs(place - number) < 1e-6 && [image, [number * width, 0, width, height]];
  }

  waiting() {
    const { rows, columns } = this.edited;
    const what = `a colour for each of the ${rows} x ${columns} places, mixed from its channels.`;
    const next = this.decoder ? "The model is decoding …" : "To see it decoded, run the cell in a notebook: here is no kernel.";
    return `${what} ${next}`;
  }

  // The kernel decoded the newest latent, failed to, or says nothing.
  heard({ image, error, silent }) {
    if (image) return this.draw(image, [0, 0, image.naturalWidth, image.naturalHeight], DECODED, "just now.");
    this.source.textContent = silent
      ? "The kernel does not answer: it is busy, or was restarted. Wait, or run the cell again."
      : `The model did not decode this: ${error}`;
  }

  draw(image, [x, y, width, height], kind, said) {
    const context = this.canvas.getContext("2d");
    context.globalCompositeOperation = "copy"; // a smoothed edge lets nothing of the last picture through
    context.imageSmoothingQuality = "high";
    context.drawImage(image, x, y, width, height, 0, 0, this.canvas.width, this.canvas.height);
    if (this.kind.textContent !== kind) this.kind.textContent = kind; // a screen reader hears of changes only
    if (this.source.textContent !== said) this.source.textContent = said;
    this.kind.className = kind === DECODED ? "sd-sure" : "";
    this.canvas.setAttribute("aria-label", `The latent’s picture. ${kind}: ${said}`);
  }

  read([row, column]) {
    this.place = [row, column];
    const { channels, count, columns } = this.edited;
    const first = row * columns + column;
    const each = Array.from({ length: channels }, (_, c) => signed(this.values[c * count + first]));
    this.reading.textContent = `row ${row}, column ${column}: ${each.join("  ")}`;
  }

  lay() {
    const { controls: made, edited } = this;
    const row = (...parts) => element("div", { className: "sd-controls" }, ...parts);
    const walk = row(made.share.label, element("label", {}, "way", made.kind));
    const source = element("p", { className: "sd-source", role: "status" }, this.kind, this.source);
    const colours = element("i", { "aria-hidden": "true" });
    const scale = element("div", { className: "sd-scale" }, `−${STRONGEST}`, colours, `${STRONGEST}`);
    const root = element(
      "div",
      { className: "sd-explorer sd-latent", role: "group", "aria-label": "Latent explorer" },
      ...(edited.latents.length > 1 ? [walk] : []),
      element(
        "div",
        { className: "sd-halves" },
        element("div", { className: "sd-decoded" }, this.canvas, source, this.reading),
        element(
          "div",
          { className: "sd-edits" },
          row(element("b", {}, "Brush"), made.size.label, made.strength.label),
          element("div", { className: "sd-channels" }, ...this.channels.map((channel) => channel.figure)),
          row(scale, made.undo, made.reset),
        ),
      ),
    );
    root.onkeydown = (event) => {
      if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || !edited.past.length) return;
      event.preventDefault();
      made.undo.click();
    };
    ownKeys(root);
    return root;
  }
}

async function render({ model, el }) {
  const bytes = bytesOf(model.get("blob"));
  const cut = ([offset, length]) => bytes.slice(offset, offset + length);
  const numbers = ({ at, scale }) => Float32Array.from(new Int16Array(cut(at).buffer), (level) => level * scale);
  const latents = model.get("latents").map(numbers);
  const walks = {};
  for (const [kind, walk] of Object.entries(model.get("walks"))) walks[kind] = { ...walk, image: await decoded(cut(walk.at)) };
  const explorer = new Explorer(model, new Edited(latents, model.get("shape")), walks, kernelOf(model));
  el.append(explorer.lay());
  explorer.refresh();
  return () => explorer.decoder?.close();
}

export default { render };
