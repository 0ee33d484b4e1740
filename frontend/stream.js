import { connect } from "./client.js";

/** How the connection stands. */
export const State = Object.freeze({
  CONNECTING: "connecting",
  LIVE: "live",
  AWAY: "away",
  RECONNECTING: "reconnecting",
  REFUSED: "refused",
  OFFLINE: "offline",
});

/** What a page says of each state. */
export const WORDS = {
  [State.CONNECTING]: "Connecting…",
  [State.LIVE]: "Live",
  [State.AWAY]: "Redis is away",
  [State.RECONNECTING]: "Reconnecting…",
  [State.REFUSED]: "Refused",
  [State.OFFLINE]: "Offline",
};

const CEILING_MS = 30_000;
const GIVEN_UP_MS = 60_000;
const DOWN = [State.RECONNECTING, State.REFUSED];

/** The wait after so many refusals: 1–2 s, 2–4 s, … 15–30 s; spread so that browsers do not return as one. */
export function backoffMs(refusals, random = Math.random) {
  const high = Math.min(CEILING_MS, 2000 * 2 ** refusals);
  return (high / 2) * (1 + random());
}

/** The connection of the page. A refusal may end, when somebody has signed in: it is asked again. */
export class Stream {
  #url;
  #options;
  #on;
  #connection = null;
  #lostAt = null;
  #isDown = false;
  #refusals = 0;

  /**
   * @param {string} url
   * @param {object} options of the client: where to begin
   * @param {object} on
   * @param {(state: string, detail: string) => void} on.state
   * @param {(event: {type: string, data: string, id: string, channel: string}, asked?: string) => void} on.event
   *   `asked` is the channel or wildcard that brought it, of a message
   * @param {(ms: number, resumed: boolean) => void} on.back live again after `ms`; `resumed` when the
   *   hub was told where to go on
   */
  constructor(url, options, on) {
    this.#url = url;
    this.#options = options;
    this.#on = on;
  }

  open(names) {
    const onState = (state) => this.#enter(state);
    const onNotice = (_, event) => this.#on.event(event);
    const channels = Object.fromEntries(names.map((name) => [name, this.#taker(name)]));
    const takers = { channels, onState, onGap: onNotice, onOversize: onNotice };
    this.#connection = connect(this.#url, { ...this.#options, ...takers });
  }

  /** Changes the channels; those that stay lose nothing. A hub that has refused is asked anew. */
  change(added, dropped) {
    for (const name of added) this.#connection.add(name, this.#taker(name));
    for (const name of dropped) this.#connection.drop(name);
    if (this.#connection.state === State.REFUSED) this.#connection.reconnect();
  }

  #taker(name) {
    return (event) => this.#on.event(event, name);
  }

  #enter({ state, hasRedis, detail = "" }) {
    if (state === State.LIVE) this.#live();
    else if (state !== State.CONNECTING) this.#lostAt ??= Date.now();
    if (DOWN.includes(state)) this.#isDown = true;
    if (state === State.REFUSED) setTimeout(() => this.#connection.reconnect(), backoffMs(this.#refusals++));
    this.#on.state(hasRedis === false ? State.AWAY : this.#isGivenUp(state) ? State.OFFLINE : state, detail);
  }

  #live() {
    const [wasDown, lostAt] = [this.#isDown, this.#lostAt];
    this.#isDown = false;
    this.#lostAt = null;
    this.#refusals = 0;
    if (wasDown) this.#on.back(Date.now() - lostAt, this.#connection.lastEventId !== "");
  }

  #isGivenUp(state) {
    return state === State.RECONNECTING && Date.now() - this.#lostAt > GIVEN_UP_MS;
  }
}
