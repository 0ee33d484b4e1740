"""Reads text/event-stream in pieces of any size (WHATWG HTML, section 9.2.6)."""

import codecs
import re
from dataclasses import dataclass

_LINE_END = re.compile("\r\n|\n|\r")
_DIGITS = re.compile("[0-9]+")
_HEARTBEAT = re.compile(r":heartbeat=([0-9]+(?:\.[0-9]+)?)")


@dataclass(frozen=True, slots=True)
class Found:
    """An event; without `data` no more than an id. `id` is the last event id."""

    id: str
    data: str | None = None
    event: str = ""


class EventParser:
    """`retry_ms` and `heartbeat_seconds` are what the stream has said of them, None before it has."""

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        self.heartbeat_seconds: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest: list[str] = []
        self._after_return = False  # an LF would belong to the CR that ended the last piece
        self._data: list[str] = []
        self._event = ""
        self._id = ""
        self._has_id = False

    def push(self, piece: bytes) -> list[Found]:
        """Returns what has become complete with this piece."""
        text = self._decoder.decode(piece)
        if not text:
            return []
        if self._after_return and text[0] == "\n":
            text = text[1:]
        self._after_return = text.endswith("\r")
        first, *more = _LINE_END.split(text)
        self._rest.append(first)
        if not more:
            return []
        lines = ["".join(self._rest), *more]
        self._rest = [lines.pop()]
        return [found for line in lines if (found := self._line(line)) is not None]

    def _line(self, line: str) -> Found | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        self._field(name, value.removeprefix(" "))
        if heartbeat := _HEARTBEAT.fullmatch(line):
            self.heartbeat_seconds = float(heartbeat[1])
        return None

    def _field(self, name: str, value: str) -> None:
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id, self._has_id = value, True
        elif name == "retry" and _DIGITS.fullmatch(value):
            self.retry_ms = int(value[:9])

    def _end(self) -> Found | None:
        found = None
        if self._data:
            found = Found(self._id, "\n".join(self._data), self._event or "message")
        elif self._has_id:
            found = Found(self._id)
        self._data, self._event, self._has_id = [], "", False
        return found
