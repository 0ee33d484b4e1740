/**
 * Opens a connection to the streams of a Relay Hub.
 *
 * It reconnects by itself, for as long as it takes, and resumes after the last event: each message of a channel
 * comes once and in order, and a `hub.gap` stands for what is missing. It starts in the next microtask, so that
 * listeners may be added first.
 *
 * @param url The address of the stream, relative to the page's. Its `channel` fields count where there is no `channels`.
 * @throws TypeError for an address that is none, and for an option that does not exist.
 */
export function connect(url: string | URL, options?: RelayOptions): RelayConnection;

export type MessageListener = (event: RelayEvent) => void;
export type StateListener = (event: StateEvent) => void;

export interface RelayOptions {
  /** The channels and wildcards, each with a callback of its own if it has one. Without: the hub's default channel. */
  channels?: readonly string[] | Readonly<Record<string, MessageListener | null>>;
  /**
   * A token, or a function that returns one; null for none. The function is called before the first request, before
   * the `exp` of a JSON Web Token, and once after each 401. It goes into the `Authorization` field. Where it fails, the
   * connection tries again later; where it throws a RelayError with a status such as 403, the connection is refused.
   */
  token?: string | (() => string | null | Promise<string | null>);
  /** Where to go on: the `lastEventId` of an earlier connection or event. */
  lastEventId?: string;
  /** How many messages of the past come first, of a channel without a place. */
  rewind?: number | "all";
  /** From when on messages come, of a channel without a place: a time, Unix milliseconds, or a span such as "10m". */
  since?: Date | string | number;
  /** At most one event of each channel, the newest, in so many seconds (0.05 to 3600). */
  latest?: number;
  /**
   * Whether all tabs of this origin that ask the same address have one stream together. A text separates tabs that must
   * not: tabs of another user. Needs Web Locks, and so HTTPS or localhost; elsewhere each tab has a stream of its own.
   */
  share?: boolean | string;
  /** Whether the place outlives a reload of the page (in `sessionStorage`). `lastEventId` counts before it. */
  persist?: boolean;
  /** As of `fetch`: "include" sends cookies to another origin. */
  credentials?: RequestCredentials;
  /** Closes the connection. */
  signal?: AbortSignal;
  /** Takes every message, named or not. */
  onMessage?: MessageListener;
  onGap?: (gap: Gap, event: RelayEvent) => void;
  onOversize?: (oversize: Oversize, event: RelayEvent) => void;
  onState?: (state: RelayState) => void;
}

/**
 * It can be read in three ways at once: by callbacks, by listeners, and by one `for await`.
 *
 * Listeners: "message", the names of named events, "hub.gap", "hub.oversize" (each gets a RelayEvent), and
 * "hub.state" (a StateEvent).
 *
 * The loop gets messages, gaps and oversize notices in their order. While it is more than 1,000 behind, nothing is read;
 * a hub that has to drop messages meanwhile says so in a gap (not where the stream is shared). Leaving the loop
 * closes the connection. It throws a RelayError when the hub refuses the stream.
 */
export interface RelayConnection extends EventTarget, AsyncIterable<RelayEvent> {
  readonly state: RelayState["state"];
  /** Why the hub refuses the stream, while it does. */
  readonly error: RelayError | null;
  readonly channels: string[];
  /** The place after the last event that the page was given; empty before the first. */
  readonly lastEventId: string;
  /** Adds a channel; the others keep their places. */
  add(channel: string, onMessage?: MessageListener | null): void;
  /** Gives up a channel; the others keep their places. Without any the connection is closed. */
  drop(channel: string): void;
  /** Connects anew at once, also after a refusal. Nothing is lost by that. */
  reconnect(): void;
  close(): void;

  addEventListener(type: "hub.state", listener: StateListener, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: MessageListener, options?: boolean | AddEventListenerOptions): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener(type: "hub.state", listener: StateListener, options?: boolean | EventListenerOptions): void;
  removeEventListener(type: string, listener: MessageListener, options?: boolean | EventListenerOptions): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** How the connection stands. */
export type RelayState =
  /** Not yet live for the first time. Without Redis a hub that has just started has no place to give. */
  | { state: "connecting"; hasRedis?: false }
  /** Open, from a known place on: nothing is missed any more. The hub sends something at least every `periodMs`; after 2.5 silent periods the connection is replaced. */
  | { state: "live"; periodMs: number; /** False while the hub has lost Redis. */ hasRedis: boolean }
  /** Interrupted. With `waitMs`: the next attempt comes after it. `status` is that of the last answer, if there was one. */
  | { state: "reconnecting" | "offline"; waitMs?: number; status?: number; detail?: string }
  /** The hub's answer will not change by itself (400, 401, 403, 404 …). Nothing is tried before `reconnect`. */
  | { state: "refused"; status: number; detail: string }
  | { state: "closed" };

export interface StateEvent extends Event {
  readonly detail: RelayState;
}

export class RelayEvent extends MessageEvent<string> {
  /** The same as `lastEventId`: where a connection would go on after this event. */
  readonly id: string;
  /** The Redis channel; empty where none was asked for. */
  readonly channel: string;
  /** Of "hub.gap" and "hub.oversize" their data, else null. */
  readonly detail: Gap | Oversize | null;
  /** The data as JSON. Throws SyntaxError where it is none. */
  json<T = unknown>(): T;
}

/** Messages of a channel between two places are missing. */
export interface Gap {
  channel: string;
  from: string | null;
  to: string | null;
  /** How many; null where it cannot be known. */
  missed: number | null;
  reason: "slow-client" | "redis-lost" | "expired" | "unheard" | "unknown-id" | "history-unavailable" | (string & {});
}

/** A message that is larger than the hub sends. */
export interface Oversize {
  channel: string;
  id: string;
  bytes: number;
  max_bytes: number;
}

export class RelayError extends Error {
  constructor(status: number, detail: string);
  readonly status: number;
}

/** Reads text/event-stream in pieces of any size (WHATWG HTML, section 9.2.6). */
export class EventParser {
  constructor(on: {
    event(event: { type: string; data: string; id: string }): void;
    /** An id without an event. */
    id(id: string): void;
    retry(ms: number): void;
    comment(text: string): void;
  });
  push(text: string): void;
}
