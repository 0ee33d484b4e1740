import { prettyJson } from "./json.js";
import { cut, runsOf } from "./text.js";

/**
 * How a payload is shown: as runs, never longer than a row can bear. `whole` says that nothing is left out.
 *
 * @typedef {{ runs: import("./text.js").Run[], whole: boolean }} Shown
 */

const PREVIEW_CHARS = 2000;
const PREVIEW_LINES = 12;
const FULL_CHARS = 100_000;
const PRETTY_CHARS = 32 * 1024; // else the layout of one payload could hold up the page
const narrow = matchMedia("(max-width: 40rem)"); // as in app.css

/** The beginning, for a row that came in by itself. @returns {Shown} */
export function preview(text) {
  return shown(text, PREVIEW_CHARS, PREVIEW_LINES);
}

/** For a reader who asked for all of it: up to 100,000 characters. @returns {Shown} */
export function full(text) {
  return shown(text, FULL_CHARS, Infinity);
}

function shown(text, chars, lines) {
  if (text === "") return { runs: [{ kind: "empty", text: "empty message" }], whole: true };
  const pretty = text.length <= PRETTY_CHARS ? prettyJson(text, narrow.matches ? 42 : 120) : null;
  const all = pretty ?? runsOf(cut(text, chars));
  const runs = clip(all, chars, lines);
  return { runs, whole: runs.at(-1) === all.at(-1) && (pretty !== null || text.length <= chars) };
}

function clip(runs, chars, lines) {
  const kept = [];
  for (const run of runs) {
    const end = Math.min(chars, lineEnd(run.text, lines));
    if (end < run.text.length) return [...kept, { ...run, text: cut(run.text, end).trimEnd() }];
    kept.push(run);
    chars -= run.text.length;
    lines -= run.text.split("\n").length - 1;
  }
  return kept;
}

/** Where line `number` of `text` ends. */
function lineEnd(text, number) {
  let end = -1;
  for (let line = 0; line < number; line += 1) {
    end = text.indexOf("\n", end + 1);
    if (end === -1) return text.length;
  }
  return end;
}
