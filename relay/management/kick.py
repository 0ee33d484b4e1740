"""`manage.py relay kick`: ends open streams on every hub process."""

from argparse import ArgumentParser

from django.core.management.base import CommandError

from relay import conf
from relay.control.kicks import kick
from relay.management.subcommand import Options, Subcommand


class Kick(Subcommand):
    help = "Ends the streams of one user, of one channel, one stream, or all of them, on every hub process."

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--user", metavar="USER", help="the user's id, or a token's subject")
        who.add_argument("--channel", metavar="CHANNEL", help="the name of a channel")
        who.add_argument("--stream", metavar="ID", help="one stream, as the log names it")
        who.add_argument("--all", action="store_true", help="every stream there is")

    def run(self, options: Options) -> None:
        user, channel = options["user"], options["channel"]
        try:
            if channel is not None and conf.load_catalogue().find(channel) is None:
                self.stderr.write(f"{channel} is no channel of RELAY_CHANNELS: no stream has it.")
            number = kick(user=user, channel=channel, all=options["all"], stream=options["stream"])
        except (ValueError, ConnectionError) as error:
            raise CommandError(str(error)) from None
        processes = "1 hub process was" if number == 1 else f"{number} hub processes were"
        self.stdout.write(f"{processes} told")
