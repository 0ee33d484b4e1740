import { formatCount, formatWhen, plural } from "./format.js";
import { Past, placesBefore } from "./past.js";
import { say } from "./say.js";

const MAX_RECORDS = 30_000; // that the page keeps
const MAX_CHARS = 32 * 1024 * 1024;

/**
 * Puts older messages in front of those of the log: a page when somebody scrolls to the first, or as many as it takes
 * until one matches the filter.
 */
export class Older {
  #parts;
  #log;
  #channels = [];
  #past = null;
  #task = null;
  #words = "";
  #matches = null;
  #oldest;

  /**
   * @param {Record<string, HTMLElement>} parts `older`, `olderText`, `olderButton`
   * @param {object} log
   * @param {() => object[]} log.hold stops it, and returns its records
   * @param {(records: object[]) => void} log.prepend puts records in front, and calls `describe`
   * @param {() => void} log.release lets it follow again, if nothing else stops it, and calls `describe`
   */
  constructor(parts, log) {
    this.#parts = parts;
    this.#log = log;
    parts.olderButton.addEventListener("click", () => this.#onClick());
  }

  /** Of which channels there are older messages to load. */
  set channels(names) {
    this.#channels = document.body.dataset.history ? names : [];
    this.reset();
  }

  get isBusy() {
    return this.#task !== null;
  }

  /** The records of the log have changed at their beginning. */
  reset() {
    this.#task?.abort();
    this.#task = null;
    this.#past = null;
    this.#words = "";
  }

  /** Loads a page, because somebody has scrolled to the first message. */
  async wanted() {
    if (!this.isBusy && !this.#isOver && !this.#words && this.#channels.length) await this.#run(() => true);
  }

  /**
   * @param {((record: object) => boolean) | null} matches what the filter lets through; null without one
   * @param {object | undefined} oldest the first record of the log
   */
  describe(matches, oldest) {
    const { older, olderText, olderButton } = this.#parts;
    if (oldest !== this.#oldest && !this.isBusy) this.reset();
    this.#oldest = oldest;
    this.#matches = matches;
    older.hidden = this.#channels.length === 0 || !(oldest || matches || this.#words);
    olderButton.hidden = this.#isOver && !this.isBusy;
    olderButton.textContent = this.isBusy ? "Stop" : matches ? "Search older messages" : "Load older messages";
    olderText.textContent = this.#words;
  }

  get #isOver() {
    return this.#past?.isOver === true;
  }

  #onClick() {
    const matches = this.#matches;
    if (this.isBusy) this.#task.abort();
    else this.#run(matches ? (records) => records.some((one) => one.kind === "message" && matches(one)) : () => true);
  }

  async #run(isEnough) {
    const task = new AbortController();
    const known = this.#log.hold();
    this.#task = task;
    this.#past ??= new Past(placesBefore(known, this.#channels));
    this.#words = "Loading older messages…";
    this.#log.prepend([]);
    try {
      this.#words = await this.#load(isEnough, task.signal, sizeOf(known));
    } catch (error) {
      this.#words = task.signal.aborted ? "" : `Older messages cannot be loaded: ${error.message}`;
    }
    if (this.#task !== task) return;
    this.#task = null;
    if (this.#words) say(this.#words);
    this.#log.release();
  }

  /** Returns what to say at the end. */
  async #load(isEnough, signal, size) {
    let number = 0;
    for (;;) {
      const records = await this.#past.older(signal);
      signal.throwIfAborted();
      number += records.length;
      size.chars += sizeOf(records).chars;
      this.#log.prepend(records);
      if (this.#past.isOver) return "Beginning of the history";
      if (isEnough(records)) return "";
      if (size.records + number > MAX_RECORDS || size.chars > MAX_CHARS) return FULL;
      this.#words = `${plural(number, "message")} read, back to ${formatWhen(records[0].at)}`;
      this.#log.prepend([]);
    }
  }
}

const FULL = `This page keeps up to ${formatCount(MAX_RECORDS)} messages. Go to the newest to begin again.`;

function sizeOf(records) {
  return { records: records.length, chars: records.reduce((sum, { text }) => sum + text.length, 0) };
}
