// The prompt explorer. It cuts prompts itself (prompt.cutting.js); what the text encoder makes of the
// tokens is asked of the kernel, or was packed when the notebook ran.

const PAUSE = 150; // milliseconds between two questions to the kernel
const PATIENCE = 5000; // after so many without an answer, the page says so
const NEAR = 8;
const LONG = 600; // characters of what was cut off
const BEYOND = 24; // places drawn beyond the last

// The tokens' vectors, in bytes: enough for the cosine of any two.
class Table {
  constructor(told, cut) {
    this.width = told.width;
    const bytes = cut(told.at);
    this.levels = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.lengths = new Float32Array(cut(told.lengths).buffer);
    this.words = new Uint16Array(cut(told.words).buffer);
    this.sizes = Float64Array.from(this.lengths, (_, id) => Math.sqrt(this.dot(id, id)));
  }

  dot(one, two) {
    let sum = 0;
    for (let i = 0; i < this.width; i++) sum += this.levels[one * this.width + i] * this.levels[two * this.width + i];
    return sum;
  }

  cosine(one, two) {
    return this.dot(one, two) / (this.sizes[one] * this.sizes[two] || 1);
  }

  near(id) {
    const found = [...this.words].filter((one) => one !== id).map((one) => [one, this.cosine(id, one)]);
    return found.sort((a, b) => b[1] - a[1]).slice(0, NEAR);
  }
}

// Questions while somebody types: one at a time, at most one in a while, and only the last counts.
function latest(ask, show) {
  let [timer, patience, wanted, number] = [null, null, null, 0];
  let waiting = false;
  const plan = () => {
    timer ??= setTimeout(go, PAUSE);
  };
  const go = async () => {
    timer = null;
    if (waiting || wanted === null) return;
    const [given, mine] = [wanted, ++number];
    wanted = null;
    waiting = true;
    patience = setTimeout(() => {
      waiting = false;
      show({ silent: true, given });
      if (wanted !== null) plan();
    }, PATIENCE);
    const told = await ask(given).then((answer) => ({ answer }), (error) => ({ error }));
    if (mine !== number) return;
    clearTimeout(patience);
    waiting = false;
    if (wanted === null) show({ ...told, given });
    else plan();
  };
  return {
    want(given) {
      wanted = given;
      plan();
    },
    close() {
      clearTimeout(timer);
      clearTimeout(patience);
      number = -1;
    },
  };
}

const SILENT =
  "The kernel has not answered yet. It may be busy with another cell, or stopped: then run the cell " +
  "again that made this. What is shown above needs no kernel.";
const percent = (value) => value.toFixed(2).replace("-0.00", "0.00");
const hue = (word) => (word < 0 ? "currentColor" : COLOURS[word % COLOURS.length]);
const plural = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;

// What a token is, in words.
function said(token, read) {
  if (token.kind === "start") return "The start, which stands before every prompt. Nobody types it.";
  if (token.kind === "end") return "The end, which closes every prompt. It alone has read all of it.";
  if (token.kind === "padding") return "Padding, so that every prompt has equally many places.";
  if (token.word < 0) return "A sign of its own.";
  const [begin, end] = read.words[token.word];
  const word = read.text.slice(begin, end);
  const count = read.tokens.filter((one) => one.word === token.word && one.kind === "word").length;
  if (count === 1) return `The whole of “${word}”.`;
  const letter = read.text.slice(token.begin, token.end);
  const shared = read.tokens.filter((one) => one.begin < token.end && token.begin < one.end).length > 1;
  return `One of ${count} pieces of “${word}”` + (shared ? `: bytes of “${letter}”, which is no letter of the list.` : ".");
}

// The row of places: what is typed, the padding, and what has no room.
function places(read) {
  const shown = Math.min(read.beyond, BEYOND);
  const count = read.tokens.length + read.padding;
  const svg = drawn("svg", { class: "sd-places", preserveAspectRatio: "none", role: "img" });
  svg.setAttribute("viewBox", `0 0 ${count + (shown ? shown + 1 : 0)} 10`);
  const place = (x, look) => svg.append(drawn("rect", { x: x + 0.1, y: 0, width: 0.8, height: 10, ...look }));
  for (const token of read.tokens) {
    place(token.position, token.kind === "word" ? { style: `fill: ${clear(hue(token.word))}` } : { fill: "currentColor", opacity: 0.75 });
  }
  for (let i = read.tokens.length; i < count; i++) place(i, { fill: "currentColor", opacity: 0.15 });
  for (let i = 0; i < shown; i++) place(count + 1 + i, { class: "sd-beyond", y: 3, height: 4 });
  svg.setAttribute("aria-label", filled(read));
  return svg;
}

function filled(read) {
  const count = read.tokens.length;
  const typed = plural(count - 2, "token");
  const all = count + read.padding;
  const rest = read.beyond
    ? `full, and ${plural(read.beyond, "token")} more had no room`
    : `and ${read.padding} left as padding`;
  return `${count} of ${all} places: start, ${typed} of ${plural(read.words.length, "word")}, end; ${rest}`;
}

// A piece, its sign for the end of a word a little fainter.
function spelling(piece) {
  const made = element("b", { textContent: piece.replace("</w>", "") });
  if (piece.endsWith("</w>")) made.append(element("i", { textContent: "</w>" }));
  return made;
}

// The tokens of a prompt as buttons, those of a word side by side.
function chipsOf(read, chosen, choose) {
  const row = element("div", { className: "sd-tokens", role: "group", "aria-label": "Tokens of the prompt" });
  const padding = { ...read.tokens[read.tokens.length - 1], kind: "padding", position: read.tokens.length };
  let [group, owner] = [null, null];
  for (const token of read.padding ? [...read.tokens, { ...padding, ...read.fill }] : read.tokens) {
    const word = token.kind === "word" ? token.word : -1;
    if (group === null || word < 0 || word !== owner) {
      group = element("span", { className: "sd-word" });
      group.style.setProperty("--sd-hue", hue(word));
      row.append(group);
    }
    owner = word;
    const last = token.position + read.padding - 1;
    const at = token.kind === "padding" && read.padding > 1 ? `${token.position}–${last}` : `${token.position}`;
    const name = token.kind === "word" ? token.piece : token.kind;
    const chip = element(
      "button",
      {
        type: "button",
        className: token.kind === "word" ? "sd-chip" : "sd-chip sd-own",
        title: `${name}, position ${at}, id ${token.id}`,
        "aria-pressed": String(token.position === chosen),
      },
      spelling(name),
      element("small", { textContent: `${at} · ${token.id}` }),
    );
    Object.assign(chip.dataset, { id: token.id, position: token.position, kind: token.kind, word });
    chip.onclick = () => choose(token.position);
    group.append(chip);
  }
  row.onkeydown = (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const chips = [...row.querySelectorAll(".sd-chip")];
    const next = chips[chips.indexOf(document.activeElement) + move];
    if (!move || !next) return;
    event.preventDefault();
    next.focus();
  };
  return row;
}

// What had no room, struck through.
function cutOff(read) {
  if (!read.cut) return [];
  const told = read.cut.length > LONG ? `${read.cut.slice(0, LONG)}…` : read.cut;
  const label = `Cut off, the network never reads it (${plural(read.beyond, "token")}): `;
  return [element("p", { className: "sd-cut" }, label, element("s", { textContent: told }))];
}

// A bar from 0 to 1 beside its number.
function bar(value) {
  const full = element("i", { className: "sd-full" });
  full.style.width = `${100 * Math.min(Math.max(value, 0), 1)}%`;
  return [element("span", { className: "sd-bar", "aria-hidden": "true" }, full), element("output", { "aria-live": "off", textContent: percent(value) })];
}

// Near words of a token; `place` puts one into the second prompt, where that makes sense.
function nearList(tokenizer, found, place) {
  const list = element("ol", { className: "sd-near" });
  for (const [id, cosine] of found) {
    const word = tokenizer.spelled[id].replace("</w>", "");
    const name = place
      ? element("button", { type: "button", textContent: word, onclick: () => place(word) })
      : element("span", { textContent: word });
    list.append(element("li", {}, name, ...bar(cosine)));
  }
  return list;
}

// All pairs of two prompts' tokens, the more alike the warmer.
function pairs(rows, columns, cosine, chosen) {
  const dense = columns.length > 14 ? "sd-pairs sd-dense" : "sd-pairs";
  const table = element("table", { className: dense, "aria-label": "Cosines of the tokens of both prompts" });
  const name = (token) => (token.kind === "word" ? token.piece.replace("</w>", "") : `(${token.kind})`);
  const head = element("tr", {}, element("td"));
  for (const token of columns) {
    head.append(element("th", { scope: "col" }, element("span", { textContent: name(token) })));
  }
  table.append(element("thead", {}, head));
  const body = element("tbody");
  rows.forEach((row, i) => {
    const line = element("tr", { className: row.position === chosen ? "sd-chosen" : "" });
    line.append(element("th", { scope: "row", textContent: name(row) }));
    columns.forEach((column, j) => {
      const value = cosine(i, j);
      const cell = element("td", { textContent: percent(value).replace("0.", ".").replace("1.00", "1") });
      cell.style.setProperty("--sd-heat", `${60 * Math.min(Math.abs(value), 1)}%`);
      if (value < 0) cell.className = "sd-cold";
      cell.dataset.says = `“${name(row)}” (${i}) and “${name(column)}” (${j}): cosine ${percent(value)}`;
      line.append(cell);
    });
    body.append(line);
  });
  table.append(body);
  return table;
}

// The window in which the pairs are seen: the pointer and the arrow keys read them.
function pairsView() {
  const read = element("p", { className: "sd-pair", role: "status" });
  const view = element("div", {
    className: "sd-scroll", tabindex: "0", role: "group",
    "aria-label": "Pairs of tokens. Arrow keys read their cosines.",
  });
  let at = [0, 0];
  const point = (cell) => {
    if (!cell) return;
    view.querySelector(".sd-at")?.classList.remove("sd-at");
    cell.classList.add("sd-at");
    at = [cell.parentNode.rowIndex, cell.cellIndex];
    read.textContent = cell.dataset.says;
  };
  view.onpointerover = (event) => point(event.target.closest("td[data-says]"));
  view.onkeydown = (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const rows = view.querySelector("table")?.rows;
    if (!move || !rows) return;
    event.preventDefault();
    const within = (value, most) => Math.min(Math.max(value, 1), most - 1);
    const row = rows[within(at[0] + move[0], rows.length)];
    point(row.cells[within(at[1] + move[1], row.cells.length)]);
    row.querySelector(".sd-at").scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  const show = (table) => {
    view.replaceChildren(...(table ? [table] : []));
    view.hidden = read.hidden = !table;
    read.textContent = "Rows: the prompt. Columns: the second one. Point at a pair to read it, or use the arrow keys.";
  };
  return [element("div", {}, view, read), show];
}

function render({ model, el }) {
  const bytes = bytesOf(model.get("blob"));
  const cut = ([offset, length]) => bytes.slice(offset, offset + length);
  const numbers = (place, Kind) => new Kind(cut(place).buffer);
  const told = model.get("vocabulary");
  const tokenizer = new Tokenizer(told, numbers(told.rules, Uint16Array));
  const tokens = model.get("table");
  const table = tokens.at ? new Table(tokens, cut) : null;
  const known = model.get("known").map((one) => ({ ...one, cosines: numbers(one.at, Int16Array) }));
  const kernel = kernelOf(model);
  const state = { text: model.get("text"), other: model.get("other"), chosen: 1, after: Boolean(kernel || known.length || !table) };
  let [first, second, answer] = [null, null, null];

  const field = (name, label, rows) => {
    const typed = element("textarea", { rows, value: state[name], spellcheck: false, autocomplete: "off" });
    typed.oninput = () => {
      state[name] = typed.value;
      model.set(name, typed.value);
      model.save_changes?.();
      if (name === "text") chooseAt(typed.selectionStart);
      refresh();
    };
    return [element("label", { className: "sd-typed" }, label, typed), typed];
  };
  const chooseAt = (caret) => {
    const found = tokenizer.read(state.text).tokens.filter((one) => one.begin < caret && caret <= one.end);
    if (found.length) state.chosen = found[found.length - 1].position;
  };
  const [textLabel, textField] = field("text", "Prompt", 2);
  const [otherLabel, otherField] = field("other", "Second prompt, to compare", 1);
  const compareWith = (text) => {
    state.other = otherField.value = text;
    model.set("other", text);
    model.save_changes?.();
    const buttons = () => [...near.querySelectorAll("button")];
    const pressed = buttons().indexOf(near.getRootNode().activeElement);
    refresh();
    buttons()[pressed]?.focus(); // its place is taken by one like it
  };

  const [count, bars, chips] = [element("p", { className: "sd-filled" }), element("div"), element("div")];
  const [fact, near] = [element("p", { className: "sd-fact" }), element("div")];
  const [sums, note] = [element("div", { className: "sd-sums" }), element("p", { className: "sd-note", role: "status" })];
  const [pairsBox, showPairs] = pairsView();
  const depth = (after, label) => {
    const button = element("button", { type: "button", textContent: label });
    button.onclick = () => {
      state.after = after;
      showComparison();
    };
    return button;
  };
  const depths = [depth(false, "before the transformer: the table’s"), depth(true, "after it: what the U-Net gets")];

  const choose = (position) => {
    state.chosen = position;
    for (const chip of chips.querySelectorAll(".sd-chip")) {
      chip.setAttribute("aria-pressed", String(Number(chip.dataset.position) === position));
    }
    showChip();
    showToken();
    showComparison();
  };
  // Many chips scroll in their box: the chosen one is brought into it, the page stays where it is.
  const showChip = () => {
    const box = chips.firstChild;
    const chip = box.querySelector("[aria-pressed=true]");
    const [top, bottom] = [chip.offsetTop - box.offsetTop, chip.offsetTop + chip.offsetHeight - box.offsetTop];
    if (top < box.scrollTop) box.scrollTop = top - 6;
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight + 6;
  };

  let nearKnown = null; // the kernel's last answer, and of which token
  const showNear = () => {
    const buttons = () => [...near.querySelectorAll("button")];
    const focused = buttons().indexOf(near.getRootNode().activeElement);
    near.classList.remove("sd-old");
    near.replaceChildren(nearList(tokenizer, nearKnown.near, placer()));
    buttons()[focused]?.focus(); // its place is taken by one like it
  };
  const nearBy = latest(
    (id) => kernel.ask("near", { id }),
    ({ answer, error, silent, given }) => {
      if (answer) nearKnown = { id: given, near: answer.near };
      if (given !== chosenToken().id) return;
      if (answer) return showNear();
      near.classList.remove("sd-old");
      near.replaceChildren(element("p", { textContent: silent ? SILENT : error.message }));
    },
  );
  const chosenToken = () => {
    const last = first.tokens[first.tokens.length - 1];
    return first.tokens[state.chosen] ?? { ...last, ...first.fill, kind: "padding", position: first.tokens.length };
  };
  // Exchanges the chosen token in the second prompt, if it is a word by itself.
  const placer = () => {
    const { begin, end, kind, word } = chosenToken();
    const alone = kind === "word" && first.tokens.filter((one) => one.kind === "word" && one.word === word).length === 1;
    return alone ? (text) => compareWith(state.text.slice(0, begin) + text + state.text.slice(end)) : null;
  };
  const showToken = () => {
    const token = chosenToken();
    const facts = [`${token.piece}, number ${token.id} of ${told.size}.`, said(token, first)];
    if (table) facts.push(`Its row in the table: ${tokens.width} numbers, length ${table.lengths[token.id].toFixed(2)}.`);
    fact.textContent = facts.join(" ");
    if (table) near.replaceChildren(nearList(tokenizer, table.near(token.id), placer()));
    else if (nearKnown?.id === token.id) showNear();
    else if (kernel) {
      near.classList.add("sd-old"); // what stands there is of another word, until the answer comes
      nearBy.want(token.id);
    } else near.replaceChildren("This model’s table is too large for a page: near words need a kernel.");
  };

  const compared = latest(
    (given) => kernel.ask("compare", given),
    ({ answer: came, error, silent, given }) => {
      if (given.first !== state.text || given.second !== state.other) return;
      if (came) answer = { ...came, cosines: new Int16Array(came.buffers[0].slice().buffer) };
      showComparison(silent ? SILENT : error ? `The kernel could not compare them: ${error.message}` : "");
    },
  );
  const fits = (one) => one && one.first === state.text && one.second === state.other;
  const showComparison = (trouble = "") => {
    depths.forEach((button, i) => button.setAttribute("aria-pressed", String(state.after === Boolean(i))));
    depths[0].disabled = !table;
    const here = known.find(fits) ?? (fits(answer) ? answer : null);
    sums.replaceChildren();
    note.textContent = trouble;
    pairsBox.classList.remove("sd-old");
    if (!state.other) {
      showPairs(null);
      note.textContent = "Type a second prompt, or click a near word: then the two are compared, token by token.";
      return;
    }
    if (!state.after) {
      showPairs(pairs(first.tokens, second.tokens, (i, j) => table.cosine(first.tokens[i].id, second.tokens[j].id), state.chosen));
      note.textContent = "A token has one row in the table, whatever stands around it.";
      return;
    }
    if (here) {
      const { shape, cosines, pooled, clip } = here;
      showPairs(pairs(first.tokens, second.tokens, (i, j) => cosines[i * shape[1] + j] / 32767, state.chosen));
      note.textContent ||= "A token’s vector has taken in what stands before it: the same word differs from prompt to prompt.";
      const whole = [["The whole prompts, by the vector at their ends", pooled], ["The same, as CLIP itself compares captions", clip]];
      for (const [name, value] of whole) {
        if (value !== null) sums.append(element("div", {}, element("span", { textContent: name }), ...bar(value)));
      }
      return;
    }
    pairsBox.classList.add("sd-old");
    if (kernel) return;
    showPairs(null);
    note.textContent = known.length
      ? "The text encoder needs a kernel: in this page it has only read the prompts below. In a notebook it reads as you type."
      : "The text encoder needs a kernel. In a notebook it reads as you type.";
  };

  const examples = element("div", { className: "sd-controls", role: "group", "aria-label": "Prompts that were compared" });
  for (const one of known) {
    const button = element("button", { type: "button", textContent: one.second });
    button.onclick = () => {
      state.text = textField.value = one.first;
      model.set("text", one.first);
      compareWith(one.second);
    };
    examples.append(button);
  }

  const refresh = () => {
    [first, second] = [state.text, state.other].map((text) => tokenizer.read(text));
    first.fill = { id: told.padding, piece: tokenizer.spelled[told.padding] };
    state.chosen = Math.min(state.chosen, first.tokens.length - (first.padding ? 0 : 1));
    count.textContent = `${filled(first)}.`;
    bars.replaceChildren(places(first));
    chips.replaceChildren(chipsOf(first, state.chosen, choose), ...cutOff(first));
    showChip();
    for (const button of examples.children) button.setAttribute("aria-pressed", String(button.textContent === state.other));
    examples.hidden = known.length === 0 || (known.length === 1 && fits(known[0]));
    showToken();
    showComparison();
    if (kernel && state.other && !known.some(fits) && !fits(answer)) compared.want({ first: state.text, second: state.other });
  };

  const title = (textContent) => element("p", { className: "sd-title", textContent });
  const word = element("div", {}, title("The chosen token"), fact, title("Whole words with the nearest vectors"), near);
  const comparison = element(
    "div", {}, otherLabel, examples, title("Which vectors of the tokens?"),
    element("div", { className: "sd-controls" }, ...depths), sums,
  );
  const root = element(
    "div",
    { className: "sd-explorer sd-prompt", role: "group", "aria-label": "Prompt explorer" },
    textLabel, count, bars, chips, element("div", { className: "sd-halves" }, word, comparison), note, pairsBox,
  );
  ownKeys(root);
  el.append(root);
  chooseAt(state.text.length);
  refresh();

  const changed = () => {
    if (model.get("text") === state.text && model.get("other") === state.other) return;
    state.text = textField.value = model.get("text");
    state.other = otherField.value = model.get("other");
    refresh();
  };
  const names = ["change:text", "change:other"];
  for (const name of names) model.on(name, changed);
  return () => {
    for (const name of names) model.off(name, changed);
    nearBy.close();
    compared.close();
    kernel?.close();
  };
}

export default { render };
