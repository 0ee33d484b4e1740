/** The box that finds streams: all processes look for its text, for as long as it is there. */

import { post } from "./request.js";

const RENEW_MS = 3000;
const TYPING_MS = 250;

export class Finder {
  #box;
  #url;
  #tell;
  #timer = 0;

  /** @param {{ changed: () => void, failed: (text: string) => void }} tell */
  constructor(box, url, tell) {
    this.#box = box;
    this.#url = url;
    this.#tell = tell;
    box.addEventListener("input", () => this.#changed());
    document.addEventListener("visibilitychange", () => this.#changed());
  }

  get text() {
    return this.#box.value.trim();
  }

  focus() {
    this.#box.focus();
  }

  #changed() {
    clearTimeout(this.#timer);
    this.#tell.changed();
    if (this.text && !document.hidden) this.#timer = setTimeout(() => this.#ask(), TYPING_MS);
  }

  async #ask() {
    try {
      await post(this.#url, { text: this.text });
    } catch (error) {
      this.#tell.failed(error.message);
    }
    clearTimeout(this.#timer);
    if (this.text && !document.hidden) this.#timer = setTimeout(() => this.#ask(), RENEW_MS);
  }
}
