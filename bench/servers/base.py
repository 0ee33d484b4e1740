"""What each server that is compared has to offer, and where it runs."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench.client import PLAIN, Crowd
from bench.errors import Missing
from bench.loop import Loop
from bench.process import Child
from bench.publisher import Dialect
from bench.wire import Unwrap, as_it_is

CHANNEL = "demo_stream"
MAX_STREAMS = 20_000
HISTORY_MESSAGES = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a measurement: one core for the server, one for the client and Redis."""

    server_core: int
    client_core: int
    redis_port: int
    redis_pid: int


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens."""

    child: Child
    address: tuple[str, int]
    path: str
    dialect: Dialect
    own_path: str = ""
    """The path of a stream with a channel of its own, `{}` for the channel's number."""
    unwrap: Unwrap = as_it_is
    """Takes what the server puts around a message off its events."""

    def crowd(self, loop: Loop, fields: Mapping[str, str] = PLAIN, *, apart: bool = False) -> Crowd:
        """Returns its streams, none of which is open yet. Raises Missing if they cannot be `apart`."""
        if apart and not self.own_path:
            raise Missing("it has one channel")
        path = self.own_path if apart else self.path
        return Crowd(loop, self.address, path, fields, self.unwrap)


class Server(ABC):
    """`name` is its name on the command line, `title` its name in the tables.

    The limits keep a slow server, or one that loses messages, from making a run endless. Phases with
    more streams are left out, and at most `max_messages` are published at once.
    """

    repeats: int | None = None
    """How often a complete run measures it at the most: once, if no target refers to it."""
    max_streams = MAX_STREAMS
    max_messages = 1_000_000
    resumes = False
    """Whether a client may come back with its last event id."""
    keeps = False
    """Whether it may also come back to a process that was started since."""
    program = ""
    """What has to be on PATH, if anything."""
    install = ""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title

    def installed(self) -> bool:
        return not self.program or shutil.which(self.program) is not None

    def require(self) -> None:
        """Raises Missing, with a way to install it, if it is not installed."""
        if not self.installed():
            raise Missing(f"{self.title} is not installed: {self.install}")

    @abstractmethod
    def version(self) -> str:
        """Returns the measured programs and their versions, for the report."""

    def without_history(self) -> "Server":
        """Returns the same server without a history, on a channel of its own. Raises Missing."""
        raise Missing("it has no history to turn off")

    @abstractmethod
    def start(self, place: Place) -> AbstractContextManager[Running]:
        """Returns a context manager, within which the server listens."""
