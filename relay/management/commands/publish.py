"""`manage.py publish`: messages from the command line, for a try or as a demonstration load."""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from itertools import count as count_from
from itertools import islice
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from relay import conf
from relay.broker.address import RedisAddress


class Command(BaseCommand):
    help = (
        "Publishes MESSAGE on a Redis channel; without MESSAGE, every line of standard input. With"
        " --count the message is sent that often (a {n} in it becomes its number), with --rate so"
        " many times a second."
    )

    requires_system_checks = []  # it needs REDIS_URL alone, which conf.load() validates

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel", metavar="CHANNEL")
        parser.add_argument("message", metavar="MESSAGE", nargs="?")
        parser.add_argument("--count", type=int, metavar="N", help="how many messages")
        parser.add_argument("--rate", type=float, metavar="PER_SECOND", help="how fast")

    def handle(self, *args: Any, **options: Any) -> None:
        count, rate = options["count"], options["rate"]
        if count is not None and count < 1:
            raise CommandError(f"--count is not valid: {count}. Use a whole number from 1.")
        if rate is not None and not 0 < rate <= 1_000_000:
            raise CommandError(f"--rate is not valid: {rate:g}. Use a number above 0.")
        try:
            url = conf.load().redis_url
            known = conf.load_catalogue().find(options["channel"])
        except ValueError as error:
            raise CommandError(str(error)) from None
        if known is None:
            self.stderr.write(
                f"{options['channel']} is no channel of RELAY_CHANNELS: no stream has it."
            )
        messages = _messages(options["message"], count, rate)
        try:
            self._publish(url, options["channel"], messages, count, rate)
        except redis.exceptions.RedisError as error:
            raise CommandError(
                f"Redis {RedisAddress(url).name}: {error}. Check REDIS_URL."
            ) from None

    def _publish(
        self,
        url: str,
        channel: str,
        messages: Iterable[bytes],
        count: int | None,
        rate: float | None,
    ) -> None:
        sent = received = 0
        with redis.Redis.from_url(url) as client:
            bar = tqdm(messages, total=count, unit="msg", disable=not sys.stderr.isatty())
            try:
                for message in _paced(bar, rate):
                    received = client.publish(channel, message)
                    sent += 1
            except KeyboardInterrupt:
                bar.close()
        subscribers = "subscriber" if received == 1 else "subscribers"
        self.stdout.write(f"{sent} published on {channel}, the last to {received} {subscribers}")


def _messages(message: str | None, count: int | None, rate: float | None) -> Iterator[bytes]:
    if message is None:
        lines = (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
        return islice(lines, count)
    if count is None and rate is not None:
        numbers: Iterable[int] = count_from(1)
    else:
        numbers = range(1, (count or 1) + 1)
    if "{n}" not in message:
        return (message.encode() for _ in numbers)
    return (message.replace("{n}", str(n)).encode() for n in numbers)


def _paced(messages: Iterable[bytes], rate: float | None) -> Iterator[bytes]:
    """Lets each message through when it is due; one that is late does not delay the next."""
    start = time.monotonic()
    for number, message in enumerate(messages):
        if rate is not None:
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
        yield message
