import { delayOf } from "./delay.js";
import { formatBytes, formatCount, formatDate, formatDelay } from "./format.js";
import { JsonText } from "./json.js";
import { recall, remember } from "./store.js";
import { byteLength } from "./tally.js";
import { cut, spansOf } from "./text.js";
import { treeOf } from "./tree.js";

const RAW_CHARS = 100_000;
const TREE_CHARS = 512 * 1024; // else reading one payload could hold up the page

/** All about one message: what is known of it, and its payload as a tree or as it came. Set `record` to show it. */
class MessageDetail extends HTMLElement {
  #record;
  #json;

  set record(record) {
    this.#record = record;
    this.#json = record.text.length <= TREE_CHARS ? JsonText.of(record.text) : null;
    this.replaceChildren(document.getElementById("detail-template").content.cloneNode(true));
    this.querySelector(".facts").append(...factsOf(record, this.#json).map(fact));
    for (const button of this.#views) {
      button.hidden = this.#json === null;
      button.addEventListener("click", () => this.#choose(button.dataset.view));
    }
    this.#show(this.#json ? (recall("view") ?? "tree") : "raw");
  }

  get #views() {
    return this.querySelectorAll("[data-view]");
  }

  #choose(view) {
    remember("view", view);
    this.#show(view);
  }

  #show(view) {
    const { text } = this.#record;
    const isTree = view === "tree";
    for (const button of this.#views) button.ariaPressed = String(button.dataset.view === view);
    this.querySelector(".detail-body").replaceChildren(isTree ? treeOf(this.#json) : raw(text));
    this.querySelector(".detail-note").hidden = isTree || text.length <= RAW_CHARS;
  }
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
    ["Received", record.isPast ? "before the page was opened" : formatDate(record.at)],
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

customElements.define("message-detail", MessageDetail);
