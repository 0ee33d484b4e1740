"""`manage.py relay listen`: prints what channels bring, as a client of the hub."""

import os
from argparse import ArgumentParser
from functools import partial

from django.core.management.base import CommandError

from relay.access import tokens
from relay.client import StreamRefused
from relay.client.printing import add_arguments, print_stream
from relay.management.subcommand import Options, Subcommand, load_settings

SUBJECT = "relay listen"
TOKEN_SECONDS = 300.0


class Listen(Subcommand):
    help = (
        "Prints the messages of channels as a client gets them, each on a line; what is missing on standard"
        " error. Where RELAY_TOKEN_KEY is set, it issues a token for them to itself."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("channel", nargs="*", metavar="CHANNEL")
        parser.add_argument("--url", help="of the stream; without it that of HOST and PORT")
        add_arguments(parser)

    def run(self, options: Options) -> None:
        settings = load_settings()
        channels = options["channel"]
        url = options["url"] or _own_url(settings.stream_path)
        issue = partial(tokens.issue, SUBJECT, channels or [settings.channel], TOKEN_SECONDS)
        token = issue if settings.token_key else None
        try:
            print_stream(url, channels, token, options["start"], options["json"])
        except ImportError as error:
            raise CommandError(str(error)) from None
        except (StreamRefused, ValueError) as error:
            raise CommandError(f"{url}: {error}") from None


def _own_url(stream_path: str) -> str:
    host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8000"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/{stream_path}"
