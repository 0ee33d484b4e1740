"""A worker, as its parent sees it: a process, and a pair of Unix sockets to it."""

import asyncio
import os
import socket
import sys
from asyncio import FIRST_COMPLETED
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from relay import tasks
from relay.metrics.host import View
from relay.workers.words import (
    BEAT_SECONDS,
    MAX_LINE_BYTES,
    Answer,
    Orders,
    Word,
    line_of,
    report_of,
)

NUMBER_VARIABLE = "HUB_WORKER"
"""The variable of the environment that holds the number of a worker, for its log."""

SILENT_WAITS = 30
"""After so many waits of BEAT_SECONDS without a line from it, a worker hangs.

Waits count, not the time: a parent that was stopped itself, with the container or by a busy machine, would
otherwise kill workers that are well.
"""

END_SECONDS = 1.0
"""How long after the end of a process the end of its socket may come."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How workers are started."""

    command: Sequence[str]
    """The command line, to which the descriptors of the worker are added."""
    directory: str
    orders: Orders


def own_command() -> list[str]:
    """Returns the command line of this process, so that a worker runs the code that is there now."""
    return [sys.executable, *sys.orig_argv[1:]]


def start_directory() -> str:
    """Returns the path of the working directory as the shell gave it: by a symbolic link, as a rule,
    where each release has a directory of its own."""
    named = os.environ.get("PWD", "")
    with suppress(OSError):
        if os.path.samefile(named, "."):
            return named
    return os.getcwd()


class WorkerProcess:
    """`start` it, then watch `ready` and `ended`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.ready = asyncio.Event()
        """Whether its hub was live."""
        self.hung = False
        """Whether it was killed because it said nothing any more."""
        self._asked: dict[View, asyncio.Future[Any]] = {}
        """What the worker was asked and has not answered yet."""
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, launch: Launch, listening: socket.socket, number: int) -> "WorkerProcess":
        """Starts the worker of this number, which accepts connections from `listening`."""
        ours, theirs = socket.socketpair()
        descriptors = listening.fileno(), theirs.fileno()
        with theirs, ExitStack() as unless_started:
            unless_started.enter_context(ours)
            process = await asyncio.create_subprocess_exec(
                *launch.command,
                f"--worker={descriptors[0]},{descriptors[1]}",
                cwd=launch.directory,
                env={**os.environ, NUMBER_VARIABLE: str(number)},
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C is for the parent, which then ends the workers
            )
            unless_started.pop_all()
        reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        writer.write(launch.orders.line())
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def ended(self) -> int:
        """Returns its exit code, negative for a signal, when it has ended."""
        code = await self._process.wait()
        await asyncio.wait([self._listening], timeout=END_SECONDS)
        return code

    def tell(self, word: Word) -> None:
        """Has it end its streams little by little, and then itself: DRAIN or CLOSE."""
        self._writer.write(line_of(word))

    async def ask(self, view: View, seconds: float) -> Any:
        """Returns what the worker says of itself; None when it does not within `seconds`, or has ended.

        It is asked once at a time: an answer that came late is that to the next who asks.
        """
        asked = self._asked.get(view)
        if asked is None:
            if self._listening.done():
                return None
            asked = self._asked[view] = asyncio.get_running_loop().create_future()
            self._writer.write(line_of(view))
        await asyncio.wait([asked, self._listening], timeout=seconds, return_when=FIRST_COMPLETED)
        return asked.result() if asked.done() else None

    def stop(self) -> None:
        """Has it end its streams and itself at once."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _listen(self) -> None:
        """Reads until the worker ends. Kills one that hangs."""
        try:
            while line := await self._next_line():
                self._take(report_of(line))
        except TimeoutError:
            self.hung = True
            self.kill()
        except OSError:
            pass  # it has ended
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    def _take(self, report: Word | Answer) -> None:
        if report is Word.READY:
            self.ready.set()
        elif isinstance(report, Answer):
            asked = self._asked.pop(report.view, None)
            if asked is not None:
                asked.set_result(report.said)

    async def _next_line(self) -> bytes:
        """Raises TimeoutError when the worker hangs."""
        line = asyncio.create_task(self._reader.readline())
        for _ in range(SILENT_WAITS):
            await asyncio.wait([line], timeout=BEAT_SECONDS)
            if line.done():
                return line.result()
        await tasks.end([line])
        raise TimeoutError
