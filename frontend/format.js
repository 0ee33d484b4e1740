/** Numbers, sizes and times as a person reads them. */

const integer = new Intl.NumberFormat("en");
const oneDecimal = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const UNITS = ["B", "KB", "MB", "GB", "TB"];

export function formatCount(number) {
  return integer.format(number);
}

/** `0.2/s`, `12/s`. */
export function formatRate(perSecond) {
  return `${(perSecond < 10 ? oneDecimal : integer).format(perSecond)}/s`;
}

/** In steps of 1,024, to one decimal: `1.5 KB`. */
export function formatBytes(bytes) {
  let unit = 0;
  for (; bytes >= 1024 && unit < UNITS.length - 1; unit += 1) bytes /= 1024;
  return `${oneDecimal.format(bytes)} ${UNITS[unit]}`;
}

/** Local time of day to the millisecond: `14:03:07.042`. */
export function formatTime(ms) {
  const date = new Date(ms);
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => pad(part, 2));
  return `${clock.join(":")}.${pad(date.getMilliseconds(), 3)}`;
}

/** As `formatTime`, today; of other days `11-26 14:03:07`. */
export function formatWhen(ms, now = Date.now()) {
  if (Math.abs(now - ms) < 86_400_000 && new Date(ms).getDate() === new Date(now).getDate()) return formatTime(ms);
  return formatDate(ms).slice(5, -4);
}

/** Local date and time to the millisecond: `2026-11-27 14:03:07.042`. */
export function formatDate(ms) {
  const date = new Date(ms);
  const day = [date.getFullYear(), pad(date.getMonth() + 1, 2), pad(date.getDate(), 2)].join("-");
  return `${day} ${formatTime(ms)}`;
}

/** `12 ms`, `1.5 s`, `40 min`; a minus when the clock of the sender is ahead. */
export function formatDelay(ms) {
  const size = Math.abs(ms);
  if (size < 1000) return `${Math.round(ms)} ms`;
  return size < 120_000 ? `${oneDecimal.format(ms / 1000)} s` : `${oneDecimal.format(ms / 60_000)} min`;
}

/** Whole seconds up to two minutes, then whole minutes: `less than a second`, `4 seconds`, `12 minutes`. */
export function formatDuration(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 1) return "less than a second";
  if (seconds < 120) return plural(seconds, "second");
  return plural(Math.round(seconds / 60), "minute");
}

export function plural(number, noun) {
  return `${formatCount(number)} ${noun}${number === 1 ? "" : "s"}`;
}

function pad(number, width) {
  return String(number).padStart(width, "0");
}
