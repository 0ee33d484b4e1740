import { makeRow, recordOfRow, showTime } from "./row.js";

const PAGE = 100;
const MOVING_ROWS = 120; // the browser paints what is on the screen, and moves all
const SHOWN_ROWS = 300;
const MAX_ROWS = 400;
const MAX_CHARS = 4 * 1024 * 1024; // of the texts that rows keep, for copying

/**
 * The rows in the document: a window on the records that are to be shown. Their number and their texts are bounded.
 */
export class Rows {
  #list;

  constructor(list) {
    this.#list = list;
  }

  get length() {
    return this.#list.childElementCount;
  }

  get records() {
    return Array.from(this.#list.children, recordOfRow);
  }

  /** The record of the first row. */
  get first() {
    return this.length ? recordOfRow(this.#list.firstElementChild) : undefined;
  }

  /** The record of the last row. */
  get last() {
    return this.length ? recordOfRow(this.#list.lastElementChild) : undefined;
  }

  /** Appends `records`. When there are more than `most`, only the newest, and the rows before them go. */
  append(records, most) {
    const fresh = records.slice(-most).map(makeRow);
    if (records.length > most) this.#list.replaceChildren(...fresh);
    else this.#list.append(...fresh);
    for (let over = this.length - MOVING_ROWS; over > 0; over -= 1) this.#list.firstElementChild.remove();
    this.#forgetLongTexts();
  }

  /** Shows the newest of `records` and nothing else. Rows that are there already stay the same elements. */
  show(records) {
    this.#showOnly(records.slice(-SHOWN_ROWS));
  }

  showOldest(records) {
    this.#showOnly(records.slice(0, SHOWN_ROWS));
  }

  /** Adds rows for the records before, for a reader who has stopped and may look back. */
  spread(records) {
    const first = this.#firstIn(records);
    this.#prepend(records.slice(Math.max(0, first + this.length - SHOWN_ROWS), Math.max(0, first)));
  }

  /** Moves the window towards the oldest of `records`. Returns whether there was anything. */
  older(records) {
    const first = this.#firstIn(records);
    if (first <= 0) return false;
    this.#prepend(records.slice(Math.max(0, first - PAGE), first));
    while (this.length > MAX_ROWS) this.#list.lastElementChild.remove();
    return true;
  }

  /** Moves the window towards the newest of `records`. Returns by how many pixels the rest moved up. */
  newer(records) {
    const next = records.indexOf(this.last) + 1;
    if (next === 0 || next === records.length) return 0;
    this.#list.append(...records.slice(next, next + PAGE).map(makeRow));
    const height = this.#list.offsetHeight;
    while (this.length > MAX_ROWS) this.#list.firstElementChild.remove();
    return height - this.#list.offsetHeight;
  }

  showTimes() {
    for (const row of this.#list.children) showTime(row);
  }

  #showOnly(records) {
    const there = new Map(Array.from(this.#list.children, (row) => [recordOfRow(row), row]));
    const rows = records.map((record) => there.get(record) ?? makeRow(record));
    this.#list.replaceChildren(...rows);
  }

  #firstIn(records) {
    return records.indexOf(this.first);
  }

  #prepend(records) {
    this.#list.prepend(...records.map(makeRow));
  }

  #forgetLongTexts() {
    const rows = Array.from(this.#list.children);
    let chars = 0;
    for (const row of rows) chars += recordOfRow(row).text.length;
    for (const row of rows.slice(0, -1)) {
      if (chars <= MAX_CHARS) return;
      chars -= recordOfRow(row).text.length;
      row.remove();
    }
  }
}
