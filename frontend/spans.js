import { runsOf } from "./text.js";

const UNSTYLED = new Set(["plain", "punctuation"]);

/** Pieces `[kind, text]` as nodes: coloured by kind, with the characters named that show nothing. */
export function spansOf(pieces) {
  return pieces.flatMap(([kind, text]) => runsOf(text, kind)).map(nodeOf);
}

function nodeOf({ kind, text }) {
  if (UNSTYLED.has(kind)) return document.createTextNode(text);
  const span = document.createElement("span");
  span.className = `run-${kind}`;
  span.textContent = text;
  return span;
}
