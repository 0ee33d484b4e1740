import { RelayError, readJson } from "./events.js";
import { idOf } from "./places.js";
import { Reading } from "./reading.js";
import { CHECK_MS, PERIOD_MS, SILENT_PERIODS } from "./times.js";
import { Token } from "./token.js";

const RETRY_MS = 2000;
const MAX_BACKOFF_MS = 30_000;
const TRANSIENT = [408, 425, 429];

/**
 * One HTTP request after another. `want` has the `channels`, their `places`, which move on with what is received,
 * and the `query` for channels without a place.
 *
 * `on` has the functions `found` (a list of events), `state`, and `room`: a promise while the page does not keep up.
 */
export class Stream {
  #url;
  #credentials;
  #token;
  #want;
  #on;
  #request = null;
  #isAgain = false;
  #isClosed = false;
  #isHeldUp = false;
  #hasRedis;
  #failures = 0;
  #retryMs = RETRY_MS;
  #periodMs = PERIOD_MS;
  #heardAt = 0;
  #wake = () => {};
  #state = "";
  #watch;

  constructor({ url, token, credentials = "same-origin", want, on }) {
    [this.#url, this.#credentials, this.#want, this.#on] = [url, credentials, want, on];
    this.#token = new Token(token, () => this.restart());
    this.#watch = setInterval(() => this.check(), CHECK_MS);
    this.#run();
  }

  /** Asks for something else from now on, or for the same with another token. The page need not know. */
  restart(want = this.#want) {
    this.#want = want;
    this.#isAgain = true;
    this.#request?.abort();
    this.#wake();
  }

  /** Replaces a request that may be dead, or ends the wait for the next one. */
  reconnect() {
    this.#say({ state: "reconnecting" });
    this.restart();
  }

  close() {
    this.#isClosed = true;
    clearInterval(this.#watch);
    this.#token.close();
    this.#request?.abort();
    this.#wake();
  }

  /** Says that the network is gone. An open request may outlive that: what it brings next says so. */
  doubt() {
    this.#say({ state: "offline" });
  }

  /** Replaces a request that has been silent for too long. `isNow` ends a wait for the next one as well. */
  check(isNow = false) {
    const isSilent = Date.now() - this.#heardAt > SILENT_PERIODS * this.#periodMs;
    if (this.#request ? isSilent && !this.#isHeldUp : isNow) this.reconnect();
  }

  async #run() {
    while (!this.#isClosed) {
      const waitMs = await this.#attempt();
      if (waitMs && !this.#isOver()) await this.#pause(waitMs);
      this.#isAgain = false;
    }
  }

  #isOver() {
    return this.#isAgain || this.#isClosed;
  }

  /** Returns how long to wait before the next attempt. */
  async #attempt() {
    const request = new AbortController();
    this.#request = request;
    this.#heardAt = Date.now();
    if (this.#state !== "live") this.#say({ state: this.#state ? down() : "connecting" });
    try {
      return await this.#read(await this.#open(request.signal));
    } catch (error) {
      return this.#isOver() ? 0 : this.#caught(error ?? {});
    } finally {
      request.abort();
      this.#request = null;
    }
  }

  #caught({ status, message, retryMs }) {
    if (status === undefined) return this.#failed({ detail: message });
    if (status === 401 && this.#token.rejected()) return 0;
    if (status >= 500 || TRANSIENT.includes(status)) return this.#failed({ status, detail: message }, retryMs);
    this.close();
    this.#say({ state: "refused", status, detail: message });
    return 0;
  }

  /** The first wait is the hub's `retry`, which is different for each client. Then they double, with jitter. */
  #failed(why, leastMs = 0) {
    const backoffMs = Math.min(this.#retryMs * 2 ** this.#failures, Math.max(MAX_BACKOFF_MS, this.#retryMs));
    const spread = this.#failures ? 0.5 + Math.random() / 2 : 1;
    const waitMs = Math.round(Math.max(backoffMs * spread, leastMs * (1 + Math.random() / 2)));
    this.#failures += 1;
    this.#say({ state: down(), waitMs, ...why });
    return waitMs;
  }

  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #say(state) {
    if (state.state === this.#state && state.hasRedis === this.#hasRedis && !state.waitMs) return;
    this.#state = state.state;
    this.#hasRedis = state.hasRedis;
    this.#on.state(state);
  }

  // -- one request

  async #open(signal) {
    const { channels, places } = this.#want;
    const headers = { Accept: "*/*" }; // a full hub answers text/event-stream with 200
    const id = idOf(places, channels);
    if (id) headers["Last-Event-ID"] = id;
    const token = await this.#token.get();
    if (token) headers.Authorization = `Bearer ${token}`;
    const response = await fetch(this.#address(), { headers, signal, credentials: this.#credentials, cache: "no-store" });
    if (response.status !== 200) throw await refusalIn(response);
    if (/^text\/event-stream\b/i.test(response.headers.get("Content-Type"))) return response;
    throw new RelayError(response.status, "The answer is no event stream.");
  }

  #address() {
    const url = new URL(this.#url);
    for (const name of this.#want.channels) if (name) url.searchParams.append("channel", name);
    for (const [name, value] of Object.entries(this.#want.query)) url.searchParams.set(name, value);
    return url;
  }

  async #read({ body }) {
    this.#token.accepted();
    const reading = new Reading(this.#want);
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (this.#isOver()) return 0;
      if (done) return this.#failed({ detail: reading.isDraining ? "The hub stops." : "" });
      this.#heardAt = Date.now();
      const found = reading.push(value);
      this.#note(reading);
      this.#on.found(found);
      await this.#room();
    }
  }

  #note({ retryMs, periodMs, hasBegun, hasPlaces, hasRedis }) {
    this.#retryMs = retryMs ?? this.#retryMs;
    this.#periodMs = periodMs ?? this.#periodMs;
    if (hasBegun) this.#failures = 0;
    if (hasPlaces) this.#say({ state: "live", periodMs: this.#periodMs, hasRedis });
    else if (!hasRedis) this.#say({ state: this.#state, hasRedis });
  }

  /** While the page does not keep up, nothing is read. Then the hub holds back as well, and tells what it drops. */
  async #room() {
    const room = this.#on.room();
    if (!room) return;
    this.#isHeldUp = true;
    await room;
    this.#isHeldUp = false;
    this.#heardAt = Date.now();
  }
}

function down() {
  return globalThis.navigator?.onLine === false ? "offline" : "reconnecting";
}

async function refusalIn(response) {
  const problem = readJson(await response.text());
  const error = new RelayError(response.status, problem.detail ?? response.statusText);
  const after = response.headers.get("Retry-After") ?? 0;
  error.retryMs = (after >= 0 ? after * 1000 : Date.parse(after) - Date.now()) || 0;
  return error;
}
