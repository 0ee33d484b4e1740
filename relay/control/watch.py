"""A watch: somebody looks at the operator's page, so all hub processes report. No I/O, no clock."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

VALID_SECONDS = 6.0
"""How long a watch counts after it was heard."""

RENEW_SECONDS = 2.0
"""How often a watch is renewed."""

MAX_TEXT = 100
MAX_TEXTS = 4
"""How many texts are looked for at once; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Watch:
    """`text` is looked for in the streams: in user, address, id and channels. Empty: nothing is."""

    text: str = ""

    def encode(self) -> bytes:
        """Returns the message on the control channel; other versions take it for a call to look for kicks."""
        return json.dumps({"watch": self.text}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, message: bytes) -> "Watch | None":
        """Reads a message. None for any other one: whoever may publish in Redis may send anything."""
        try:
            value: Any = json.loads(message)
        except (ValueError, RecursionError):
            return None
        text = value.get("watch") if isinstance(value, Mapping) else None
        return cls(text) if isinstance(text, str) and len(text) <= MAX_TEXT else None


class Watches:
    """The watches in force. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._until = 0.0
        self._texts: dict[str, float] = {}

    def hear(self, messages: Iterable[bytes], now: float) -> bool:
        """Notes what was heard. Returns whether there is a watch among it that asks for a new text."""
        new = False
        for watch in filter(None, map(Watch.decode, messages)):
            self._until = now + VALID_SECONDS
            if watch.text:
                new = new or watch.text not in self._texts
                self._texts.pop(watch.text, None)
                self._texts[watch.text] = self._until
        while len(self._texts) > MAX_TEXTS:
            del self._texts[next(iter(self._texts))]
        return new

    def watched(self, now: float) -> bool:
        """Whether somebody watches."""
        return now < self._until

    def texts(self, now: float) -> list[str]:
        """Returns what to look for in the streams."""
        return [text for text, until in self._texts.items() if now < until]
