import * as address from "./address.js";
import { isPattern } from "./channels.js";
import { copyFrom } from "./clipboard.js";
import { filterFor } from "./filter.js";
import { plural } from "./format.js";
import { perFrame } from "./frame.js";
import { partsOf } from "./parts.js";
import { Older } from "./older.js";
import { Ring } from "./ring.js";
import { isOpen, recordOfRow } from "./row.js";
import { say } from "./say.js";
import { View } from "./view.js";

const MAX_RECORDS = 5000; // more than rows, so that a filter finds what has left the screen
const REST_MS = 100; // from one painting of what came in to the next: nobody reads faster
const FLOOD_ROWS = 20; // in one painting: nobody reads so many
const FLOOD_MS = 250;

/**
 * The log with its tools. It follows the newest message while the reader is at the edge, and stands still
 * while they are not: when they paused it, have scrolled away, have moved the focus to a row or look at a message.
 */
class MessageLog extends HTMLElement {
  #ring = new Ring(MAX_RECORDS);
  #view;
  #older;
  #channels;
  #parts = {};
  #matches = filterFor("");
  #paused = false;
  #still = null; // while the log stands still: the records it stands on
  #seq = 0; // of the newest record that was considered for a row
  #waiting = 0;
  #restMs = REST_MS;
  #paint = perFrame(() => this.#flush());
  #paintNews = perFrame(() => this.#flush(), () => this.#restMs);

  connectedCallback() {
    this.#parts = partsOf(this);
    this.#view = new View(this.#parts.scroller, this.#parts.list);
    this.#older = new Older(this.#parts, this.#holder());
    this.#listenToTools();
    this.#listenToLog();
    this.#parts.filter.value = address.filter;
    this.#matches = filterFor(address.filter.trim());
    this.#paint();
  }

  /** Says which channels the log is of. */
  set channels(channels) {
    this.#channels = channels;
    this.dataset.several = channels.areSeveral;
    this.#older.channels = channels.names.filter((name) => !isPattern(name));
    this.#paint();
  }

  /** Takes a record. Cheap: nothing is drawn before the next frame. */
  add(record) {
    this.#ring.push(record);
    if (this.#still && this.#isNews(record)) this.#waiting += 1;
    this.#paintNews();
  }

  togglePause() {
    this.#paused = !this.#paused;
    this.#parts.pause.dataset.paused = this.#paused;
    this.#parts.pauseLabel.textContent = this.#paused ? "Resume" : "Pause";
    say(this.#paused ? "Paused" : "Resumed");
    if (this.#paused) this.#settle();
    else this.#toNewest();
  }

  clear() {
    this.#ring.clear();
    this.#seq = this.#ring.lastSeq;
    this.#waiting = 0;
    if (this.#still) this.#still = [];
    this.#view.show([]);
    this.#older.reset();
    this.#settle();
    this.#paint();
    say("Cleared");
  }

  focusFilter() {
    this.#parts.filter.select();
  }

  /** Goes to the newest message and follows again. */
  showNewest() {
    if (this.#paused) this.togglePause();
    else this.#toNewest();
  }

  #listenToTools() {
    const { filter, unfilter, pause, clear, newest } = this.#parts;
    filter.addEventListener("input", () => this.#refilter());
    filter.addEventListener("keydown", (event) => event.key === "Escape" && this.#unfilter());
    unfilter.addEventListener("click", () => this.#unfilter());
    pause.addEventListener("click", () => this.togglePause());
    clear.addEventListener("click", () => this.clear());
    newest.addEventListener("click", () => this.showNewest());
  }

  #listenToLog() {
    const { scroller, list } = this.#parts;
    scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    scroller.addEventListener("keydown", (event) => this.#onKey(event));
    list.addEventListener("click", (event) => this.#onClick(event));
    list.addEventListener("focusin", () => this.#settle());
    list.addEventListener("focusout", () => this.#settle());
    new ResizeObserver(() => this.#paint()).observe(scroller);
  }

  // -- following and standing still

  #toNewest() {
    this.#view.toNewest(this.#shown());
    this.#settle();
  }

  #toOldest() {
    this.#still ??= this.#known();
    this.#view.toOldest(this.#shown());
    this.#settle();
  }

  /** Decides anew whether the log follows or stands still. */
  #settle() {
    const still = this.#paused || !this.#isAtNewest() || this.#view.isRead || this.#older.isBusy;
    if (still === (this.#still !== null)) return;
    this.#still = still ? this.#known() : null;
    if (still) this.#view.spread(this.#shown());
    else this.#older.reset();
    this.#countWaiting();
    this.#paint();
  }

  #isAtNewest() {
    return this.#view.isAtEdge && (!this.#still || this.#view.rows.last === this.#still.findLast(this.#matches));
  }

  #flush() {
    if (!this.#still) this.#follow();
    this.#describe();
    if (!this.#still) this.#view.stick();
  }

  #follow() {
    const fresh = this.#ring.since(this.#seq).filter(this.#matches);
    this.#seq = this.#ring.lastSeq;
    this.#restMs = fresh.length > FLOOD_ROWS ? FLOOD_MS : REST_MS;
    this.#view.follow(fresh);
  }

  /** All records that may have a row now: in the ring, or older and still on the screen. */
  #known() {
    if (this.#still) return this.#still;
    const { firstSeq } = this.#ring;
    const older = this.#view.rows.records.filter(({ seq }) => seq < firstSeq);
    return [...older, ...this.#ring.since(0).filter(({ seq }) => seq <= this.#seq)];
  }

  #shown() {
    return this.#known().filter(this.#matches);
  }

  #countWaiting() {
    const waiting = this.#still ? this.#ring.since(this.#seq) : [];
    this.#waiting = waiting.filter((record) => this.#isNews(record)).length;
  }

  #isNews(record) {
    return record.kind === "message" && this.#matches(record);
  }

  // -- what is older than the page

  /** What may be done to the log from behind: to hold it, to put records in front, and to let it go. */
  #holder() {
    return {
      hold: () => (this.#still ??= this.#known()),
      prepend: (records) => this.#prepend(records),
      release: () => {
        this.#settle();
        this.#describe();
      },
    };
  }

  #prepend(records) {
    for (const record of records) record.hue = this.#channels.hue(record.channel);
    this.#still = [...records.filter((record) => !this.#has(record)), ...this.#still];
    this.#view.extend(this.#shown());
    this.#describe();
  }

  /** Of a channel from which nothing was known, the newest page may hold what has arrived meanwhile. */
  #has({ channel, id }) {
    return this.#ring.since(this.#seq).some((record) => record.id === id && record.channel === channel);
  }

  // -- the filter

  #refilter() {
    const known = this.#known();
    this.#matches = filterFor(this.#parts.filter.value.trim());
    address.keepFilter(this.#parts.filter.value.trim());
    this.#view.show(known.filter(this.#matches));
    if (!this.#still) this.#view.stick();
    this.#countWaiting();
    this.#paint();
  }

  #unfilter() {
    this.#parts.filter.value = "";
    this.#refilter();
  }

  #describe() {
    const { newest, waiting, empty, noMatch, filter } = this.#parts;
    const filtered = filter.value.trim() !== "";
    const isEmpty = this.#view.rows.length === 0;
    newest.hidden = this.#waiting === 0;
    waiting.textContent = plural(this.#waiting, "new message");
    empty.hidden = !isEmpty || filtered;
    noMatch.hidden = !isEmpty || !filtered;
    this.#older.describe(filtered ? this.#matches : null, isEmpty);
  }

  // -- the reader's hand

  #onScroll() {
    this.#settle();
    if (this.#still && this.#view.look(this.#shown())) this.#older.wanted();
  }

  #onClick({ target }) {
    const row = target.closest(".row");
    const action = target.closest("[data-action]")?.dataset.action;
    if (action === "copy") copyFrom(target.closest("button"), recordOfRow(row).text);
    else if (action === "toggle" || isPlainClick(target)) this.#view.toggle(row);
    this.#settle();
  }

  #onKey(event) {
    const act = this.#actions(event.target.closest(".row"), event.target)[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    this.#settle();
  }

  /** What keys do on the log and on a row; inside of an open message they do what they always do. */
  #actions(row, target) {
    const Escape = row && isOpen(row) ? () => this.#view.toggle(row, false) : () => this.showNewest();
    if (target.closest(".detail")) return { Escape };
    const [ArrowUp, ArrowDown] = [() => this.#view.step(row, -1), () => this.#view.step(row, 1)];
    const [Home, End] = [() => this.#toOldest(), () => this.#toNewest()];
    const everywhere = { Escape, ArrowUp, ArrowDown, Home, End };
    if (target !== row) return everywhere;
    const [ArrowRight, ArrowLeft] = [() => this.#view.toggle(row, true), () => this.#view.toggle(row, false)];
    return { ...everywhere, ArrowRight, ArrowLeft, Enter: () => this.#view.toggle(row) };
  }
}

/** On the line of a row, and not the end of selecting some of its text. */
function isPlainClick(target) {
  return target.closest(".row-line") !== null && target.closest("button") === null && getSelection().isCollapsed;
}

customElements.define("message-log", MessageLog);
