"""How large a request body may be, decided by its path before the body is read."""

from dataclasses import dataclass
from typing import Any

from django.urls import Resolver404, resolve

from relay.conf import Settings
from relay.http.publish import MAX_BATCH_BYTES

SMALL_BYTES = 64 * 1024
"""What every path takes, so that its own answer (such as 405) reaches the client."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The limits of one application. `site_bytes` is for paths that are not relay's."""

    stream_path: str
    publish_bytes: int
    site_bytes: int

    @classmethod
    def of(cls, settings: Settings, *, serves_site: bool) -> "BodyLimits":
        events = [int(entry.get("event_bytes", 0)) for _, entry in settings.channels]
        largest = max(MAX_BATCH_BYTES, settings.event_bytes, *events, 0) + SMALL_BYTES
        return cls(
            stream_path=settings.stream_path,
            publish_bytes=largest if settings.http_publish else SMALL_BYTES,
            site_bytes=settings.body_bytes if serves_site else SMALL_BYTES,
        )

    def bytes_for(self, method: str, path: str) -> int:
        """Returns the limit for a path below the site's root."""
        if method in {"GET", "HEAD", "OPTIONS", "TRACE"} or self._is_stream(path):
            return SMALL_BYTES
        module = _module_of_view(path)
        if module == "relay.http.publish":
            return self.publish_bytes
        return SMALL_BYTES if module.startswith("relay.") else max(SMALL_BYTES, self.site_bytes)

    def _is_stream(self, path: str) -> bool:
        return path.strip("/") == self.stream_path.strip("/")


def _module_of_view(path: str) -> str:
    try:
        view: Any = resolve(path).func
    except Resolver404:
        return ""
    return str(getattr(view, "__module__", ""))
