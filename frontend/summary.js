import { plural } from "./format.js";

const EVERY_MS = 5000;

/**
 * Tells a screen reader what came in, in one sentence every few seconds: the log itself is far too fast
 * to be read aloud.
 */
export class Summary {
  #element;
  #tally;
  #told = { messages: 0, gaps: 0, oversize: 0 };

  constructor(element, tally) {
    this.#element = element;
    this.#tally = tally;
    setInterval(() => this.#tell(), EVERY_MS);
  }

  /** Says something at once. */
  say(text) {
    this.#element.textContent = text;
  }

  #tell() {
    if (document.hidden) return;
    const { messages, gaps, oversize } = this.#tally;
    const parts = [
      this.#part(messages - this.#told.messages, "new message"),
      this.#part(gaps - this.#told.gaps, "gap"),
      this.#part(oversize - this.#told.oversize, "message too large", "messages too large"),
    ].filter(Boolean);
    this.#told = { messages, gaps, oversize };
    if (parts.length) this.say(parts.join(", "));
  }

  #part(number, noun, nouns) {
    if (number === 0) return "";
    return number > 1 && nouns ? `${plural(number, "").trimEnd()} ${nouns}` : plural(number, noun);
  }
}
