import { formatBytes, formatCount, formatTime, plural } from "./format.js";

const opened = formatTime(Date.now()).slice(0, -4);

/** Puts the totals into the elements of `root` that carry their names in `data-figure`. */
export function showFigures(root, tally) {
  for (const [name, text] of Object.entries(figuresOf(tally))) {
    root.querySelector(`[data-figure="${name}"]`).textContent = text;
  }
}

function figuresOf({ messages, bytes, gaps, missed, unknownGaps, oversize, reconnects, resumes }) {
  return {
    messages: formatCount(messages),
    bytes: oversize ? `${formatBytes(bytes)}, ${formatCount(oversize)} too large` : formatBytes(bytes),
    gaps: formatCount(gaps),
    missed: missedText(gaps, missed, unknownGaps),
    reconnects: formatCount(reconnects),
    resumes: reconnects ? `${formatCount(resumes)} resumed` : `open since ${opened}`,
  };
}

function missedText(gaps, missed, unknownGaps) {
  if (gaps === 0) return "none missing";
  if (unknownGaps === 0) return `${plural(missed, "message")} missing`;
  const unknown = `${plural(unknownGaps, "gap")} of unknown size`;
  return missed ? `${formatCount(missed)} missing, ${unknown}` : unknown;
}
