const RENEW_MS = 30_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The token of a page: a text, or a function that returns one, which is asked again before the token expires. */
export class Token {
  #source;
  #onRenewed;
  #value = null;
  #timer = 0;
  #isRejected = false;

  constructor(source, onRenewed) {
    [this.#source, this.#onRenewed] = [source, onRenewed];
  }

  async get() {
    if (typeof this.#source !== "function") return this.#source;
    this.#value ??= await this.#source();
    this.#renewLater();
    return this.#value;
  }

  accepted() {
    this.#isRejected = false;
  }

  /** Forgets a token that the hub rejects. Returns whether another is worth a try: not after two in a row. */
  rejected() {
    const isRenewable = typeof this.#source === "function" && !this.#isRejected;
    this.#isRejected = true;
    this.#value = null;
    return isRenewable;
  }

  close() {
    this.#onRenewed = () => {};
    clearTimeout(this.#timer);
  }

  #renewLater() {
    clearTimeout(this.#timer);
    const leftMs = expiryOf(this.#value) - Date.now();
    const waitMs = Math.min(leftMs - Math.min(RENEW_MS, leftMs / 4), LONGEST_TIMER_MS);
    if (waitMs > 0) this.#timer = setTimeout(() => this.#renew(), waitMs);
  }

  /** The old token serves until there is a new one. */
  async #renew() {
    try {
      this.#value = await this.#source();
      this.#onRenewed();
    } catch {
      this.#renewLater();
    }
  }
}

/** The `exp` of a JSON Web Token in ms; NaN of any other token. */
function expiryOf(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).exp * 1000;
  } catch {
    return NaN;
  }
}
