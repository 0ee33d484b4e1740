"""`manage.py relay operator-link`: another one-time link to the operator's page."""

import os
from argparse import ArgumentParser

from django.core.management.base import CommandError
from django.urls import NoReverseMatch, reverse

from relay import conf
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.control.operator_links import make_link
from relay.management.subcommand import Options, Subcommand, load_settings


def new_link() -> str:
    """Returns the path of the page with the secret of a new link. Raises CommandError."""
    settings = conf.load()
    try:
        path = reverse("relay-ops")
        return f"{path}?link={make_link(settings.redis_url, HubKeys(settings.prefix))}"
    except NoReverseMatch:
        raise CommandError(
            "No URL leads to the operator's page. Include relay.urls in the site's URLs, or set"
            " RELAY_OPERATOR_LINK=0."
        ) from None
    except RedisUnavailable as error:
        raise CommandError(
            f"{error}. A Redis that `relay serve` has embedded lets nobody else in: start the hub"
            " again, and it prints a new link."
        ) from None


class OperatorLink(Subcommand):
    help = (
        "Prints a one-time link to the operator's page. The hub must run with RELAY_OPERATOR_LINK=1 on the"
        " same Redis."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8000"
        parser.add_argument("--url", default=f"http://{host}:{port}", help="where the hub listens")

    def run(self, options: Options) -> None:
        if not load_settings().operator_link:
            raise CommandError("Set RELAY_OPERATOR_LINK=1, here and for the hub.")
        self.stdout.write(options["url"].rstrip("/") + new_link())
