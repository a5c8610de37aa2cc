// What all widgets share. It is put before each of them, so they use these names as their own.
// Text is only ever set as text, never as HTML.

const SHARPEST = 2; // canvas pixels for each pixel of the page
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#882255", "#e69f00", "#56b4e9"]; // as in the figures
const clear = (colour) => `color-mix(in srgb, ${colour} 70%, currentColor)`; // to be seen by day and by night
const HEAT = [
  [12, 10, 38], [44, 17, 90], [90, 24, 110], [138, 38, 103], [186, 56, 84],
  [223, 86, 56], [244, 132, 32], [250, 186, 56], [252, 243, 172],
];

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-") || ["role", "tabindex", "for"].includes(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

function heat(value) {
  const at = Math.min(Math.max(value, 0), 1) * (HEAT.length - 1);
  const low = Math.min(Math.floor(at), HEAT.length - 2);
  return HEAT[low].map((from, i) => from + (HEAT[low + 1][i] - from) * (at - low));
}

function small(width, height, paint) {
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) picture.data.set(paint(i), 4 * i);
  context.putImageData(picture, 0, 0);
  return canvas;
}

const short = (number) => (number === null || number === Infinity ? "∞" : Number(number.toPrecision(3)).toString());

// An element of a drawing, with its attributes and its children.
function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// The bytes of a trait, in a notebook and in a page alike.
function bytesOf(value) {
  return new Uint8Array(value.buffer ?? value, value.byteOffset ?? 0, value.byteLength);
}

// Numbers from 0 to 1 that a seed decides (mulberry32), and normal ones made of them (Box-Muller).
function uniforms(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function normals(seed) {
  const uniform = uniforms(seed);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

// Questions to the kernel: `await kernel.ask("name", {...})` gives what Python's `answer` returned,
// with its bytes as `buffers`. In the book there is no kernel, and this is null.
function kernelOf(model) {
  if (typeof model.send !== "function") return null;
  const open = new Map();
  let count = Math.floor(Math.random() * 1e9) * 1000; // two views of a widget hear one another's answers
  const heard = (message, buffers) => {
    const waiting = open.get(message.answer);
    if (!waiting) return;
    open.delete(message.answer);
    if ("error" in message) waiting.reject(new Error(message.error));
    else waiting.resolve({ ...message, buffers: [...(buffers ?? [])].map(bytesOf) });
  };
  model.on("msg:custom", heard);
  return {
    ask: (what, given = {}) =>
      new Promise((resolve, reject) => {
        open.set(++count, { resolve, reject });
        model.send({ ask: count, what, given });
      }),
    close: () => model.off("msg:custom", heard),
  };
}

// Keys that are pressed in a widget are for it. JupyterLab would take X as "cut the cell", and the
// arrows of a slider as a way to the next cell: it hears of keys last, so they must not come so far.
// Nor what undoes and does again: it would take back what was typed into the cell, not into a field.
function ownKeys(root) {
  root.addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey;
    const undoes = command && ["z", "y"].includes(event.key.toLowerCase());
    if (undoes || !(command || event.altKey)) event.stopPropagation();
  });
}

// What arrow keys work on: a screen reader hands them on to it, which it would not do for a picture.
const OPERATED = { tabindex: "0", role: "application", "aria-roledescription": "picture for the arrow keys" };

// What a canvas reads out is said aloud while the keys move on it, and else is there to be read.
function readAloud(canvas, reading) {
  const tell = () => reading.setAttribute("aria-live", canvas.matches(":focus-visible") ? "polite" : "off");
  reading.setAttribute("aria-live", "off");
  canvas.addEventListener("focus", tell);
  canvas.addEventListener("blur", tell);
}

// A picture's file, given as bytes, ready to be drawn.
async function decoded(bytes, type = "image/webp") {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const image = element("img", { src: url });
  try {
    await image.decode();
  } finally {
    URL.revokeObjectURL(url);
  }
  return image;
}

const DIM = 0.3; // of a picture where a word doesn't look

// Dark where nothing looks; as it is, under a film of colour, where most looks.
function light(context, width, height, map, [rows, columns]) {
  const low = Math.min(...map);
  const range = Math.max(Math.max(...map) - low, 1);
  const unit = (i) => (map[i] - low) / range;
  const shade = small(columns, rows, (i) => [0, 0, 0, 255 * (1 - DIM) * (1 - unit(i))]);
  const film = small(columns, rows, (i) => [...heat(unit(i)), 255 * 0.6 * unit(i) ** 0.7]);
  context.imageSmoothingEnabled = true;
  context.drawImage(shade, 0, 0, width, height);
  context.drawImage(film, 0, 0, width, height);
}

// A button that plays from place to place until the last, and what stops it. At the last it begins anew.
function playing(pace, at, last, go) {
  let timer = null;
  const button = element("button", { type: "button", textContent: "▶ Play" });
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "▶ Play";
  };
  button.onclick = () => {
    if (timer !== null) return stop();
    if (at() >= last) go(0);
    button.textContent = "❚❚ Pause";
    timer = setInterval(() => {
      if (at() < last) go(at() + 1);
      if (at() >= last) stop();
    }, pace);
  };
  return [button, stop];
}
