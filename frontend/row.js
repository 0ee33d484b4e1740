import { formatWhen } from "./format.js";
import { isLikeJson } from "./json.js";
import { lineOf } from "./line.js";
import { spansOf } from "./text.js";

/** One record of the log as an element, and back. */

const LABELS = {
  gap: "Gap",
  tooLarge: "Too large",
  disconnected: "Disconnected",
  resumed: "Resumed",
};

const records = new WeakMap();

export function recordOfRow(row) {
  return records.get(row);
}

export function makeRow(record) {
  const row = document.getElementById("row-template").content.firstElementChild.cloneNode(true);
  const [toggle, time, channel, id, text, copy] = row.firstElementChild.children;
  records.set(row, record);
  row.dataset.kind = record.kind;
  time.textContent = whenOf(record);
  channel.textContent = record.channel ?? "";
  if (record.hue !== undefined) row.dataset.hue = record.hue;
  id.textContent = record.id;
  if (record.kind === "message") {
    text.dir = isLikeJson(record.text) ? "ltr" : "auto";
    text.append(...spansOf(lineOf(record.text)));
  } else {
    toggle.hidden = copy.hidden = true;
    announce(text, record);
  }
  return row;
}

/** Shows when the message was received, which may have become known. */
export function showTime(row) {
  row.querySelector(".row-time").textContent = whenOf(recordOfRow(row));
}

function whenOf({ at, isPast }) {
  return isPast ? "earlier" : formatWhen(at);
}

/** Shows all of a message below its line, or no longer. */
export function toggleRow(row, open = !isOpen(row)) {
  const record = recordOfRow(row);
  if (record.kind !== "message" || open === isOpen(row)) return;
  row.toggleAttribute("data-open", open);
  row.querySelector(".row-toggle").ariaExpanded = String(open);
  if (open) showDetail(row, record);
  else row.lastElementChild.remove();
}

function showDetail(row, record) {
  const detail = document.createElement("message-detail");
  detail.className = "detail";
  detail.record = record;
  row.append(detail);
}

export function isOpen(row) {
  return row.hasAttribute("data-open");
}

/** Whether a click is on the line of a row, and not the end of selecting some of its text. */
export function isPlainClick(target) {
  return target.closest(".row-line") !== null && target.closest("button") === null && getSelection().isCollapsed;
}

/** The Tab key reaches the buttons of one row of a list, not of hundreds. */
export function makeReachable(row, list) {
  for (const button of list.querySelectorAll(".row-line button[tabindex='0']")) button.tabIndex = -1;
  for (const button of row.querySelectorAll(".row-line button")) button.tabIndex = 0;
}

function announce(element, { kind, text }) {
  const label = document.createElement("strong");
  label.className = "row-label";
  label.textContent = LABELS[kind];
  element.append(label, " ", ...spansOf([["plain", text]]));
}
