import { Health } from "./health.js";

/** How the connection stands. */
export const State = Object.freeze({
  CONNECTING: "connecting",
  LIVE: "live",
  AWAY: "away",
  SILENT: "silent",
  RECONNECTING: "reconnecting",
  OFFLINE: "offline",
});

const CEILING_MS = 30_000;
const GIVEN_UP_MS = 60_000;
const REFUSAL_MS = 150;
const UNHEARD_MS = 60_000;
const TROUBLES = { [Health.AWAY]: State.AWAY, [Health.SILENT]: State.SILENT };

/** The wait before attempt `failures + 1`: 1–2 s, 2–4 s, … 15–30 s; spread so that browsers do not return as one. */
export function backoffMs(failures, random = Math.random) {
  const high = Math.min(CEILING_MS, 2000 * 2 ** failures);
  return (high / 2) * (1 + random());
}

/**
 * Keeps one EventSource open and says in one word how it stands.
 *
 * EventSource reconnects by itself after a broken connection, and honours the server's `retry:`; that is
 * left to it. It gives up for ever on any status but 200, and then a new one is made here, with backoff.
 * A new one knows no last event id, so the id goes into the query.
 *
 * An EventSource does not notice a connection that died without a word. `health` and `wake` replace one that
 * may have.
 */
export class Stream {
  #url;
  #names;
  #on;
  #source = null;
  #timer = 0;
  #opening = 0;
  #failures = 0;
  #lastId = "";
  #lostAt = null;
  #wasLive = false;
  #state = null;
  #shown = null;
  #trouble = null;
  #suspect = false;
  #heardAt = 0;

  /**
   * @param {string} url
   * @param {string[]} names of events to take beside plain messages
   * @param {object} on
   * @param {(state: string) => void} on.state
   * @param {(event: {type: string, data: string, id: string}) => void} on.event
   * @param {(ms: number, resumed: boolean) => void} on.back live again after `ms`; `resumed` when the
   *   server was told where to go on
   */
  constructor(url, names, on) {
    this.#url = url;
    this.#names = names;
    this.#on = on;
  }

  /** Connects now, in place of any connection there is. */
  open() {
    this.#drop();
    this.#suspect = false;
    this.#heardAt = Date.now();
    this.#enter(this.#lostAt === null ? State.CONNECTING : this.#down());
    const source = new EventSource(this.#address());
    source.onopen = () => this.#opened();
    source.onerror = () => this.#failed();
    for (const name of ["message", ...this.#names]) source.addEventListener(name, (event) => this.#take(event));
    this.#source = source;
  }

  /** Ends the connection until `open`. */
  close() {
    this.#drop();
    this.#lost();
  }

  /** Somebody looks at the page again: do not let them wait for a timer of ours, or on a connection that may be dead. */
  wake() {
    if (!this.#source || Date.now() - this.#heardAt > UNHEARD_MS) this.open();
  }

  /** What the hub says of itself. Once it answers again, a connection from before is replaced. */
  health(health) {
    if (health === Health.SILENT) {
      this.#suspect = true;
      this.#lost();
    }
    this.#trouble = TROUBLES[health] ?? null;
    if (this.#suspect && (health === Health.WELL || health === Health.AWAY)) this.open();
    this.#show();
  }

  /** The network is back: a connection that was not heard of since may be dead without knowing it. */
  online() {
    if (this.#state !== State.LIVE) this.open();
  }

  /** The network is gone. If this connection does not need it (a hub on this machine), its next event says so. */
  offline() {
    this.#lost();
    this.#enter(State.OFFLINE);
  }

  /** A hub that has no room opens a stream as well, and ends it at once. */
  #opened() {
    clearTimeout(this.#opening);
    this.#opening = setTimeout(() => this.#live(), REFUSAL_MS);
  }

  #notOpening() {
    clearTimeout(this.#opening);
    this.#opening = 0;
  }

  #take({ type, data, lastEventId }) {
    if (this.#opening) this.#live();
    this.#lastId = lastEventId;
    this.#alive();
    this.#on.event({ type, data, id: lastEventId });
  }

  /** An event on a connection that `offline` or `health` had written off: nothing was lost. */
  #alive() {
    this.#heardAt = Date.now();
    this.#lostAt = null;
    this.#suspect = false;
    this.#trouble = null;
    this.#enter(State.LIVE);
  }

  #live() {
    this.#notOpening();
    const lostAt = this.#lostAt;
    this.#failures = 0;
    this.#lostAt = null;
    this.#enter(State.LIVE);
    if (lostAt !== null && this.#wasLive) this.#on.back(Date.now() - lostAt, this.#lastId !== "");
    this.#wasLive = true;
  }

  #failed() {
    this.#notOpening();
    this.#lost();
    this.#enter(this.#down());
    if (this.#source.readyState === EventSource.CLOSED) this.#retry();
  }

  #retry() {
    this.#drop();
    this.#timer = setTimeout(() => this.open(), backoffMs(this.#failures));
    this.#failures += 1;
  }

  #down() {
    const givenUp = Date.now() - this.#lostAt > GIVEN_UP_MS;
    return givenUp || navigator.onLine === false ? State.OFFLINE : State.RECONNECTING;
  }

  #lost() {
    this.#lostAt ??= Date.now();
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#notOpening();
    this.#source?.close();
    this.#source = null;
  }

  #enter(state) {
    this.#state = state;
    this.#show();
  }

  /** An open connection says nothing of what is behind it. */
  #show() {
    const state = (this.#state === State.LIVE && this.#trouble) || this.#state;
    if (state === this.#shown) return;
    this.#shown = state;
    this.#on.state(state);
  }

  #address() {
    if (!this.#lastId) return this.#url;
    return `${this.#url}?${new URLSearchParams({ last_event_id: this.#lastId })}`;
  }
}
