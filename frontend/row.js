import { formatCount, formatTime } from "./format.js";
import { full, preview } from "./payload.js";
import { runsOf } from "./text.js";

/** One line of the log as an element, and back. */

const LABELS = {
  gap: "Gap",
  tooLarge: "Too large",
  disconnected: "Disconnected",
  resumed: "Resumed",
};

const UNSTYLED = new Set(["plain", "punctuation"]);

const records = new WeakMap();

export function recordOfRow(row) {
  return records.get(row);
}

export function makeRow(record) {
  const row = document.getElementById("row-template").content.firstElementChild.cloneNode(true);
  const [time, , , id] = row.children;
  records.set(row, record);
  row.dataset.kind = record.kind;
  time.textContent = formatTime(record.at);
  id.textContent = record.id;
  if (record.kind === "message") fill(row, preview(record.text), record.text);
  else announce(row, record);
  return row;
}

/** Shows all of a clipped payload, or its beginning again. */
export function toggleRow(row) {
  const { text } = recordOfRow(row);
  const open = row.dataset.open === undefined;
  row.toggleAttribute("data-open", open);
  fill(row, open ? full(text) : preview(text), text);
}

/** The Tab key reaches the buttons of one row of a list, not of hundreds. */
export function makeReachable(row, list) {
  for (const button of list.querySelectorAll("button[tabindex='0']")) button.tabIndex = -1;
  for (const button of row.querySelectorAll("button")) button.tabIndex = 0;
}

function fill(row, { runs, whole }, text) {
  const [, body, more, , copy] = row.children;
  const open = row.dataset.open !== undefined;
  body.replaceChildren(...runs.map(spanOf));
  more.hidden = whole && !open;
  copy.hidden = false;
  if (more.hidden) return;
  const [button, note] = more.children;
  button.textContent = open ? "Show less" : `Show all ${formatCount(text.length)} characters`;
  button.ariaExpanded = String(open);
  note.hidden = whole || !open;
}

function announce(row, { kind, text }) {
  const [, body] = row.children;
  const label = document.createElement("strong");
  label.className = "row-label";
  label.textContent = LABELS[kind];
  body.append(label, " ", ...runsOf(text).map(spanOf));
}

function spanOf({ kind, text }) {
  if (UNSTYLED.has(kind)) return document.createTextNode(text);
  const span = document.createElement("span");
  span.className = `run-${kind}`;
  span.textContent = text;
  return span;
}
