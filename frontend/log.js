import * as address from "./address.js";
import { copyFrom } from "./clipboard.js";
import { filterFor } from "./filter.js";
import { plural } from "./format.js";
import { perFrame } from "./frame.js";
import { Ring } from "./ring.js";
import { makeReachable, recordOfRow, toggleRow } from "./row.js";
import { Rows } from "./rows.js";
import { say } from "./say.js";

const MAX_RECORDS = 1000; // more than rows, so that a filter finds what has left the screen
const EDGE_PX = 4;

/**
 * The log with its tools. It follows the newest message while the reader is at the edge, and stands still
 * while they are not: when they paused it, have scrolled away or have moved the focus to a row.
 */
class MessageLog extends HTMLElement {
  #ring = new Ring(MAX_RECORDS);
  #rows;
  #parts = {};
  #matches = filterFor("");
  #paused = false;
  #still = null; // while the log stands still: the records it stands on
  #seq = 0; // of the newest record that was considered for a row
  #waiting = 0;
  #paint = perFrame(() => this.#flush());

  connectedCallback() {
    for (const part of this.querySelectorAll("[data-part]")) this.#parts[part.dataset.part] = part;
    this.#rows = new Rows(this.#parts.list);
    this.#listenToTools();
    this.#listenToLog();
    this.#parts.filter.value = address.filter;
    this.#matches = filterFor(address.filter.trim());
    this.#paint();
  }

  /** Takes a record. Cheap: nothing is drawn before the next frame. */
  add(record) {
    this.#ring.push(record);
    if (this.#still && this.#isNews(record)) this.#waiting += 1;
    this.#paint();
  }

  togglePause() {
    this.#paused = !this.#paused;
    this.#parts.pause.dataset.paused = this.#paused;
    this.#parts.pauseLabel.textContent = this.#paused ? "Resume" : "Pause";
    say(this.#paused ? "Paused" : "Resumed");
    if (this.#paused) this.#settle();
    else this.#toEdge();
  }

  clear() {
    this.#ring.clear();
    this.#seq = this.#ring.lastSeq;
    this.#waiting = 0;
    if (this.#still) this.#still = [];
    this.#rows.show([]);
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
    else this.#toEdge();
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
    scroller.addEventListener("scroll", () => this.#settle(), { passive: true });
    scroller.addEventListener("keydown", (event) => this.#onKey(event));
    list.addEventListener("click", (event) => this.#onClick(event));
    list.addEventListener("focusin", (event) => this.#onFocus(event));
    list.addEventListener("focusout", () => this.#settle());
    new ResizeObserver(() => this.#paint()).observe(scroller);
  }

  #toEdge() {
    if (this.#parts.list.contains(document.activeElement)) this.#parts.scroller.focus();
    this.#stick();
    this.#settle();
  }

  /** Decides anew whether the log follows or stands still. */
  #settle() {
    const still = this.#paused || !this.#atEdge() || this.#isReadByKey();
    if (still === (this.#still !== null)) return;
    if (still) this.#stop();
    else this.#still = null;
    this.#countWaiting();
    this.#paint();
  }

  #stop() {
    const { scroller } = this.#parts;
    this.#still = this.#known();
    const height = scroller.scrollHeight;
    this.#rows.lookBack(this.#still.filter(this.#matches));
    scroller.scrollTop += scroller.scrollHeight - height;
  }

  #flush() {
    if (!this.#still) this.#follow();
    this.#describe();
  }

  #follow() {
    const fresh = this.#ring.since(this.#seq).filter(this.#matches);
    const last = this.#rows.append(fresh);
    const done = last === fresh.at(-1);
    this.#seq = done ? this.#ring.lastSeq : last.seq;
    if (!done) this.#paint();
    this.#stick();
  }

  #refilter() {
    const known = this.#known();
    this.#matches = filterFor(this.#parts.filter.value.trim());
    address.keepFilter(this.#parts.filter.value.trim());
    this.#rows.show(known.filter(this.#matches));
    if (!this.#still) this.#stick();
    this.#countWaiting();
    this.#paint();
  }

  #unfilter() {
    this.#parts.filter.value = "";
    this.#refilter();
  }

  /** All records that may have a row now: in the ring, or older and still on the screen. */
  #known() {
    if (this.#still) return this.#still;
    const { firstSeq } = this.#ring;
    const older = this.#rows.records.filter(({ seq }) => seq < firstSeq);
    return [...older, ...this.#ring.since(0).filter(({ seq }) => seq <= this.#seq)];
  }

  #countWaiting() {
    const waiting = this.#still ? this.#ring.since(this.#seq) : [];
    this.#waiting = waiting.filter((record) => this.#isNews(record)).length;
  }

  #describe() {
    const { newest, waiting, empty, noMatch, filter } = this.#parts;
    const filtered = filter.value.trim() !== "";
    newest.hidden = this.#waiting === 0;
    waiting.textContent = plural(this.#waiting, "new message");
    empty.hidden = this.#rows.length > 0 || filtered;
    noMatch.hidden = this.#rows.length > 0 || !filtered;
  }

  #isNews(record) {
    return record.kind === "message" && this.#matches(record);
  }

  #atEdge() {
    const { scrollHeight, scrollTop, clientHeight } = this.#parts.scroller;
    return scrollHeight - scrollTop - clientHeight <= EDGE_PX;
  }

  /** A click focuses too, but does not mean that the reader wants the log to stop. */
  #isReadByKey() {
    return this.#parts.list.querySelector(":focus-visible") !== null;
  }

  #stick() {
    const { scroller } = this.#parts;
    scroller.scrollTop = scroller.scrollHeight;
  }

  #onFocus({ target }) {
    makeReachable(target.closest("li"), this.#parts.list);
    this.#settle();
  }

  #onClick({ target }) {
    const button = target.closest("button");
    if (!button) return;
    const row = button.closest("li");
    if (button.dataset.action === "copy") copyFrom(button, recordOfRow(row).text);
    else toggleRow(row);
    this.#settle();
  }

  #onKey(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key === "Escape") this.showNewest();
    if (!step) return;
    event.preventDefault();
    this.#step(document.activeElement.closest("li"), step);
  }

  #step(row, step) {
    if (!row) this.#parts.list.lastElementChild?.focus();
    else if (step < 0) row.previousElementSibling?.focus();
    else row.nextElementSibling?.focus();
  }
}

customElements.define("message-log", MessageLog);
