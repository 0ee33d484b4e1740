"""`python -m bench.streams100k`: 100,000 streams on a hub with six workers.

Prints a table, and writes docs/benchmarks-100k.md.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import datetime

from bench import interrupt, machine
from bench.errors import BenchError
from bench.process import ROOT
from bench.servers import redis_version, start_redis
from bench.streams100k import report
from bench.streams100k.hub import HubWithWorkers, available_bytes
from bench.streams100k.plan import Plan
from bench.streams100k.results import Results
from bench.streams100k.run import Run

DOCUMENT = ROOT / "docs" / "benchmarks-100k.md"
BYTES_PER_STREAM = 80_000
"""A generous estimate of what a stream takes of the machine, with its client and both sockets."""


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: 0 if nothing was lost, and everybody came back."""
    options = _parser().parse_args(argv)
    interrupt.install()
    plan = Plan(
        streams=options.streams,
        workers=options.workers,
        clients=options.clients,
        streams_per_second=options.rate,
        idle_seconds=options.idle,
        drain_seconds=options.drain,
        every_seconds=options.every,
    )
    whole = plan.streams >= Plan().streams
    if options.write and not whole:
        _say(f"note: this run is small, so {DOCUMENT.relative_to(ROOT)} is not written")
    facts = machine.facts()
    results = Results()
    try:
        measure(plan, results)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
    except interrupt.Interrupted as interrupted:
        print(f"{interrupted}; so is every process that was started", file=sys.stderr)
        return interrupted.exit_code
    wrong = results.wrong(plan.streams)
    print(report.table(plan, results), report.verdict(plan, results), sep="\n\n")
    if wrong:
        _say(f"the log of the hub:\n{results.log}")
    if options.write and whole and results.ended is not None:
        command = shlex.join([".venv/bin/python", "-m", "bench.streams100k", *argv])
        facts.append(("Redis", redis_version()))
        now = datetime.now().astimezone()
        DOCUMENT.write_text(report.document(plan, results, command, now, facts))
        _say(f"wrote {DOCUMENT.relative_to(ROOT)}")
    return 1 if wrong else 0


def measure(plan: Plan, results: Results) -> None:
    """Fills `results` step by step. Raises BenchError and Interrupted."""
    if sys.platform != "linux":
        raise BenchError("this load reads /proc and uses epoll: it needs Linux")
    room = plan.require_files()
    if available_bytes() < plan.streams * BYTES_PER_STREAM:
        raise BenchError("there is too little memory on this machine for so many streams")
    with (
        start_redis(None) as redis_server,
        HubWithWorkers(
            redis_server[0],
            workers=plan.workers,
            max_streams=room,
            drain_seconds=plan.drain_seconds,
        ) as hub,
    ):
        port = hub.wait_until_live()
        Run(plan, hub, redis_server, results, _say).steps(port)


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m bench.streams100k",
        description=(
            "Opens very many streams on a hub with workers, and checks every message at each of them"
            " while a worker is killed and all of them are replaced. Takes about six minutes."
        ),
    )

    def number(name: str, default: int, words: str, least: int = 1) -> None:
        help_text = f"{words} ({default:,})"
        parser.add_argument(f"--{name}", type=_at_least(least), default=default, help=help_text)

    number("streams", plan.streams, "how many streams")
    number("workers", plan.workers, "how many workers of the hub", least=2)
    number("clients", plan.clients, "how many client processes")
    number("rate", plan.streams_per_second, "how many streams are opened in a second, at the most")
    parser.add_argument(
        "--idle", type=float, default=plan.idle_seconds, help="seconds of rest (30)"
    )
    parser.add_argument(
        "--drain",
        type=float,
        default=plan.drain_seconds,
        help="over how many seconds a worker ends its streams (50)",
    )
    parser.add_argument(
        "--every",
        type=float,
        default=plan.every_seconds,
        help="seconds between two messages during the rolling restart (2)",
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="write docs/benchmarks-100k.md, unless the run is smaller",
    )
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least}")
        return int(text)

    return read


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
