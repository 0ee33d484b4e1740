"""`manage.py relay publish`: messages from the command line, for a try or as a demonstration load."""

import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count as count_from
from itertools import islice
from typing import TextIO

from django.core.management.base import CommandError

from relay import conf
from relay.broker.address import name_of
from relay.broker.errors import RedisUnavailable
from relay.broker.sync import SyncRedis, open_sync, run_sync, script_sync
from relay.conf.catalogue import Target
from relay.management.subcommand import Options, Subcommand
from relay.publishing.once import Outgoing, entries_script

SHOW_SECONDS = 0.1
"""How often the line with the progress is written."""


class Publish(Subcommand):
    help = (
        "Publishes MESSAGE on a Redis channel, or adds it to the stream of a stream channel. Without"
        " MESSAGE, publishes every line of standard input. With --count the message is sent that often"
        " (a {n} in it becomes its number), with --rate so many times a second."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("channel", metavar="CHANNEL")
        parser.add_argument("message", metavar="MESSAGE", nargs="?")
        parser.add_argument("--count", type=int, metavar="N", help="how many messages")
        parser.add_argument("--rate", type=float, metavar="PER_SECOND", help="how fast")

    def run(self, options: Options) -> None:
        channel, count, rate = options["channel"], options["count"], options["rate"]
        _check(count, rate)
        try:
            url = conf.load().redis_url
            known = conf.load_catalogue().find(channel)
        except ValueError as error:
            raise CommandError(str(error)) from None
        if known is None:
            self.stderr.write(f"{channel} is no channel of RELAY_CHANNELS: no stream has it.")
        messages = _paced(_messages(options["message"], count, rate), rate)
        try:
            self._publish(url, known, channel, messages, count)
        except RedisUnavailable as error:
            raise CommandError(f"Redis {name_of(url)}: {error}. Check REDIS_URL.") from None

    def _publish(
        self,
        url: str,
        target: Target | None,
        channel: str,
        messages: Iterable[bytes],
        count: int | None,
    ) -> None:
        received: int | None = 0
        progress = Progress(sys.stderr, count)
        server, command = open_sync(url), conf.load().publish_command
        send: Callable[[bytes], int | None] = partial(_send, server, command, channel)
        if target is not None and target.spec.is_stored:
            command, send = "XADD", partial(_add, server, target)
        try:
            for message in messages:
                received = run_sync(partial(send, message), command)
                progress.advance()
        except KeyboardInterrupt:
            pass
        finally:
            server.close()
        progress.clear()
        if received is None:
            self.stdout.write(f"{progress.number} added to the stream {channel}")
            return
        subscribers = "subscriber" if received == 1 else "subscribers"
        sent = progress.number
        self.stdout.write(f"{sent} published on {channel}, the last to {received} {subscribers}")


def _send(server: SyncRedis, command: str, channel: str, message: bytes) -> int:
    return int(server.client().execute_command(command, channel, message))


def _add(server: SyncRedis, target: Target, message: bytes) -> None:
    outgoing = Outgoing.to(target, [message])
    assert outgoing.stored is not None
    script_sync(server.client(), *entries_script(outgoing, outgoing.stored))


class Progress:
    """A line on the terminal, written over and over; nothing where there is no terminal."""

    def __init__(self, out: TextIO, total: int | None) -> None:
        self.number = 0
        self._out = out
        self._total = "" if total is None else f" of {total:,}"
        self._shown = out.isatty()
        self._start = self._next = time.monotonic()

    def advance(self) -> None:
        self.number += 1
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + SHOW_SECONDS
            rate = self.number / max(now - self._start, SHOW_SECONDS)
            self._out.write(f"\r\x1b[K{self.number:,}{self._total} published, {rate:,.0f}/s")
            self._out.flush()

    def clear(self) -> None:
        if self._shown:
            self._out.write("\r\x1b[K")
            self._out.flush()


def _check(count: int | None, rate: float | None) -> None:
    if count is not None and count < 1:
        raise CommandError(f"--count is not valid: {count}. Use a whole number from 1.")
    if rate is not None and not 0 < rate <= 1_000_000:
        raise CommandError(f"--rate is not valid: {rate:g}. Use a number above 0.")


def _messages(message: str | None, count: int | None, rate: float | None) -> Iterator[bytes]:
    if message is None:
        lines = (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
        return islice(lines, count)
    if count is None and rate is not None:
        numbers: Iterable[int] = count_from(1)
    else:
        numbers = range(1, (count or 1) + 1)
    if "{n}" not in message:
        return (os.fsencode(message) for _ in numbers)
    return (os.fsencode(message.replace("{n}", str(n))) for n in numbers)


def _paced(messages: Iterable[bytes], rate: float | None) -> Iterator[bytes]:
    """Lets each message through when it is due; one that is late does not delay the next."""
    start = time.monotonic()
    for number, message in enumerate(messages):
        if rate is not None:
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
        yield message
