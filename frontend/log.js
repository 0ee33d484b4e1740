import * as address from "./address.js";
import { isPattern } from "./channels.js";
import { copyFrom } from "./clipboard.js";
import { download, fileName, ndjson } from "./export.js";
import { filterFor } from "./filter.js";
import { plural } from "./format.js";
import { perFrame } from "./frame.js";
import { partsOf } from "./parts.js";
import { Older } from "./older.js";
import { Records } from "./records.js";
import { isPlainClick, recordOfRow } from "./row.js";
import { Rows } from "./rows.js";
import { actionsOn } from "./row-keys.js";
import { say } from "./say.js";
import { recallHere, rememberHere } from "./store.js";
import { View } from "./view.js";

const REST_MS = 100; // from one painting of what came in to the next: nobody reads faster
const FLOOD_ROWS = 20; // in one painting: nobody reads so many
const FLOOD_MS = 250;

/**
 * The log with its tools. It follows the newest message while the reader is at the edge, and stands still
 * while they are not: when they paused it, have scrolled away, have moved the focus to a row or look at a message.
 */
class MessageLog extends HTMLElement {
  #records = new Records(() => this.#view.rows.records);
  #view;
  #older;
  #channels;
  #parts = {};
  #matches = filterFor("");
  #paused = false;
  #waiting = 0;
  #restMs = REST_MS;
  #paint = perFrame(() => this.#flush());
  #paintNews = perFrame(() => this.#flush(), () => this.#restMs);

  connectedCallback() {
    this.#parts = partsOf(this);
    this.#view = new View(this.#parts.scroller, this.#parts.list, new Rows(this.#parts.list));
    this.#older = new Older(this.#parts, this.#holder());
    this.#listenToTools();
    this.#listenToLog();
    this.#parts.filter.value = address.filter;
    this.#matches = filterFor(address.filter.trim());
  }

  set channels(channels) {
    this.#channels = channels;
    this.dataset.several = channels.areSeveral;
    this.#older.channels = channels.names.filter((name) => !isPattern(name));
    this.#paint();
  }

  /** Cheap: nothing is drawn before the next frame. */
  add(record) {
    this.#records.push(record);
    if (this.#records.isHeld && this.#isNews(record)) this.#waiting += 1;
    this.#paintNews();
  }

  /** Pauses anew after a reload, when the past has come. */
  restorePause() {
    if (recallHere("paused") === "yes" && !this.#paused) this.togglePause();
  }

  togglePause() {
    this.#paused = !this.#paused;
    rememberHere("paused", this.#paused ? "yes" : "no");
    this.#parts.pause.dataset.paused = this.#paused;
    this.#parts.pauseLabel.textContent = this.#paused ? "Resume" : "Pause";
    say(this.#paused ? "Paused" : "Resumed");
    if (this.#paused) this.#settle();
    else this.#toNewest();
  }

  clear() {
    this.#records.clear();
    this.#waiting = 0;
    this.#view.show([]);
    this.#older.reset();
    this.#settle();
    this.#paint();
    say("Cleared");
  }

  /** Downloads what is on the page and passes the filter. */
  export() {
    const records = [...this.#records.known, ...this.#records.waiting].filter(this.#matches);
    download(ndjson(records), fileName(this.#channels.names));
    say(`${plural(records.length, "line")} exported`);
  }

  showTimes() {
    this.#view.rows.showTimes();
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
    const { filter, unfilter, pause, clear, save, newest } = this.#parts;
    filter.addEventListener("input", () => this.#refilter());
    filter.addEventListener("keydown", (event) => event.key === "Escape" && this.#unfilter());
    unfilter.addEventListener("click", () => this.#unfilter());
    pause.addEventListener("click", () => this.togglePause());
    clear.addEventListener("click", () => this.clear());
    save.addEventListener("click", () => this.export());
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

  #toNewest() {
    this.#view.toNewest(this.#shown());
    this.#settle();
  }

  #toOldest() {
    this.#records.hold();
    this.#view.toOldest(this.#shown());
    this.#settle();
  }

  /** Decides anew whether the log follows or stands still. */
  #settle() {
    const still = this.#paused || !this.#isAtNewest() || this.#view.isRead || this.#older.isBusy;
    if (still === this.#records.isHeld) return;
    if (still) {
      this.#records.hold();
      this.#view.spread(this.#shown());
    } else this.#records.release();
    this.#countWaiting();
    this.#paint();
  }

  #isAtNewest() {
    return this.#view.isAtEdge && (!this.#records.isHeld || this.#isLast(this.#view.rows.last));
  }

  #isLast(record) {
    return record === this.#shown().at(-1);
  }

  #flush() {
    const { isHeld } = this.#records;
    if (!isHeld) this.#follow();
    this.#describe();
    if (!isHeld) this.#view.stick();
  }

  #follow() {
    const fresh = this.#records.take().filter(this.#matches);
    this.#restMs = fresh.length > FLOOD_ROWS ? FLOOD_MS : REST_MS;
    this.#view.follow(fresh);
  }

  #shown() {
    return this.#records.matching(this.#matches);
  }

  #countWaiting() {
    const waiting = this.#records.isHeld ? this.#records.waiting : [];
    this.#waiting = waiting.filter((record) => this.#isNews(record)).length;
  }

  #isNews(record) {
    return record.kind === "message" && this.#matches(record);
  }

  #holder() {
    return {
      hold: () => this.#records.hold(),
      prepend: (records) => this.#prepend(records),
      release: () => (this.#settle(), this.#describe()),
    };
  }

  #prepend(records) {
    for (const record of records) record.hue = this.#channels.hue(record.channel);
    this.#records.prepend(records);
    this.#view.extend(this.#shown());
    this.#describe();
  }

  #refilter() {
    const { known } = this.#records;
    this.#matches = filterFor(this.#parts.filter.value.trim());
    address.keepFilter(this.#parts.filter.value.trim());
    this.#view.show(known.filter(this.#matches));
    if (!this.#records.isHeld) this.#view.stick();
    this.#countWaiting();
    this.#paint();
  }

  #unfilter() {
    this.#parts.filter.value = "";
    this.#refilter();
  }

  #describe() {
    const { newest, waiting, empty, noMatch, filter } = this.#parts;
    const [filtered, isEmpty] = [filter.value.trim() !== "", this.#view.rows.length === 0];
    newest.hidden = this.#waiting === 0;
    waiting.textContent = plural(this.#waiting, "new message");
    empty.hidden = !isEmpty || filtered;
    noMatch.hidden = !isEmpty || !filtered;
    this.#older.describe(filtered ? this.#matches : null, this.#records.oldest);
  }

  #onScroll() {
    this.#settle();
    if (this.#records.isHeld && this.#view.look(this.#shown())) this.#older.wanted();
  }

  #onClick({ target }) {
    const row = target.closest(".row");
    const action = target.closest("[data-action]")?.dataset.action;
    if (action === "copy") copyFrom(target.closest("button"), recordOfRow(row).text);
    else if (action === "toggle" || isPlainClick(target)) this.#view.toggle(row);
    this.#settle();
  }

  #onKey(event) {
    const go = { leave: () => this.showNewest(), oldest: () => this.#toOldest(), newest: () => this.#toNewest() };
    const act = actionsOn(event.target, this.#view, go)[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    this.#settle();
  }
}

customElements.define("message-log", MessageLog);
