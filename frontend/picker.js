import { ask } from "./ask.js";
import { copyFrom } from "./clipboard.js";
import { curlStream } from "./commands.js";
import { isPattern } from "./channels.js";
import { formatCount, formatRate, plural } from "./format.js";
import { partsOf } from "./parts.js";

const WAIT_MS = 200; // for the next key

/** The dialog that chooses channels. What it changes counts at once. */
class ChannelPicker extends HTMLElement {
  #parts = {};
  #channels;
  #choose;
  #found = [];
  #asked = 0;
  #timer = 0;

  connectedCallback() {
    this.#parts = partsOf(this);
    const { open, dialog, text, add, options, copy, curl } = this.#parts;
    open.addEventListener("click", () => this.show());
    text.addEventListener("input", () => this.#askSoon());
    text.addEventListener("keydown", (event) => this.#onKey(event));
    add.addEventListener("click", () => this.#addTyped());
    options.addEventListener("change", ({ target }) => this.#toggle(target));
    copy.addEventListener("click", () => copyFrom(copy, curl.textContent));
    dialog.addEventListener("close", () => clearTimeout(this.#timer));
  }

  /** @param {(names: string[]) => void} choose is called with the new choice */
  begin(channels, choose) {
    this.#channels = channels;
    this.#choose = choose;
  }

  show() {
    this.#parts.text.value = "";
    this.#draw();
    this.#parts.dialog.showModal();
    this.#ask();
  }

  /** Shows the rates as they are now. */
  refresh() {
    if (!this.#parts.dialog.open) return;
    for (const option of this.#parts.options.children) this.#showRate(option);
  }

  #onKey(event) {
    if (event.key !== "Enter") return;
    event.preventDefault(); // else it closes the dialog
    this.#addTyped();
  }

  #askSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), WAIT_MS);
    this.#draw();
  }

  async #ask() {
    const asked = ++this.#asked;
    const url = document.body.dataset.channels;
    if (!url) return this.#take([], "This site does not list its channels. Type a name.");
    try {
      const { channels, more } = await ask(`${url}?${new URLSearchParams({ q: this.#typed })}`);
      if (asked === this.#asked) this.#take(channels, more ? "There are more: type a part of the name." : "");
    } catch (error) {
      if (asked === this.#asked) this.#take([], `The hub does not list its channels: ${error.message} Type a name.`);
    }
  }

  #take(found, hint) {
    this.#found = found;
    this.#draw();
    this.#parts.hint.textContent = hint;
  }

  #draw() {
    const text = this.#typed.toLowerCase();
    const known = new Map(this.#found.map((one) => [one.name, one]));
    const chosen = this.#channels.names.filter((name) => !known.has(name)).map((name) => ({ name }));
    const all = [...chosen, ...this.#found].filter(({ name }) => name.toLowerCase().includes(text));
    this.#parts.options.replaceChildren(...all.map((one) => this.#option(one)));
    this.#parts.add.disabled = this.#typed === "" || this.#channels.names.includes(this.#typed);
    this.#parts.none.hidden = all.length > 0;
    this.#parts.curl.textContent = curlStream(this.#channels.names);
  }

  #option({ name, streams }) {
    const option = this.querySelector("template").content.firstElementChild.cloneNode(true);
    const [box, label, note] = option.firstElementChild.children;
    box.value = name;
    box.checked = this.#channels.names.includes(name);
    label.textContent = name;
    const notes = [isPattern(name) && "pattern", streams && plural(streams, "stream")];
    note.textContent = notes.filter(Boolean).join(", ");
    this.#showRate(option);
    return option;
  }

  #showRate(option) {
    const [{ value, checked }, , , rate] = option.firstElementChild.children;
    rate.textContent = checked ? formatRate(this.#channels.rate(value)) : "";
    if (checked) option.dataset.hue = this.#channels.hue(value);
    else delete option.dataset.hue;
  }

  #toggle(box) {
    const others = this.#channels.names.filter((name) => name !== box.value);
    const names = box.checked ? [...others, box.value] : others;
    if (names.length) this.#change(names);
    else this.#refuse(box);
    this.#showRate(box.closest("li"));
  }

  #refuse(box) {
    box.checked = true;
    this.#parts.hint.textContent = "One channel stays chosen. Choose another one first.";
  }

  #addTyped() {
    if (this.#parts.add.disabled) return;
    this.#change([...this.#channels.names, this.#typed]);
    this.#parts.text.value = "";
    this.#parts.text.focus();
    this.#ask();
  }

  #change(names) {
    this.#choose(names);
    this.#parts.curl.textContent = curlStream(names);
    this.#parts.hint.textContent = `${formatCount(names.length)} chosen.`;
  }

  get #typed() {
    return this.#parts.text.value.trim();
  }
}

customElements.define("channel-picker", ChannelPicker);
