"""A request that is refused, as it is told to the client (RFC 9457, application/problem+json)."""

import json
from collections.abc import Sequence
from http import HTTPStatus

HEADERS = (
    (b"Content-Type", b"application/problem+json"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
)


class Problem(Exception):
    """`detail` is a sentence of ours: it never repeats what the client sent."""

    def __init__(
        self, status: int, detail: str, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers

    @property
    def body(self) -> bytes:
        title = HTTPStatus(self.status).phrase
        told = {"title": title, "status": self.status, "detail": self.detail}
        return json.dumps(told).encode() + b"\n"
