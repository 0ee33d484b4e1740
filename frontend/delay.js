import { JsonText } from "./json.js";

const KEYS = new Set(["time", "ts", "timestamp", "sent", "sent_at", "created_at", "published_at"]);
const DAY_MS = 86_400_000;
const UNITS = [1000, 1, 0.001, 0.000001]; // seconds, milliseconds, microseconds, nanoseconds

/**
 * How long a message was on its way, by a time that it holds itself (in its first level).
 *
 * @param {JsonText} json
 * @param {number} at when it arrived, in ms since 1970
 * @returns {{key: string, ms: number} | null} null when it holds no time within a day of its arrival
 */
export function delayOf(json, at) {
  if (json.kind(0) !== "object") return null;
  for (const member of json.members()) {
    const key = member.key.slice(1, -1);
    const ms = KEYS.has(key) && !json.isContainer(member.at) ? at - timeOf(json.token(member.at), at) : NaN;
    if (Math.abs(ms) < DAY_MS) return { key, ms };
  }
  return null;
}

function timeOf(token, at) {
  const text = token.replaceAll('"', "");
  if (/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(text)) return Date.parse(text);
  if (!/^\d+(\.\d+)?$/.test(text)) return NaN;
  return UNITS.map((unit) => Number(text) * unit).find((ms) => Math.abs(at - ms) < DAY_MS) ?? NaN;
}
