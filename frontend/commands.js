/** Commands for a terminal that do what the page does. */

export function curlStream(channels, page = location.href) {
  const url = new URL(document.body.dataset.stream, page);
  for (const name of channels) url.searchParams.append("channel", name);
  return `curl -N ${quoted(url.href)}`;
}

/** The token is the reader's to fill in: the page knows none. */
export function curlPublish(channel, text, page = location.href) {
  const url = new URL(publishPath(channel), page);
  return `curl -H "Authorization: Bearer $TOKEN" --data-binary ${quoted(text)} ${quoted(url.href)}`;
}

/** The command's name is the hub's; where its Redis is elsewhere the address stays in a variable. */
export function redisPublish(channel, text) {
  return `${document.body.dataset.redis} publish ${plain(channel)} ${quoted(text)}`;
}

export function publishPath(channel) {
  return `${document.body.dataset.publish}${encodeURIComponent(channel)}/`;
}

/** Text as one word of a POSIX shell. */
function quoted(text) {
  if (/^[\w ./:?&=@%+,!-]*$/.test(text) && !/[!]/.test(text)) return `"${text}"`;
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function plain(text) {
  return /^[\w.:/@-]+$/.test(text) ? text : quoted(text);
}
