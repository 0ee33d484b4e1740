/** What `/health/` says of the hub. */
export const Health = Object.freeze({
  WELL: "well",
  AWAY: "away",
  SILENT: "silent",
  UNKNOWN: "unknown",
});

const EVERY_MS = 5000;
const AGAIN_MS = 1000;
const LIMIT_MS = 5000;
const NO_HUB_BEHIND = [502, 503, 504];

/**
 * What an answer means. A proxy answers 502 and the like in its own words. Any other answer that is not the
 * hub's says nothing: a site may keep `/health/` to itself, or have it answered by a process without a hub.
 */
export function meaning(status, text) {
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    return NO_HUB_BEHIND.includes(status) ? Health.SILENT : Health.UNKNOWN;
  }
  if (answer?.redis === "lost") return Health.AWAY;
  return answer?.redis === "live" ? Health.WELL : Health.UNKNOWN;
}

/**
 * Asks `/health/` every few seconds, sooner after no answer, and never while the page is hidden. An EventSource passes on events
 * only, no heartbeat: it looks the same while nothing is published, while Redis is away, and when its
 * connection died without a word.
 */
export class HealthWatch {
  #url;
  #on;
  #timer = 0;
  #asking = false;

  /**
   * @param {string} url of the hub's health; empty where the site has none
   * @param {(health: string) => void} on
   */
  constructor(url, on) {
    this.#url = url;
    this.#on = on;
  }

  /** Asks now. To be called when the page comes to the front as well. */
  async look() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#asking || !this.#url) return;
    this.#asking = true;
    const found = await this.#ask();
    this.#asking = false;
    this.#on(found);
    const pause = found === Health.SILENT ? AGAIN_MS : EVERY_MS;
    this.#timer = setTimeout(() => this.look(), pause * (0.8 + 0.4 * Math.random()));
  }

  async #ask() {
    try {
      const response = await fetch(this.#url, { cache: "no-store", signal: AbortSignal.timeout(LIMIT_MS) });
      return meaning(response.status, await response.text());
    } catch {
      return Health.SILENT;
    }
  }
}
