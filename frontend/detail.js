import { delayOf } from "./delay.js";
import { formatBytes, formatCount, formatDate, formatDelay } from "./format.js";
import { JsonText } from "./json.js";
import { spansOf } from "./spans.js";
import { recall, remember } from "./store.js";
import { byteLength } from "./tally.js";
import { cut } from "./text.js";
import { treeOf } from "./tree.js";

const RAW_CHARS = 100_000;
const TREE_CHARS = 512 * 1024; // else reading one payload could hold up the page

/** All about one message: what is known of it, and its payload as a tree or as it came. */
export function detailOf(record) {
  const detail = document.getElementById("detail-template").content.firstElementChild.cloneNode(true);
  const json = record.text.length <= TREE_CHARS ? JsonText.of(record.text) : null;
  detail.querySelector(".facts").append(...factsOf(record, json).map(fact));
  for (const button of detail.querySelectorAll("[data-view]")) {
    button.hidden = json === null;
    button.addEventListener("click", () => choose(detail, record, json, button.dataset.view));
  }
  show(detail, record, json, json ? (recall("view") ?? "tree") : "raw");
  return detail;
}

function choose(detail, record, json, view) {
  remember("view", view);
  show(detail, record, json, view);
}

function show(detail, record, json, view) {
  const body = detail.querySelector(".detail-body");
  const isTree = view === "tree";
  for (const button of detail.querySelectorAll("[data-view]")) {
    button.ariaPressed = String(button.dataset.view === view);
  }
  body.replaceChildren(isTree ? treeOf(json) : raw(record.text));
  detail.querySelector(".detail-note").hidden = isTree || record.text.length <= RAW_CHARS;
}

function raw(text) {
  const pre = document.createElement("pre");
  pre.dir = "auto";
  pre.append(...spansOf([text === "" ? ["empty", "empty message"] : ["plain", cut(text, RAW_CHARS)]]));
  return pre;
}

/** Names and values, in the order in which they are shown. */
function factsOf(record, json) {
  const delay = json && !record.isPast ? delayOf(json, record.at) : null;
  return [
    ["Channel", record.channel],
    ["Id", record.id],
    ["Event", record.event],
    ["Received", formatDate(record.at) + (record.isPast ? ", from the history" : "")],
    ["Delay", delay && `${formatDelay(delay.ms)} after its “${delay.key}”`],
    ["Size", sizeOf(record.text)],
  ].filter(([, value]) => value);
}

function sizeOf(text) {
  const bytes = byteLength(text);
  const exact = bytes < 1024 ? "" : ` (${formatCount(bytes)} B)`;
  return `${formatBytes(bytes)}${exact}`;
}

function fact([name, value]) {
  const pair = document.createElement("div");
  const [term, description] = [document.createElement("dt"), document.createElement("dd")];
  term.textContent = name;
  description.append(...spansOf([["plain", value]]));
  pair.append(term, description);
  return pair;
}
