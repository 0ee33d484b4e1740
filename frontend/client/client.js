/**
 * Reads the streams of a Relay Hub and never loses its place. Types and promises: client.d.ts.
 *
 * A `Connection` is what the page has. Its events come from a `Stream`, which is one HTTP request after
 * another, or from a `Share`, which is one stream for all tabs.
 */

const RETRY_MS = 2000;
const MAX_BACKOFF_MS = 30_000;
const PERIOD_MS = 15_000;
const SILENT_PERIODS = 2.5;
const RENEW_MS = 30_000;
const MAX_QUEUED = 1000;
const TRANSIENT = [408, 425, 429];
const OPTIONS = new Set(
  ["channels", "token", "lastEventId", "rewind", "since", "latest", "share", "persist", "credentials", "signal"].concat(
    ["onMessage", "onGap", "onOversize", "onState"],
  ),
);

/** Opens a connection. Throws TypeError for an option that does not exist or cannot be read. */
export function connect(url, options = {}) {
  return new Connection(url, options);
}

/** Why the hub refuses a stream: `status` and `detail` are those of its answer. */
export class RelayError extends Error {
  name = "RelayError";

  constructor(status, detail) {
    super(detail);
    this.status = status;
    this.detail = detail;
  }
}

/** A message, or what the hub says itself: `hub.gap` and `hub.oversize`, with an object in `detail`. */
export class RelayEvent extends MessageEvent {
  constructor({ type, data, id }, channel) {
    super(type, { data, lastEventId: id });
    this.id = id;
    this.detail = type.startsWith("hub.") ? parse(data) : null;
    this.channel = this.detail?.channel ?? channel;
  }

  json() {
    return JSON.parse(this.data);
  }
}

// -- the format

/** Reads text/event-stream in pieces of any size (WHATWG HTML, 9.2.6). `on` has a function for each finding. */
export class EventParser {
  #on;
  #rest = "";
  #return = false; // the last piece ended with CR: an LF would belong to it
  #first = true;
  #data = null;
  #type = "";
  #id = "";
  #news = false; // an id came since the last empty line

  constructor(on) {
    this.#on = on;
  }

  push(text) {
    if (text === "") return;
    if (this.#return && text[0] === "\n") text = text.slice(1);
    this.#return = text.endsWith("\r");
    const lines = text.split(/\r\n|\n|\r/);
    lines[0] = this.#rest + lines[0];
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (line === "") return this.#end();
    const colon = line.indexOf(":");
    if (colon === 0) return this.#on.comment(line.slice(1));
    const name = colon < 0 ? line : line.slice(0, colon);
    this.#field(name, colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1)));
  }

  #field(name, value) {
    if (name === "data") this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
    else if (name === "event") this.#type = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.#on.retry(Number(value));
    else if (name === "id" && !value.includes("\0")) {
      this.#id = value;
      this.#news = true;
    }
  }

  #end() {
    const event = { type: this.#type || "message", data: this.#data, id: this.#id };
    if (this.#data !== null) this.#on.event(event);
    else if (this.#news) this.#on.id(this.#id);
    this.#data = null;
    this.#type = "";
    this.#news = false;
  }
}

// -- places

/** The place in each channel: `epoch-offset`. An empty name is the hub's default channel. */
export function placesIn(id, channels) {
  if (!id) return {};
  if (!id.includes("=")) return { [channels[0] ?? ""]: id };
  const places = Object.fromEntries(new URLSearchParams(id));
  delete places["@"];
  return places;
}

function idOf(places, channels) {
  const [first = "", ...more] = channels;
  if (more.length === 0 && !first.includes("*")) return places[first] ?? "";
  const known = channels.filter((name) => places[name]);
  return known.map((name) => `${encodeURIComponent(name)}=${places[name]}`).join("&");
}

function channelOf({ id }, channels) {
  const named = /^@=([^&]*)/.exec(id);
  return named ? decodeURIComponent(named[1]) : (channels[0] ?? "");
}

function isAfter(place, other) {
  if (!place || !other) return Boolean(place);
  const [[epoch, offset], [otherEpoch, otherOffset]] = [place, other].map((text) => text.split("-").map(Number));
  return epoch === otherEpoch ? offset > otherOffset : epoch > otherEpoch;
}

// -- one stream

/**
 * One HTTP request after another. `want` says what to ask for: `channels`, `places`, and `query`, which holds
 * for channels without a place.
 */
class Stream {
  #url;
  #options;
  #on;
  #want;
  #token = null;
  #tokenTimer = 0;
  #denied = false;
  #request = null;
  #again = false;
  #failures = 0;
  #retryMs = RETRY_MS;
  #periodMs = PERIOD_MS;
  #heardAt = 0;
  #watch = 0;
  #wake = () => {};
  #state = "";
  #closed = false;

  constructor(url, options, want, on) {
    [this.#url, this.#options, this.#want, this.#on] = [url, options, want, on];
    this.#watch = setInterval(() => this.check(), PERIOD_MS / 3);
    this.#run();
  }

  /** Asks for something else from now on, or for the same again: nothing is lost by that. */
  restart(want = this.#want) {
    this.#want = want;
    this.#again = true;
    this.#request?.abort();
    this.#wake();
  }

  close() {
    this.#closed = true;
    clearInterval(this.#watch);
    clearTimeout(this.#tokenTimer);
    this.#request?.abort();
    this.#wake();
  }

  /** Replaces a request that was silent for too long; `now`: ends a wait as well. */
  check(now = false) {
    const silent = Date.now() - this.#heardAt > SILENT_PERIODS * this.#periodMs;
    if (this.#request ? silent && !this.#on.isFull() : now) this.restart();
  }

  async #run() {
    while (!this.#closed) {
      const waitMs = await this.#attempt();
      if (!this.#closed && !this.#again) await this.#pause(waitMs);
      this.#again = false;
    }
  }

  /** Returns how long to wait before the next attempt. */
  async #attempt() {
    this.#heardAt = Date.now();
    this.#request = new AbortController();
    this.#say({ state: this.#state ? "reconnecting" : "connecting" });
    try {
      await this.#read(await this.#open());
      return this.#failed({});
    } catch (error) {
      return this.#closed || this.#again ? 0 : this.#caught(error);
    } finally {
      this.#request.abort();
      this.#request = null;
    }
  }

  #caught(error) {
    if (!(error instanceof RelayError)) return this.#failed({ detail: String(error.message ?? error) });
    const { status, detail } = error;
    const renewable = status === 401 && typeof this.#options.token === "function" && !this.#denied;
    if (renewable) {
      this.#denied = true;
      this.#token = null;
      return 0;
    }
    if (status >= 500 || TRANSIENT.includes(status)) return this.#failed({ status, detail }, error.retryMs);
    this.close();
    this.#say({ state: "refused", status, detail, error });
    return 0;
  }

  #failed(why, leastMs = 0) {
    const backoff = Math.min(this.#retryMs * 2 ** this.#failures, Math.max(MAX_BACKOFF_MS, this.#retryMs));
    const first = this.#failures++ === 0 && !why.detail; // the hub's own `retry` is different for each client
    const waitMs = Math.round(Math.max(leastMs * (1 + Math.random() / 2), first ? backoff : backoff * (0.5 + Math.random() / 2)));
    this.#say({ state: globalThis.navigator?.onLine === false ? "offline" : "reconnecting", waitMs, ...why });
    return waitMs;
  }

  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => (clearTimeout(timer), resolve());
    });
  }

  async #open() {
    const headers = { Accept: "*/*" }; // with a status for each refusal
    const id = idOf(this.#want.places, this.#want.channels);
    if (id) headers["Last-Event-ID"] = id;
    if (this.#options.token) headers.Authorization = `Bearer ${await this.#bearer()}`;
    const { signal } = this.#request;
    const credentials = this.#options.credentials ?? "same-origin";
    const response = await fetch(this.#address(), { headers, signal, credentials, cache: "no-store" });
    if (!response.ok || response.status === 204) throw await refusal(response);
    if (!/^text\/event-stream\b/i.test(response.headers.get("Content-Type") ?? "")) {
      throw new RelayError(response.status, "The answer is no event stream.");
    }
    return response;
  }

  #address() {
    const url = new URL(this.#url);
    url.searchParams.delete("channel");
    for (const name of this.#want.channels) if (name) url.searchParams.append("channel", name);
    for (const [name, value] of Object.entries(this.#want.query)) url.searchParams.set(name, value);
    return url;
  }

  async #read(response) {
    this.#denied = false;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser(this.#findings());
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#again || this.#closed) return;
      this.#heardAt = Date.now();
      this.#say({ state: "live" });
      parser.push(value);
      this.#on.pushed();
      await this.#on.room();
      this.#heardAt = Date.now();
    }
  }

  #findings() {
    return {
      retry: (ms) => (this.#retryMs = ms),
      comment: (text) => {
        const period = /^ ?heartbeat=([0-9.]+)$/.exec(text);
        if (period) this.#periodMs = period[1] * 1000;
      },
      id: (id) => this.#on.event({ type: "", id, moved: this.#move(id) }),
      event: (event) => this.#on.event({ ...event, moved: this.#move(event.id) }),
    };
  }

  /** Goes to the place of an id. Returns the channels that moved, each with its places before and after. */
  #move(id) {
    this.#failures = 0;
    const { places, channels } = this.#want;
    const moved = Object.entries(placesIn(id, channels)).filter(([name, place]) => place !== places[name]);
    const ways = moved.map(([name, place]) => [name, places[name], place]);
    for (const [name, , place] of ways) places[name] = place;
    return ways;
  }

  // -- the token

  async #bearer() {
    const { token } = this.#options;
    if (typeof token !== "function") return token;
    this.#token ??= await token();
    this.#renewLater();
    return this.#token;
  }

  #renewLater() {
    clearTimeout(this.#tokenTimer);
    const left = expiry(this.#token) - Date.now();
    if (left > 0) this.#tokenTimer = setTimeout(() => this.#renew(), Math.min(left - Math.min(RENEW_MS, left / 4), 2 ** 31 - 1));
  }

  /** The old token serves until there is a new one. */
  async #renew() {
    try {
      this.#token = await this.#options.token();
      if (!this.#closed) this.restart();
    } catch {
      this.#renewLater();
    }
  }

  #say(state) {
    if (state.state === "live" && this.#state === "live") return;
    this.#state = state.state;
    this.#on.state(state);
  }
}

// -- one stream for all tabs

/**
 * The tab that holds the lock `name` leads: it has the one stream, of the channels of all tabs, and passes
 * everything on. Each tab keeps its own places, so whoever leads next can go on from the oldest of them.
 */
class Share {
  #name;
  #make;
  #want;
  #on;
  #bus;
  #tab = Math.random().toString(36).slice(2);
  #release = null; // while this tab leads
  #wants = new Map();
  #union = null;
  #stream = null;
  #stale = false;
  #timer = 0;
  #out = [];
  #state = null;
  #heardAt = Date.now();
  #watch = 0;
  #closed = false;

  /** `make` opens a stream; `on` is like that of a stream, with `alone` for a tab that has to have its own. */
  constructor(name, make, want, on) {
    [this.#name, this.#make, this.#want, this.#on] = [name, make, want, on];
    this.#bus = new BroadcastChannel(name);
    this.#bus.onmessage = ({ data }) => this.#hear(data);
    this.#watch = setInterval(() => this.check(), PERIOD_MS / 3);
    this.#post({ want, tab: this.#tab });
    this.#follow({});
  }

  restart(want) {
    this.#want = want;
    if (this.#release) this.#join(this.#tab, want);
    else this.#post({ want, tab: this.#tab });
  }

  close() {
    this.#closed = true;
    clearInterval(this.#watch);
    this.#post({ bye: this.#tab });
    this.#resign();
    this.#bus.close();
  }

  /** Takes over from a leader that does not answer; its page may be frozen. */
  check(now = false) {
    if (this.#release) return this.#stream?.check(now);
    const silentMs = Date.now() - this.#heardAt;
    if (now || silentMs > 2 * PERIOD_MS) this.#post({ ping: true });
    if (silentMs > SILENT_PERIODS * PERIOD_MS) this.#follow({ steal: true });
  }

  #post(message) {
    this.#bus.postMessage(message);
  }

  /** Waits for the lock, and leads while it has it. */
  async #follow(how) {
    this.#heardAt = Date.now();
    try {
      await navigator.locks.request(this.#name, how, () => !this.#closed && new Promise((resolve) => this.#lead(resolve)));
    } catch {
      this.#resign(); // another tab has taken over
      if (!this.#closed) this.#follow({});
    }
  }

  #lead(release) {
    this.#resign();
    this.#release = release;
    this.#union = { channels: [], places: {}, query: {} };
    this.#wants = new Map();
    this.#post({ hello: true });
    this.#join(this.#tab, this.#want);
  }

  #resign() {
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = null;
    this.#release?.();
    this.#release = null;
  }

  #hear(message) {
    this.#heardAt = Date.now();
    if (this.#release) {
      if (message.want) this.#join(message.tab, message.want);
      if (message.ping) this.#post({ state: this.#state });
      if (message.bye && this.#wants.delete(message.bye)) this.#refresh();
      return;
    }
    if (message.hello) this.#post({ want: this.#want, tab: this.#tab });
    if (message.events) this.#take(message.events);
    if (message.state) this.#on.state(message.state);
    if (message.alone === this.#tab) this.#on.alone();
  }

  // -- of the tab that leads

  #join(tab, want) {
    this.#wants.set(tab, want);
    const { channels, places } = this.#union;
    for (const name of want.channels) {
      const [place, known] = [want.places[name], channels.includes(name)];
      const served = place ? known && !isAfter(places[name], place) : known && !want.query;
      if (served) continue;
      this.#stale = true;
      if (place && !isAfter(place, places[name])) places[name] = place;
      else if (place) places[name] ??= place;
      else {
        delete places[name];
        this.#union.query = want.query ?? {};
      }
    }
    this.#refresh();
    this.#post({ state: this.#state, events: [this.#here()] });
  }

  /** Asks for the channels of all tabs, once for all that come at the same time. */
  #refresh() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const channels = [...new Set([...this.#wants.values()].flatMap((want) => want.channels))];
      if (!this.#stale && String(channels.sort()) === String(this.#union.channels)) return;
      this.#stale = false;
      this.#union.channels = channels.sort();
      if (this.#stream) this.#stream.restart(this.#union);
      else this.#stream = this.#make(this.#union, this.#findings());
    }, JOIN_MS);
  }
}

async function refusal(response) {
  const problem = parse(await response.text().catch(() => ""));
  const error = new RelayError(response.status, String(problem.detail ?? response.statusText));
  const after = response.headers.get("Retry-After");
  error.retryMs = after ? (/^[0-9]+$/.test(after) ? after * 1000 : Date.parse(after) - Date.now()) || 0 : 0;
  return error;
}

/** The `exp` of a JSON Web Token in ms; NaN of any other token. */
function expiry(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).exp * 1000;
  } catch {
    return NaN;
  }
}

function parse(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
