import { Rate } from "./rate.js";

const HUES = 8;
const SECONDS = 5; // of which the rate of a channel is the mean
export const PAST_MS = 500; // what comes so soon after the beginning is the past
export const ADDED_MS = 1500; // and after a channel was added, with a request in between

/** The chosen channels and wildcards: how fast each is, its colour, and since when it is live. */
export class Channels {
  #chosen = new Map();
  #hues = new Map();

  constructor(names) {
    for (const name of names) this.#add(name, Infinity);
  }

  get names() {
    return [...this.#chosen.keys()];
  }

  /** Whether messages come from more than one channel. */
  get areSeveral() {
    return this.#chosen.size > 1 || this.names.some(isPattern);
  }

  /** Changes the choice. @returns {{added: string[], dropped: string[]}} */
  choose(names, now = Date.now()) {
    const added = names.filter((name) => !this.#chosen.has(name));
    const dropped = this.names.filter((name) => !names.includes(name));
    for (const name of dropped) this.#chosen.delete(name);
    for (const name of added) this.#add(name, now + ADDED_MS);
    return { added, dropped };
  }

  /** The stream is live: from now on it brings news. */
  begin(now = Date.now()) {
    for (const channel of this.#chosen.values()) channel.pastUntil = Math.min(channel.pastUntil, now + PAST_MS);
  }

  /** Whether what `name` brings now is from the history. */
  isPast(name, now) {
    return now < (this.#chosen.get(name)?.pastUntil ?? 0);
  }

  count(name, now) {
    this.#chosen.get(name)?.rate.count(now);
  }

  /** Messages a second. */
  rate(name, now = Date.now()) {
    const counts = this.#chosen.get(name)?.rate.series(now)[1] ?? [0];
    return counts.reduce((sum, count) => sum + count, 0) / counts.length;
  }

  /** A number that stands for a colour; a channel that comes back has the one it had. */
  hue(name) {
    if (!this.#hues.has(name)) this.#hues.set(name, this.#hues.size % HUES);
    return this.#hues.get(name);
  }

  #add(name, pastUntil) {
    this.#chosen.set(name, { pastUntil, rate: new Rate(SECONDS) });
    this.hue(name);
  }
}

export function isPattern(name) {
  return name.includes("*");
}
