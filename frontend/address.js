/**
 * What the address of the page says: `/?channel=news&channel=orders.7&rewind=50&filter=error`. It can be kept and
 * passed on.
 */

const REWIND = 200;

const fields = () => new URL(location.href).searchParams;

/** The channels and wildcards; none: the hub's default channel. */
export function channels() {
  return [...new Set(fields().getAll("channel").filter(Boolean))];
}

/** How many messages of the past the page begins with. */
export const rewind = fields().get("rewind") ?? REWIND;

export const filter = fields().get("filter") ?? "";

/** The page that was shown before can be returned to. */
export function keepChannels(names) {
  const url = new URL(location.href);
  url.searchParams.delete("channel");
  for (const name of names) url.searchParams.append("channel", name);
  history.pushState(history.state, "", url);
}

export function keepFilter(text) {
  const url = new URL(location.href);
  if (text) url.searchParams.set("filter", text);
  else url.searchParams.delete("filter");
  history.replaceState(history.state, "", url);
}
