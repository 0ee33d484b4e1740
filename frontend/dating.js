import { ask } from "./ask.js";

const PAGE = 500;
const MAX_PAGES = 4;

/**
 * Gives the records that the page began with the times at which they were received: the stream has none, the history has.
 * One without stays as it is.
 */
export async function date(records) {
  const byChannel = Map.groupBy(records, ({ channel }) => channel);
  await Promise.allSettled(Array.from(byChannel, ([channel, own]) => dateOwn(channel, own)));
}

async function dateOwn(channel, records) {
  const undated = new Map(records.map((record) => [record.id, record]));
  let before = "";
  for (let page = 0; page < MAX_PAGES && undated.size > 0; page += 1) {
    const fields = new URLSearchParams({ limit: PAGE, ...(before && { before }) });
    const url = `${document.body.dataset.history}${encodeURIComponent(channel)}/?${fields}`;
    const { messages, more } = await ask(url);
    for (const { id, time } of messages) if (time) setTime(undated, id, time);
    if (!more) return;
    before = messages.find(({ gap }) => !gap)?.id ?? before;
  }
}

function setTime(undated, id, time) {
  const record = undated.get(id);
  if (record) Object.assign(record, { at: time, isPast: false });
  undated.delete(id);
}
