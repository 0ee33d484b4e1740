/**
 * JSON as its source text has it, and not as the parsed value: numbers keep every digit, keys keep their order and
 * their duplicates.
 */

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g;
const COLOURED = /"(?:[^"\\]|\\.)*(?:"(?<colon>\s*:)?|$)|(?<number>-?\d[\d.eE+-]*)|(?:true|false|null)\b/g;

/** Whether `text` looks like an object or an array. Cheap: nothing is parsed. */
export function isLikeJson(text) {
  return /^\s*[[{]/.test(text);
}

/** The beginning of a JSON text in pieces `[kind, text]`; it may end anywhere. @returns {[string, string][]} */
export function coloured(text) {
  const pieces = [];
  let end = 0;
  for (const match of text.matchAll(COLOURED)) {
    const { colon = "", number } = match.groups;
    const token = match[0].slice(0, match[0].length - colon.length);
    if (match.index > end) pieces.push(["punctuation", text.slice(end, match.index)]);
    pieces.push([number ? "number" : token[0] !== '"' ? "literal" : colon ? "key" : "string", token]);
    end = match.index + token.length;
  }
  if (end < text.length) pieces.push(["punctuation", text.slice(end)]);
  return pieces;
}

/** A JSON object or array to walk through. */
export class JsonText {
  #tokens;
  #ends;

  /** @returns {JsonText | null} null when `text` is no JSON object or array */
  static of(text) {
    if (!isLikeJson(text)) return null;
    try {
      JSON.parse(text);
      return new JsonText(text.match(TOKEN));
    } catch {
      return null;
    }
  }

  constructor(tokens) {
    this.#tokens = tokens;
    this.#ends = endsOf(tokens);
  }

  /** How many tokens there are. */
  get size() {
    return this.#tokens.length;
  }

  token(at) {
    return this.#tokens[at];
  }

  isContainer(at) {
    return this.#tokens[at] === "{" || this.#tokens[at] === "[";
  }

  /** The kind of the value at `at`: `object`, `array`, `string`, `number` or `literal`. */
  kind(at) {
    const first = this.#tokens[at][0];
    if (this.isContainer(at)) return first === "{" ? "object" : "array";
    if (first === '"') return "string";
    return /[-\d]/.test(first) ? "number" : "literal";
  }

  /**
   * The members of the container at `at`, in order: their keys as in the source (null in an array), and where their
   * values are.
   *
   * @returns {Generator<{key: string | null, at: number}>}
   */
  *members(at = 0) {
    const hasKeys = this.#tokens[at] === "{";
    const end = this.#ends[at];
    for (let next = at + 1; next < end; ) {
      const key = hasKeys ? this.#tokens[next] : null;
      const value = hasKeys ? next + 2 : next;
      yield { key, at: value };
      next = (this.isContainer(value) ? this.#ends[value] : value) + 2;
    }
  }
}

/** For each opening token, where its container ends. */
function endsOf(tokens) {
  const ends = new Map();
  const open = [];
  tokens.forEach((token, index) => {
    if (token === "{" || token === "[") open.push(index);
    else if (token === "}" || token === "]") ends.set(open.pop(), index);
  });
  return Object.fromEntries(ends);
}
