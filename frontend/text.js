/**
 * Text as runs: `{ kind, text }`, in order. A payload may hold characters that show nothing or that
 * rearrange what stands around them; they come out as runs of kind `hidden` that name them.
 *
 * @typedef {{ kind: string, text: string }} Run
 */

// Controls but for tab and newline, soft hyphen, bidi controls and isolates, zero-width spaces, line and
// paragraph separators, invisible fillers, BOM, tags. Joiners (200C, 200D) stay: scripts and emoji need them.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}]+/gu;

const UNSTYLED = new Set(["plain", "punctuation"]);

/** @returns {Run[]} */
export function runsOf(text, kind = "plain") {
  if (text.search(HIDDEN) === -1) return [{ kind, text }];
  const runs = [];
  let end = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > end) runs.push({ kind, text: text.slice(end, match.index) });
    runs.push({ kind: "hidden", text: Array.from(match[0], nameOf).join(" ") });
    end = match.index + match[0].length;
  }
  if (end < text.length) runs.push({ kind, text: text.slice(end) });
  return runs;
}

/** Pieces `[kind, text]` as nodes: coloured by kind, with the characters named that show nothing. */
export function spansOf(pieces) {
  return pieces.flatMap(([kind, text]) => runsOf(text, kind)).map(spanOf);
}

/** The first `limit` characters, not ending inside a surrogate pair. */
export function cut(text, limit) {
  if (text.length <= limit) return text;
  const last = text.charCodeAt(limit - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? limit - 1 : limit);
}

function spanOf({ kind, text }) {
  if (UNSTYLED.has(kind)) return document.createTextNode(text);
  const span = document.createElement("span");
  span.className = `run-${kind}`;
  span.textContent = text;
  return span;
}

function nameOf(character) {
  const code = character.codePointAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code); // Unicode has pictures for these
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}
