"""What a client asks for, read once from its request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from relay.access.identity import Credentials
from relay.access.problem import Problem
from relay.types import Scope


@dataclass(slots=True)
class StreamRequest:
    """The fields of a request that matter to a stream, as they were sent. They may hold anything."""

    scope: Scope = field(repr=False)
    method: str
    host: str
    forwarded_host: str | None
    origin: str | None
    fetch_site: str
    accept: str
    last_event_id: bytes
    forwarded_for: str
    authorization: str = field(repr=False)
    cookie: str = field(repr=False)
    query_string: bytes = field(repr=False)

    @classmethod
    def of(cls, scope: Scope) -> "StreamRequest":
        """Reads an ASGI scope. Never raises."""
        fields = _joined(scope["headers"])
        server = str((scope.get("server") or ("", None))[0])
        return cls(
            scope,
            method=scope["method"],
            host=_text(fields, b"host", server),
            forwarded_host=_optional(fields, b"x-forwarded-host"),
            origin=_optional(fields, b"origin"),
            fetch_site=_text(fields, b"sec-fetch-site"),
            accept=_text(fields, b"accept"),
            last_event_id=fields.get(b"last-event-id", b""),
            forwarded_for=_text(fields, b"x-forwarded-for"),
            authorization=_text(fields, b"authorization"),
            cookie=_text(fields, b"cookie"),
            query_string=scope.get("query_string", b""),
        )

    def credentials(self, query_token: str) -> Credentials:
        """Raises Problem (403) for cookies that a page of another origin made the browser send."""
        found = Credentials.of(self.authorization, query_token, self.cookie)
        if found.by_browser and self.of_another_page:
            raise Problem(403, _("A page of another origin may not open this by a cookie."))
        return found

    @property
    def of_another_page(self) -> bool:
        """Whether a page of another origin causes it without CORS: in a frame, an image, a link.

        Such a request has no Origin, so no list of origins can let it in (Fetch Metadata).
        """
        return self.origin is None and self.fetch_site in {"cross-site", "same-site"}

    @property
    def names_event_streams(self) -> bool:
        """Whether it comes from an EventSource, which retries after no status but 200."""
        return "text/event-stream" in self.accept


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Returns each field once. Several of a name become a list (RFC 9110, section 5.3).

    Two Host or Authorization fields make a list that is no host and no token. Cookies are joined as
    HTTP/2 wants it (RFC 9113, section 8.2.3).
    """
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        separator = b"; " if name == b"cookie" else b", "
        fields[name] = fields[name] + separator + value if name in fields else value
    return fields


def _optional(fields: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = fields.get(name)
    return None if value is None else value.decode("latin-1")


def _text(fields: Mapping[bytes, bytes], name: bytes, default: str = "") -> str:
    value = fields.get(name)
    return default if value is None else value.decode("latin-1")


def scope_of(request: HttpRequest) -> Scope:
    """Returns the ASGI scope of a Django request; under WSGI, one made of the request."""
    meta = request.META
    query_string = _bytes(meta.get("QUERY_STRING", ""))  # Django's test client makes it text
    scope: Scope | None = getattr(request, "scope", None)
    if scope is not None:
        return {**scope, "query_string": query_string}
    return {
        "type": "http",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "query_string": query_string,
        "headers": [
            (_bytes(name.lower()), _bytes(value)) for name, value in request.headers.items()
        ],
        "client": (meta.get("REMOTE_ADDR", ""), 0),
        "server": (meta.get("SERVER_NAME", ""), meta.get("SERVER_PORT")),
    }


def _bytes(text: str) -> bytes:
    """WSGI hands bytes over as Latin-1 text (PEP 3333)."""
    return text.encode("latin-1", "replace")
