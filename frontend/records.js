import { Ring } from "./ring.js";

const MAX_RECORDS = 5000; // more than rows, so that a filter finds what has left the screen

/**
 * What the page knows: the newest that has arrived, what was loaded from the history before it, and, while the log is held,
 * the records that it stands on.
 */
export class Records {
  #ring = new Ring(MAX_RECORDS);
  #held = null;
  #seq = 0; // of the newest record that the log has taken
  #loaded = [];
  #next = 0; // the seq of the record after the loaded ones
  #onScreen;
  #found = {};

  /** @param {() => object[]} onScreen the records that have rows: they count for as long as they can be seen */
  constructor(onScreen) {
    this.#onScreen = onScreen;
  }

  get isHeld() {
    return this.#held !== null;
  }

  push(record) {
    this.#ring.push(record);
  }

  /** What has arrived since it was last taken. */
  take() {
    const fresh = this.#ring.since(this.#seq);
    this.#seq = this.#ring.lastSeq;
    return fresh;
  }

  /** What has arrived since, without taking it. */
  get waiting() {
    return this.#ring.since(this.#seq);
  }

  /** All that was taken and is still known, oldest first. */
  get known() {
    if (this.#held) return this.#held;
    const { firstSeq } = this.#ring;
    const before = this.#areLoadedNext ? this.#loaded : this.#onScreen().filter(({ seq }) => seq < firstSeq);
    return [...before, ...this.#ring.since(0).filter(({ seq }) => seq <= this.#seq)];
  }

  /** Those of the known records that match; while they are held, looked for once. */
  matching(matches) {
    const { known } = this;
    if (this.#found.known !== known || this.#found.matches !== matches) {
      this.#found = { known, matches, records: known.filter(matches) };
    }
    return this.#found.records;
  }

  /** The first of what is known; cheap. */
  get oldest() {
    if (this.#held) return this.#held[0];
    if (this.#areLoadedNext && this.#loaded.length) return this.#loaded[0];
    const first = this.#onScreen()[0];
    return first?.seq < this.#ring.firstSeq ? first : this.#ring.first;
  }

  /** What is known stays as it is. Returns it. */
  hold() {
    this.#held ??= this.known;
    return this.#held;
  }

  release() {
    const held = this.#held ?? [];
    this.#loaded = held.filter(({ seq }) => seq === 0);
    this.#next = held.find(({ seq }) => seq > 0)?.seq ?? this.#seq + 1;
    this.#held = null;
    this.#found = {};
  }

  /** Puts records of the history in front of what is held. */
  prepend(records) {
    const arrived = new Set(this.waiting.map(nameOf)); // without any known place the newest page may hold these
    this.#held = [...records.filter((record) => !arrived.has(nameOf(record))), ...this.#held];
  }

  clear() {
    this.#ring.clear();
    this.#seq = this.#ring.lastSeq;
    this.#loaded = [];
    if (this.#held) this.#held = [];
  }

  /** Whether nothing is missing between what was loaded and what has arrived. */
  get #areLoadedNext() {
    return this.#ring.firstSeq <= this.#next;
  }
}

function nameOf({ channel, id }) {
  return `${channel} ${id}`;
}
