"""`manage.py relay check`: asks Redis and the database what `manage.py check` cannot know."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator

from django.core.checks import run_checks
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from relay import conf
from relay.access import database
from relay.conf import Settings
from relay.management import redis_check
from relay.management.subcommand import Options, Subcommand


class Check(Subcommand):
    help = (
        "Asks Redis and the database what `manage.py check` cannot know. It tries whether they can be"
        " reached, the version and topology of Redis, each right that the hub needs, and the"
        " migrations. Exits with 1, and a line for each fault."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        pass

    def run(self, options: Options) -> None:
        faults = list(self._faults())
        for fault in faults:
            self.stderr.write(f"error: {fault}")
        if faults:
            sys.exit(1)

    def _faults(self) -> Iterator[str]:
        wrong = [message for message in run_checks() if message.is_serious()]
        for message in wrong:
            yield " ".join(filter(None, [str(message.msg), message.hint]))
        if wrong:
            return
        settings = conf.load()
        yield from self._redis_faults(settings)
        yield from self._database_faults(settings)

    def _redis_faults(self, settings: Settings) -> Iterator[str]:
        faults = list(redis_check.find_faults(settings))
        yield from faults
        if not faults:
            self.stdout.write(f"{redis_check.describe(settings.redis_url)}, all rights")

    def _database_faults(self, settings: Settings) -> Iterator[str]:
        if not database.is_needed(settings):
            self.stdout.write("Database: not needed, since every channel is public")
            return
        for alias in database.aliases():
            fault = _database_fault(alias)
            if fault:
                yield fault
            else:
                self.stdout.write(f"Database {alias!r}: reachable and migrated")


def _database_fault(alias: str) -> str:
    """The line for a database that cannot be used; empty for one that can."""
    connection = connections[alias]
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        return f"Database {alias!r} cannot be used: {first_line}."
    if not missing:
        return ""
    number = "1 migration is" if len(missing) == 1 else f"{len(missing)} migrations are"
    return f"Database {alias!r}: {number} not applied. Run manage.py migrate."
