"""Turns the entries of a Redis Stream into events without their ids."""

import json
from collections.abc import Sequence

from relay.feed.encoder import Encoder
from relay.stats import Stats
from relay.wire import sse
from relay.wire.envelope import MAX_RETRY_MS, is_name

DATA, EVENT, RETRY = b"data", b"event", b"retry"


class EntryEncoder(Encoder):
    """The field `data` is the text. An entry without it becomes a JSON object of its fields.

    With `named` the fields `event` and `retry` are those of the event; what they cannot be is ignored.
    Of two fields with one name the first counts.
    """

    def __init__(self, channel: str, max_bytes: int, stats: Stats, *, named: bool = False) -> None:
        super().__init__(channel, max_bytes, stats)
        self._named = named

    def encode_entry(self, words: Sequence[bytes], ms: int, number: int) -> bytes:
        """Returns the event of the entry with this id. `words` are its fields and values by turns."""
        fields: dict[bytes, bytes] = {}
        for name, value in zip(words[::2], words[1::2], strict=True):
            fields.setdefault(name, value)
        event = retry = None
        if self._named:
            event, retry = fields.pop(EVENT, None), fields.pop(RETRY, None)
        data = fields.get(DATA)
        if data is None:
            data = self._object(fields)
        return sse.named(_name(event), _milliseconds(retry), self.encode(data, ms, number))

    def _object(self, fields: dict[bytes, bytes]) -> bytes:
        texts = {self._utf8(name).decode(): self._utf8(v).decode() for name, v in fields.items()}
        return json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()


def _name(value: bytes | None) -> str | None:
    name = value.decode(errors="replace") if value else None
    return name if is_name(name) else None


def _milliseconds(value: bytes | None) -> int | None:
    if value is None or not value.isdigit() or len(value) > len(str(MAX_RETRY_MS)):
        return None
    return int(value) if int(value) <= MAX_RETRY_MS else None
