const MAX_ITEMS = 1000;

/** What a loop has yet to get. While that is much, `room` is a promise, and nothing more is read. */
export class Queue {
  #items = [];
  #wake = () => {};
  #drained = () => {};

  push(item) {
    this.#items.push(item);
  }

  *take() {
    while (this.#items.length) {
      if (this.#items.length < MAX_ITEMS / 2) this.#drained();
      yield this.#items.shift();
    }
  }

  /** Returns after the next `wake`. */
  more() {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  wake() {
    this.#wake();
  }

  room() {
    if (this.#items.length < MAX_ITEMS) return null;
    return new Promise((resolve) => (this.#drained = resolve));
  }

  close() {
    this.#drained();
  }
}
