"""Prints a stream, for the command lines."""

import json
import os
import select
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from relay.client.events import Event, Gap, Message, Oversize
from relay.client.token import TokenSource
from relay.wire.position import Position


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the options of `print_stream` that every command line has: `start` and `json`."""
    start = "an id, `all`, a number of messages, a span such as 10m, or a time; without it: now"
    parser.add_argument("--from", dest="start", metavar="WHERE", help=start)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def print_stream(
    url: str, channels: Sequence[str], token: TokenSource, start: str | None, as_json: bool
) -> None:
    """Prints each event at once. Returns on Ctrl-C, and when nobody reads standard output any more.

    Raises ImportError without httpx, and what `listen` and its loop raise.
    """
    from relay.client import listen

    threading.Thread(target=_end_with_the_reader, daemon=True).start()
    try:
        _print(listen(url, channels=channels, token=token, **_beginning(start)), as_json)
    except BrokenPipeError:
        # The interpreter flushes at its end, which must not fail as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        pass


def _end_with_the_reader() -> None:
    """Ends the process when nobody reads standard output any more, also while nothing is published.

    A signal to the loop could come too late, when the loop has just ended for the same reason.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors alone
    poll.poll()
    os._exit(0)


def _beginning(start: str | None) -> Mapping[str, Any]:
    """Returns the options of `listen` for what --from says."""
    if not start:
        return {}
    if start == "all" or start.isdecimal():
        return {"rewind": start}
    if "=" in start or Position.parse_entry(start):
        return {"last_event_id": start}
    return {"since": start}


def _print(events: Iterable[Event], as_json: bool) -> None:
    """Text has messages as they are; JSON has an object for each event. Both tell gaps on standard error."""
    for event in events:
        if as_json:
            print(json.dumps(_object(event)), flush=True)
        elif isinstance(event, Message):
            print(event.data, flush=True)
        if not isinstance(event, Message):
            print(_sentence(event), file=sys.stderr, flush=True)


def _object(event: Event) -> dict[str, Any]:
    notices = {Gap: "hub.gap", Oversize: "hub.oversize"}
    return {"event": notices.get(type(event)), **asdict(event)}  # a message brings its own name


def _sentence(event: Gap | Oversize) -> str:
    if isinstance(event, Oversize):
        size, limit = f"{event.size_bytes:,}", f"{event.max_bytes:,}"
        return f"{event.channel}: a message of {size} bytes was left out (limit {limit})."
    number = "an unknown number of" if event.missed is None else f"{event.missed:,}"
    return f"{event.channel}: {number} messages are missing ({event.reason})."
