/**
 * Tells which records to show: messages that contain `query`, in any case, in their text, id or channel.
 * What is not a message (a gap, a reconnection) always shows: it concerns whoever reads.
 *
 * @returns {(record: import("./record.js").Record) => boolean}
 */
export function filterFor(query) {
  if (query === "") return () => true;
  const pattern = new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "iu");
  return ({ kind, text, id, channel = "" }) =>
    kind !== "message" || pattern.test(text) || pattern.test(id) || pattern.test(channel);
}
