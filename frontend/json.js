import { runsOf } from "./text.js";

/**
 * Pretty JSON, laid out from the source text and not from the parsed value: numbers keep every digit,
 * keys keep their order and their duplicates. What fits on a line stays on one.
 */

const INDENT = "  ";
const MAX_INDENTS = 24; // else 60 KB of "[" would become a gigabyte of spaces
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g;

/**
 * @param {string} text
 * @param {number} columns that fit on a line
 * @returns {import("./text.js").Run[] | null} null when `text` is not a JSON object or array
 */
export function prettyJson(text, columns) {
  return isContainer(text) ? new Layout(text.match(TOKEN), columns).runs() : null;
}

function isContainer(text) {
  if (!/^\s*[[{]/.test(text)) return false; // cheap, and true of most texts
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

class Layout {
  #tokens;
  #columns;
  #widths;
  #runs = [];
  #broken = []; // one flag for each container that is open: does it span lines?

  constructor(tokens, columns) {
    this.#tokens = tokens;
    this.#columns = columns;
    this.#widths = flatWidths(tokens);
  }

  runs() {
    this.#tokens.forEach((token, index) => this.#place(token, index));
    return this.#runs;
  }

  #place(token, index) {
    if (token === "{" || token === "[") this.#open(token, index);
    else if (token === "}" || token === "]") this.#close(token, index);
    else if (token === ",") this.#punctuate(",", this.#broken.at(-1) ? this.#newline() : " ");
    else if (token === ":") this.#punctuate(": ");
    else this.#runs.push(...runsOf(token, kindOf(token, this.#tokens[index + 1])));
  }

  #open(token, index) {
    this.#broken.push(this.#widths[index] + this.#broken.length * INDENT.length > this.#columns);
    const empty = isCloser(this.#tokens[index + 1]);
    this.#punctuate(token, empty ? "" : this.#edge(token));
  }

  #close(token, index) {
    const before = isOpener(this.#tokens[index - 1]) ? "" : null;
    const broken = this.#broken.pop();
    this.#punctuate((before ?? (broken ? this.#newline() : padding(token))) + token);
  }

  #edge(token) {
    return this.#broken.at(-1) ? this.#newline() : padding(token);
  }

  #newline() {
    return "\n" + INDENT.repeat(Math.min(this.#broken.length, MAX_INDENTS));
  }

  #punctuate(...parts) {
    const text = parts.join("");
    const last = this.#runs.at(-1);
    if (last?.kind === "punctuation") last.text += text;
    else this.#runs.push({ kind: "punctuation", text });
  }
}

/** For each opening token, how wide its container is on one line; undefined for the others. */
function flatWidths(tokens) {
  const widths = [];
  const open = [];
  let column = 0;
  tokens.forEach((token, index) => {
    if (isOpener(token)) open.push([index, column]);
    column += token.length + (/^[{},:]$/.test(token) ? 1 : 0);
    if (isCloser(token)) {
      const [start, from] = open.pop();
      widths[start] = column - from;
    }
  });
  return widths;
}

function kindOf(token, next) {
  if (token[0] === '"') return next === ":" ? "key" : "string";
  return /^[-\d]/.test(token) ? "number" : "literal";
}

function isOpener(token) {
  return token === "{" || token === "[";
}

function isCloser(token) {
  return token === "}" || token === "]";
}

function padding(bracket) {
  return bracket === "{" || bracket === "}" ? " " : "";
}
