/** The list of the newest warnings and errors of all processes. */

import { formatCount, formatTime } from "../format.js";

const MAX_LINES = 50;

export class Errors {
  #list;
  #none;
  #shown = "";

  constructor(list, none) {
    this.#list = list;
    this.#none = none;
  }

  /** The elements are made anew only when something has changed: somebody may be reading. */
  show(errors) {
    const newest = errors.toSorted((a, b) => b.at - a.at).slice(0, MAX_LINES);
    const key = JSON.stringify(newest);
    if (key === this.#shown) return;
    this.#shown = key;
    this.#none.hidden = newest.length > 0;
    this.#list.replaceChildren(...newest.map(lineOf));
  }
}

function lineOf({ at, level, text, times, process }) {
  const line = document.createElement("li");
  line.dataset.level = level;
  const parts = [
    ["time", formatTime(at).slice(0, 8)],
    ["strong", level],
    ["span", times > 1 ? `${text} (${formatCount(times)} times)` : text],
    ["small", process],
  ];
  for (const [name, content] of parts) {
    const element = document.createElement(name);
    element.textContent = content;
    line.append(element, " ");
  }
  return line;
}
