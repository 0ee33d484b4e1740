"""Keeps what a site publishes in a test."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connections

from relay import conf
from relay.publishing import outlet
from relay.publishing.once import Outgoing, Published
from relay.wire.envelope import unwrap


@dataclass(frozen=True, slots=True)
class Captured:
    """A message that was published.

    `data` is a JSON object or array as Python has it, other text as `str`, and what is not UTF-8 as
    `bytes`. `event` is the name of a named event.
    """

    channel: str
    data: Any
    event: str | None = None


@contextmanager
def capture() -> Iterator[list[Captured]]:
    """Keeps what is published in the block, in every thread; nothing of it reaches Redis.

    What waits for the commit of a transaction that encloses the block is there at the end of it.
    """
    kept = _Kept()
    before = {c.alias: len(c.run_on_commit) for c in connections.all(initialized_only=True)}
    with outlet.replaced(kept):
        yield kept.messages
        for connection in connections.all(initialized_only=True):
            _commit(connection, before.get(connection.alias, 0))


class _Kept:
    """An outlet that keeps everything."""

    def __init__(self) -> None:
        self.messages: list[Captured] = []

    def send(self, outgoing: Outgoing) -> Published:
        self.messages += [_captured(outgoing.channel, each) for each in outgoing.messages]
        subscribers = None if outgoing.stored else 0
        return Published(len(outgoing.messages), subscribers, again=False)

    async def asend(self, outgoing: Outgoing) -> Published:
        return self.send(outgoing)

    async def take(self, subject: str, per_second: int, number: int) -> float:
        return 0.0


def _commit(connection: Any, first: int) -> None:
    """Runs what relay registered since, and leaves all else to whoever tests it."""
    callbacks = connection.run_on_commit[first:]
    ours = [entry for entry in callbacks if entry[1].__module__ == "relay.publishing.api"]
    connection.run_on_commit[first:] = [entry for entry in callbacks if entry not in ours]
    for entry in ours:
        entry[1]()


def _captured(channel: str, payload: bytes) -> Captured:
    target = conf.load_catalogue().find(channel)
    envelope = unwrap(payload) if target is not None and target.spec.envelope else None
    if envelope is None:
        return Captured(channel, _decoded(payload))
    return Captured(channel, _decoded(envelope.data), envelope.event)


def _decoded(payload: bytes) -> Any:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return payload
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list) else text
