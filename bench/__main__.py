"""`python -m bench`: measures all servers under all loads, prints tables, writes docs/benchmarks.md."""

import argparse
import gc
import os
import resource
import shlex
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from bench import interrupt, machine, report
from bench.errors import BenchError, Missing
from bench.process import ROOT
from bench.results import Results
from bench.scenarios import Scenario, scenarios
from bench.servers import MAX_STREAMS, SERVERS, Place, Server, redis_version, start_redis

DOCUMENT = ROOT / "docs" / "benchmarks.md"
MAX_REPEATS = 20

Named = TypeVar("Named", Scenario, Server)


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: 0 if every load was measured on every installed server."""
    options = _parser().parse_args(argv)
    interrupt.install()
    try:
        return _run(options, argv)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except interrupt.Interrupted as interrupted:
        print(f"{interrupted}; so is every process that was started", file=sys.stderr)
        return interrupted.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=(
            "Measures Relay Hub beside other servers on this machine: the server on one core, the"
            " load client and Redis on another, everything on loopback. Prints tables; all of it"
            " takes about an hour."
        ),
        epilog="loads: "
        + "; ".join(f"{load.name}: {load.title}" for load in scenarios(quick=False))
        + ". servers: "
        + "; ".join(f"{server.name}: {server.title}" for server in SERVERS)
        + ".",
    )
    loads = [load.name for load in scenarios(quick=False)]
    names = [server.name for server in SERVERS]
    parser.add_argument("--only", nargs="+", choices=loads, metavar="LOAD", help="only these loads")
    parser.add_argument(
        "--servers", nargs="+", choices=names, metavar="SERVER", help="only these servers"
    )
    parser.add_argument("--repeat", type=_repeats, default=3, metavar="N", help="how often (3)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small loads, once: checks in four minutes that everything works; the figures mean little",
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="write docs/benchmarks.md; only for a complete run (no --only, --servers, --quick)",
    )
    return parser


def _repeats(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_REPEATS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_REPEATS}")
    return int(text)


def _run(options: argparse.Namespace, argv: Sequence[str]) -> int:
    if sys.platform != "linux":
        raise BenchError("the benchmark reads /proc and pins processes to cores: it needs Linux")
    whole = not (options.only or options.servers or options.quick)
    if options.write and not whole:
        _say(f"note: this run is partial, so {DOCUMENT.relative_to(ROOT)} is not written")
    facts = machine.facts()
    loads = _chosen(scenarios(quick=options.quick), options.only)
    servers = _chosen(SERVERS, options.servers)
    repeats = 1 if options.quick else options.repeat
    results = Results()
    _measure_all(results, loads, servers, repeats, whole=whole)
    body = report.tables(results, loads, servers)
    print(body)
    if options.write and whole:
        command = shlex.join([".venv/bin/python", "-m", "bench", *argv])
        facts += [("Redis", redis_version()), *_versions(servers)]
        _write(report.document(body, command, repeats, datetime.now().astimezone(), facts))
    return 1 if results.failed else 0


def _measure_all(
    results: Results,
    loads: Sequence[Scenario],
    servers: Sequence[Server],
    repeats: int,
    *,
    whole: bool,
) -> None:
    server_core, client_core = _cores()
    _raise_file_limit()
    gc.disable()  # a pause of the client would count as one of the server
    with start_redis(client_core) as (redis_port, redis_pid):
        os.sched_setaffinity(0, {client_core})
        place = Place(server_core, client_core, redis_port, redis_pid)
        for repeat in range(1, repeats + 1):
            for load in loads:
                for server in _taking_part(servers, repeat, whole=whole):
                    _say(f"{repeat}/{repeats} {load.name}, {server.title}: ", end="")
                    _say(_measure(results, repeat, load, server, place))
                    gc.collect()  # the tape of a phase may hold hundreds of megabytes


def _taking_part(servers: Sequence[Server], repeat: int, *, whole: bool) -> list[Server]:
    """Returns the servers of a repeat. Each begins with another one: the first may have an advantage."""
    some = [one for one in servers if not whole or one.repeats is None or repeat <= one.repeats]
    first = (repeat - 1) % len(some) if some else 0
    return [*some[first:], *some[:first]]


def _measure(results: Results, repeat: int, load: Scenario, server: Server, place: Place) -> str:
    """Measures one load on one server. Returns a line of progress."""
    if load.streams > server.max_streams:
        note = f"not run, it cannot stand more than {server.max_streams:,} streams"
        results.note(load.name, server.name, note)
        return note
    try:
        server.require()
        result = load.run(server, place)
    except Missing as missing:
        results.note(load.name, server.name, f"not run, {missing}")
        return f"not run, {missing}"
    except BenchError as error:
        results.fail(load.name, server.name, str(error))
        return f"failed: {error}"
    results.add(load.name, server.name, repeat, result)
    for note in result.notes:
        results.note(load.name, server.name, note)
    return report.summary(load, result)


def _chosen(things: Sequence[Named], names: Sequence[str] | None) -> list[Named]:
    return [thing for thing in things if not names or thing.name in names]


def _versions(servers: Sequence[Server]) -> Iterator[tuple[str, str]]:
    for server in servers:
        try:
            server.require()
            yield server.title, server.version()
        except Missing as missing:
            yield server.title, str(missing)


def _cores() -> tuple[int, int]:
    """Returns the server's core and the client's. The first core often serves device interrupts."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise BenchError("two cores are needed: one for the server, one for the client and Redis")
    return available[1], available[0]


def _raise_file_limit() -> None:
    """Raises the limit of open files, one for each stream on both sides. Children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MAX_STREAMS if hard == resource.RLIM_INFINITY else min(MAX_STREAMS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _write(text: str) -> None:
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(text)
    _say(f"wrote {DOCUMENT.relative_to(ROOT)}")


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
