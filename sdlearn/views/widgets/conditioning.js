// The conditioning explorer. Pictures that were drawn beforehand lie in `sheet`; a kernel draws others.

const LARGE = 320; // the picture's side, in pixels of the page
const PAUSE = 250; // milliseconds after the last move, before the kernel is asked
const PATIENCE = 15000; // after so long without an answer the page says so
const SYNCED = ["size", "top", "left"]; // what the kernel knows, too
const [WIDE, HIGH] = [360, 170]; // of the curve, in its own units
const FRAME = { left: 34, right: 348, top: 12, bottom: 134 };

const keyOf = ({ size, top, left }) => `${size} ${top} ${left}`;
const toldOf = ([size, top, left]) => ({ size, top, left });
const apart = (a, b) => Math.hypot(a.top - b.top, a.left - b.left);
const nearestBy = (all, far) => all.reduce((best, one) => (far(one) < far(best) ? one : best));
const even = (value) => (value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value)); // a half, as Python does it
const within = (value, least, most) => Math.min(Math.max(value, least), most);

// The pictures: those of the sheet, and those that a kernel drew since.
class Pictures {
  constructor(model, image) {
    const [width, height] = model.get("cell");
    const across = model.get("across");
    this.all = new Map(model.get("cells").map((cell, i) => {
      const at = [(i % across) * width, Math.floor(i / across) * height, width, height];
      return [keyOf(toldOf(cell.told)), { ...cell, image, at }];
    }));
    this.told = [...this.all.values()].map((one) => toldOf(one.told));
    this.sizes = [...new Set(this.told.map((one) => one.size))].sort((a, b) => a - b);
  }

  get(told) {
    return this.all.get(keyOf(told));
  }

  add(cell, image) {
    this.all.set(keyOf(toldOf(cell.told)), { ...cell, image, at: [0, 0, image.naturalWidth, image.naturalHeight] });
  }

  // The nearest place that was drawn beforehand; what was moved decides, the other follows.
  snapped(told, moved) {
    if (moved === "size") {
      const size = nearestBy(this.sizes, (one) => Math.abs(one - told.size));
      return nearestBy(this.told.filter((one) => one.size === size), (one) => apart(one, told));
    }
    const corner = nearestBy(this.told, (one) => apart(one, told));
    return nearestBy(this.told.filter((one) => apart(one, corner) === 0), (one) => Math.abs(one.size - told.size));
  }
}

function painted(canvas, { image, at: [x, y, width, height] }) {
  canvas.height = Math.round((canvas.width * height) / width); // which also clears it
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, x, y, width, height, 0, 0, canvas.width, canvas.height);
}

// The plane: a larger picture of which a crop is seen; its top-left corner can be dragged.
class Plane {
  constructor(pictures, [height, width], moved) {
    const most = (name) => Math.max(...pictures.told.map((one) => one[name]));
    Object.assign(this, { pictures, width, height, top: most("top"), left: most("left"), moved });
    this.unit = (width + this.left) / 100;
    this.rim = 4 * this.unit; // room for a handle at the very edge
    [this.whole, this.tall] = [width + this.left + 2 * this.rim, height + this.top + 2 * this.rim];
    this.canvas = element("canvas", { width: LARGE, height: LARGE, "aria-hidden": "true" });
    this.dots = drawn("g");
    this.handle = drawn("circle", { class: "sd-handle", r: 3.6 * this.unit });
    this.edge = drawn("rect", { class: "sd-edge", width, height });
    this.cut = element("i", { "aria-hidden": "true" });
    this.grip = element("span", { "aria-hidden": "true" }); // where a finger drags, and does not scroll
    const view = { viewBox: `${-this.rim} ${-this.rim} ${this.whole} ${this.tall}`, "aria-hidden": "true" };
    this.place = element("div", { className: "sd-plane", ...OPERATED },
      this.cut, this.canvas, drawn("svg", view, this.edge, this.dots, this.handle), this.grip);
    this.place.style.aspectRatio = `${this.whole} / ${this.tall}`;
    this.listen();
  }

  // A press on the corner's own ground takes it there; one further inside pushes the crop along.
  listen() {
    const { place } = this;
    let [held, before] = [null, null];
    const at = (event) => {
      const box = place.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      return [x * this.whole - this.rim, y * this.tall - this.rim];
    };
    const go = (event) => {
      const [x, y] = at(event);
      this.move(Math.round(y - held[1]), Math.round(x - held[0]));
    };
    place.onpointerdown = (event) => {
      if (event.button > 0) return;
      place.setPointerCapture(event.pointerId);
      before = [this.shown.top, this.shown.left];
      const [x, y] = at(event);
      const near = 6 * this.unit;
      held = x <= this.left + near && y <= this.top + near ? [0, 0] : [x - this.shown.left, y - this.shown.top];
      go(event);
    };
    place.onpointermove = (event) => { if (held) go(event); };
    place.onpointerup = () => { held = null; };
    place.onpointercancel = () => { // the finger meant to scroll
      if (held) this.move(...before);
      held = null;
    };
    place.onkeydown = (event) => {
      const way = { ArrowLeft: ["left", -1], ArrowRight: ["left", 1], ArrowUp: ["top", -1], ArrowDown: ["top", 1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const [name, sign] = way;
      const lines = [...new Set(this.pictures.told.map((one) => one[name]))].sort((a, b) => sign * (a - b));
      const next = lines.find((one) => sign * (one - this.shown[name]) > 0);
      if (next !== undefined) this.move(...["top", "left"].map((one) => (one === name ? next : this.shown[one])));
    };
  }

  move(top, left) {
    this.moved({ top: within(top, 0, this.top), left: within(left, 0, this.left) });
  }

  lay(part, left, top, width, height) {
    const share = (pixels, all) => `${(100 * pixels) / all}%`;
    Object.assign(part.style, {
      left: share(left + this.rim, this.whole), top: share(top + this.rim, this.tall),
      width: share(width, this.whole), height: share(height, this.tall),
    });
  }

  show(told, picture) {
    this.shown = told;
    if (picture) painted(this.canvas, picture);
    this.lay(this.cut, 0, 0, told.left + this.width, told.top + this.height);
    this.lay(this.canvas, told.left, told.top, this.width, this.height);
    this.lay(this.grip, told.left, told.top, 0, 0);
    for (const [name, value] of [["x", told.left], ["y", told.top]]) {
      this.edge.setAttribute(name, value);
      this.handle.setAttribute(`c${name}`, value);
    }
    const corners = new Map(this.pictures.told.map((one) => [`${one.top} ${one.left}`, one]));
    this.dots.replaceChildren(...[...corners.values()].map(({ top, left }) => {
      const has = this.pictures.get({ size: told.size, top, left });
      return drawn("circle", { class: has ? "sd-dot sd-has" : "sd-dot", cx: left, cy: top, r: 1.5 * this.unit });
    }));
    this.place.setAttribute("aria-label",
      `The picture as a crop of a larger one: its corner is ${told.top} below the top and ${told.left} right of the left edge. ` +
      "Drag the corner, or move it with the arrow keys.");
  }
}

// Detail against original height: a dot for each seed's picture, a line through their means.
class Curve {
  constructor(curve, finest) {
    Object.assign(this, { curve, finest });
    const all = curve.flatMap((one) => one.details);
    const power = 10 ** Math.floor(Math.log10(Math.max(...all, 1e-3)));
    this.most = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= Math.max(...all));
    const sizes = curve.map((one) => one.size);
    [this.low, this.high] = [Math.min(...sizes), Math.max(...sizes)];
    const text = (x, y, anchor, said) => drawn("text", { x, y, "text-anchor": anchor }, said);
    const means = curve.map((one) => [one.size, one.details.reduce((sum, value) => sum + value, 0) / one.details.length]);
    this.means = means;
    this.here = drawn("line", { class: "sd-here", y1: FRAME.top, y2: FRAME.bottom });
    this.ring = drawn("circle", { class: "sd-ring", r: 6 });
    this.svg = drawn("svg", { class: "sd-curve", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img" },
      drawn("path", { class: "sd-axes", d: `M${FRAME.left},${FRAME.top}V${FRAME.bottom}H${FRAME.right}` }),
      ...sizes.map((size) => text(this.x(size), FRAME.bottom + 15, "middle", String(size))),
      ...[0, this.most / 2, this.most].map((value) => text(FRAME.left - 5, this.y(value) + 4, "end", short(value))),
      text((FRAME.left + FRAME.right) / 2, HIGH - 4, "middle", "original height"),
      this.here,
      drawn("polyline", { points: means.map(([size, value]) => `${this.x(size)},${this.y(value)}`).join(" ") }),
      ...curve.flatMap(({ size, details }) => details.map((value) => drawn("circle", { class: "sd-seed", cx: this.x(size), cy: this.y(value), r: 2.6 }))),
      this.ring);
  }

  x(size) {
    return FRAME.left + 14 + (FRAME.right - FRAME.left - 28) * ((size - this.low) / Math.max(this.high - this.low, 1));
  }

  y(value) {
    return FRAME.bottom - (FRAME.bottom - FRAME.top) * within(value / this.most, 0, 1);
  }

  show({ size }, detail) {
    for (const end of ["x1", "x2"]) this.here.setAttribute(end, this.x(size));
    this.ring.setAttribute("visibility", detail === undefined ? "hidden" : "visible");
    this.ring.setAttribute("cx", this.x(size));
    this.ring.setAttribute("cy", this.y(detail ?? 0));
    const seeds = this.curve[0].details.length;
    const points = this.means.map(([one, value]) => `${value.toFixed(1)} at ${one}`).join(", ");
    this.svg.setAttribute("aria-label",
      `Detail, in grey levels, against original height, ${seeds === 1 ? "one seed" : `the mean of ${seeds} seeds`}: ${points}.` +
      (detail === undefined ? "" : ` The picture that is shown has ${detail.toFixed(1)}.`));
  }
}

// The six numbers, one to a row. `show` fills them in, and marks those that are not as usual.
function numbersTable(meanings) {
  const rows = meanings.map(([name, meaning]) => {
    const number = element("td", { className: "sd-number" });
    return { number, row: element("tr", {}, number, element("th", { scope: "row", textContent: name }), element("td", { textContent: meaning })) };
  });
  const caption = element("caption");
  const place = element("table", { className: "sd-numbers" }, caption, element("tbody", {}, ...rows.map((one) => one.row)));
  const show = (ids) => {
    const usual = [ids[4], ids[5], 0, 0, ids[4], ids[5]];
    caption.textContent = `time_ids = [${ids.join(", ")}]`;
    rows.forEach(({ number, row }, i) => {
      number.textContent = ids[i];
      row.className = ids[i] === usual[i] ? "" : "sd-moved";
    });
  };
  return { place, show };
}

// Has the kernel draw the newest wish alone; `heard` is told what came of it. An answer that is late
// may never come: then the next wish is asked for all the same.
class Drawer {
  constructor(kernel, heard) {
    Object.assign(this, { kernel, heard, wanted: null, busy: false, asked: 0 });
  }

  want(told) {
    this.wanted = told;
    clearTimeout(this.timer);
    if (told && !this.busy) this.timer = setTimeout(() => this.next(), PAUSE);
  }

  async next() {
    const told = this.wanted;
    if (!told || this.closed) return;
    [this.wanted, this.busy] = [null, true];
    const mine = ++this.asked;
    const goOn = () => {
      if (mine !== this.asked || this.closed) return;
      this.busy = false;
      this.next();
    };
    const late = setTimeout(() => {
      this.heard(told, { late: true });
      goOn();
    }, PATIENCE);
    let found;
    try {
      const { buffers, ...cell } = await this.kernel.ask("draw", told);
      found = { cell, image: await decoded(buffers[0]) };
    } catch (error) {
      found = { error: error.message };
    }
    clearTimeout(late);
    if (this.closed) return;
    this.heard(told, found);
    goOn();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.kernel.close();
  }
}

async function render({ model, el }) {
  const kernel = kernelOf(model);
  const pictures = new Pictures(model, await decoded(bytesOf(model.get("sheet"))));
  const [height, width] = model.get("target");
  const state = Object.fromEntries(SYNCED.map((name) => [name, model.get(name)]));

  const canvas = element("canvas", { className: "sd-picture", width: LARGE * SHARPEST, height: LARGE * SHARPEST, role: "img" });
  const facts = element("div", { className: "sd-facts" });
  const given = element("div", { className: "sd-given", textContent: `“${model.get("prompt")}”, ${model.get("given")}` });
  const status = element("div", { className: "sd-status", role: "status" });
  const numbers = numbersTable(model.get("meanings"));
  const curve = new Curve(model.get("curve"), model.get("finest"));

  // With a kernel every original height can be asked for; without, those that were drawn.
  const { sizes } = pictures;
  const limits = kernel ? { min: sizes[0], max: sizes[sizes.length - 1] } : { min: 0, max: sizes.length - 1 };
  const slider = element("input", { type: "range", step: 1, ...limits });
  const output = element("output", { "aria-live": "off" }); // the slider says it

  let telling = false; // the model tells of each change at once, and of our own as well
  const told = () => ({ size: state.size, top: state.top, left: state.left });
  const change = (changes, moved) => {
    const wish = { ...told(), ...changes };
    const next = kernel ? wish : pictures.snapped(wish, moved);
    let note = "";
    if (!kernel && moved === "size" && apart(next, wish)) {
      note = `Original ${next.size} was drawn beforehand at crop (${next.top}, ${next.left}) only, so the corner went there.`;
    } else if (!kernel && moved === "corner" && next.size !== wish.size) {
      note = `This corner was drawn beforehand at original ${next.size} only, so the original went there.`;
    }
    Object.assign(state, next);
    telling = true;
    for (const name of SYNCED) model.set(name, state[name]);
    telling = false;
    model.save_changes?.();
    refresh(note);
  };
  const plane = new Plane(pictures, [height, width], (corner) => change(corner, "corner"));
  slider.oninput = () => change({ size: kernel ? Number(slider.value) : sizes[Number(slider.value)] }, "size");

  const drawer = kernel && new Drawer(kernel, (asked, { cell, image, error, late }) => {
    if (cell) pictures.add(cell, image);
    if (keyOf(asked) !== keyOf(told())) return;
    if (late) status.textContent = "The kernel has not answered yet: it draws, is busy, or was restarted. Then run the cell again.";
    else refresh(error ? `It was not drawn: ${error}` : `Drawn in ${cell.seconds} s.`, !error);
  });

  const refresh = (note = "", ask = true) => {
    const now = told();
    const picture = pictures.get(now);
    const wide = picture?.ids[1] ?? Math.max(1, even((now.size * width) / height));
    if (picture) {
      painted(canvas, picture);
      numbers.show(picture.ids);
    } else {
      numbers.show([now.size, wide, now.top, now.left, height, width]);
    }
    root.classList.toggle("sd-waiting", !picture);
    const settings = `original ${wide} x ${now.size}, crop (${now.top}, ${now.left})`;
    const measured = picture ? ` · detail ${picture.detail.toFixed(1)} grey levels` : "";
    facts.textContent = settings + measured;
    canvas.setAttribute("aria-label", picture
      ? `The picture for “${model.get("prompt")}”, told ${settings}${measured}`
      : `An older picture: that for ${settings} is not drawn yet`);
    slider.value = kernel ? now.size : sizes.indexOf(now.size);
    slider.setAttribute("aria-valuetext", `${wide} by ${now.size} pixels`);
    output.textContent = `${wide} x ${now.size}`;
    plane.show(now, picture);
    curve.show(now, picture?.detail);
    status.textContent = note || (picture || !kernel ? "" : "Drawing …");
    drawer?.want(picture || !ask ? null : now);
  };

  const hint = (plane.top || plane.left ? "Drag the yellow dot, or move it with the arrow keys. " : "") +
    "Striped: what the model is told was cut off. " + (kernel
    ? "Filled dots were drawn beforehand; anything else is drawn when you let go."
    : "Dots were drawn beforehand, filled ones at this original size. No kernel runs behind this page, so nothing else can be drawn here.");
  const heading = (text) => element("div", { className: "sd-heading", textContent: text });
  const root = element("div", { className: "sd-explorer sd-conditioning", role: "group", "aria-label": "Conditioning explorer" },
    element("div", { className: "sd-halves" },
      element("div", { className: "sd-stage" }, canvas, facts, given, status),
      element("div", { className: "sd-side" },
        element("div", { className: "sd-controls" }, element("label", { className: "sd-wide" }, "Original size", slider), output),
        heading("The crop’s top-left corner"),
        plane.place,
        element("p", { textContent: hint }))),
    element("div", { className: "sd-halves" },
      element("div", {}, heading("What the U-Net is told"), numbers.place),
      element("div", {}, heading(`Detail finer than ${curve.finest} pixels, in grey levels`), curve.svg)));
  ownKeys(root);
  el.append(root);

  const asked = () => {
    if (telling) return;
    const wish = Object.fromEntries(SYNCED.map((name) => [name, model.get(name)]));
    Object.assign(state, kernel ? wish : pictures.snapped(wish, "size"));
    refresh();
  };
  asked();
  for (const name of SYNCED) model.on(`change:${name}`, asked);
  return () => {
    for (const name of SYNCED) model.off(`change:${name}`, asked);
    drawer?.close();
  };
}

export default { render };
