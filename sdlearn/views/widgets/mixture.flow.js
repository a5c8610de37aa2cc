// The playground's mathematics: a mixture's score at every noise level, the samplers, where a run
// stops, and what is measured. Points are flat arrays, x y x y ..., in double precision.

// --- the mixture ----------------------------------------------------------------------------

const labelOf = (spot) => spot[4];

// What noise makes of the spots, each [x, y, std, weight, label]: again a mixture.
function noisy(spots, alphaBar) {
  const root = Math.sqrt(alphaBar);
  return {
    x: Float64Array.from(spots, (spot) => root * spot[0]),
    y: Float64Array.from(spots, (spot) => root * spot[1]),
    variance: Float64Array.from(spots, (spot) => alphaBar * spot[2] ** 2 + 1 - alphaBar),
    weight: Float64Array.from(spots, (spot) => spot[3]),
  };
}

// The gradient of the log density at each of the points.
function scoreOf({ x, y, variance, weight }, points) {
  const count = x.length;
  const log = weight.map((share, k) => Math.log(share / variance[k]));
  const narrow = variance.map((one) => 1 / one);
  const joint = new Float64Array(count);
  const score = new Float64Array(points.length);
  for (let i = 0; i < points.length; i += 2) {
    const atX = points[i];
    const atY = points[i + 1];
    let most = -Infinity;
    for (let k = 0; k < count; k++) {
      const offX = x[k] - atX;
      const offY = y[k] - atY;
      joint[k] = log[k] - 0.5 * narrow[k] * (offX * offX + offY * offY);
      if (joint[k] > most) most = joint[k];
    }
    let sum = 0;
    let towardsX = 0;
    let towardsY = 0;
    for (let k = 0; k < count; k++) {
      if (joint[k] < most - 40) continue; // below the last digit of the sum
      const share = Math.exp(joint[k] - most); // which component the point came from
      const pull = share * narrow[k];
      sum += share;
      towardsX += pull * (x[k] - atX);
      towardsY += pull * (y[k] - atY);
    }
    score[i] = towardsX / sum;
    score[i + 1] = towardsY / sum;
  }
  return score;
}

function epsOf(spots, points, alphaBar) {
  const root = Math.sqrt(1 - alphaBar);
  return scoreOf(noisy(spots, alphaBar), points).map((one) => -root * one);
}

// A perfect network, guided if a group was chosen; it counts how often the score was asked.
function network(spots, label, guidance) {
  const group = spots.filter((spot) => labelOf(spot) === label);
  const asked = (points, alphaBar) => {
    const uncond = epsOf(spots, points, alphaBar);
    asked.calls += 1;
    if (!group.length) return uncond;
    const cond = epsOf(group, points, alphaBar);
    asked.calls += 1;
    return uncond.map((eps, i) => eps + guidance * (cond[i] - eps)); // 2205.11487, eq. 2
  };
  asked.calls = 0;
  return asked;
}

// --- the samplers, as in sdlearn.equations.samplers -----------------------------------------

const sigmaOf = (alphaBar) => Math.sqrt((1 - alphaBar) / alphaBar);
const lamOf = (alphaBar) => (Math.log(alphaBar) - Math.log(1 - alphaBar)) / 2; // log(1 / sigma)
const alphaBarOf = (sigma) => 1 / (1 + sigma ** 2);

function x0Of(xt, eps, alphaBar) {
  const [root, rest] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
  return xt.map((x, i) => (x - rest * eps[i]) / root); // DDPM, eq. 15
}

// Follow a slope from one sigma to another, in sigma space (EDM, algorithm 1).
function along(xt, slope, now, sigmaEnd) {
  const [root, stride] = [Math.sqrt(now), sigmaEnd - sigmaOf(now)];
  return xt.map((x, i) => x / root + stride * slope[i]);
}

function shrunk(xSigma, sigma) {
  const length = Math.sqrt(1 + sigma ** 2);
  return xSigma.map((x) => x / length);
}

// The picture's estimate half a step ahead (DPM-Solver++, algorithm 2).
function ahead({ x0, now, next, past }) {
  if (!past) return x0;
  const lean = (lamOf(next) - lamOf(now)) / (2 * (lamOf(now) - lamOf(past.now)));
  return x0.map((x, i) => x + lean * (x - past.x0[i]));
}

const SAMPLERS = {
  ddpm: {
    name: "DDPM",
    draws: true,
    step({ xt, x0, now, next, noise }) {
      const beta = 1 - now / next;
      const ofX0 = (Math.sqrt(next) * beta) / (1 - now);
      const ofXt = (Math.sqrt(now / next) * (1 - next)) / (1 - now);
      const std = Math.sqrt(((1 - next) / (1 - now)) * beta); // DDPM, eq. 7
      return xt.map((x, i) => ofX0 * x0[i] + ofXt * x + std * noise[i]);
    },
  },
  ddim: {
    name: "DDIM",
    step({ x0, eps, next }) {
      const [root, rest] = [Math.sqrt(next), Math.sqrt(1 - next)];
      return x0.map((x, i) => root * x + rest * eps[i]); // DDIM, eq. 12
    },
  },
  euler: {
    name: "Euler",
    step: ({ xt, eps, now, next }) => shrunk(along(xt, eps, now, sigmaOf(next)), sigmaOf(next)),
  },
  euler_ancestral: {
    name: "Euler ancestral",
    draws: true,
    step({ xt, eps, now, next, noise }) {
      const [from, to] = [sigmaOf(now), sigmaOf(next)];
      const std = Math.sqrt((to ** 2 * (from ** 2 - to ** 2)) / from ** 2); // 2011.13456, eq. 47
      const down = along(xt, eps, now, Math.sqrt(to ** 2 - std ** 2));
      return shrunk(down.map((x, i) => x + std * noise[i]), to);
    },
  },
  heun: {
    name: "Heun",
    twice: true,
    step({ xt, eps, now, next, ask }) {
      const to = sigmaOf(next);
      const tried = along(xt, eps, now, to);
      if (next === 1) return tried; // no noise is left to ask about
      const there = ask(shrunk(tried, to), next);
      return shrunk(along(xt, eps.map((one, i) => (one + there[i]) / 2), now, to), to);
    },
  },
  dpm2: {
    name: "DPM2",
    twice: true,
    step({ xt, eps, now, next, ask }) {
      const to = sigmaOf(next);
      if (next === 1) return along(xt, eps, now, to);
      const middle = Math.sqrt(sigmaOf(now) * to); // DPM-Solver, algorithm 1
      const there = ask(shrunk(along(xt, eps, now, middle), middle), alphaBarOf(middle));
      return shrunk(along(xt, there, now, to), to);
    },
  },
  dpmpp_2m: {
    name: "DPM++ 2M",
    step(at) {
      const { xt, x0, now, next } = at;
      if (next === 1) return x0;
      const keep = Math.sqrt((1 - next) / (1 - now));
      const take = -Math.sqrt(next) * Math.expm1(lamOf(now) - lamOf(next));
      const blend = ahead(at);
      return xt.map((x, i) => keep * x + take * blend[i]); // DPM-Solver++, algorithm 2
    },
  },
  dpmpp_2m_sde: {
    name: "DPM++ 2M SDE",
    draws: true,
    step(at) {
      const { xt, x0, now, next, noise } = at;
      if (next === 1) return x0;
      const h = lamOf(next) - lamOf(now);
      const keep = Math.sqrt((1 - next) / (1 - now)) * Math.exp(-h);
      const take = -Math.sqrt(next) * Math.expm1(-2 * h);
      const std = Math.sqrt(1 - next) * Math.sqrt(-Math.expm1(-2 * h));
      const blend = ahead(at);
      return xt.map((x, i) => keep * x + take * blend[i] + std * noise[i]);
    },
  },
};

// One step after another; each yields the points where it arrives.
function* walk(sampler, alphaBars, ask, starts, noises) {
  let [xt, past] = [starts, null];
  for (let i = 0; i + 1 < alphaBars.length; i++) {
    const [now, next] = [alphaBars[i], alphaBars[i + 1]];
    const eps = ask(xt, now);
    const x0 = x0Of(xt, eps, now);
    xt = SAMPLERS[sampler].step({ xt, eps, x0, now, next, noise: noises[i], ask, past });
    past = { x0, now };
    yield xt;
  }
}

// --- where a run stops, as in sdlearn.equations.schedules.spacing ---------------------------

// Halves fall on the even number, as in Python.
function rounded(value) {
  const up = Math.round(value);
  return value % 1 === 0.5 && up % 2 === 1 ? up - 1 : up;
}

function stationsOf(alphaBars, steps, spacing) {
  const count = alphaBars.length;
  const back = Array.from({ length: steps }, (_, i) => steps - 1 - i);
  const [whole, even] = [Math.floor(count / steps), (count - 1) / Math.max(steps - 1, 1)];
  const trail = count - (count - count / steps);
  let places = back.map((i) => rounded(i * even));
  if (spacing === "leading") places = back.map((i) => i * whole);
  if (spacing === "trailing") places = back.map((_, i) => rounded(count - trail * i) - 1);
  const chosen = places.map((t) => alphaBars[t]);
  if (spacing !== "karras") return [...chosen, 1];
  const [from, to] = [chosen[0], chosen[steps - 1]].map((alphaBar) => sigmaOf(alphaBar) ** (1 / 7));
  const ramp = chosen.map((_, i) => i / Math.max(steps - 1, 1));
  return [...ramp.map((share) => alphaBarOf((from + share * (to - from)) ** 7)), 1]; // EDM, eq. 5
}

// --- what is measured -----------------------------------------------------------------------

// Clean points of the mixture itself.
function exact(spots, count, seed) {
  const [uniform, normal] = [uniforms(seed), normals(seed + 1)];
  const total = spots.reduce((sum, spot) => sum + spot[3], 0);
  const points = new Float64Array(2 * count);
  for (let i = 0; i < count; i++) {
    let left = uniform() * total;
    const spot = spots.find((one) => (left -= one[3]) < 0) ?? spots[spots.length - 1];
    points[2 * i] = spot[0] + spot[2] * normal();
    points[2 * i + 1] = spot[1] + spot[2] * normal();
  }
  return points;
}

const ANGLES = Array.from({ length: 24 }, (_, i) => (Math.PI * i) / 24);

// The points' shadows on a line in each direction, sorted.
function shadows(points) {
  return ANGLES.map((angle) => {
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    const cast = (_, i) => x * points[2 * i] + y * points[2 * i + 1];
    return Float64Array.from({ length: points.length / 2 }, cast).sort();
  });
}

// Sliced Wasserstein distance: how far shadows must be moved on average. The second may be of
// several times as many points.
function distance(ones, others) {
  const times = others[0].length / ones[0].length;
  let sum = 0;
  others.forEach((shadow, line) => {
    for (let i = 0; i < shadow.length; i++) sum += Math.abs(shadow[i] - ones[line][Math.floor(i / times)]);
  });
  return sum / (others.length * others[0].length);
}

function apart(ones, others) {
  let sum = 0;
  for (let i = 0; i < ones.length; i += 2) sum += Math.hypot(ones[i] - others[i], ones[i + 1] - others[i + 1]);
  return sum / (ones.length / 2);
}

// How much longer the paths are than straight lines.
function bend(stops) {
  let length = 0;
  for (let i = 1; i < stops.length; i++) length += apart(stops[i - 1], stops[i]);
  return length / Math.max(apart(stops[0], stops[stops.length - 1]), 1e-12);
}

// The group in which each point landed: the one that most likely has a point there.
function landed(spots, points) {
  const groups = [...new Set(spots.map(labelOf))];
  return Array.from({ length: points.length / 2 }, (_, i) => {
    const logs = spots.map(([x, y, std, weight]) => {
      const square = (x - points[2 * i]) ** 2 + (y - points[2 * i + 1]) ** 2;
      return Math.log(weight / std ** 2) - square / (2 * std ** 2);
    });
    const top = Math.max(...logs);
    const shares = groups.map(() => 0);
    spots.forEach((spot, k) => { shares[groups.indexOf(labelOf(spot))] += Math.exp(logs[k] - top); });
    return groups[shares.indexOf(Math.max(...shares))];
  });
}
