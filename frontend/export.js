/** What is on the page as NDJSON: a line for each message, and for each gap. */

/** @param {import("./record.js").Record[]} records */
export function ndjson(records) {
  return records.map((record) => `${JSON.stringify(lineOf(record))}\n`).join("");
}

/** `relay-news-20261127T140307Z.ndjson`; of several channels without a name. */
export function fileName(channels, now = new Date()) {
  const name = channels.length === 1 ? `-${channels[0].replace(/[^\w.-]+/g, "_")}` : "";
  return `relay${name}-${now.toISOString().replace(/[-:]|\.\d+/g, "")}.ndjson`;
}

export function download(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // when the browser has surely taken it
}

/** The time is null where nobody knows when a message was received. */
function lineOf({ kind, at, isPast, channel, id, event = "message", text, missed }) {
  const time = isPast ? null : new Date(at).toISOString();
  const from = { time, ...(channel && { channel }), ...(id && { id }) };
  if (kind === "message") return { ...from, event, data: text };
  return { ...from, notice: kind, text, ...(missed !== undefined && { missed }) };
}
