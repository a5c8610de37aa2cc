// The cover: a run that plays by itself, from noise to picture; then its words light up, one after
// the other, where they were looked at. Whoever wants less motion sees the picture, and may play it.

(() => {
  const cover = document.querySelector(".sd-cover");
  const told = JSON.parse(cover.querySelector("script[type='application/json']").textContent);
  const STEP = 260; // milliseconds
  const REST = 1000; // before the first word, and between two
  const WORD = 2200;
  const walk = STEP * (told.frames - 1);
  const end = walk + told.words.length * (REST + WORD) + REST;

  const place = cover.querySelector(".sd-cover-picture");
  const canvas = document.createElement("canvas");
  const said = document.createElement("p");
  const button = document.createElement("button");
  const sheet = new Image();
  const words = new Map(); // from a word to its button and its light
  let moment = 0; // of the film, in milliseconds
  let before = null; // the clock's last tick while it plays
  let held = null; // a word that the reader holds lit

  function draw() {
    const side = canvas.width;
    const brush = canvas.getContext("2d");
    const at = Math.min(moment / STEP, told.frames - 1);
    const frame = Math.floor(at);
    picture(brush, frame, side);
    if (at > frame) {
      brush.globalAlpha = at - frame;
      picture(brush, frame + 1, side);
      brush.globalAlpha = 1;
    }
    const [word, strength] = held ? [held, 1] : shining();
    if (word) light(brush, words.get(word).map, strength, side);
    tell(frame, word);
  }

  function picture(brush, frame, side) {
    const width = sheet.naturalWidth / told.frames;
    brush.drawImage(sheet, frame * width, 0, width, sheet.naturalHeight, 0, 0, side, side);
  }

  // Which word shines at this moment, and how strongly: it fades in and out.
  function shining() {
    const since = moment - walk - REST;
    const number = Math.floor(since / (WORD + REST));
    const inside = since - number * (WORD + REST);
    if (since < 0 || number >= told.words.length || inside > WORD) return [null, 0];
    return [told.words[number].text, Math.min(1, inside / 400, (WORD - inside) / 400)];
  }

  // The picture lies in the dark, but for where the word was looked at.
  function light(brush, map, strength, side) {
    const lit = document.createElement("canvas");
    lit.width = lit.height = side;
    const inner = lit.getContext("2d");
    picture(inner, told.frames - 1, side);
    inner.globalCompositeOperation = "destination-in";
    inner.imageSmoothingQuality = "high";
    inner.drawImage(map, 0, 0, side, side);
    brush.globalAlpha = 0.8 * strength;
    brush.fillStyle = "#05070f";
    brush.fillRect(0, 0, side, side);
    brush.globalAlpha = strength;
    brush.drawImage(lit, 0, 0);
    brush.globalAlpha = 1;
  }

  function tell(frame, word) {
    const walked = moment < walk;
    if (word) said.textContent = `where the picture looked for “${word}”`;
    else if (walked) said.textContent = `step ${frame + 1} of ${told.frames - 1}`;
    else said.textContent = `drawn by ${told.model}, a model of this course`;
    for (const [text, one] of words) {
      one.button.setAttribute("aria-pressed", String(text === word));
    }
    button.textContent = before !== null ? "Pause" : moment >= end ? "Play again" : "Play";
    cover.dataset.moment = walked ? `step ${frame + 1}` : word || (moment >= end ? "end" : "rest");
  }

  function tick(now) {
    if (before === null) return;
    moment = Math.min(end, moment + Math.min(now - before, 100)); // a hidden page does not skip
    before = moment < end ? now : null;
    draw();
    if (before !== null) requestAnimationFrame(tick);
  }

  function play() {
    if (moment >= end) moment = 0;
    held = null;
    before = performance.now();
    requestAnimationFrame(tick);
    draw();
  }

  function pause() {
    before = null;
    draw();
  }

  function hold(text) {
    held = held === text ? null : text;
    moment = Math.max(moment, walk);
    pause();
  }

  function mask({ grid: [rows, columns], map }) {
    const made = document.createElement("canvas");
    made.width = columns;
    made.height = rows;
    const pixels = new ImageData(columns, rows);
    Array.from(atob(map), (letter, i) => { pixels.data[4 * i + 3] = letter.charCodeAt(0); });
    made.getContext("2d").putImageData(pixels, 0, 0);
    return made;
  }

  // The prompt again, with buttons for the words that can shine.
  function sentence(prompt) {
    const line = document.createElement("p");
    line.className = "sd-cover-prompt";
    const shines = new Map(told.words.map((word) => [word.text, word]));
    for (const part of prompt.split(/(\w+)/)) {
      const word = shines.get(part);
      if (!word || words.has(part)) {
        line.append(part);
        continue;
      }
      const one = document.createElement("button");
      one.type = "button";
      one.textContent = part;
      one.title = `Where did the picture look for “${part}”?`;
      one.onclick = () => hold(part);
      words.set(part, { button: one, map: mask(word) });
      line.append(one);
    }
    return line;
  }

  function begin() {
    canvas.width = canvas.height = 512;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", place.getAttribute("aria-label"));
    said.className = "sd-cover-said";
    button.type = "button";
    button.className = "sd-cover-play";
    button.onclick = () => (before === null ? play() : pause());
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    cover.querySelector("figcaption").replaceChildren(sentence(told.prompt), said, button);
    place.replaceWith(canvas);
    if (still) moment = end;
    if (still) draw();
    else play();
  }

  sheet.onload = begin;
  sheet.src = place.style.backgroundImage.slice(5, -2);
})();
