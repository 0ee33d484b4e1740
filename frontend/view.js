import { isOpen, makeReachable, toggleRow } from "./row.js";

const ROW_PX = 28; // as in app.css
const SPARE_ROWS = 20; // more than fit, for whoever begins to scroll
const NEAR_PX = 400; // of the end of the rows: the next are made
const EDGE_PX = 4;

/** What of the log is on the screen: its rows, the place where they are scrolled to, and what is open or has the focus. */
export class View {
  #scroller;
  #list;
  #rows;
  #top = 0; // where the log was scrolled to, by hand or by a change of its rows

  /** @param {import("./rows.js").Rows} rows those of `list` */
  constructor(scroller, list, rows) {
    this.#scroller = scroller;
    this.#list = list;
    this.#rows = rows;
    list.addEventListener("focusin", ({ target }) => makeReachable(target.closest(".row"), list));
  }

  get rows() {
    return this.#rows;
  }

  /** Whether the newest of the rows can be seen. */
  get isAtEdge() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight <= EDGE_PX;
  }

  /** Whether somebody is at a message. A click focuses too, but does not mean that the log shall stop. */
  get isRead() {
    return this.#list.querySelector(":focus-visible, :scope > [data-open]") !== null;
  }

  /** Appends the newest of `records`, as many as fit on the screen and some more. */
  follow(records) {
    this.#rows.append(records, Math.ceil(this.#scroller.clientHeight / ROW_PX) + SPARE_ROWS);
  }

  stick() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#noteTop();
  }

  show(records) {
    this.#rows.show(records);
    this.#noteTop();
  }

  /** Makes rows for the newest of `records`, with what is on the screen where it is. */
  spread(records) {
    this.#keepPlace(() => this.#rows.spread(records));
  }

  toNewest(records) {
    for (const row of this.#list.querySelectorAll(":scope > [data-open]")) toggleRow(row, false);
    if (this.#list.contains(document.activeElement)) this.#scroller.focus();
    this.#rows.show(records);
    this.stick();
  }

  toOldest(records) {
    this.#rows.showOldest(records);
    this.#noteTop();
    this.#scroller.scrollTop = 0;
  }

  /** Makes the next rows for whoever scrolls. Returns whether older records than `records` are wanted. */
  look(records) {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const isUp = scrollTop < this.#top;
    const isNearEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    this.#noteTop();
    if (isUp) return scrollTop < NEAR_PX && !this.#keepPlace(() => this.#rows.older(records));
    if (isNearEnd) this.#scroller.scrollTop -= this.#rows.newer(records);
    return false;
  }

  /** Makes rows for `records` that are new at the beginning. */
  extend(records) {
    this.#keepPlace(() => (this.#rows.length ? this.#rows.older(records) : this.#rows.show(records)));
  }

  toggle(row, open) {
    if (row.querySelector(".detail")?.contains(document.activeElement)) row.focus();
    toggleRow(row, open);
    if (isOpen(row)) row.scrollIntoView({ block: "nearest" });
  }

  /** Moves the focus from `row` to the row before or after it; without a row to the newest. */
  step(row, by) {
    if (!row) this.#list.lastElementChild?.focus();
    else if (by < 0) row.previousElementSibling?.focus();
    else row.nextElementSibling?.focus();
  }

  #keepPlace(change) {
    const anchor = this.#list.firstElementChild;
    const top = topOf(anchor);
    const result = change();
    if (anchor?.isConnected) this.#scroller.scrollTop += topOf(anchor) - top;
    this.#noteTop();
    return result;
  }

  #noteTop() {
    this.#top = this.#scroller.scrollTop;
  }
}

function topOf(element) {
  return element?.getBoundingClientRect().top ?? 0;
}
