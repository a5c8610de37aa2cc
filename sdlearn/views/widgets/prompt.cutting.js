// CLIP's tokenizer, in the page: a prompt becomes words, pieces and ids at every key.

// What a word is, as `prompt.words` has it: letters and digits, joined by apostrophes and hyphens; a
// flag; or a sign, with what is glued to it.
const SPACE = "\\p{White_Space}\\x1c-\\x1f";
const LETTER = "[\\p{L}\\p{N}_]";
const SIGN = `[^\\p{L}\\p{N}_${SPACE}]`;
const WORD = new RegExp(
  `${LETTER}+(?:['’\\-]${LETTER}+)*|[\\u{1f1e6}-\\u{1f1ff}]{2}|${SIGN}(?:\\ufe0f|\\u200d${SIGN})*`, "gu",
);
const [GAP, IN_WORD] = [new RegExp(`[${SPACE}]`, "u"), new RegExp(LETTER, "u")];
const ENDS = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "gu");
const GLUED = /^(?:\p{M}|[\u{1f3fb}-\u{1f3ff}])$/u;

// A letter with all that Unicode may melt into one with it: accents, and the parts of a Hangul.
const CLUSTER = /[^\p{M}\u1161-\u1175\u11a8-\u11c2]?[\p{M}\u1161-\u1175\u11a8-\u11c2]*/gu;
const BLANK = /\p{White_Space}/u;
const CHUNK = /<\|(?:start|end)oftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^ \p{L}\p{N}]+/gu;
const IN_CAPITALS = /^(<\|)((?:start|end)oftext)(\|>)$/; // typed so, it is no start and no end, but text

// Byte pair encoding works on a text's bytes, and each of them has a letter: "a" its own, others "Ġ".
const BYTES = (() => {
  const letters = [];
  let strange = 256;
  for (let byte = 0; byte < 256; byte++) {
    const plain = (byte > 32 && byte < 127) || (byte > 160 && byte < 173) || byte > 173;
    letters.push(String.fromCharCode(plain ? byte : strange++));
  }
  return letters;
})();

class Tokenizer {
  constructor(told, rules) {
    Object.assign(this, told);
    this.ids = new Map(Object.entries(told.pieces));
    this.spelled = Array(told.size).fill("");
    for (const [piece, id] of this.ids) this.spelled[id] = piece;
    this.ranks = new Map();
    for (let i = 0; i < rules.length; i += 3) {
      const [one, two, glued] = rules.subarray(i, i + 3);
      this.spelled[glued] = this.spelled[one] + this.spelled[two];
      this.ranks.set(one * told.size + two, [i, glued]);
    }
    this.numbers = new Map(); // of pieces that are looked for whole
    for (const [content, id, small] of told.added) {
      this.spelled[id] = content;
      this.numbers.set(small ? normalised(content, 0).text : content, id);
    }
    this.typed = this.pattern(false);
    this.small = this.pattern(true);
    this.words = new Map();
  }

  // Finds such pieces: in a text as it was typed (start and end), or in small letters (new words).
  pattern(small) {
    const found = this.added.filter((one) => one[2] === small).map(([content]) => content);
    const texts = small ? found.map((content) => normalised(content, 0).text) : found;
    return texts.length ? new RegExp(texts.map(escaped).join("|"), "gu") : null;
  }

  // The tokens of a text, without start and end, each with the part of the text that it covers.
  cut(text) {
    const tokens = [];
    for (const [part, begin, whole] of apart(text, this.typed)) {
      if (whole) tokens.push({ id: this.numbers.get(part), begin, end: begin + part.length });
      else this.cutPart(normalised(part, begin), tokens);
    }
    return tokens;
  }

  cutPart({ text, from, to }, tokens) {
    for (const [part, begin, whole] of apart(text, this.small)) {
      if (whole) {
        tokens.push({ id: this.numbers.get(part), begin: from[begin], end: to[begin + part.length - 1] });
        continue;
      }
      for (const { 0: chunk, index } of part.matchAll(CHUNK)) {
        let at = begin + index;
        for (const word of IN_CAPITALS.exec(chunk)?.slice(1) ?? [chunk]) {
          for (const { id, first, last } of this.tokensOf(word, at)) {
            tokens.push({ id, begin: from[first], end: to[last] });
          }
          at += word.length;
        }
      }
    }
  }

  // A word's tokens, each with the places of its first and its last letter.
  *tokensOf(word, at) {
    const places = []; // of each byte
    for (const letter of word) {
      for (let i = utf8(letter).length; i > 0; i--) places.push(at);
      at += letter.length;
    }
    let byte = 0;
    for (const [id, length] of this.glue(word)) {
      yield { id, first: places[byte], last: places[byte + length - 1] };
      byte += length;
    }
  }

  // A word's tokens: glue the pair whose rule is oldest, until no rule fits. [id, bytes] each.
  glue(word) {
    if (this.words.has(word)) return this.words.get(word);
    const bytes = [...utf8(word)];
    let row = bytes.map((byte, i) => {
      const letter = BYTES[byte] + (i === bytes.length - 1 ? "</w>" : "");
      return [this.ids.get(letter) ?? this.unknown, 1];
    });
    for (;;) {
      let best = null;
      for (let i = 1; i < row.length; i++) {
        const rule = this.ranks.get(row[i - 1][0] * this.size + row[i][0]);
        if (rule && (!best || rule[0] < best.rule[0])) best = { rule, one: row[i - 1][0], two: row[i][0] };
      }
      if (!best) break;
      const glued = [];
      for (let i = 0; i < row.length; i++) {
        if (row[i][0] === best.one && row[i + 1]?.[0] === best.two) {
          glued.push([best.rule[1], row[i][1] + row[++i][1]]);
        } else {
          glued.push(row[i]);
        }
      }
      row = glued;
    }
    if (this.words.size > 5000) this.words.clear();
    this.words.set(word, row);
    return row;
  }

  // A prompt as the network reads it: start, what has room, end, and padding.
  read(text) {
    const typed = this.cut(text);
    const kept = typed.slice(0, this.places - 2);
    const read = kept.length ? kept[kept.length - 1].end : 0;
    const words = wordsOf(text).filter(([begin]) => begin < read);
    for (const token of kept) {
      token.kind = "word";
      token.word = words.findIndex(([begin, end]) => begin < token.end && token.begin < end);
    }
    const ends = [{ id: this.start, kind: "start" }, { id: this.end, kind: "end" }];
    const tokens = [ends[0], ...kept, ends[1]];
    tokens.forEach((token, position) => Object.assign(token, { position, piece: this.spelled[token.id] }));
    return {
      text, tokens, words,
      padding: this.places - tokens.length,
      beyond: typed.length - kept.length,
      cut: typed.length > kept.length || tokens.length === this.places ? text.slice(read).replace(ENDS, "") : "",
    };
  }
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const utf8 = (text) => new TextEncoder().encode(text);

// A text cut at a pattern: [part, where it begins, whether it is the pattern's].
function* apart(text, pattern) {
  let done = 0;
  for (const match of pattern ? text.matchAll(pattern) : []) {
    if (match.index > done) yield [text.slice(done, match.index), done, false];
    yield [match[0], match.index, true];
    done = match.index + match[0].length;
  }
  if (done < text.length) yield [text.slice(done), done, false];
}

// Accents melted, blanks made spaces, small letters; and from where to where each of them was typed.
function normalised(typed, offset) {
  const [from, to] = [[], []];
  let text = "";
  for (const { 0: cluster, index } of typed.matchAll(CLUSTER)) {
    if (!cluster) continue;
    const letters = [...cluster];
    const made = [...cluster.normalize("NFC")];
    let [begin, end] = [offset + index, offset + index];
    let melted = Math.max(letters.length - made.length, 0); // accents that went into the first letter
    for (const letter of made) {
      const own = letters.splice(0, 1 + melted).join(""); // nothing, if one letter became two
      if (own) [begin, end] = [end, end + own.length];
      const small = BLANK.test(letter) ? " " : letter.toLowerCase();
      text += small;
      for (let i = 0; i < small.length; i++) {
        from.push(begin);
        to.push(end);
      }
      melted = 0;
    }
  }
  return { text, from, to };
}

// Where the words are. Accents that are characters of their own stay with their letter.
function wordsOf(text) {
  let shadow = "";
  let before = " ";
  for (const letter of text) {
    let kept = letter;
    if (GLUED.test(letter) && !GAP.test(before)) kept = IN_WORD.test(before) ? "_" : "\ufe0f";
    before = kept;
    shadow += kept === letter ? letter : kept.repeat(letter.length);
  }
  return [...shadow.matchAll(WORD)].map((match) => [match.index, match.index + match[0].length]);
}
