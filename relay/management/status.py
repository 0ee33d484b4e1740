"""`manage.py relay status`: every hub process on this Redis, and the Redis server."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence

from django.core.management.base import CommandError

from relay.access.log_fields import printable
from relay.broker.address import name_of
from relay.broker.errors import RedisUnavailable
from relay.control.process_list import Listed
from relay.management.overview import Overview, Sums, read_overview, started
from relay.management.subcommand import Options, Subcommand, load_settings

UNKNOWN = "unknown"

PROCESS_HEAD = (
    "HOST PID VERSION STATE STARTED(UTC) STREAMS CHANNELS MESSAGES PER-SECOND GAPS REPORTED"
)
SUM_HEAD = "HOST PROCESSES LIVE STREAMS MESSAGES PER-SECOND GAPS"
WORDS = {"HOST", "VERSION", "STATE", "STARTED(UTC)"}
"""The columns that are aligned to the left, because they hold no numbers."""

Row = Sequence[str]


class Status(Subcommand):
    help = (
        "Shows every hub process on this Redis, with its streams, channels and rates, and the Redis"
        " server. Processes report every ten seconds at the least. Exits with 1 if no process is live."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run(self, options: Options) -> None:
        settings = load_settings()
        name = name_of(settings.redis_url)
        try:
            overview = read_overview(settings)
        except RedisUnavailable as error:
            raise CommandError(_advice(name, error)) from None
        self.stdout.write(as_json(overview) if options["json"] else as_text(overview))
        if not overview.total.live:
            raise CommandError(
                f"No hub process is live on Redis {name} with the prefix {settings.prefix}. Start one"
                " (manage.py relay serve), or check REDIS_URL and RELAY_PREFIX."
            )


def _advice(name: str, error: RedisUnavailable) -> str:
    reason = printable(str(error)).rstrip(".")
    if error.refused:
        return (
            f"Redis {name}: {reason}. Give the user of REDIS_URL the rights in docs/operations.md."
        )
    return f"Redis {name}: {reason}. Start it, or check REDIS_URL."


def as_json(overview: Overview) -> str:
    """Returns the object in ASCII. A terminal shows no control character of it."""
    return json.dumps(overview.as_json(), indent=2).replace("\x7f", "\\u007f")


def as_text(overview: Overview) -> str:
    """Returns a table of the processes, one of the hosts, and a line for the channels and for Redis."""
    processes = [_process_row(process) for process in overview.processes]
    hosts = [_sum_row(host or UNKNOWN, sums) for host, sums in overview.hosts.items()]
    total = _sum_row("total", overview.total)
    channels = _shown(overview.channels_with_streams)
    lines = [
        *_table([PROCESS_HEAD.split(), *processes]),
        "",
        *_table([SUM_HEAD.split(), *hosts, total]),
        "",
        f"Channels with streams: {channels}",
        *map(_master_line, overview.masters),
    ]
    return "\n".join(map(printable, lines))


def _master_line(said: Mapping[str, str]) -> str:
    return f"Redis {said['address']}: version {said['version']}, {said['role']}, {said['mode']}"


def _process_row(process: Listed) -> Row:
    report, at, age = process.report, started(process), process.reported_ms_ago
    return [
        report.host or UNKNOWN,
        UNKNOWN if report.pid is None else str(report.pid),
        report.version or UNKNOWN,
        report.state or UNKNOWN,
        UNKNOWN if at is None else f"{at:%Y-%m-%dT%H:%M:%S}",
        _shown(report.streams),
        _shown(report.channels),
        _shown(report.messages),
        _shown(report.messages_per_second),
        _shown(report.gaps),
        UNKNOWN if age is None else f"{age / 1000:.0f} s ago",
    ]


def _sum_row(name: str, sums: Sums) -> Row:
    numbers = (sums.processes, sums.live, sums.streams, sums.messages)
    return [name, *map(_shown, (*numbers, sums.messages_per_second, sums.gaps))]


def _shown(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def _table(rows: Sequence[Row]) -> Iterator[str]:
    """Yields the rows as lines with aligned columns. The first row is the head."""
    columns = []
    for name, *cells in zip(*rows, strict=True):
        shown = [name, *map(printable, cells)]
        width = max(map(len, shown))
        columns.append([c.ljust(width) if name in WORDS else c.rjust(width) for c in shown])
    for row in zip(*columns, strict=True):
        yield "  ".join(row).rstrip()
