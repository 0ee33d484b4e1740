import { RelayError, RelayEvent, StateEvent } from "./events.js";
import { idOf, placesIn } from "./places.js";
import { Queue } from "./queue.js";
import { Share } from "./share.js";
import { store, stored } from "./stored.js";
import { Stream } from "./stream.js";

const PERSIST_MS = 500;
const OPTIONS = ["channels", "token", "lastEventId", "rewind", "since", "latest", "share", "persist"].concat(
  ["credentials", "signal", "onMessage", "onGap", "onOversize", "onState"],
);

export class Connection extends EventTarget {
  #url;
  #options;
  #takers = new Map();
  #query = {};
  #places;
  #received;
  #source = null;
  #isAlone = false;
  #isAway = false;
  #wasLive = false;
  #queue = null;
  #life = new AbortController();
  #persistedAt = 0;
  state = "connecting";
  error = null;

  constructor(url, options) {
    super();
    const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
    if (unknown) throw new TypeError(`connect has no option ${unknown}`);
    this.#options = options;
    this.#readUrl(new URL(url, globalThis.location?.href));
    this.#places = this.#firstPlaces();
    this.#received = { ...this.#places };
    options.signal?.addEventListener("abort", () => this.close());
    if (globalThis.document) this.#watchPage();
    queueMicrotask(() => this.#begin()); // the page has its listeners by then
  }

  get channels() {
    return [...this.#takers.keys()];
  }

  get lastEventId() {
    return idOf(this.#places, this.channels);
  }

  /** Adds a channel. `onMessage` takes its messages alone. */
  add(channel, onMessage = null) {
    if (this.#takers.has("")) throw new TypeError("Name the channels in connect, to add others to them.");
    this.#takers.set(channel, onMessage);
    this.#source?.restart(this.#want());
  }

  drop(channel) {
    if (!this.#takers.delete(channel)) return;
    delete this.#places[channel];
    delete this.#received[channel];
    if (this.#takers.size) this.#source?.restart(this.#want());
    else this.close();
  }

  /** Tries again at once, after a refusal too. */
  reconnect() {
    if (this.state === "closed") return;
    this.error = null;
    if (this.#source) this.#source.reconnect();
    else this.#start();
  }

  close() {
    this.#stop();
    this.#life.abort();
    if (this.state !== "closed") this.#show({ state: "closed" });
  }

  /** Ends the connection when the loop is left. Throws RelayError when the hub refuses the stream. */
  async *[Symbol.asyncIterator]() {
    const queue = new Queue();
    this.#queue = queue;
    try {
      for (;;) {
        for (const { event, found } of queue.take()) {
          this.#passed(found);
          if (event) yield event;
        }
        if (this.error) throw this.error;
        if (this.state === "closed") return;
        await queue.more();
      }
    } finally {
      this.#queue = null;
      queue.close();
      this.close();
    }
  }

  #readUrl(url) {
    const { channels = url.searchParams.getAll("channel"), rewind, since, latest } = this.#options;
    const named = Array.isArray(channels) ? channels.map((name) => [name, null]) : Object.entries(channels);
    this.#takers = new Map(named.length ? named : [["", null]]);
    for (const [name, value] of Object.entries({ rewind, since })) {
      if (value !== undefined) this.#query[name] = value instanceof Date ? value.toISOString() : value;
    }
    url.searchParams.delete("channel");
    if (latest !== undefined) url.searchParams.set("latest", latest);
    this.#url = url.href;
  }

  #firstPlaces() {
    const { lastEventId, persist } = this.#options;
    if (lastEventId) return placesIn(lastEventId, this.channels);
    return persist ? stored(this.#key) : {};
  }

  #want() {
    return { channels: this.channels, places: this.#received, query: this.#query };
  }

  // -- the source of events

  #begin() {
    if (this.#options.signal?.aborted) this.close();
    else if (this.state !== "closed") this.#start();
  }

  #start() {
    const { share, token, credentials } = this.#options;
    const on = {
      found: (found) => this.#take(found),
      state: (state) => this.#show(state),
      room: () => this.#queue?.room(),
      alone: () => this.#goAlone(),
    };
    const make = (want, listeners) => new Stream({ url: this.#url, token, credentials, want, on: listeners });
    const name = `relay ${share} ${this.#url} ${this.#takers.has("")}`;
    const isShared = share && Share.isPossible && !this.#isAlone;
    this.#source = isShared ? new Share({ name, make, want: this.#want(), on }) : make(this.#want(), on);
  }

  #stop() {
    this.#source?.close();
    this.#source = null;
  }

  #restart() {
    this.#stop();
    this.#start();
  }

  #goAlone() {
    this.#isAlone = true;
    this.#restart();
  }

  // -- events

  #take(all) {
    for (const found of all) {
      const event = found.type ? new RelayEvent(found) : null;
      if (event) this.#deliver(event, found.key);
      if (this.#queue) this.#queue.push({ event, found });
      else this.#passed(found);
    }
    this.#queue?.wake();
  }

  #deliver(event, key) {
    const { onMessage, onGap, onOversize } = this.#options;
    if (event.type === "hub.gap") this.#call(onGap, event.detail, event);
    else if (event.type === "hub.oversize") this.#call(onOversize, event.detail, event);
    else {
      this.#call(this.#takers.get(key), event);
      this.#call(onMessage, event);
    }
    this.dispatchEvent(event);
  }

  /** An error in a callback of the page is the page's, and ends nothing here. */
  #call(callback, ...words) {
    try {
      callback?.(...words);
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
    }
  }

  /** The page has been given what was found: it would go on from there. */
  #passed({ moved }) {
    for (const [name, , place] of moved) this.#places[name] = place;
    if (this.#options.persist && Date.now() - this.#persistedAt > PERSIST_MS) this.#persist();
  }

  #show(state) {
    if (state.state === "refused") {
      this.#stop();
      this.error = new RelayError(state.status, state.detail);
    }
    if (state.state === "connecting" && this.#wasLive) state = { state: "reconnecting" };
    this.#wasLive ||= state.state === "live";
    this.state = state.state;
    this.#call(this.#options.onState, state);
    this.dispatchEvent(new StateEvent(state));
    this.#queue?.wake();
  }

  // -- the page

  #watchPage() {
    const { signal } = this.#life;
    const isBack = () => document.hidden || this.#source?.check(true);
    addEventListener("online", () => this.#source?.reconnect(), { signal });
    addEventListener("offline", () => this.#source?.doubt(), { signal });
    document.addEventListener("visibilitychange", isBack, { signal });
    document.addEventListener("resume", isBack, { signal });
    addEventListener("pagehide", () => this.#leave(), { signal });
    addEventListener("pageshow", () => this.#isAway && this.#return(), { signal });
  }

  /** The page may come back as it was (from the back/forward cache), and must not keep a request until then. */
  #leave() {
    if (this.#options.persist) this.#persist();
    this.#isAway = this.#source !== null;
    this.#stop();
    if (this.#isAway) this.#show({ state: "reconnecting" });
  }

  #return() {
    this.#isAway = false;
    this.#start();
  }

  // -- what outlives a reload

  get #key() {
    return `relay ${this.#url} ${this.channels}`;
  }

  #persist() {
    this.#persistedAt = Date.now();
    store(this.#key, this.#places);
  }
}
