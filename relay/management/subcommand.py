"""What a subcommand of `manage.py relay` is."""

from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.management.base import CommandError, OutputWrapper

from relay import conf
from relay.conf import Settings

Options = Mapping[str, Any]


class Subcommand(ABC):
    """`run` raises CommandError, with one line for the user, for what cannot work."""

    help: ClassVar[str]

    def __init__(self, stdout: OutputWrapper, stderr: OutputWrapper) -> None:
        self.stdout = stdout
        self.stderr = stderr

    @staticmethod
    @abstractmethod
    def add_arguments(parser: ArgumentParser) -> None:
        """Adds what the subcommand takes beside the options of every command."""

    @abstractmethod
    def run(self, options: Options) -> None: ...


def load_settings() -> Settings:
    """Returns the settings in force. Raises CommandError for one that is not valid."""
    try:
        return conf.load()
    except ValueError as error:
        raise CommandError(str(error)) from None
