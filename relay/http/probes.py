"""`/livez` and `/readyz`: yes or no, for probes and load balancers, whichever Host they ask for."""

from relay.engine.hub import Hub
from relay.http.answer import Answer

LIVE, READY = "/livez", "/readyz"
PATHS = frozenset({LIVE, READY})

METHODS = {"GET", "HEAD"}


async def answer_probe(path: str, method: str, hub: Hub) -> Answer:
    """Returns 200 for yes and 503 for no.

    The process lives when it answers at all. It is ready while its subscription to Redis stands, the
    database answers where one is needed, and it takes new streams.
    """
    if method not in METHODS:
        return _text(405, b"", (b"Allow", b", ".join(sorted(m.encode() for m in METHODS))))
    if path == LIVE or (hub.takes_streams and hub.live and await hub.database.state() != "lost"):
        return _text(200, b"yes\n")
    return _text(503, b"no\n")


def _text(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    always = [(b"Content-Type", b"text/plain"), (b"Cache-Control", b"no-store")]
    return Answer(status, [*always, *headers, (b"Content-Length", b"%d" % len(body))], body)
