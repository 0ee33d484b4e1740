"""What a parent and a worker tell each other: lines of JSON over a pair of Unix sockets."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum


class Word(StrEnum):
    """`READY` and `BEAT` come from a worker, the others, of which it gets one, from its parent."""

    READY = "ready"
    """Its hub is live."""
    BEAT = "beat"
    """Its event loop turns."""
    DRAIN = "drain"
    """Accept no more, end the streams little by little, then end. Another worker has the socket too."""
    CLOSE = "close"
    """The same, but no other worker has the socket."""


BEAT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told first. Secret, for the URL may hold a password."""

    redis_url: str
    """The Redis that the parent has embedded; empty where the settings name one."""

    def line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> "Orders":
        return cls(**json.loads(line))


def line_of(word: Word) -> bytes:
    return json.dumps(word).encode() + b"\n"


def word_of(line: bytes) -> Word:
    return Word(json.loads(line))
