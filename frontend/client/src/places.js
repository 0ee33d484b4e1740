/**
 * Places: of each channel `epoch-offset`. The channel "" is the one that a hub has where it is asked for none.
 */

import { isNotice, readJson } from "./events.js";

export function placesIn(id, channels) {
  if (!id.includes("=")) return id ? { [channels[0]]: id } : {};
  const places = Object.fromEntries(new URLSearchParams(id));
  delete places["@"];
  return places;
}

export function idOf(places, channels) {
  if (channels.length === 1 && !channels[0].includes("*")) return places[channels[0]] ?? "";
  const known = channels.filter((name) => places[name]);
  return known.map((name) => `${encodeURIComponent(name)}=${places[name]}`).join("&");
}

/** The channel of an event: what a wildcard received has its name in the id. */
export function channelOf({ type, data, id }, channels) {
  const named = /^@=([^&]*)/.exec(id);
  if (named) return decodeURIComponent(named[1]);
  return (isNotice(type) && readJson(data).channel) || channels[0];
}

export function isAfter(place, other) {
  if (!place || !other) return Boolean(place);
  const [epoch, offset, otherEpoch, otherOffset] = `${place}-${other}`.split("-").map(Number);
  return epoch === otherEpoch ? offset > otherOffset : epoch > otherEpoch;
}
