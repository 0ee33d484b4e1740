/** Sums over the reports of all processes. */

const HISTORY = ["failing", "writing", "watching", "off"];

export function sum(reports, pick) {
  return reports.reduce((total, report) => total + (pick(report) ?? 0), 0);
}

/** The greatest value that is known, or null. */
export function most(reports, pick) {
  const known = reports.map(pick).filter((value) => value !== null && value !== undefined);
  return known.length ? Math.max(...known) : null;
}

/** Each channel once. Every process receives all messages of its channels, so rates are no sums. */
export function channelsOf(reports) {
  const found = new Map();
  for (const { channels } of reports) {
    for (const channel of channels) {
      const key = `${channel.kind} ${channel.name}`;
      const known = found.get(key);
      found.set(key, known ? joined(known, channel) : { ...channel, key, processes: 1 });
    }
  }
  return Array.from(found.values());
}

function joined(a, b) {
  const greatest = (name) => (a[name] === null ? b[name] : Math.max(a[name], b[name] ?? 0));
  return {
    ...a,
    processes: a.processes + 1,
    streams: a.streams + b.streams,
    behind: a.behind + b.behind,
    replaying: a.replaying + b.replaying,
    perSecond: greatest("perSecond"),
    kept: greatest("kept"),
    ringEvents: greatest("ringEvents"),
    ringBytes: greatest("ringBytes"),
    ringFill: greatest("ringFill"),
    pending: greatest("pending"),
    history: HISTORY.find((state) => state === a.history || state === b.history) ?? a.history,
    position: isNewer(b.position, a.position) ? b.position : a.position,
  };
}

/** Whether one position (`epoch-offset`) comes after another. */
function isNewer(one, other) {
  const [a, b] = [one, other].map((position) => position.split("-").map(Number));
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);
}

/** Each master once, with how many processes reach it. */
export function mastersOf(reports) {
  const found = new Map();
  for (const { redis, rates } of reports) {
    for (const { name, live } of redis.masters) {
      const known = found.get(name) ?? { key: name, name, live: 0, lost: 0, deployment: redis.deployment, trips: [] };
      known[live ? "live" : "lost"] += 1;
      if (rates.round_trip_ms !== null) known.trips.push(rates.round_trip_ms);
      found.set(name, known);
    }
  }
  return Array.from(found.values());
}

/** How many gaps each minute had, by its start, and how many each reason. */
export function gapsOf(reports) {
  const minutes = new Map();
  const reasons = new Map();
  for (const { gaps } of reports) {
    for (const [at, counts] of gaps) {
      for (const [reason, count] of counts) {
        minutes.set(at, (minutes.get(at) ?? 0) + count);
        reasons.set(reason, (reasons.get(reason) ?? 0) + count);
      }
    }
  }
  return { minutes, reasons };
}
