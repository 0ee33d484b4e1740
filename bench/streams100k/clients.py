"""The client processes, as the run sees them."""

import select
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from bench import interrupt
from bench.closing import Closing
from bench.errors import BenchError
from bench.process import Child
from bench.streams100k.plan import Plan
from bench.streams100k.talk import Order, Orders, Report, report_of, total

POLL_SECONDS = 0.2
ANSWER_SECONDS = 30.0


class ClientProcess(Closing):
    """One of them. It begins to open its streams at once."""

    def __init__(self, orders: Orders) -> None:
        self._link, theirs = socket.socketpair()
        self._lines = b""
        command = [sys.executable, "-m", "bench.streams100k.client", str(theirs.fileno())]
        with theirs:
            self.child = Child(
                f"client process {orders.process + 1}",
                [*command, orders.text()],
                None,
                pass_fds=[theirs.fileno()],
            )

    def close(self) -> None:
        self._link.close()
        self.child.close()

    def tell(self, order: Order, number: int = 0) -> None:
        self.child.require_alive()
        self._link.sendall(f"{order} {number}\n".encode())

    def report(self) -> Report:
        """Waits for the answer to Order.REPORT."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while b"\n" not in self._lines:
            interrupt.check()
            self.child.require_alive()
            if time.monotonic() > deadline:
                raise BenchError(f"{self.child.name} does not answer within {ANSWER_SECONDS:g} s")
            if select.select([self._link], [], [], POLL_SECONDS)[0]:
                self._lines += self._link.recv(64 * 1024)
        line, _, self._lines = self._lines.partition(b"\n")
        return report_of(line)


class Clients(Closing):
    """All client processes. `published` is the number of messages that every stream is to have."""

    def __init__(self, plan: Plan, port: int) -> None:
        rate = plan.streams_per_second / plan.clients
        self._processes: list[ClientProcess] = []
        with ExitStack() as unless_started:
            unless_started.callback(self.close)
            for number, streams in enumerate(plan.shares()):
                self._processes.append(ClientProcess(Orders(number, port, streams, rate)))
            unless_started.pop_all()

    def close(self) -> None:
        for process in self._processes:
            process.close()

    def pids(self) -> Sequence[int]:
        return [process.child.pid for process in self._processes]

    def leave(self) -> None:
        for process in self._processes:
            process.tell(Order.LEAVE)

    def report(self, published: int) -> Report:
        for process in self._processes:
            process.tell(Order.REPORT, published)
        return total(process.report() for process in self._processes)

    def wait_for(
        self,
        what: str,
        done: Callable[[Report], bool],
        seconds: float,
        published: Callable[[], int],
    ) -> Report:
        """Asks for reports until one will do. Raises BenchError, with the last one, if none does."""
        deadline = time.monotonic() + seconds
        while True:
            interrupt.check()
            report = self.report(published())
            if done(report):
                return report
            if time.monotonic() > deadline:
                raise BenchError(f"not within {seconds:g} s: {what}. {report}")
            time.sleep(POLL_SECONDS)
