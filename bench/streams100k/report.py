"""The table of a run, and the page that holds it."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from statistics import median

from bench.streams100k.plan import Plan
from bench.streams100k.results import Results

METHOD = """\
## Method

`manage.py relay serve --workers {workers}`, a private Redis, and {clients} client processes with plain
sockets and epoll share all cores; all traffic is on loopback. The streams come from many source addresses
(127.10.0.1 and so on), because an address has too few ports. No process opens more files than its hard
limit allows. Each client does as an `EventSource` does: it obeys `retry:`, and comes back with
`Last-Event-ID`. It checks all bytes: the framing of chunks, and that each message of 100 bytes comes
whole, in its turn and once, with an id that is greater than the one before.

1. **Open.** All streams are opened, at most {rate:,} a second. Memory of the hub is that of the parent and
   the workers (Pss, without pages of files). The kernel's memory is the growth of its small objects
   (Slab), which are the sockets of both sides and those of other programs.
2. **Rest.** Nothing is published. A stream gets a heartbeat every 15 s.
3. **One message to all**, {messages} times: the median time from `PUBLISH` until the last client has read it.
4. **Kill.** One worker gets SIGKILL, and a message is published at once. Its clients wait as long as
   `retry:` says (1 to 3 s), and come back to the others and to its successor.
5. **Rolling restart.** SIGHUP, with a message every {every:g} s. `RELAY_DRAIN_SECONDS` is {drain:g}.
6. **The end.** SIGTERM, with the same time to drain.

CPU is user and system time, in percent of one core."""


def table(plan: Plan, results: Results) -> str:
    """Returns one table of all steps that came to their end."""
    rows = [("step", "figure", "measured"), *_rows(plan, results)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def document(
    plan: Plan,
    results: Results,
    command: str,
    now: datetime,
    facts: Iterable[tuple[str, str]],
) -> str:
    """Returns the whole text of docs/benchmarks-100k.md."""
    listed = "\n".join(f"- {name}: {value}" for name, value in facts)
    method = METHOD.format(
        workers=plan.workers,
        clients=plan.clients,
        rate=plan.streams_per_second,
        messages=plan.messages,
        every=plan.every_seconds,
        drain=plan.drain_seconds,
    )
    return (
        f"# {plan.streams:,} streams on one machine\n\n"
        f"Measured on {now:%Y-%m-%d %H:%M %Z} by `make bench-100k`, which runs\n\n    {command}\n\n"
        "and writes this page. [benchmarks.md](benchmarks.md) compares the hub with other servers.\n\n"
        f"{listed}\n\n{method}\n\n## Results\n\n{table(plan, results)}\n\n{verdict(plan, results)}\n"
    )


def verdict(plan: Plan, results: Results) -> str:
    """Returns what was wrong, and of what the hub warned."""
    wrong = results.wrong(plan.streams)
    lines = [f"- Wrong: {each}" for each in wrong]
    lines += [f"- The hub warned: {each}" for each in results.warnings()]
    if wrong:
        return "\n".join(lines)
    return "\n\n".join(["Nothing was lost, doubled or left behind.", *lines])


def _rows(plan: Plan, results: Results) -> Iterator[tuple[str, str, str]]:
    streams = plan.streams
    if opened := results.opened:
        grown = opened.full_bytes - opened.empty_bytes
        yield "open", "seconds", f"{opened.seconds:.1f}"
        yield "", "streams/s", f"{streams / opened.seconds:,.0f}"
        yield "", "CPU of the hub, µs per stream", f"{opened.cpu_seconds / streams * 1e6:.0f}"
        yield "", "memory of the hub, MiB, before", _mib(opened.empty_bytes)
        yield "", "memory of the hub, MiB, with all streams", _mib(opened.full_bytes)
        yield "", "memory of the hub, KiB per stream", f"{grown / streams / 1024:.2f}"
        yield "", "memory of the kernel, KiB per stream", _kib(opened.kernel_bytes / streams)
        yield "", "memory of the clients, MiB", _mib(opened.client_bytes)
        yield "", "sockets of a worker, from to", f"{opened.fewest:,} – {opened.most:,}"
    if rest := results.rest:
        yield "rest", "CPU of the hub, %", f"{rest.hub:.1%}".rstrip("%")
        yield "", "CPU of Redis, %", f"{rest.redis:.1%}".rstrip("%")
        yield "", "CPU of the clients, %", f"{rest.clients:.1%}".rstrip("%")
    if results.to_all:
        seconds = [each.seconds for each in results.to_all]
        cpu = median(each.cpu_seconds for each in results.to_all)
        client_cpu = median(each.client_cpu_seconds for each in results.to_all)
        yield "one message to all", "seconds until all have it", f"{median(seconds):.2f}"
        yield "", "seconds, fastest and slowest", f"{min(seconds):.2f} – {max(seconds):.2f}"
        yield "", "CPU of the hub, µs per stream", f"{cpu / streams * 1e6:.1f}"
        yield "", "CPU of the clients, µs per stream", f"{client_cpu / streams * 1e6:.1f}"
    if killed := results.killed:
        yield "kill a worker", "streams cut", f"{killed.streams:,}"
        yield "", "seconds until all are back and have the message", f"{killed.seconds:.1f}"
        yield "", "sockets of the fullest worker then", f"{killed.most:,}"
    if rolled := results.rolled:
        yield "rolling restart", "seconds until new workers are live", f"{rolled.live_seconds:.1f}"
        yield "", "seconds until all are back", f"{rolled.back_seconds:.1f}"
        yield "", "seconds until the old workers have ended", f"{rolled.seconds:.1f}"
        yield "", "messages meanwhile", f"{rolled.messages:,}"
        yield "", "streams cut", f"{rolled.cut:,}"
        yield "", "memory of the hub, MiB, afterwards", _mib(rolled.full_bytes)
    if ended := results.ended:
        yield "the end", "seconds", f"{ended.seconds:.1f}"
        yield "", "exit code", str(ended.code)
        yield "", "streams ended properly", f"{ended.ended:,}"
    report = results.report
    yield "all", "messages", f"{results.published:,}"
    yield "", "deliveries", f"{sum(count for count, _ in report.received.values()):,}"
    yield "", "times that a stream came back", f"{max(report.opened - streams, 0):,}"
    yield "", "connections without an answer", f"{report.failed:,}"
    for name, count in report.faults().items():
        yield "", name, f"{count:,}"


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f}"


def _kib(size: float) -> str:
    return f"{size / 1024:.1f}"
