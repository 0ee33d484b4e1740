"""Bodies of event streams, whatever a server may send, and what reads them in a page."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMPARE = """
const { EventParser } = await import("/static/relay/client.js");

function byBrowser(url) {
  const events = [];
  const source = new EventSource(url);
  const take = ({ type, data, lastEventId }) => events.push([type, data, lastEventId]);
  for (const type of x.types) source.addEventListener(type, take);
  return new Promise((resolve) => (source.onerror = () => { source.close(); resolve(events); }));
}

async function byClient(url, cut) {
  const events = [];
  const parser = new EventParser({
    event: ({ type, data, id }) => events.push([type, data, id]),
    id() {}, retry() {}, comment() {},
  });
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  const decoder = new TextDecoder();
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + Math.floor(cut() * 9);
    parser.push(decoder.decode(bytes.subarray(at, end), { stream: true }));
    at = end;
  }
  return events;
}

const found = [];
for (let n = 0; n < x.number; n += 1) {
  const url = `${x.url}/${n}`;
  found.push([await byBrowser(url), await byClient(url, Math.random), await byClient(url, () => 0)]);
}
return found;
"""

CASES = (
    "data: a\n\n",
    "data:a\n\ndata: b\r\n\r\ndata:  c\r\r",
    "data\n\n",
    "data:\n\ndata\ndata\n\ndata:",
    "\ufeffdata: bom\n\n",
    "\ufeff\ufeffdata: two boms\n\ndata: seen\n\n",
    ":comment\ndata: x\n:other\n\n",
    "id: 1\ndata: x\n\nid\ndata: y\n\nid: a\0b\ndata: z\n\n",
    "id: 7\n\ndata: later\n\n",
    "event: a\ndata: x\n\ndata: y\n\nevent\ndata: z\n\nevent: b c\ndata: w\n\n",
    "retry: 1000\nretry: x\nretry: 5 \ndata: x\n\n",
    "unknown: x\ndata: y\nData: z\n data: w\n\n",
    "data: \u2028 \u0085 \x0b \x0c\n\n",
    "data: not ended",
    "data: \U0001f600\r\ndata: \u00e9\rdata: x\n\n",
    "event:  x\ndata: two spaces\n\n",
)
PIECES: tuple[str, ...] = (
    "data",
    "data:",
    "data: x",
    ":",
    "id: 5",
    "id:",
    "event: a",
    "event",
    "retry: 9",
    " ",
    "x",
)
PIECES += ("\n", "\n", "\n", "\r", "\r\n", "\n\n", "\u00fc", "\U0001f600", "\0", "\ufeff", ": c")
KNOWN = ["message", "a", "b c", " x"]
"""The types of events that an EventSource is told to take."""


def random_body(rng: random.Random) -> bytes:
    text = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 60)))
    invalid = b"\ndata: \xff\xc3\n\n" if rng.random() < 1 / 7 else b""
    return text.encode() + invalid


@contextmanager
def serving(bodies: Sequence[bytes]) -> Iterator[str]:
    """The address of a server whose paths are the indexes of the bodies."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(bodies[int(self.path[1:])])

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def check_that_both_read_alike(run: Callable[[str, Any], Any], bodies: Sequence[bytes]) -> None:
    """Has a page read the bodies with its EventSource and with the client's parser."""
    with serving(bodies) as url:
        found = run(COMPARE, {"url": url, "number": len(bodies), "types": KNOWN})
    for body, (browser, pieces, bytewise) in zip(bodies, found, strict=True):
        assert browser == [event for event in pieces if event[0] in KNOWN], body
        assert pieces == bytewise
    assert sum(len(browser) for browser, *_ in found) > len(bodies) // 2
