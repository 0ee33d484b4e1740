"""Refusals of the server itself, before an application is asked or after it has failed."""

from typing import NamedTuple

from django.utils.translation import gettext_lazy as _

from relay.access.problem import Problem
from relay.http.answer import Answer


class Refusal(NamedTuple):
    """A complete answer, after which the connection is closed."""

    status: int
    detail: object

    def response(self) -> bytes:
        """Returns the response as it goes onto the connection."""
        headers = [(b"Connection", b"close")]
        if self.status == 503:
            headers.append((b"Retry-After", b"1"))
        return Answer.refusal(Problem(self.status, self.detail, headers)).encode()


UNREADABLE = Refusal(400, _("The request cannot be read."))
BAD_FIELD = Refusal(400, _("A header field is not valid."))
FOLDED = Refusal(400, _("A header field is folded (RFC 9112, section 5.2)."))
HANDSHAKE = Refusal(400, _("A handshake has no body."))
LATE_HEAD = Refusal(408, _("The head of the request did not come in time."))
LATE_BODY = Refusal(408, _("The body of the request did not come in time."))
LARGE_BODY = Refusal(413, _("The body is larger than this path takes."))
LARGE_HEAD = Refusal(431, _("The head of the request is too large."))
FAILED = Refusal(500, _("The application failed."))
MANY_BODIES = Refusal(503, _("Too many large bodies are being received."))
STOPPING = Refusal(503, _("This process stops."))
