"""`manage.py relay serve`: the hub on Daphne, with an embedded Redis where none is configured."""

import os
import re
import secrets
import socket
import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
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
from relay.access.operators import RUN_VARIABLE
from relay.asgi import relay_application
from relay.broker.address import name_of
from relay.conf import parsers
from relay.engine.draining import drain_bound
from relay.management.operator_link import new_link
from relay.management.redis_check import RedisFault, require_subscription
from relay.management.subcommand import Options, Subcommand
from relay.metrics.host import Collect
from relay.server.embedded_redis import USER as EMBEDDED_USER
from relay.server.embedded_redis import EmbeddedRedis, accepts_connections
from relay.types import Application
from relay.workers.cores import usable_cores
from relay.workers.listening import listen
from relay.workers.parent import Admin, Parent, WorkersFailed
from relay.workers.process import Launch, own_command, start_directory
from relay.workers.words import Orders

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
        parser.add_argument(
            "--workers",
            help="how many processes serve: a number, or auto for one on each core (RELAY_WORKERS)",
        )
        parser.add_argument("--worker", help=SUPPRESS)  # the descriptors that a parent hands over

    def run(self, options: Options) -> None:
        _require_daphne()
        if options["worker"]:
            self._work(options["worker"], whole_site=options["site"])
            return
        host, port = options["host"] or "127.0.0.1", _port(options["port"] or "8000")
        self._check()
        url, workers = conf.load().redis_url, _workers(options["workers"])
        embedded = not hasattr(django_settings, "REDIS_URL") and not accepts_connections(LOCAL_PORT)
        with ExitStack() as stack:
            try:
                if embedded:
                    server = stack.enter_context(EmbeddedRedis(LOCAL_PORT, _published_channels()))
                    url = server.url
                    _use_redis(url)
                require_subscription(url, conf.load())
            except (RuntimeError, RedisFault) as error:
                raise CommandError(str(error)) from None
            link = self._operator_link()
            where = name_of(url) + (" (embedded, nothing is kept)" if embedded else "")
            if workers is None:
                say_where = partial(self._say_where, where, link)
                self._serve(host, port, _application(whole_site=options["site"]), say_where)
            else:
                at = _listen(host, port, workers)
                shown = f"{where}, {workers} {'worker' if workers == 1 else 'workers'}"
                say_where = partial(self._say_where, shown, link, *at[0].getsockname()[:2])
                self._serve_with_workers(at, say_where, url if embedded else "")

    def _check(self) -> None:
        for message in run_checks():
            line = " ".join(filter(None, [str(message.msg), message.hint]))
            if message.is_serious():
                raise CommandError(line)
            if message.level >= WARNING:
                self.stderr.write(f"warning: {line}")

    def _serve(
        self, host: str, port: int, application: Application, say_where: Callable[[str, int], None]
    ) -> None:
        from relay.server.daphne import HubServer

        server = HubServer(application, (host, port), say_where)
        server.run()
        if server.failure:
            raise _cannot_listen(host, port, server.failure)

    def _work(self, descriptors: str, *, whole_site: bool) -> None:
        from relay.workers.worker import handed_over, serve_for

        listening, link = handed_over(descriptors)
        if redis_url := link.orders().redis_url:
            _use_redis(redis_url)
        _set("RELAY_ADMIN_ADDRESS", "")  # the parent serves it for all workers
        serve_for(link, _application(whole_site=whole_site), listening)

    def _serve_with_workers(
        self, sockets: Sequence[socket.socket], say_where: Callable[[], None], redis_url: str
    ) -> None:
        launch = Launch(own_command(), start_directory(), Orders(redis_url))
        try:
            Parent(launch, sockets, drain_bound(conf.load()), say_where, _admin()).run()
        except WorkersFailed as error:
            raise CommandError(f"{error}.") from None

    def _operator_link(self) -> str:
        """Returns the path of a one-time link, if one is to be printed, and begins a run of its cookies."""
        if not conf.load().operator_link:
            return ""
        os.environ[RUN_VARIABLE] = secrets.token_hex(16)
        try:
            return new_link()
        except CommandError as error:
            self.stderr.write(f"warning: {error}")
            return ""

    def _say_where(self, redis_name: str, link: str, host: str, port: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        settings = conf.load()
        self.stdout.write(f"Relay Hub on http://{shown}:{port}/ with Redis {redis_name}")
        target = settings.catalogue().find(settings.channel)
        words = f'publish {settings.channel} "Test Event"'
        if target is not None and target.spec.is_stored:
            words = f"xadd {settings.channel} '*' data \"Test Event\""
        self.stdout.write(f"Try: {_redis_cli(settings.redis_url)} {words}")
        if link:
            self.stdout.write(f"Operator's page, once: http://{shown}:{port}{link}")
        sys.stdout.flush()


def _listen(host: str, port: int, workers: int) -> Sequence[socket.socket]:
    """Returns a listening socket for each worker. Raises CommandError."""
    try:
        return listen(host, port, workers)
    except OSError as error:
        raise _cannot_listen(host, port, error) from None


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


def _workers(value: str | None) -> int | None:
    """Returns how many workers are to serve; None if this process is to serve itself."""
    if value is None and (set_to := conf.load().workers) == 1:
        return None
    try:
        number = set_to if value is None else parsers.workers(value)
    except ValueError:
        hint = "Use a whole number from 1 to 256, or auto."
        raise CommandError(f"--workers is not valid: {value!r}. {hint}") from None
    return number or usable_cores()


def _cannot_listen(host: str, port: int, error: Exception) -> CommandError:
    return CommandError(
        f"cannot listen on {host}:{port}: {error}. Choose another address with HOST and PORT."
    )


def _published_channels() -> list[str]:
    """Every entry of the catalogue as a pattern of Redis."""
    specs = conf.load_catalogue().specs
    return [re.sub(r"\{\w+\}", "*", spec.pattern) for spec in specs]


def _admin() -> Admin | None:
    """What serves RELAY_ADMIN_ADDRESS for all workers, if it is set."""
    address = conf.load().admin_address
    if address is None:
        return None
    from relay.metrics.admin import AdminServer

    async def serve(collect: Collect) -> None:
        await AdminServer(address, collect).run()

    return serve


def _use_redis(url: str) -> None:
    """Leads this process to another Redis than the default, its channel layers too."""
    default = conf.DEFAULTS["REDIS_URL"]
    for layer in getattr(django_settings, "CHANNEL_LAYERS", {}).values():
        config = layer.get("CONFIG", {})
        if default in config.get("hosts", ()):
            config["hosts"] = [url if host == default else host for host in config["hosts"]]
    _set("REDIS_URL", url)


def _set(name: str, value: str) -> None:
    setattr(django_settings, name, value)
    setting_changed.send(Serve, setting=name, value=value, enter=True)


def _redis_cli(url: str) -> str:
    """Returns the command that publishes; the embedded Redis lets everybody on this machine publish."""
    needs_no_url = url == conf.DEFAULTS["REDIS_URL"] or f"//{EMBEDDED_USER}:" in url
    return "redis-cli" if needs_no_url else "redis-cli -u $REDIS_URL"
