"""A message of the benchmark: 100 bytes that identify it."""

PAYLOAD_BYTES = 100
TOKEN = rb"\d{4} \d{10} \d{20}"
"""Phase, number, and due time in nanoseconds, as a regular expression."""
PADDING = b" " + b"." * (PAYLOAD_BYTES - 36 - 1)


def make_token(phase: int, number: int, due_ns: int) -> bytes:
    return b"%04d %010d %020d" % (phase, number, due_ns)


def phase_of(token: bytes) -> int:
    return int(token[:4])


def number_of(token: bytes) -> int:
    return int(token[5:15])
