/** A report of one process, with each value checked. */

import { number, object, objects, raw, text } from "./values.js";

const MAX_ROWS = 200;
const MAX_TEXTS = 8;
const MINUTES = 60;
const FIGURES = [
  "live", "behind", "replaying", "streams_max", "channels", "groups", "messages", "refused", "cut_streams",
  "gaps", "stalls", "memory_bytes", "descriptors", "descriptors_max",
];
const RATES = [
  "messages_per_second", "received_bytes_per_second", "sent_per_second", "cpu", "lag_ms", "round_trip_ms",
  "loop_ms",
];

/** The report in `data`, or null for anything else. */
export function reportOf(data) {
  let value;
  try {
    value = object(JSON.parse(data));
  } catch {
    return null;
  }
  const process = processOf(object(value.process));
  if (process.id === "") return null;
  return {
    at: number(value.at) ?? 0,
    process,
    figures: numbers(value.figures, FIGURES),
    rates: numbers(value.rates, RATES),
    redis: redisOf(object(value.redis)),
    channels: objects(value.channels, MAX_ROWS).map(channelOf),
    streams: objects(value.streams, MAX_ROWS).map((row) => streamOf(row, process)),
    found: foundOf(object(value.found), process),
    gaps: gapsOf(value.gaps),
    errors: objects(value.errors, MAX_ROWS).map((row) => errorOf(row, process)),
    cut: value.cut === true,
  };
}

function numbers(value, names) {
  const found = object(value);
  return Object.fromEntries(names.map((name) => [name, number(found[name])]));
}

function processOf({ id, host, pid, started_ms, version, worker, state }) {
  const name = `${text(host) || "unknown"}:${number(pid) ?? "?"}`;
  return {
    id: text(id),
    name,
    host: text(host),
    worker: text(worker),
    version: text(version),
    state: text(state),
    startedMs: number(started_ms),
  };
}

function redisOf({ deployment, name, masters, paused, losses, moves }) {
  return {
    deployment: text(deployment),
    name: text(name),
    masters: objects(masters, MAX_ROWS).map((each) => ({ name: text(each.name), live: each.live === true })),
    paused: paused === true,
    losses: number(losses) ?? 0,
    moves: number(moves) ?? 0,
  };
}

function channelOf({ name, kind, streams, behind, replaying, per_second, ring, history, kept, keeps, pending, position }) {
  const [events, bytes, fill] = Array.isArray(ring) ? ring.map(number) : [];
  return {
    name: text(name),
    rawName: kind === "channel" ? raw(name) : "",
    kind: text(kind),
    streams: number(streams) ?? 0,
    behind: number(behind) ?? 0,
    replaying: number(replaying) ?? 0,
    perSecond: number(per_second),
    ringEvents: events ?? null,
    ringBytes: bytes ?? null,
    ringFill: fill ?? null,
    history: text(history),
    kept: number(kept),
    keeps: number(keeps),
    pending: number(pending) ?? 0,
    position: text(position),
  };
}

function streamOf(row, process) {
  const names = Array.isArray(row.channels) ? row.channels.slice(0, 5).map(text) : [];
  const others = number(row.others) ?? 0;
  return {
    id: text(row.id),
    user: text(row.user),
    rawUser: raw(row.user),
    byToken: row.by_token === true,
    address: text(row.address),
    channels: names.join(", ") + (others ? ` and ${others} more` : ""),
    seconds: number(row.seconds),
    state: text(row.state),
    position: text(row.position),
    lag: number(row.lag),
    waiting: number(row.waiting),
    process: process.name,
  };
}

function foundOf(value, process) {
  const texts = Object.entries(value).slice(0, MAX_TEXTS);
  return new Map(texts.map(([name, rows]) => [name, objects(rows, MAX_ROWS).map((row) => streamOf(row, process))]));
}

/** Pairs of a minute (Unix time in ms) and its gaps by reason. */
function gapsOf(value) {
  if (!Array.isArray(value)) return [];
  return value.slice(-MINUTES).filter(Array.isArray).map(([at, counts]) => {
    const reasons = Object.entries(object(counts)).slice(0, 20);
    return [number(at) ?? 0, reasons.map(([reason, count]) => [text(reason), number(count) ?? 0])];
  });
}

function errorOf({ at, level, text: said, times }, process) {
  return {
    at: number(at) ?? 0,
    level: text(level),
    text: text(said),
    times: number(times) ?? 1,
    process: process.name,
  };
}
