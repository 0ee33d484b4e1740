/**
 * What the address of the page says: `/?channel=news&channel=orders.7&rewind=50&filter=error`. It can be kept and
 * passed on.
 */

const REWIND = 200;

const url = new URL(location.href);

/** The channels and wildcards; none: the hub's default channel. */
export const channels = url.searchParams.getAll("channel").filter(Boolean);

/** How many messages of the past the page begins with. */
export const rewind = url.searchParams.get("rewind") ?? REWIND;

export const filter = url.searchParams.get("filter") ?? "";

export function keepFilter(text) {
  if (text) url.searchParams.set("filter", text);
  else url.searchParams.delete("filter");
  history.replaceState(history.state, "", url);
}
