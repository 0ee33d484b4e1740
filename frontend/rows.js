import { makeRow, recordOfRow } from "./row.js";

const MOVING_ROWS = 120; // what a tall screen shows; the browser paints all of them when the log moves
const RESTING_ROWS = 300;
const DROP_ROWS = 40; // at once, because taking rows away moves all the others
const MAX_CHARS = 4 * 1024 * 1024; // of the texts that rows keep, for copying
const BUDGET_MS = 5; // of 16: the browser takes longer to lay out and paint the rows than we to make them

/** The rows in the document. Their number and their texts are bounded; the oldest go first. */
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

  /** Appends as many as there is time for in one frame; returns the last record that got its row. */
  append(records) {
    const deadline = performance.now() + BUDGET_MS;
    const fresh = document.createDocumentFragment();
    let last;
    for (last of records.slice(-MOVING_ROWS)) {
      fresh.append(makeRow(last));
      if (performance.now() > deadline) break;
    }
    this.#makeRoom(fresh.childElementCount);
    this.#forgetLongTexts(fresh);
    this.#list.append(fresh);
    return last;
  }

  /** Adds rows for older records in front, for a reader who has stopped and may look back. */
  lookBack(records) {
    const first = this.records[0]?.seq ?? Infinity;
    const older = records.filter(({ seq }) => seq < first).slice(this.length - RESTING_ROWS);
    this.#list.prepend(...older.map(makeRow));
  }

  /** Shows the newest of `records` and nothing else. Rows that are there already stay the same elements. */
  show(records) {
    const there = new Map(Array.from(this.#list.children, (row) => [recordOfRow(row), row]));
    const rows = records.slice(-RESTING_ROWS).map((record) => there.get(record) ?? makeRow(record));
    this.#list.replaceChildren(...rows);
  }

  #makeRoom(number) {
    const over = this.length + number - MOVING_ROWS;
    if (over <= 0) return;
    const drop = Math.min(over + DROP_ROWS, this.length);
    for (let left = drop; left > 0; left -= 1) this.#list.firstElementChild.remove();
  }

  #forgetLongTexts(fresh) {
    let chars = 0;
    for (const row of [...this.#list.children, ...fresh.children]) chars += recordOfRow(row).text.length;
    for (const row of Array.from(this.#list.children)) {
      if (chars <= MAX_CHARS) return;
      chars -= recordOfRow(row).text.length;
      row.remove();
    }
  }
}
