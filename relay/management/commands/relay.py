"""`manage.py relay`: every command of relay is a subcommand of this one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from relay.management.check import Check
from relay.management.kick import Kick
from relay.management.listen import Listen
from relay.management.operator_link import OperatorLink
from relay.management.publish import Publish
from relay.management.serve import Serve
from relay.management.status import Status
from relay.management.subcommand import Subcommand
from relay.management.token import Token

SUBCOMMANDS: dict[str, type[Subcommand]] = {
    "serve": Serve,
    "publish": Publish,
    "listen": Listen,
    "kick": Kick,
    "token": Token,
    "check": Check,
    "status": Status,
    "operator-link": OperatorLink,
}


class Command(BaseCommand):
    help = (
        "Live updates: serves streams, publishes, listens, ends streams, issues tokens, checks Redis, shows"
        " what runs, lets operators in."
    )
    requires_system_checks = []  # a subcommand runs the checks it needs

    def add_arguments(self, parser: CommandParser) -> None:
        parsers = parser.add_subparsers(
            title="subcommands", dest="subcommand", metavar="SUBCOMMAND", required=True
        )
        for name, subcommand in SUBCOMMANDS.items():
            first_sentence = subcommand.help.partition(".")[0] + "."
            child = parsers.add_parser(name, help=first_sentence, description=subcommand.help)
            subcommand.add_arguments(child)

    def handle(self, *args: Any, **options: Any) -> None:
        SUBCOMMANDS[options["subcommand"]](self.stdout, self.stderr).run(options)
