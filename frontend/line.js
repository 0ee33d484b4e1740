import { coloured, isLikeJson } from "./json.js";
import { cut } from "./text.js";

const MAX_CHARS = 400; // more than the widest screen shows of a line

/**
 * The beginning of a payload on one line, in pieces `[kind, text]`.
 *
 * @returns {[string, string][]}
 */
export function lineOf(text) {
  if (text === "") return [["empty", "empty message"]];
  const start = cut(text, MAX_CHARS);
  const line = start.replace(/\s+/g, " ").trim();
  const pieces = isLikeJson(line) ? coloured(line) : [["plain", line]];
  return start === text ? pieces : [...pieces, ["plain", "…"]];
}
