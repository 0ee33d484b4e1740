"""The answers of `/stream/`: a stream's headers, and whatever is complete and short."""

from dataclasses import dataclass

from relay.access import problem
from relay.access.problem import Problem
from relay.types import Headers

STREAM_HEADERS = [
    (b"Content-Type", b"text/event-stream; charset=utf-8"),
    (b"Cache-Control", b"no-cache, no-transform"),
    (b"X-Accel-Buffering", b"no"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that is complete."""

    status: int
    headers: Headers
    body: bytes = b""

    @classmethod
    def refusal(cls, refusal: Problem) -> "Answer":
        body = refusal.body
        length = (b"Content-Length", str(len(body)).encode())
        return cls(refusal.status, [*problem.HEADERS, length, *refusal.headers], body)


class TurnedAway(Exception):
    """The hub has no stream for this client now. The client is asked to come back later.

    `headers` go with the answer. `names_event_streams`: it comes from an EventSource, which gives up
    for ever on any status but 200 (WHATWG HTML, section 9.2.3).
    """

    def __init__(self, reason: object, headers: Headers, *, names_event_streams: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.headers = headers
        self.names_event_streams = names_event_streams

    def answer(self, retry: bytes, retry_ms: int) -> Answer:
        """Returns `retry` as a stream that ends at once, or a 503 with Retry-After."""
        if self.names_event_streams:
            return Answer(200, [*STREAM_HEADERS, *self.headers], retry)
        seconds = str(retry_ms // 1000 or 1).encode()
        return Answer.refusal(Problem(503, self.reason, [(b"Retry-After", seconds), *self.headers]))
