/** The strip with the gaps of the last hour, a bar for each minute that had any. */

import { formatCount, plural } from "../format.js";

const MINUTE_MS = 60_000;
const MINUTES = 60;
const HEIGHT = 16;
const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {{ minutes: Map<number, number>, reasons: Map<string, number> }} gaps
 * @param {number} now by the clock of the hosts, which made the minutes
 */
export function showHour(svg, note, { minutes, reasons }, now) {
  const last = Math.floor(now / MINUTE_MS);
  const most = Math.max(1, ...minutes.values());
  const bars = [];
  for (const [at, count] of minutes) {
    const place = MINUTES - 1 - (last - Math.floor(at / MINUTE_MS));
    if (place >= 0 && place < MINUTES) bars.push(bar(place, (count / most) * HEIGHT));
  }
  svg.replaceChildren(...bars);
  const words = wordsOf(reasons);
  svg.ariaLabel = `${words} in the last hour`;
  if (note.textContent !== `${words}.`) note.textContent = `${words}.`;
}

/** `No gaps`, or `12 gaps: 10 redis-lost, 2 slow-client`. */
export function wordsOf(reasons) {
  const total = Array.from(reasons.values()).reduce((a, b) => a + b, 0);
  if (total === 0) return "No gaps";
  const parts = Array.from(reasons, ([reason, count]) => `${formatCount(count)} ${reason}`);
  return `${plural(total, "gap")}: ${parts.join(", ")}`;
}

function bar(place, height) {
  const rect = document.createElementNS(SVG, "rect");
  rect.setAttribute("x", place + 0.1);
  rect.setAttribute("width", 0.8);
  rect.setAttribute("y", HEIGHT - height);
  rect.setAttribute("height", height);
  return rect;
}
