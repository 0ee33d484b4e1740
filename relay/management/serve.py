"""`manage.py relay serve`: the hub on Daphne, with an embedded Redis where none is configured."""

import os
import re
import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from typing import Any, cast

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.core.checks import WARNING, run_checks
from django.core.handlers.asgi import ASGIHandler
from django.core.management.base import CommandError
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from relay import conf
from relay.asgi import relay_application
from relay.broker.address import RedisAddress
from relay.management.redis_check import RedisFault, require_subscription
from relay.management.subcommand import Options, Subcommand
from relay.server.embedded_redis import USER as EMBEDDED_USER
from relay.server.embedded_redis import EmbeddedRedis, accepts_connections
from relay.types import Application

LOCAL_PORT = 6379


class Serve(Subcommand):
    help = (
        "Serves streams and the pages of relay with Daphne. Every other URL of the site is 404 here,"
        " unless --site is given: then this process serves the whole site."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
        parser.add_argument("--port", default=os.environ.get("PORT", "8000"))
        parser.add_argument("--site", action="store_true", help="serve the site's own pages, too")

    def run(self, options: Options) -> None:
        host, port = options["host"] or "127.0.0.1", _port(options["port"] or "8000")
        _require_daphne()
        self._check()
        url = conf.load().redis_url
        embedded = not hasattr(django_settings, "REDIS_URL") and not accepts_connections(LOCAL_PORT)
        with ExitStack() as stack:
            try:
                if embedded:
                    server = stack.enter_context(EmbeddedRedis(LOCAL_PORT, _published_channels()))
                    url = server.url
                    _use_redis(url)
                require_subscription(url, conf.load().channel)
            except (RuntimeError, RedisFault) as error:
                raise CommandError(str(error)) from None
            where = RedisAddress(url).name + (" (embedded, nothing is kept)" if embedded else "")
            self._serve(host, port, _application(whole_site=options["site"]), where)

    def _check(self) -> None:
        for message in run_checks():
            line = " ".join(filter(None, [str(message.msg), message.hint]))
            if message.is_serious():
                raise CommandError(line)
            if message.level >= WARNING:
                self.stderr.write(f"warning: {line}")

    def _serve(self, host: str, port: int, application: Application, redis_name: str) -> None:
        from relay.server.daphne import HubServer

        def listening(host: str, port: int) -> None:
            shown = f"[{host}]" if ":" in host else host
            settings = conf.load()
            self.stdout.write(f"Relay Hub on http://{shown}:{port}/ with Redis {redis_name}")
            command = f'{_redis_cli(settings.redis_url)} publish {settings.channel} "Test Event"'
            self.stdout.write(f"Try: {command}")
            sys.stdout.flush()

        server = HubServer(application, host, port, listening)
        server.run()
        if server.failure:
            raise CommandError(
                f"cannot listen on {host}:{port}: {server.failure}."
                " Choose another address with HOST and PORT."
            )


def _require_daphne() -> None:
    """Before anything else that needs an event loop: Daphne must install Twisted's reactor."""
    try:
        import relay.server.daphne  # noqa: F401
    except ModuleNotFoundError as error:
        raise CommandError(
            f"{error.name} is not installed. Run: pip install 'relay-hub[serve]'."
        ) from None


def _application(*, whole_site: bool) -> Application:
    from relay.http.application import RelayPages

    application = relay_application(_site() if whole_site else RelayPages())
    if django_settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
        return cast(Application, ASGIStaticFilesHandler(cast(ASGIHandler, application)))
    return application


def _site() -> Application:
    path = getattr(django_settings, "ASGI_APPLICATION", None)
    return cast(Application, import_string(path) if path else get_asgi_application())


def _port(value: Any) -> int:
    try:
        port = int(value)
    except ValueError:
        port = -1
    if not 0 <= port <= 65535:
        raise CommandError(f"PORT is not valid: {value!r}. Use a whole number from 0 to 65535.")
    return port


def _published_channels() -> list[str]:
    """Every entry of the catalogue as a pattern of Redis."""
    specs = conf.load_catalogue().specs
    return [re.sub(r"\{\w+\}", "*", spec.pattern) for spec in specs]


def _use_redis(url: str) -> None:
    """Leads this process to another Redis than the default, its channel layers too."""
    default = conf.DEFAULTS["REDIS_URL"]
    django_settings.REDIS_URL = url
    for layer in getattr(django_settings, "CHANNEL_LAYERS", {}).values():
        config = layer.get("CONFIG", {})
        if default in config.get("hosts", ()):
            config["hosts"] = [url if host == default else host for host in config["hosts"]]
    setting_changed.send(Serve, setting="REDIS_URL", value=url, enter=True)


def _redis_cli(url: str) -> str:
    """Returns the command that publishes; the embedded Redis lets everybody on this machine publish."""
    needs_no_url = url == conf.DEFAULTS["REDIS_URL"] or f"//{EMBEDDED_USER}:" in url
    return "redis-cli" if needs_no_url else "redis-cli -u $REDIS_URL"
