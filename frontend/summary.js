import { plural } from "./format.js";
import { say } from "./say.js";

const EVERY_MS = 5000;

/**
 * Tells a screen reader what came in, in one sentence every few seconds: the log itself is far too fast
 * to be read aloud.
 */
export class Summary {
  #tally;
  #told = { messages: 0, gaps: 0, oversize: 0 };

  constructor(tally) {
    this.#tally = tally;
    setInterval(() => this.#tell(), EVERY_MS);
  }

  #tell() {
    if (document.hidden) return;
    const { messages, gaps, oversize } = this.#tally;
    const parts = [
      part(messages - this.#told.messages, "new message"),
      part(gaps - this.#told.gaps, "gap"),
      part(oversize - this.#told.oversize, "oversize message"),
    ].filter(Boolean);
    this.#told = { messages, gaps, oversize };
    if (parts.length) say(parts.join(", "));
  }
}

function part(number, noun) {
  return number === 0 ? "" : plural(number, noun);
}
