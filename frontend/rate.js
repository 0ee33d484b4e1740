/**
 * Counts events in whole seconds of the clock and remembers the last minute.
 *
 * A fixed set of buckets, so that counting costs the same at one event a second and at ten thousand.
 */
export class Rate {
  #counts;
  #stamps;

  constructor(seconds = 60) {
    this.#counts = new Array(seconds + 1).fill(0);
    this.#stamps = new Array(seconds + 1).fill(-1);
  }

  count(nowMs) {
    const second = Math.floor(nowMs / 1000);
    const slot = second % this.#counts.length;
    if (this.#stamps[slot] !== second) {
      this.#stamps[slot] = second;
      this.#counts[slot] = 0;
    }
    this.#counts[slot] += 1;
  }

  /** Events in the last whole second before `nowMs`. */
  perSecond(nowMs) {
    return this.#at(Math.floor(nowMs / 1000) - 1);
  }

  /** `[seconds, counts]` of every whole second in the window, oldest first; the running one is left out. */
  series(nowMs) {
    const end = Math.floor(nowMs / 1000);
    const seconds = Array.from(this.#counts.slice(1), (_, index) => end - this.#counts.length + 1 + index);
    return [seconds, seconds.map((second) => this.#at(second))];
  }

  #at(second) {
    const slot = second % this.#counts.length;
    return this.#stamps[slot] === second ? this.#counts[slot] : 0;
  }
}
