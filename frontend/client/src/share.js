import { isAfter } from "./places.js";
import { CHECK_MS, PERIOD_MS, SILENT_PERIODS } from "./times.js";

const JOIN_MS = 30;

/**
 * The tab that holds the lock leads: it has the one stream, of the channels of all tabs, and passes on what comes.
 * Each tab keeps its own places. So whoever leads next goes on from the oldest place of each channel.
 */
export class Share {
  static isPossible = Boolean(globalThis.navigator?.locks && globalThis.BroadcastChannel);

  #name;
  #make;
  #want;
  #on;
  #bus;
  #tab = crypto.randomUUID();
  #endLeading = null; // while this tab leads
  #wants = new Map();
  #union = null;
  #plan = {};
  #stream = null;
  #joining = 0;
  #state = { state: "connecting" };
  #periodMs = PERIOD_MS;
  #heardAt = 0;
  #askedAt = 0;
  #watch;
  #isClosed = false;

  constructor({ name, make, want, on }) {
    [this.#name, this.#make, this.#want, this.#on] = [name, make, want, on];
    this.#bus = new BroadcastChannel(name);
    this.#bus.onmessage = ({ data }) => this.#hear(data);
    this.#watch = setInterval(() => this.check(), CHECK_MS);
    on.state(this.#state);
    this.restart();
    this.#queue({});
  }

  restart(want = this.#want) {
    this.#want = want;
    this.#askedAt = Date.now();
    if (this.#endLeading) this.#join(this.#tab, want);
    else this.#post({ tab: this.#tab, want });
  }

  close() {
    this.#isClosed = true;
    clearInterval(this.#watch);
    this.#post({ bye: this.#tab });
    this.#resign();
    this.#bus.close();
  }

  reconnect() {
    if (this.#endLeading) this.#stream?.reconnect();
    else this.check(true);
  }

  doubt() {
    this.#stream?.doubt();
  }

  /** A leader that does not answer is frozen, or too slow: another tab takes over. */
  check(isNow = false) {
    if (this.#endLeading) return this.#stream?.check(isNow);
    const silentMs = Date.now() - this.#heardAt;
    if (isNow || silentMs > 1.5 * this.#periodMs) this.#post({ ping: true });
    if (silentMs > SILENT_PERIODS * this.#periodMs) this.#queue({ steal: true });
  }

  #post(message) {
    this.#bus.postMessage(message);
  }

  #hear({ tab, want, bye, ping, hello, state, found, alone }) {
    this.#heardAt = Date.now();
    if (this.#endLeading) {
      if (want) this.#join(tab, want);
      if (bye && this.#wants.delete(bye)) this.#refresh();
      if (ping) this.#post({ state: this.#state });
      return;
    }
    if (hello) this.restart();
    if (found) this.#take(found);
    if (state) this.#show(state);
    if (alone === this.#tab) this.#on.alone();
  }

  #show(state) {
    this.#periodMs = state.periodMs ?? this.#periodMs;
    this.#on.state(state);
  }

  /** Passes on to the page what is of its channels and follows its places. */
  #take(found) {
    const { channels, places } = this.#want;
    const mine = [];
    for (const event of found) {
      const moved = event.moved.filter(([name, from, to]) => channels.includes(name) && this.#follows(name, from, to));
      for (const [name, , to] of moved) places[name] = to;
      const isNews = moved.some(([name]) => name === event.key) || (!event.moved.length && channels.includes(event.key));
      if (isNews || moved.length) mine.push(isNews ? { ...event, moved } : { type: "", moved });
    }
    this.#on.found(mine);
  }

  /** Whether this tab has all that precedes `to`. If not, the leader is asked to go back. */
  #follows(name, from, to) {
    const { places, query } = this.#want;
    const place = places[name];
    if (!place) return !from || !hasStart(query);
    if (!isAfter(to, place)) return false;
    const isHole = !from || isAfter(from, place);
    if (isHole && Date.now() - this.#askedAt > CHECK_MS) this.restart();
    return !isHole;
  }

  // -- leading

  /** Waits for the lock, and leads as long as this tab has it. */
  async #queue(how) {
    this.#heardAt = Date.now();
    try {
      await navigator.locks.request(this.#name, how, () => !this.#isClosed && new Promise((end) => this.#lead(end)));
    } catch {
      this.#resign(); // another tab has taken over
      if (!this.#isClosed) this.#queue({});
    }
  }

  #lead(end) {
    this.#resign();
    this.#endLeading = end;
    this.#wants.clear();
    this.#plan = {};
    this.#union = { channels: [], places: {}, query: {} };
    this.#post({ hello: true });
    this.#join(this.#tab, this.#want);
  }

  #resign() {
    clearTimeout(this.#joining);
    this.#stream?.close();
    this.#stream = null;
    this.#endLeading?.();
    this.#endLeading = null;
  }

  #join(tab, want) {
    this.#wants.set(tab, want);
    for (const name of want.channels) this.#include(name, want);
    this.#refresh();
    this.#post({ state: this.#state, found: [this.#here()] });
  }

  /** Where the stream is, for a tab that has just come. */
  #here() {
    const moved = Object.entries(this.#union.places).map(([name, place]) => [name, place, place]);
    return { type: "", moved };
  }

  /** Plans where the stream has to begin again if it is not about to bring what a tab needs of a channel. */
  #include(name, { places: { [name]: place = "" }, query }) {
    const { channels, places } = this.#union;
    const isStart = !place && hasStart(query);
    if (channels.includes(name) && !isStart && !(place && isAfter(places[name], place))) return;
    const planned = this.#plan[name];
    if (isStart) this.#plan[name] = null;
    else if (planned !== null && (!planned || (place && isAfter(planned, place)))) this.#plan[name] = place;
    if (isStart || channels.every((other) => places[other])) this.#union.query = query;
  }

  /** Asks for the channels of all tabs, once for those that come together. */
  #refresh() {
    clearTimeout(this.#joining);
    this.#joining = setTimeout(() => {
      const channels = [...new Set([...this.#wants.values()].flatMap((want) => want.channels))].sort();
      const isSame = String(channels) === String(this.#union.channels);
      if (isSame && this.#stream && !Object.keys(this.#plan).length) return;
      this.#union.channels = channels;
      this.#goBack();
      if (this.#stream) this.#stream.restart(this.#union);
      else this.#stream = this.#make(this.#union, this.#listeners());
    }, JOIN_MS);
  }

  #goBack() {
    const { channels, places } = this.#union;
    for (const name of Object.keys(places)) if (!channels.includes(name)) delete places[name];
    for (const [name, place] of Object.entries(this.#plan)) {
      if (place === null) delete places[name];
      else if (place && (!places[name] || isAfter(places[name], place))) places[name] = place;
    }
    this.#plan = {};
  }

  #listeners() {
    return { found: (found) => this.#pass(found), state: (state) => this.#told(state), room: () => null };
  }

  #pass(found) {
    this.#post({ found });
    this.#take(found);
  }

  /** A tab whose channels are refused must not cost the others theirs: the last to come goes on alone. */
  #told(state) {
    if (state.state !== "refused") {
      this.#state = state;
      this.#post({ state });
      return this.#show(state);
    }
    if (this.#wants.size === 1) return this.#on.state(state);
    const last = [...this.#wants.keys()].at(-1);
    this.#stream = null;
    if (last === this.#tab) return this.#on.alone();
    this.#wants.delete(last);
    this.#post({ alone: last });
    this.#refresh();
  }
}

function hasStart(query) {
  return Object.keys(query).length > 0;
}
