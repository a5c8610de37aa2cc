// The playground's drawing: the density as a cloud, the score as arrows, points and their paths.

const LIMIT = 2.9; // the plane is shown from -LIMIT to LIMIT
const TRAILS = 36; // of the points, so many show their paths
const SIDE = 416 * SHARPEST;
const FINE = 104; // cells of the density, each way
const COARSE = 15; // arrows of the score, each way
const QUIET = "#808894"; // neither dark nor light: it is seen on both
const SCALE = SIDE / (2 * LIMIT);
const across = (x) => (x + LIMIT) * SCALE;
const down = (y) => (LIMIT - y) * SCALE;
const colourOf = (label) => COLOURS[label % COLOURS.length];
const rgbOf = (label) => [1, 3, 5].map((at) => parseInt(colourOf(label).slice(at, at + 2), 16));
// The same, mixed with the page's ink as `clear` does it: to be seen by day and by night.
function inked(context, label) {
  const ink = (getComputedStyle(context.canvas).color.match(/[\d.]+/g) ?? [128, 136, 148]).map(Number);
  return `rgb(${rgbOf(label).map((own, i) => Math.round(0.7 * own + 0.3 * ink[i])).join(" ")})`;
}
const centres = (count) => Array.from({ length: count }, (_, i) => ((i + 0.5) / count) * 2 * LIMIT - LIMIT);

// The density as a soft cloud: as opaque as it is dense, in the colours of its groups.
function cloud(spots, alphaBar) {
  const { x, y, variance, weight } = noisy(spots, alphaBar);
  const places = centres(FINE);
  const bell = (centre, k) =>
    Float64Array.from(places, (at) => Math.exp(-((at - centre) ** 2) / (2 * variance[k])));
  const layers = [0, 1, 2, 3].map(() => new Float64Array(FINE * FINE)); // red, green, blue, and all
  spots.forEach((spot, k) => {
    const [columns, rows, paint] = [bell(x[k], k), bell(-y[k], k), rgbOf(labelOf(spot))];
    for (let i = 0; i < FINE; i++) {
      const height = (rows[i] * weight[k]) / variance[k];
      if (height < 1e-9) continue;
      for (let j = 0, cell = i * FINE; j < FINE; j++, cell++) {
        const part = height * columns[j];
        layers[3][cell] += part;
        for (let rgb = 0; rgb < 3; rgb++) layers[rgb][cell] += part * paint[rgb];
      }
    }
  });
  const [red, green, blue, sum] = layers;
  const most = sum.reduce((one, other) => Math.max(one, other), 1e-12);
  return small(FINE, FINE, (i) => {
    const all = Math.max(sum[i], 1e-300);
    return [red[i] / all, green[i] / all, blue[i] / all, 150 * (sum[i] / most) ** 0.55];
  });
}

function arrows(context, ask, alphaBar) {
  const places = centres(COARSE);
  const points = Float64Array.from(places.flatMap((y) => places.flatMap((x) => [x, y])));
  const far = Math.sqrt(Math.max(1 - alphaBar, 1e-4));
  const towards = ask(points, Math.min(alphaBar, 1 - 1e-4));
  context.strokeStyle = QUIET;
  context.lineWidth = SHARPEST;
  for (let i = 0; i < points.length; i += 2) {
    const [x, y] = [-towards[i] / far, -towards[i + 1] / far]; // the score
    const length = (0.8 * Math.tanh(Math.hypot(x, y) / 2) * SIDE) / COARSE;
    if (length > 3) pointer(context, across(points[i]), down(points[i + 1]), Math.atan2(-y, x), length);
  }
}

// An arrow whose middle lies here.
function pointer(context, x, y, angle, length) {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [tipX, tipY] = [x + (cos * length) / 2, y + (sin * length) / 2];
  context.beginPath();
  context.moveTo(tipX - cos * length, tipY - sin * length);
  context.lineTo(tipX, tipY);
  context.stroke();
  head(context, tipX, tipY, angle, Math.min(4.5 * SHARPEST, length / 2));
}

function head(context, x, y, angle, size) {
  context.beginPath();
  for (const side of [-1, 1]) {
    context.moveTo(x, y);
    context.lineTo(x - size * Math.cos(angle + 0.5 * side), y - size * Math.sin(angle + 0.5 * side));
  }
  context.stroke();
}

const SIGNS = "●■▲◆";
const CORNERS = [
  [],
  [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  [[0, -1.2], [1.15, 0.9], [-1.15, 0.9]],
  [[0, -1.35], [1.2, 0], [0, 1.35], [-1.2, 0]],
];

// A group's mark: groups differ in colour and in shape.
function mark(context, x, y, label, size) {
  context.beginPath();
  const corners = CORNERS[label % CORNERS.length];
  if (!corners.length) context.arc(x, y, size, 0, 2 * Math.PI);
  for (const [dx, dy] of corners) context.lineTo(x + size * dx, y + size * dy);
  context.closePath();
  context.fill();
  context.stroke();
}

// The stations of a point so far, on the canvas; between two of them it is on a straight line.
function trail(stops, number, place) {
  const whole = Math.floor(place);
  const at = (stop) => [across(stop[2 * number]), down(stop[2 * number + 1])];
  const passed = stops.slice(0, whole + 1).map(at);
  if (whole < place) {
    const [[x, y], [toX, toY]] = [at(stops[whole]), at(stops[whole + 1])];
    passed.push([x + (place - whole) * (toX - x), y + (place - whole) * (toY - y)]);
  }
  return passed;
}

function path(context, passed, bold) {
  context.lineWidth = (bold ? 2.6 : 1.1) * SHARPEST;
  context.beginPath();
  context.arc(...passed[0], 2.2 * SHARPEST, 0, 2 * Math.PI); // a ring where it begins
  context.stroke();
  context.beginPath();
  for (const [x, y] of passed) context.lineTo(x, y);
  context.stroke();
  if (bold) for (const [x, y] of passed) context.fillRect(x - 4, y - 4, 8, 8);
  const lengths = passed.slice(1).map(([x, y], i) => Math.hypot(x - passed[i][0], y - passed[i][1]));
  let left = lengths.reduce((sum, length) => sum + length, 0) / 2;
  if (left < 6 * SHARPEST) return; // too short for an arrow
  const i = lengths.findIndex((length) => (left -= length) <= 0);
  const [[fromX, fromY], [toX, toY]] = [passed[i], passed[i + 1]];
  const share = 1 + left / lengths[i];
  const angle = Math.atan2(toY - fromY, toX - fromX);
  head(context, fromX + share * (toX - fromX), fromY + share * (toY - fromY), angle, 5 * SHARPEST);
}

function drawFlow(context, run, place, { paths, followed }) {
  const inks = [...new Set(run.labels)].reduce((known, label) => known.set(label, inked(context, label)), new Map());
  run.labels.forEach((label, number) => {
    if (number !== followed && !(paths && number < TRAILS)) return;
    context.strokeStyle = context.fillStyle = inks.get(label);
    context.globalAlpha = number === followed ? 1 : 0.7;
    path(context, trail(run.stops, number, place), number === followed);
  });
  context.globalAlpha = 0.9;
  context.strokeStyle = QUIET; // a rim: dark colours are seen on a dark page too
  context.lineWidth = 0.5 * SHARPEST;
  const whole = Math.floor(place);
  run.labels.forEach((label, number) => {
    const [[x, y]] = trail(run.stops.slice(whole, whole + 2), number, place - whole).slice(-1);
    context.fillStyle = colourOf(label);
    mark(context, x, y, label, 2.6 * SHARPEST);
  });
  context.globalAlpha = 1;
}

function drawCursor(context, [x, y], std) {
  const reach = Math.max(std * SCALE, 4 * SHARPEST);
  context.strokeStyle = QUIET;
  context.lineWidth = 1.5 * SHARPEST;
  context.beginPath();
  context.arc(across(x), down(y), reach, 0, 2 * Math.PI);
  for (const [dx, dy] of [[1, 0], [0, 1]]) {
    context.moveTo(across(x) - 8 * SHARPEST * dx, down(y) - 8 * SHARPEST * dy);
    context.lineTo(across(x) + 8 * SHARPEST * dx, down(y) + 8 * SHARPEST * dy);
  }
  context.stroke();
}
