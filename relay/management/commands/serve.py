"""`manage.py serve`: the hub on Daphne, with an embedded Redis where none is given."""

import os
import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from typing import Any

import redis
from django.core.checks import run_checks
from django.core.management.base import BaseCommand, CommandError

from relay import conf
from relay.broker.address import RedisAddress
from relay.server.embedded_redis import EmbeddedRedis, accepts_connections

LOCAL_PORT = 6379


class Command(BaseCommand):
    help = "Serves the hub with Daphne."
    requires_system_checks = []  # `_check` runs them, and says each problem in one line

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
        parser.add_argument("--port", default=os.environ.get("PORT", "8000"))

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"] or "127.0.0.1", _port(options["port"] or "8000")
        self._check()
        url = conf.load().redis_url
        with ExitStack() as stack:
            embedded = not os.environ.get("REDIS_URL") and not accepts_connections(LOCAL_PORT)
            if embedded:
                try:
                    stack.enter_context(EmbeddedRedis(LOCAL_PORT))
                except RuntimeError as error:
                    raise CommandError(str(error)) from None
            _require_redis(url)
            self._serve(host, port, url, embedded)

    def _check(self) -> None:
        for message in run_checks():
            line = " ".join(filter(None, [str(message.msg), message.hint]))
            if message.is_serious():
                raise CommandError(line)
            self.stderr.write(f"warning: {line}")

    def _serve(self, host: str, port: int, url: str, embedded: bool) -> None:
        from hub.asgi import application
        from relay.server.daphne import HubServer

        def listening(host: str, port: int) -> None:
            shown = f"[{host}]" if ":" in host else host
            where = RedisAddress(url).name + (" (embedded, nothing is kept)" if embedded else "")
            self.stdout.write(f"Relay Hub on http://{shown}:{port}/ with Redis {where}")
            self.stdout.write(f'Try: {_redis_cli(url)} publish {conf.load().channel} "Test Event"')
            sys.stdout.flush()

        server = HubServer(application, host, port, listening)
        server.run()
        if server.failure:
            raise CommandError(
                f"cannot listen on {host}:{port}: {server.failure}."
                " Choose another address with HOST and PORT."
            )


def _port(value: Any) -> int:
    try:
        port = int(value)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise CommandError(f"PORT is not valid: {value!r}. Use a whole number from 0 to 65535.")
    return port


def _require_redis(url: str) -> None:
    """Raises CommandError, with what to do, unless Redis answers and lets us subscribe."""
    name, channel = RedisAddress(url).name, conf.load().channel
    client = redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5)
    try:
        with client.pubsub() as pubsub:
            pubsub.subscribe(channel)
            pubsub.get_message(timeout=5)
    except redis.exceptions.AuthenticationError as error:
        raise CommandError(
            f"Redis {name} refused the user or password: {str(error).rstrip('.')}. Check REDIS_URL."
        ) from None
    except redis.exceptions.NoPermissionError as error:
        raise CommandError(
            f"Redis {name} denied the subscription: {str(error).rstrip('.')}."
            " Give the user of REDIS_URL the rights"
            f" in docs/operations.md, &{channel} among them."
        ) from None
    except (redis.exceptions.RedisError, OSError) as error:
        raise CommandError(
            f"Redis {name} cannot be reached: {str(error).rstrip('.')}. Start it, or set REDIS_URL to"
            " one that runs."
        ) from None
    finally:
        client.close()


def _redis_cli(url: str) -> str:
    return "redis-cli" if url == conf.DEFAULTS["REDIS_URL"] else "redis-cli -u $REDIS_URL"
