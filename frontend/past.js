import { ask } from "./ask.js";
import { recordOfStored } from "./record.js";

const PAGE = 200;

/** What the hub keeps of one channel, read from the newest to the oldest. */
class Source {
  #channel;
  #before;
  #gap; // the id of a gap that is known already
  #buffer = []; // oldest first
  #hasMore = true;

  constructor({ channel, before = "", gap = "" }) {
    [this.#channel, this.#before, this.#gap] = [channel, before, gap];
  }

  get isOver() {
    return !this.#hasMore && this.#buffer.length === 0;
  }

  get newest() {
    return this.#buffer.at(-1);
  }

  take() {
    return this.#buffer.pop();
  }

  /** Sees to it that there is a newest record, if there is any. */
  async fill(signal) {
    while (this.#hasMore && this.#buffer.length === 0) {
      const { messages, more } = await ask(this.#url(), { signal });
      const fresh = messages.filter(({ gap, id }) => !gap || id !== this.#gap);
      const first = messages.find(({ gap }) => !gap);
      this.#buffer = this.#records(fresh);
      this.#hasMore = more && first !== undefined;
      this.#before = first?.id ?? this.#before;
    }
  }

  /** A gap has no time: it stands just before the message after it. */
  #records(items) {
    let at = Date.now();
    const records = [];
    for (const item of items.toReversed()) {
      at = item.time ?? at;
      records.unshift(recordOfStored(item, this.#channel, at));
    }
    return records;
  }

  #url() {
    const fields = new URLSearchParams({ limit: PAGE, ...(this.#before && { before: this.#before }) });
    return `${document.body.dataset.history}${encodeURIComponent(this.#channel)}/?${fields}`;
  }
}

/** What the hub keeps of several channels, in the order of time. */
export class Past {
  #sources;

  /** @param {{channel: string, before?: string, gap?: string}[]} places where each channel begins to be unknown */
  constructor(places) {
    this.#sources = places.map((place) => new Source(place));
  }

  get isOver() {
    return this.#sources.every((source) => source.isOver);
  }

  /**
   * The next records towards the beginning, the oldest first; fewer than a page only at the beginning.
   *
   * @returns {Promise<import("./record.js").Record[]>}
   * @throws {Error} with the words of the hub; what was read until then is not lost
   */
  async older(signal) {
    const taken = [];
    while (taken.length < PAGE) {
      await Promise.all(this.#sources.map((source) => source.fill(signal)));
      const open = this.#sources.filter(({ newest }) => newest);
      if (open.length === 0) break;
      open.sort((one, other) => other.newest.at - one.newest.at);
      taken.push(open[0].take());
    }
    return taken.reverse();
  }
}

/** Where each of `channels` begins to be unknown to who has `records`, the oldest first. */
export function placesBefore(records, channels) {
  return channels.map((channel) => {
    const own = records.filter((record) => record.channel === channel && record.id);
    const before = own.find(({ kind }) => kind !== "gap")?.id;
    return { channel, before, gap: own[0]?.kind === "gap" ? own[0].id : undefined };
  });
}
