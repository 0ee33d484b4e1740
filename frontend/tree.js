import { formatCount, plural } from "./format.js";
import { cut, spansOf } from "./text.js";

/** JSON as a tree of elements. A container is filled when it is first opened, so that a large one costs nothing. */

const PAGE = 200;
const MAX_CHARS = 5000; // of one value
const OPEN_TOKENS = 300; // a message up to this size is open two levels deep
const OPEN_LEVELS = 2;

/** @param {import("./json.js").JsonText} json */
export function treeOf(json) {
  const list = document.createElement("ul");
  list.className = "tree";
  list.append(node(json, { key: null, at: 0 }, json.size <= OPEN_TOKENS ? OPEN_LEVELS : 1));
  return list;
}

/** @param {number} levels how many are open */
function node(json, { key, at }, levels) {
  const item = document.createElement("li");
  const name = key === null ? [] : [...spansOf([["key", key]]), ": "];
  if (json.isContainer(at)) item.append(container(json, at, name, levels));
  else item.append(...name, value(json, at));
  return item;
}

function container(json, at, name, levels) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.append(...name, note(json, at));
  details.append(summary);
  const fill = () => details.childElementCount > 1 || details.append(members(json, at, levels - 1));
  details.addEventListener("toggle", fill);
  if (levels > 0) {
    details.open = true;
    fill();
  }
  return details;
}

function note(json, at) {
  let number = 0;
  for (const _ of json.members(at)) number += 1;
  const isObject = json.kind(at) === "object";
  const span = document.createElement("span");
  span.className = "tree-note";
  span.textContent = `${isObject ? "{…}" : "[…]"} ${plural(number, isObject ? "key" : "item")}`;
  return span;
}

function members(json, at, levels) {
  const list = document.createElement("ul");
  append(list, json, json.members(at), levels);
  return list;
}

function append(list, json, rest, levels) {
  for (let left = PAGE; left > 0; left -= 1) {
    const { done, value: member } = rest.next();
    if (done) return;
    list.append(node(json, member, levels));
  }
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  button.textContent = `Show ${formatCount(PAGE)} more`;
  button.addEventListener("click", () => {
    append(list, json, rest, levels);
    button.remove();
  });
  list.append(button);
}

function value(json, at) {
  const token = json.token(at);
  const shown = cut(token, MAX_CHARS);
  const pieces = [[json.kind(at), shown]];
  if (shown !== token) pieces.push(["empty", ` … ${formatCount(token.length)} characters, all in the raw view`]);
  const span = document.createElement("span");
  span.append(...spansOf(pieces));
  return span;
}
