/** All processes that report, with the newest report of each. Times are milliseconds of one clock. */

export const SILENT_MS = 5000;
export const GONE_MS = 30_000;
const MAX_PROCESSES = 500;

export class Fleet {
  #reports = new Map();

  /** Takes a report. An older one than the newest of its process, as a resumed stream sends it, does not count. */
  take(report, now) {
    const known = this.#reports.get(report.process.id);
    if (known && known.report.at > report.at) return;
    if (!known && this.#reports.size >= MAX_PROCESSES) return;
    this.#reports.set(report.process.id, { report, heardAt: now });
  }

  /** While the page's own stream is lost, nobody is silent: what was known is as old as that. */
  wait(ms) {
    for (const each of this.#reports.values()) each.heardAt += ms;
  }

  /** Forgets who is gone. */
  forget(now) {
    for (const [id, { heardAt }] of this.#reports) if (now - heardAt >= GONE_MS) this.#reports.delete(id);
  }

  /** The reports by host and process, each with `silentMs`: 0 while it reports. */
  reports(now) {
    const found = Array.from(this.#reports.values(), ({ report, heardAt }) => {
      const silentMs = now - heardAt >= SILENT_MS ? now - heardAt : 0;
      return { ...report, silentMs };
    });
    return found.sort((a, b) => a.process.name.localeCompare(b.process.name, "en", { numeric: true }));
  }
}
