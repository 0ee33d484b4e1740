"""The tables, for the terminal and for docs/benchmarks.md: both are the same Markdown."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from bench.figures import FIGURES, TARGETS, Target
from bench.ledger import Tally
from bench.meter import Cost
from bench.results import BASE, Results
from bench.scenarios import Result, Scenario
from bench.servers import Server

HUB = "hub"
"""The server that has the targets to hold."""

CLIENT_LIMIT = 0.9
OTHERS_LIMIT = 0.1

NOTES = f"""\
Each cell is the median of all repeats, in brackets its ratio to {BASE} (the median of the ratios
within each repeat). Faults are summed over all repeats. The last columns say how busy each core
was, at the most: † the client's was over {CLIENT_LIMIT:.0%}, so unless the server's was as well,
the server may be faster than shown; ‡ other programs took more than {OTHERS_LIMIT:.0%} of one of
them, so measure again."""

METHOD = """\
## Method

The server under test has one core, the load client and Redis share another; all traffic is on
loopback. Every server is started anew for each load, and all servers take one load after another
before the next repeat, which begins with another server. A message is 100 bytes of text. The hub,
the bare send loop and django-eventstream get it by `PUBLISH` to one private Redis, nchan by `POST`
to its publisher location, on one pipelined connection each, so that their order is known. Redis is
set not to cut a subscriber that lags, and its CPU is counted to nobody.

- **Deliveries.** The client is one thread on non-blocking sockets. It notes every read with its
  time and checks all bytes afterwards with the same decoder for every server: chunk framing,
  events, and each message by phase, number, due time and padding. A message that does not come
  within 5 s of silence is lost; doubled, reordered and corrupt ones and streams that end early are
  counted as well.
- **CPU** is user and system time of the server process and its workers, by their CPU clocks, from
  the first message until the streams fall silent.
- **Latency** runs from the moment a message was due at the publisher, whether or not the publisher
  was on time, to the end of the read that completed it at the client. All deliveries are kept;
  percentiles are exact.
- **Deliveries/s** is all deliveries through the time from the first message to the last read;
  messages/s is that for one stream. "Messages per CPU second" is per second of the server's CPU:
  it leaves out what the server waited for.
- **Log on, log off.** A hub that keeps the log and one that does not (`RELAY_HISTORY_SIZE=0`) run
  at the same time, on the same core and the same Redis, and get their messages by turns, so that
  both find the machine in the same state. As two processes of one program still differ by a few per
  cent there are several rounds, each with new ones, and the other one is started first every time.
  CPU is counted until the last message is in the log.
- **Coming back.** All streams are closed and opened again at once, each with the id of another
  message, so that one has nothing to catch up and another everything. All are live when each has
  all that it had missed; five more messages then show it. The history is read by `XRANGE` and
  `XREVRANGE`, counted by Redis; memory is the peak of the server's resident set over where it began.
- **Opened streams.** 50 streams are opened and closed first; then all are opened, up to 256 at a
  time, of one channel, or each of a channel of its own. Memory is what the server's resident set
  grew by (Pss), kernel buffers not included. Idle is measured with every server's default
  heartbeat.
- **nchan** runs with one worker, messages in memory, a buffer that holds the whole load and no
  access log. **The bare send loop** is a minimal Python program that subscribes to Redis and
  sends every read as one chunk to every connection: the least that Python has to do.
  **django-eventstream** is set up as documented, on Daphne, with its Redis listener and without
  storage; it queues at most 10 messages a stream and drops the rest. What a server cannot stand is
  left out or made smaller, which the tables say.
"""


def tables(results: Results, loads: Sequence[Scenario], servers: Sequence[Server]) -> str:
    """The targets, then one table a load."""
    parts = [_targets(results, loads)] if any(server.name == HUB for server in servers) else []
    for load in loads:
        parts.append(f"### {load.name}: {load.title}\n\n{_load_table(results, load, servers)}")
    return "\n\n".join([*parts, NOTES])


def document(
    body: str, command: str, repeats: int, now: datetime, facts: Iterable[tuple[str, str]]
) -> str:
    """The whole of docs/benchmarks.md."""
    rows = "\n".join(f"- {name}: {value}" for name, value in facts)
    return (
        "# Benchmarks\n\n"
        f"Measured on {now:%Y-%m-%d %H:%M %Z}, {repeats} repeats, by\n\n    {command}\n\n"
        f"{rows}\n\n{METHOD}\n## Results\n\n{body}\n"
    )


def summary(load: Scenario, result: Result) -> str:
    """One line of progress."""
    shown = [
        f"{FIGURES[name].show(result.figures[name])} {FIGURES[name].heading}"
        for name in load.figures
        if name in result.figures
    ]
    return ", ".join(
        [*shown, f"faults {faults(result.tally)}", f"client core {result.cost.client_core:.0%}"]
    )


def faults(tally: Tally) -> str:
    """What went wrong, or "none"."""
    names = "lost", "doubled", "reordered", "corrupt", "gaps", "broken"
    counts = [f"{getattr(tally, name):,} {name}" for name in names if getattr(tally, name)]
    if tally.lost:
        counts[0] += f" ({tally.lost / (tally.lost + tally.delivered):.1%})"
    return ", ".join(counts) or "none"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown, aligned so that it reads well as plain text; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _targets(results: Results, loads: Sequence[Scenario]) -> str:
    run = {load.name for load in loads}
    rows = [["load", "figure", "to hold", "measured", "held"]]
    for target in TARGETS:
        if target.scenario in run:
            rows.append(_target_row(results, target))
    return f"### Figures that Relay Hub is to hold\n\n{table(rows)}"


def _target_row(results: Results, target: Target) -> list[str]:
    figure = FIGURES[target.figure]
    measure = results.ratio if target.ratio else results.median
    value = measure(target.scenario, HUB, target.figure)
    sign = "≥" if target.at_least else "≤"
    if math.isnan(value):
        shown, held = "–", "not measured"
    else:
        shown = f"{value:.3f} × {BASE}" if target.ratio else figure.show(value)
        held = "yes" if target.held(value) else "no"
    limit = f"{target.limit:g} × {BASE}" if target.ratio else f"{target.limit:,g}"
    return [target.scenario, figure.heading, f"{sign} {limit}", shown, held]


def _load_table(results: Results, load: Scenario, servers: Sequence[Server]) -> str:
    headings = [FIGURES[name].heading for name in load.figures]
    rows = [["server", *headings, "faults", "server core", "client core"]]
    notes = []
    for server in servers:
        if results.measured(load.name, server.name):
            rows.append(_server_row(results, load, server))
        notes += [f"{server.title}: {note}." for note in results.notes(load.name, server.name)]
    return "\n\n".join([table(rows), *(notes and ["\n".join(f"- {note}" for note in notes)])])


def _server_row(results: Results, load: Scenario, server: Server) -> list[str]:
    cells = [_cell(results, load.name, server.name, name) for name in load.figures]
    tally = results.tally(load.name, server.name)
    return [server.title, *cells, faults(tally), *_cores(results.costs(load.name, server.name))]


def _cores(costs: Sequence[Cost]) -> tuple[str, str]:
    server = max(cost.server_core for cost in costs)
    client = max(cost.client_core for cost in costs)
    disturbed = any(cost.others > OTHERS_LIMIT for cost in costs)
    return f"{server:.0%}", f"{client:.0%}" + " †" * (client > CLIENT_LIMIT) + " ‡" * disturbed


def _cell(results: Results, load: str, server: str, name: str) -> str:
    figure = FIGURES[name]
    shown = figure.show(results.median(load, server, name))
    ratio = results.ratio(load, server, name)
    if server == BASE or not figure.has_ratio or math.isnan(ratio):
        return shown
    return f"{shown} ({ratio:.2f} ×)"
