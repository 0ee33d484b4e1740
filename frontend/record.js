import { formatBytes, formatDuration, plural } from "./format.js";

/**
 * What one line of the log says.
 *
 * @typedef {object} Record
 * @property {"message" | "gap" | "tooLarge" | "disconnected" | "resumed"} kind
 * @property {string} text the payload as it came, or our words on what happened, to stand after its label
 * @property {number} at when it was received, in ms since 1970
 * @property {string} id the event's id, empty when it had none
 * @property {string} [channel] where it came from
 * @property {number} [hue] the colour of the channel, or of the wildcard that brought it
 * @property {string} [event] the name of a named event
 * @property {boolean} [isPast] whether the stream began with it: nobody knows when it was received
 * @property {number | null} [missed] of a gap: how many messages, null when nobody knows
 */

const MAKERS = { "hub.gap": gap, "hub.oversize": tooLarge };

const REASONS = new Map([
  ["slow-client", "this page read more slowly than messages came in"],
  ["redis-lost", "the hub lost its connection to Redis for a while"],
  ["expired", "this page was away for longer than the hub keeps messages"],
  ["unheard", "no hub was listening for a while"],
  ["unknown-id", "the hub does not know the place where this page had stopped"],
  ["history-unavailable", "the hub’s history cannot be read"],
]);

/** @returns {Record} */
export function recordOf(event, at = Date.now()) {
  return { at, id: placeOf(event), channel: event.channel, ...(MAKERS[event.type] ?? message)(event.data, event.type) };
}

/**
 * The line for a message or a gap of the history, which was received `at`. It has no place among what arrives: `seq` 0.
 *
 * @returns {Record}
 */
export function recordOfStored({ id, event, data, gap: missing }, channel, at) {
  const what = missing ? gapOf({ ...missing, channel }) : message(data, event);
  return { at, id, channel, seq: 0, ...what };
}

/** The line for a connection that is back after `ms`; `resumed` when it went on after a known id. */
export function reconnection(ms, resumed, at = Date.now()) {
  const away = formatDuration(ms);
  if (resumed) return { at, id: "", kind: "resumed", text: `after ${away}, where this page had stopped.` };
  const text = `for ${away}. Messages published in that time may not have arrived here.`;
  return { at, id: "", kind: "disconnected", text };
}

/** The id of an event; in a stream of several channels its place in its own. */
function placeOf({ id, channel }) {
  return id.includes("=") ? (new URLSearchParams(id).get(channel) ?? "") : id;
}

function message(data, name) {
  return { kind: "message", text: data, ...(name === "message" ? {} : { event: name }) };
}

function gap(data) {
  return gapOf(parse(data));
}

function gapOf({ missed, reason, channel }) {
  const known = Number.isSafeInteger(missed) && missed >= 0 ? missed : null;
  return { kind: "gap", missed: known, text: `${gapCount(known, channel)}: ${gapReason(reason)}.` };
}

function gapCount(missed, channel) {
  const where = channel ? ` on ${channel}` : "";
  if (missed === null) return `Messages${where} may be missing, nobody knows how many`;
  return `${plural(missed, "message")}${where} ${missed === 1 ? "is" : "are"} missing`;
}

function gapReason(reason) {
  return REASONS.get(reason) ?? (reason ? `the hub says “${reason}”` : "the hub gave no reason");
}

function tooLarge(data) {
  const { bytes, max_bytes: limit, channel } = parse(data);
  const where = channel ? ` on ${channel}` : "";
  return { kind: "tooLarge", text: `A message${where} was left out: ${sizes(bytes, limit)}.` };
}

function sizes(bytes, limit) {
  if (!Number.isFinite(bytes) || !Number.isFinite(limit)) return "it is over the size limit";
  return `it has ${formatBytes(bytes)}, and the limit is ${formatBytes(limit)}`;
}

function parse(data) {
  try {
    return Object(JSON.parse(data));
  } catch {
    return {}; // the event itself is news enough; its details are not worth losing the row
  }
}
