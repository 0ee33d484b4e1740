"""The answers of `/stream/`: a stream's headers, and whatever is complete and short."""

import random
from dataclasses import dataclass
from http import HTTPStatus

from relay.access import problem
from relay.access.problem import Problem
from relay.engine.stream import Refusal
from relay.types import Headers
from relay.wire import sse

STREAM_HEADERS = [
    (b"Content-Type", b"text/event-stream; charset=utf-8"),
    (b"Cache-Control", b"no-cache, no-transform"),
    (b"X-Accel-Buffering", b"no"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    *problem.NOT_EMBEDDED,
]


def field_lines(headers: Headers) -> bytes:
    """Returns header fields as they go onto a connection (RFC 9112, section 5)."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


ERROR_EVENT = "hub.error"
"""The event that says why there is no stream; its data is the problem (RFC 9457) as JSON."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that is complete."""

    status: int
    headers: Headers
    body: bytes = b""

    def encode(self) -> bytes:
        """Returns the response as it goes onto an HTTP/1.1 connection."""
        status = b"HTTP/1.1 %d %b\r\n" % (self.status, HTTPStatus(self.status).phrase.encode())
        headers = list(self.headers)
        if not any(name.lower() == b"content-length" for name, _ in headers):
            headers.append((b"Content-Length", b"%d" % len(self.body)))
        return b"%b%b\r\n%b" % (status, field_lines(headers), self.body)

    @classmethod
    def refusal(cls, refusal: Problem) -> "Answer":
        body = refusal.body
        length = (b"Content-Length", str(len(body)).encode())
        return cls(refusal.status, [*problem.HEADERS, length, *refusal.headers], body)

    @classmethod
    def refusal_event(cls, refusal: Problem, headers: Headers, retry_ms: int) -> "Answer":
        """A refusal as a stream of one event. Its client comes back after `retry_ms` or more."""
        retry = sse.retry(round(retry_ms * random.uniform(1.0, 2.0)))
        return cls(200, [*STREAM_HEADERS, *headers], retry + error_event(refusal))


def error_event(refusal: Problem) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (ERROR_EVENT.encode(), refusal.body.strip())


class TurnedAway(Exception):
    """The hub has no stream for this client now. The client is asked to come back later.

    `headers` go with the answer. `names_event_streams`: it comes from an EventSource, which gives up
    for ever on any status but 200 (WHATWG HTML, section 9.2.3). `as_event`: it asked to be told why.
    """

    def __init__(
        self,
        reason: object,
        headers: Headers,
        *,
        names_event_streams: bool,
        as_event: bool = False,
        refusal: Refusal = Refusal.UNIDENTIFIED,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.refusal = refusal
        self.headers = headers
        self.names_event_streams = names_event_streams
        self.as_event = as_event

    def answer(self, retry: bytes, retry_ms: int) -> Answer:
        """Returns `retry` as a stream that ends at once, or a 503 with Retry-After."""
        if self.names_event_streams or self.as_event:
            event = error_event(Problem(503, self.reason)) if self.as_event else b""
            return Answer(200, [*STREAM_HEADERS, *self.headers], retry + event)
        seconds = str(retry_ms // 1000 or 1).encode()
        return Answer.refusal(Problem(503, self.reason, [(b"Retry-After", seconds), *self.headers]))
