"""The tables, in the same Markdown for the terminal and for docs/benchmarks.md."""

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
"""The server to which the targets apply."""

CLIENT_LIMIT = 0.9
OTHERS_LIMIT = 0.1

NOTES = f"""\
Each cell is the median of all repeats, in brackets its ratio to {BASE} (the median of the ratios
within each repeat). Faults are summed over all repeats. The last columns give the greatest load of
each core. † The client's core was over {CLIENT_LIMIT:.0%} busy: unless the server's was as well,
the server may be faster than shown. ‡ Other programs took more than {OTHERS_LIMIT:.0%} of a core:
measure again."""

METHOD = """\
## Method

The server under test has one core. The load client and Redis share another. All traffic is on
loopback. Every server is started anew for each load. All servers take one load after another before
the next repeat, which begins with another server. A message is 100 bytes of text. The hub, the bare
send loop and django-eventstream receive it by `PUBLISH` to one private Redis, nchan, Mercure and
Centrifugo by `POST`. Each publisher uses one pipelined connection, so that the order is known.
Redis is configured not to disconnect a slow subscriber, and its CPU is not counted. The servers that
no target refers to are measured once: the hub with workers, the bare send loop, django-eventstream,
Mercure and Centrifugo.

A load of its own, `make bench-100k`, opens 100,000 streams on a hub with six workers, kills one and
replaces all: [benchmarks-100k.md](benchmarks-100k.md).

- **Deliveries.** The client is one thread on non-blocking sockets. It records every read with its
  time and checks all bytes afterwards with the same decoder for every server: chunk framing,
  events, and each message by phase, number, due time and padding. A message that is not received
  within 5 s of silence is lost. Doubled, reordered and corrupt messages and streams that end early
  are counted as well.
- **CPU** is the user and system time of the server process and its workers, by their CPU clocks,
  from the first message until the streams fall silent.
- **Latency** runs from the moment a message was due at the publisher, even if the publisher was
  late, to the end of the read that completed it at the client. All deliveries are kept, so
  percentiles are exact.
- **Deliveries/s** is the number of deliveries divided by the time from the first message to the
  last read. Messages/s is the same for one stream. "Messages per CPU second" is per second of the
  server's CPU, without the time for which the server waited.
- **History on, history off** compares a hub with a history and one without (`RELAY_HISTORY_SIZE=0`). Both
  run at the same time on the same core and the same Redis and get their messages in turn, so that
  both find the machine in the same state. Two processes of one program still differ by a few per
  cent. So there are several rounds with new processes, started in alternating order. CPU is counted
  until the last message is in the history.
- **Coming back.** All streams are closed and opened again at once, each with the id of another
  message, so that some have nothing to catch up and others everything. They are live when each has
  received all that it had missed. Five more messages then prove it. Redis counts the reads of the
  history (`XRANGE` and `XREVRANGE`). Memory is the peak growth of the server's resident set.
- **Opened streams.** 50 streams are opened and closed first. Then all are opened, up to 256 at a
  time, on one channel or each on a channel of its own. Memory is the growth of the server's
  resident set (Pss), without kernel buffers and pages of files. Idle is measured with every server's default
  heartbeat. Closing is counted until a second after the last stream was closed.
- **Rounds.** In one process streams are opened with the head of a browser (15 fields), served and
  closed, again and again. The last round is compared with the first.
- **Relay Hub, 2 workers** is `manage.py relay serve --workers 2`, with both workers on the one core: it
  shows what a second process costs, not what a second core brings.
- **Relay Hub** is `manage.py relay serve`. **Relay Hub, daphne** is the same hub under Daphne's own
  command.
- **nchan** runs with one worker, messages in memory, a buffer that holds the whole load and no
  access log. **The bare send loop** is a minimal Python program that subscribes to Redis and
  sends every read as one chunk to every connection: the least that Python must do.
  **django-eventstream** is configured as documented, on Daphne, with its Redis listener and without
  storage. It queues at most 10 messages per stream and drops the rest. A load that a server cannot
  stand is left out or made smaller, as the tables say.
- **Mercure** runs with its Bolt transport, **Centrifugo** with its memory engine and its
  unidirectional event streams. Both keep 1,000 messages. Centrifugo puts each message into a JSON
  object, which the client takes off before it checks the message.

What is unfair, and in whose favour:

- The hub, the bare send loop and django-eventstream get messages from Redis, whose CPU is not
  counted. The others read them as HTTP requests themselves. This favours the hub where few streams
  get many messages (burst, ingest), and means little from 1,000 streams on.
- The hub writes its history to Redis, Mercure to a file, nchan and Centrifugo keep theirs in memory.
  This favours nchan and Centrifugo.
- nginx and the two programs in Go can use several cores with one process. One core favours the hub
  and nginx: the garbage collector of Go has no other core to run on.
- Centrifugo's streams carry no ids. Its clients come back with an offset in the request, which the
  load client does not speak. So it is left out where streams come back.
- Mercure keeps its file locked. So its streams cannot come back to another process.
"""


def tables(results: Results, loads: Sequence[Scenario], servers: Sequence[Server]) -> str:
    """Returns the targets, then one table for each load."""
    parts = [_targets(results, loads)] if any(server.name == HUB for server in servers) else []
    for load in loads:
        parts.append(f"### {load.name}: {load.title}\n\n{_load_table(results, load, servers)}")
    return "\n\n".join([*parts, NOTES])


def document(
    body: str, command: str, repeats: int, now: datetime, facts: Iterable[tuple[str, str]]
) -> str:
    """Returns the whole text of docs/benchmarks.md."""
    rows = "\n".join(f"- {name}: {value}" for name, value in facts)
    return (
        "# Benchmarks\n\n"
        f"Measured on {now:%Y-%m-%d %H:%M %Z}, {repeats} repeats, by\n\n    {command}\n\n"
        f"{rows}\n\n{METHOD}\n## Results\n\n{body}\n"
    )


def summary(load: Scenario, result: Result) -> str:
    """Returns one line of progress."""
    shown = [
        f"{FIGURES[name].show(result.figures[name])} {FIGURES[name].heading}"
        for name in load.figures
        if name in result.figures
    ]
    return ", ".join(
        [*shown, f"faults {faults(result.tally)}", f"client core {result.cost.client_core:.0%}"]
    )


def faults(tally: Tally) -> str:
    """Returns the counts of all faults, or "none"."""
    names = "lost", "doubled", "reordered", "corrupt", "gaps", "broken"
    counts = [f"{getattr(tally, name):,} {name}" for name in names if getattr(tally, name)]
    if tally.lost:
        counts[0] += f" ({tally.lost / (tally.lost + tally.delivered):.1%})"
    return ", ".join(counts) or "none"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table, aligned for plain text. The first row is the head."""
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
