/** Reads text/event-stream in pieces of any size (WHATWG HTML, section 9.2.6). */
export class EventParser {
  #on;
  #rest = "";
  #afterReturn = false; // an LF would belong to the CR that ended the last piece
  #data = null;
  #type = "";
  #id = "";
  #hasId = false;

  /** `on` has the functions `event`, `id` (one without an event), `retry` and `comment`. */
  constructor(on) {
    this.#on = on;
  }

  push(text) {
    if (text === "") return;
    if (this.#afterReturn && text[0] === "\n") text = text.slice(1);
    this.#afterReturn = text.endsWith("\r");
    const lines = text.split(/\r\n|\n|\r/);
    lines[0] = this.#rest + lines[0];
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    const colon = line.indexOf(":");
    if (line === "") this.#end();
    else if (colon === 0) this.#on.comment(line.slice(1));
    else if (colon < 0) this.#field(line, "");
    else this.#field(line.slice(0, colon), line.slice(colon + (line[colon + 1] === " " ? 2 : 1)));
  }

  #field(name, value) {
    if (name === "data") this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
    else if (name === "event") this.#type = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.#on.retry(Number(value));
    else if (name === "id" && !value.includes("\0")) {
      this.#id = value;
      this.#hasId = true;
    }
  }

  #end() {
    if (this.#data !== null) this.#on.event({ type: this.#type || "message", data: this.#data, id: this.#id });
    else if (this.#hasId) this.#on.id(this.#id);
    this.#data = null;
    this.#type = "";
    this.#hasId = false;
  }
}
