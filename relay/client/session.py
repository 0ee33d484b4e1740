"""What is to be asked and what an answer means, without any input or output."""

import json
import logging
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from http.client import responses
from time import time
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from relay.client.events import Event, Gap, Message, Oversize
from relay.client.parser import EventParser, Found

logger = logging.getLogger("relay.client")

RETRY_SECONDS = 2.0
MAX_BACKOFF_SECONDS = 30.0
HEARTBEAT_SECONDS = 15.0
"""The hub's default, until it has said its own."""

SILENT_HEARTBEATS = 2.5
"""A connection that is silent for so many heartbeats is dead."""

TRANSIENT = {408, 425, 429}

_SOURCE = re.compile("@=([^&]*)")


class StreamRefused(Exception):
    """The hub refuses the stream, and would again. `status` and `detail` are those of its answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class Session:
    """One stream over several requests. `last_event_id` is the place after the last event."""

    def __init__(
        self,
        url: str,
        channels: Sequence[str] = (),
        last_event_id: str = "",
        query: Mapping[str, str] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            raise ValueError("It is no address that begins with http:// or https://")
        fields = parse_qsl(parts.query, keep_blank_values=True)
        self._channels = channels or [value for name, value in fields if name == "channel"]
        wanted = [(name, value) for name, value in fields if name != "channel"]
        wanted += [("channel", name) for name in self._channels]
        wanted += (query or {}).items()
        self.url = parts._replace(query=urlencode(wanted)).geturl()
        self.last_event_id = last_event_id
        self.heartbeat_seconds = HEARTBEAT_SECONDS
        self._retry_seconds = RETRY_SECONDS
        self._failures = 0
        self._parser = EventParser()

    @property
    def silence_seconds(self) -> float:
        """How long nothing may come on a connection that lives."""
        return SILENT_HEARTBEATS * self.heartbeat_seconds

    def headers(self, token: str | None) -> dict[str, str]:
        """Returns the fields of the next request."""
        # A full hub answers Accept: text/event-stream with 200.
        fields = {"Accept": "*/*", "Accept-Encoding": "identity", "Cache-Control": "no-cache"}
        if self.last_event_id:
            fields["Last-Event-ID"] = self.last_event_id
        if token:
            fields["Authorization"] = f"Bearer {token}"
        return fields

    # -- an answer

    def begin(self, content_type: str) -> None:
        """Called when a stream begins. Raises StreamRefused where it is none."""
        if content_type.partition(";")[0].strip().lower() != "text/event-stream":
            raise StreamRefused(200, "The answer is no event stream.")
        self._parser = EventParser()

    def events(self, piece: bytes) -> Iterator[Event]:
        """Yields the events that a piece completes. The place moves on as each is taken."""
        parser = self._parser
        found = parser.push(piece)
        if parser.retry_ms is not None:
            self._retry_seconds = parser.retry_ms / 1000
        if parser.heartbeat_seconds:
            self.heartbeat_seconds = parser.heartbeat_seconds
        if found or parser.heartbeat_seconds:
            self._failures = 0
        for each in found:
            self.last_event_id = each.id or self.last_event_id
            if each.data is not None:
                yield self._notice(each, each.data) or self._message(each, each.data)

    def _message(self, found: Found, data: str) -> Message:
        if source := _SOURCE.match(found.id):
            channel = unquote(source[1])
        else:
            channel = self._channels[0] if self._channels else ""
        return Message(channel, found.id, data, found.event)

    def _notice(self, found: Found, data: str) -> Gap | Oversize | None:
        if found.event not in {"hub.gap", "hub.oversize"}:
            return None
        try:
            said = json.loads(data)
            channel = said["channel"]
            if found.event == "hub.oversize":
                return Oversize(channel, found.id, said["bytes"], said["max_bytes"])
            where = said["from"], said["to"], said["missed"], said["reason"]
            return Gap(channel, found.id, *where)
        except (ValueError, LookupError, TypeError):
            return None

    # -- the end of a request; each returns how many seconds to wait before the next

    def ended(self) -> float:
        return self._wait(logging.INFO, "The stream ended.")

    def failed(self, error: Exception) -> float:
        return self._wait(logging.WARNING, f"{type(error).__name__}: {error}")

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> float:
        """Raises StreamRefused for an answer that will not change by itself."""
        detail = _detail(body) or responses.get(status, "")
        if status < 500 and status not in TRANSIENT:
            raise StreamRefused(status, detail)
        least = _retry_after(headers.get("retry-after", ""))
        return self._wait(logging.WARNING, f"{status} {detail}", least)

    def _wait(self, level: int, why: str, least: float = 0.0) -> float:
        """The first wait is the hub's `retry`, different for each client. Then they double, with jitter."""
        limit = max(MAX_BACKOFF_SECONDS, self._retry_seconds)
        backoff = min(self._retry_seconds * 2.0 ** min(self._failures, 20), limit)
        spread = random.uniform(0.5, 1.0) if self._failures else 1.0
        seconds = max(backoff * spread, least * random.uniform(1.0, 1.5))
        self._failures += 1
        logger.log(level, "%s Asking again in %.1f s.", why, seconds)
        return seconds


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, LookupError, TypeError):
        return ""


def _retry_after(text: str) -> float:
    """Returns the seconds of a Retry-After field (RFC 9110, section 10.2.3); 0 where it has none."""
    if text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time(), 0.0)
    except (ValueError, TypeError):
        return 0.0
