"""Who asks a view for what a channel shows, and how such a view answers."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from relay import conf
from relay.access.entrance import admitted
from relay.access.identity import Credentials, Viewer
from relay.access.problem import NOT_EMBEDDED, Problem
from relay.conf.catalogue import Target
from relay.http.query import Query, parse_query
from relay.http.request import StreamRequest, scope_of


@dataclass(frozen=True, slots=True)
class Visitor:
    """The sender of a request, who is judged as for a stream."""

    request: StreamRequest
    query: Query

    @classmethod
    def of(cls, request: HttpRequest) -> "Visitor":
        """Raises Problem: 403 for a page of an origin that is not listed, 400 for too many fields."""
        asked = StreamRequest.of(scope_of(request))
        origins = conf.load().allowed_origins
        if asked.origin is not None and not origins.allows(asked.origin, request.get_host()):
            raise Problem(403, _("Pages of this origin may not read this (RELAY_ALLOWED_ORIGINS)."))
        try:
            return cls(asked, parse_query(asked.query_string))
        except ValueError as error:
            raise Problem(400, error.args[0]) from None

    def field(self, name: str) -> str:
        """Returns the first value of a field of the query, or nothing."""
        return self.query.get(name, [""])[0]

    def credentials(self) -> Credentials:
        """Raises Problem (403) for cookies that a page of another origin made the browser send."""
        return self.request.credentials(self.field("token"))

    async def see(self, target: Target) -> Viewer:
        """Returns who it is. Raises Problem unless that viewer may see the channel."""
        return await admitted(self.credentials(), [target], self.request.scope)


def json_response(body: bytes, kind: type[HttpResponse] = HttpResponse) -> HttpResponse:
    """Returns an answer that nobody keeps, and that no page can embed."""
    response = kind(body, content_type="application/json")
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    for name, value in NOT_EMBEDDED:
        response[name.decode()] = value.decode()
    return response
