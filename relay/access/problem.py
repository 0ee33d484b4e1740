"""A request that is refused, in the form in which its client learns of it (RFC 9457)."""

import json
from collections.abc import Sequence
from http import HTTPStatus

NOT_EMBEDDED = (
    (b"X-Frame-Options", b"DENY"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
)
"""No page may show it in a frame, or load it as an image: how that ends would tell who may see what."""

HEADERS = (
    (b"Content-Type", b"application/problem+json"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    *NOT_EMBEDDED,
)


class Problem(Exception):
    """A refusal with its status and a sentence, and with headers of its own.

    `detail` may be a lazy translation. It never repeats what the client sent.
    """

    def __init__(
        self, status: int, detail: object, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers

    def __str__(self) -> str:
        return str(self.detail)

    def with_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> "Problem":
        """Returns the same refusal with further headers."""
        return Problem(self.status, self.detail, [*self.headers, *headers])

    @property
    def body(self) -> bytes:
        """The JSON document, in the language that is active now."""
        document = {
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": str(self.detail),
        }
        return json.dumps(document).encode() + b"\n"
