import { ask } from "./ask.js";
import { copyFrom } from "./clipboard.js";
import { curlPublish, publishPath, redisPublish } from "./commands.js";
import { plural } from "./format.js";
import { partsOf } from "./parts.js";
import { cut } from "./text.js";

const MAX_SHOWN = 200; // of a message in a command; what is copied has all

/** The dialog that publishes, for a visitor who may. */
class PublishBox extends HTMLElement {
  #parts = {};
  #channel;
  #key = null; // of the message that is being sent: sent again, it is not published twice

  connectedCallback() {
    const token = document.querySelector("meta[name=csrf-token]");
    this.hidden = token === null;
    if (!token) return;
    this.#parts = partsOf(this);
    const { open, form, close, channel, text, copyCurl, copyRedis } = this.#parts;
    open.addEventListener("click", () => this.#show());
    close.addEventListener("click", () => this.#parts.dialog.close());
    form.addEventListener("submit", (event) => this.#onSubmit(event, token.content));
    form.addEventListener("keydown", (event) => this.#onKey(event));
    for (const field of [channel, text]) field.addEventListener("input", () => this.#onChange());
    copyCurl.addEventListener("click", () => copyFrom(copyCurl, curlPublish(this.#name, text.value)));
    copyRedis.addEventListener("click", () => copyFrom(copyRedis, redisPublish(this.#name, text.value)));
  }

  /** Which channel is published on, as long as nobody names another. */
  set channel(name) {
    this.#channel = name;
  }

  #show() {
    const { dialog, channel, text } = this.#parts;
    channel.value ||= this.#channel;
    this.#onChange();
    dialog.showModal();
    text.focus();
    this.#suggest();
  }

  /** Offers the channels that this visitor may publish on. */
  async #suggest() {
    const url = document.body.dataset.channels;
    const { channels } = url ? await ask(url).catch(() => ({ channels: [] })) : { channels: [] };
    const names = channels.filter(({ publish }) => publish).map(({ name }) => name);
    this.#parts.names.replaceChildren(...names.map((name) => new Option("", name)));
  }

  #onKey(event) {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    this.#parts.form.requestSubmit();
  }

  #onChange() {
    const { text, curl, redis } = this.#parts;
    const start = cut(text.value, MAX_SHOWN);
    const shown = start === text.value ? start : `${start}…`;
    this.#key = null;
    curl.textContent = curlPublish(this.#name, shown);
    redis.textContent = redisPublish(this.#name, shown);
    this.#tell("");
  }

  async #onSubmit(event, token) {
    event.preventDefault();
    const { text, send } = this.#parts;
    this.#key ??= randomKey();
    send.disabled = true;
    this.#tell("Sending…");
    try {
      this.#tell(told(await post(this.#name, text.value, token, this.#key)));
      this.#key = null;
    } catch (error) {
      this.#tell(error.message, true);
    }
    send.disabled = false;
  }

  get #name() {
    return this.#parts.channel.value.trim();
  }

  #tell(words, isError = false) {
    const { result } = this.#parts;
    result.textContent = words;
    result.classList.toggle("is-error", isError);
  }
}

async function post(channel, text, token, key) {
  const headers = { "X-CSRFToken": token, "Idempotency-Key": key, "Content-Type": "text/plain; charset=utf-8" };
  return ask(publishPath(channel), { method: "POST", body: text, headers });
}

function told({ subscribers }) {
  if (subscribers === 0) return "Published. Nobody has this channel open.";
  return `Published. Redis gave it to ${plural(subscribers, "subscriber")}, hubs among them.`;
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(16)).join("-");
}

customElements.define("publish-box", PublishBox);
