/**
 * The newest records, oldest first, bounded by their number and by the characters of their text.
 *
 * Every record gets a `seq`, one more than the record before it, for as long as the page lives.
 * The newest record always stays, also when it alone is over the bound.
 */
export class Ring {
  #maxRecords;
  #maxChars;
  #records = [];
  #chars = 0;
  #lastSeq = 0;

  constructor(maxRecords = 500, maxChars = 4 * 1024 * 1024) {
    this.#maxRecords = maxRecords;
    this.#maxChars = maxChars;
  }

  get length() {
    return this.#records.length;
  }

  get chars() {
    return this.#chars;
  }

  /** The `seq` of the newest record ever pushed; 0 before the first. */
  get lastSeq() {
    return this.#lastSeq;
  }

  /** The `seq` of the oldest record still kept, or of the next one when none is. */
  get firstSeq() {
    return this.#lastSeq - this.#records.length + 1;
  }

  /** The oldest record that is kept. */
  get first() {
    return this.#records[0];
  }

  push(record) {
    record.seq = ++this.#lastSeq;
    this.#records.push(record);
    this.#chars += record.text.length;
    while (this.#over()) this.#chars -= this.#records.shift().text.length;
  }

  /** The kept records after `seq`, oldest first. */
  since(seq) {
    return this.#records.slice(Math.max(0, seq - this.firstSeq + 1));
  }

  clear() {
    this.#records = [];
    this.#chars = 0;
  }

  #over() {
    const { length } = this.#records;
    return length > this.#maxRecords || (length > 1 && this.#chars > this.#maxChars);
  }
}
