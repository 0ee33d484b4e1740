"""What a read of a stream means: bytes in, values out.

Many streams get the same bytes, so a piece is decoded once and found again for each other stream.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

_SIZE_LINE_BYTES = 20
_MESSAGE_BYTES = 100
_HEX = re.compile(rb"[0-9A-Fa-f]{1,8}\Z")
_KEPT_PIECES = 4096

Position = tuple[int, int]
"""An id as two numbers, which grow."""

NOWHERE: Position = (0, 0)


def message(number: int) -> bytes:
    """Returns the message of this number, 100 bytes long."""
    return (b"%d " % number).ljust(_MESSAGE_BYTES, b".")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some whole events, and the bytes after them."""

    numbers: tuple[int, ...]
    """The numbers of all messages, in order."""
    positions: tuple[Position, ...]
    """Their ids."""
    last_id: bytes
    """The last id that was named; empty if none was."""
    retry_ms: int | None
    notices: tuple[bytes, ...]
    """Events with a name, such as `hub.gap`."""
    corrupt: int
    """The number of events that are not ours."""
    ended: bool
    """Whether the last chunk has come, after which nothing more may."""
    rest: bytes
    """Is to be put before the next read."""


@lru_cache(maxsize=_KEPT_PIECES)
def decode(data: bytes) -> Piece:
    """Reads as many whole chunks as hold whole events. Broken framing counts as corrupt and ends."""
    body, used, ended, broken = _chunks(data)
    if not ended and not body.endswith(b"\n\n"):
        return Piece((), (), b"", None, (), 0, ended=False, rest=data)
    return _read(body, ended, broken, data[used:])


def _chunks(data: bytes) -> tuple[bytes, int, bool, bool]:
    """Returns the body of all whole chunks, their size, whether the body ends, and whether it is broken."""
    body: list[bytes] = []
    at = 0
    while (line_end := data.find(b"\r\n", at, at + _SIZE_LINE_BYTES)) >= 0:
        line = data[at:line_end]
        if not _HEX.match(line):
            return b"".join(body), at, True, True
        size, begin = int(line, 16), line_end + 2
        if len(data) < begin + size + 2:
            return b"".join(body), at, False, False
        if data[begin + size : begin + size + 2] != b"\r\n":
            return b"".join(body), at, True, True
        at = begin + size + 2
        if not size:
            return b"".join(body), at, True, False
        body.append(data[begin : begin + size])
    broken = len(data) - at >= _SIZE_LINE_BYTES
    return b"".join(body), at, broken, broken


def _read(body: bytes, ended: bool, broken: bool, rest: bytes) -> Piece:
    numbers: list[int] = []
    positions: list[Position] = []
    notices: list[bytes] = []
    last_id, retry_ms = b"", None
    *events, incomplete = body.split(b"\n\n")
    corrupt = int(broken) + bool(incomplete)
    for event in events:
        fields = _fields(event)
        last_id = fields.get(b"id", last_id)
        if fields.get(b"retry", b"").isdigit():
            retry_ms = int(fields[b"retry"])
        if b"event" in fields:
            notices.append(event)
        elif b"data" in fields:
            number = _number(fields[b"data"])
            if number is None or b"id" not in fields:
                corrupt += 1
            else:
                numbers.append(number)
                positions.append(position(fields[b"id"]))
    return Piece(
        tuple(numbers), tuple(positions), last_id, retry_ms, tuple(notices), corrupt, ended, rest
    )


def _fields(event: bytes) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for line in event.split(b"\n"):
        name, _, value = line.partition(b":")
        if name:  # else it is a comment
            fields[name] = value.removeprefix(b" ")
    return fields


def _number(data: bytes) -> int | None:
    """Returns the number of a message of ours; None if a byte of it is changed."""
    digits = data.partition(b" ")[0]
    if not digits.isdigit() or message(int(digits)) != data:
        return None
    return int(digits)


@lru_cache(maxsize=_KEPT_PIECES)
def position(last_id: bytes) -> Position:
    epoch, _, offset = last_id.partition(b"-")
    return int(epoch), int(offset)
