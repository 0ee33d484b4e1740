"""Every command that the hub sends to Redis, as `relay check` tries them."""

import hashlib
from collections.abc import Sequence

SCRIPT = "return 1"

SAMPLES: tuple[tuple[str | int, ...], ...] = (
    ("PING",),
    ("TIME",),
    ("EVAL", SCRIPT, 0),
    ("EVALSHA", hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest(), 0),
    ("SET", "{text}", 1, "EX", 10),
    ("GET", "{text}"),
    ("EXPIRE", "{text}", 10),
    ("PEXPIRE", "{text}", 10_000),
    ("XADD", "{stream}", "1-1", "f", "v"),
    ("XLEN", "{stream}"),
    ("PUBSUB", "NUMSUB", "{text}"),
    ("XRANGE", "{stream}", "-", "+"),
    ("XREVRANGE", "{stream}", "+", "-"),
    ("XDEL", "{stream}", "1-1"),
    ("ZADD", "{set}", 1, "m"),
    ("ZCOUNT", "{set}", 0, 1),
    ("ZRANGE", "{set}", 0, 1),
    ("ZRANGEBYSCORE", "{set}", 0, 1),
    ("ZREMRANGEBYSCORE", "{set}", 5, 6),
    ("ZREM", "{set}", "m"),
    ("HSET", "{hash}", "f", 1),
    ("HSETNX", "{hash}", "f", 1),
    ("HGET", "{hash}", "f"),
    ("HKEYS", "{hash}"),
    ("HSCAN", "{hash}", 0, "COUNT", 10),
    ("HDEL", "{hash}", "f"),
    ("DEL", "{text}", "{stream}", "{set}", "{hash}"),
)
"""Every command that the hub sends, its scripts included, on keys that exist for the check alone."""


CLUSTER_SAMPLES: tuple[tuple[str | int, ...], ...] = (("CLUSTER", "SLOTS"), ("CLUSTER", "MYID"))
"""The same, of a cluster only."""

CONTAINERS = frozenset({"CLUSTER"})
"""Commands of which each subcommand is a right of its own."""


def right_for(words: Sequence[str | int]) -> str:
    """Returns the right that a command needs."""
    if words[0] in CONTAINERS:
        return f"{words[0]}|{words[1]}".lower()
    return str(words[0]).lower()
