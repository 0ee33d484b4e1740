/** Short forms of figures, for tables. */

import { formatCount } from "../format.js";

const decimal = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const UNITS = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];

/** The two greatest units: `3 d 4 h`, `12 min 5 s`, `0 s`. */
export function formatAge(ms) {
  const seconds = Math.floor(ms / 1000);
  const first = UNITS.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  const [[unit, size], next] = [UNITS[first], UNITS[first + 1]];
  const whole = `${Math.floor(seconds / size)} ${unit}`;
  const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
  return rest ? `${whole} ${rest} ${next[0]}` : whole;
}

export function formatMs(ms) {
  return ms >= 1000 ? `${decimal.format(ms / 1000)} s` : `${decimal.format(ms)} ms`;
}

export function formatProcesses(number) {
  return `${formatCount(number)} ${number === 1 ? "process" : "processes"}`;
}

export function formatPercent(share) {
  return `${decimal.format(share * 100)} %`;
}

export function formatRate(number) {
  return number < 10 ? decimal.format(number) : formatCount(Math.round(number));
}
