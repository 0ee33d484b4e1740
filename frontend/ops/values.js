/** Reads values of which nothing is certain: whoever may publish in Redis may send anything. */

import { cut, runsOf } from "../text.js";

const MAX_CHARS = 300;

/** A text with a bound, in which every character is seen. */
export function text(value) {
  if (typeof value !== "string") return "";
  return runsOf(cut(value, MAX_CHARS)).map((run) => run.text).join("");
}

/** As it was sent, for requests. */
export function raw(value) {
  return typeof value === "string" ? value : "";
}

/** A number that is not below zero, or null. */
export function number(value) {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
}

export function object(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

/** The objects of a list, up to `limit`. */
export function objects(value, limit) {
  return Array.isArray(value) ? value.slice(0, limit).map(object) : [];
}
