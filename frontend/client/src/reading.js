import { EventParser } from "./parser.js";
import { channelOf, placesIn } from "./places.js";

/** What one answer brings. It moves the places of `want` on. */
export class Reading {
  /** In ms; null as long as the hub has not said them. */
  retryMs = null;
  periodMs = null;
  /** Whether the hub has room: one that has none says when to come back, and nothing else. */
  hasBegun = false;
  /** Whether each channel has a place: from there on nothing is missed. */
  hasPlaces = false;
  hasRedis = true;
  isDraining = false;
  #want;
  #found = [];
  #decoder = new TextDecoder();
  #parser = new EventParser({
    retry: (ms) => (this.retryMs = ms),
    comment: (text) => this.#comment(text),
    id: (id) => this.#found.push({ type: "", moved: this.#move(id) }),
    event: (event) => this.#found.push(this.#placed(event)),
  });

  constructor(want) {
    this.#want = want;
  }

  /** Returns what is complete with this piece. */
  push(bytes) {
    this.#parser.push(this.#decoder.decode(bytes, { stream: true }));
    return this.#found.splice(0);
  }

  #comment(text) {
    const { channels, places } = this.#want;
    const [name, value] = text.trim().split("=");
    this.hasBegun = true;
    this.hasPlaces ||= channels.every((channel) => places[channel]);
    if (name === "heartbeat") this.periodMs = value * 1000;
    else if (name === "draining") this.isDraining = true;
    else this.hasRedis = name !== "redis"; // a heartbeat without a word
  }

  /** Adds the event's channel, and `key`: the channel or wildcard it was asked for by. */
  #placed(event) {
    const { channels } = this.#want;
    const moved = this.#move(event.id);
    const channel = channelOf(event, channels);
    const keys = moved.length ? moved.map(([name]) => name) : channels;
    const key = keys.includes(channel) ? channel : (keys.find((name) => name.includes("*")) ?? keys[0]);
    return { ...event, channel, key, moved };
  }

  /** Goes to the places in an id. Returns the channels that moved, each with its places before and after. */
  #move(id) {
    const { places, channels } = this.#want;
    this.hasBegun = true;
    this.hasPlaces = true;
    const moved = [];
    for (const [name, place] of Object.entries(placesIn(id, channels))) {
      if (place !== places[name]) moved.push([name, places[name], place]);
      places[name] = place;
    }
    return moved;
  }
}
