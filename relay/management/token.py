"""`manage.py relay token`: a token on the command line, for a try or for another service."""

from argparse import ArgumentParser

from django.core.management.base import CommandError

from relay import conf
from relay.access import tokens
from relay.management.subcommand import Options, Subcommand


class Token(Subcommand):
    help = (
        "Prints a token for SUBJECT that grants the channels. With --publish it also grants publishing,"
        " with --presence seeing the users of a channel."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("subject", metavar="SUBJECT")
        parser.add_argument("--channel", action="append", default=[], metavar="NAME")
        parser.add_argument("--publish", action="append", default=[], metavar="NAME")
        parser.add_argument("--presence", action="append", default=[], metavar="NAME")
        parser.add_argument("--seconds", type=float, help="how long it is valid")

    def run(self, options: Options) -> None:
        seconds = options["seconds"]
        if seconds is not None and not 0 < seconds <= 31_536_000:
            raise CommandError(f"--seconds is not valid: {seconds:g}. Use a number up to a year.")
        try:
            channels = options["channel"] or [conf.load().channel]
            rights = options["publish"], options["presence"]
            text = tokens.issue(options["subject"], channels, seconds, *rights)
        except ValueError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(text)
