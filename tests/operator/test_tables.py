"""The rows of a report, for as many streams and channels as a process may have."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest
from pytest_django import Settings

from relay import conf
from relay.conf.catalogue import REPORT_BYTES
from relay.conf.settings import Settings as HubSettings
from relay.engine.delivery import Standing
from relay.engine.numbers import SALT_BITS
from relay.engine.stream import Owner, Stream
from relay.feed.writer import Chunk
from relay.operator.report import encode
from relay.operator.slices import SLICE
from relay.operator.streams import TOP, StreamTable

NUMBER = 10_000
LONG = "x" * 255


class Writer:
    """A connection with bytes that wait."""

    def __init__(self, address: str) -> None:
        self._address = address

    def on_ready(self, callback: Callable[[], None]) -> None: ...

    def send(self, chunk: Chunk) -> bool:
        return True

    def progress(self) -> object:
        return None

    def finish(self, chunk: Chunk) -> None: ...

    def abort(self) -> None: ...

    def waiting_bytes(self) -> int:
        return 17

    def peer(self) -> str:
        return self._address


class Subscriber:
    def __init__(self, lag: int, address: str) -> None:
        self.lag = lag
        self.writer = Writer(address)


class Delivery:
    """Streams of which each lags by as much as its subscriber says."""

    def __init__(self) -> None:
        self.asked = 0

    def lag(self, subscriber: Subscriber) -> int:
        self.asked += 1
        return subscriber.lag

    def standing(self, subscriber: Subscriber) -> Standing:
        return Standing("behind" if subscriber.lag else "live", "1-2", subscriber.lag)


@pytest.fixture
def hub_settings(settings: Settings) -> HubSettings:
    settings.RELAY_TRUSTED_PROXIES = "10.0.0.0/8"
    return conf.load()


def streams(delivery: Delivery, number: int, lag: Callable[[int], int]) -> list[Stream]:
    return [
        Stream(
            cast(Any, delivery),
            cast(Any, Subscriber(lag(n), f"192.0.2.{n % 250}")),
            (LONG, LONG, LONG, LONG),
            Owner(f"{LONG}{n}"),
            (n + 1) * 1_000_000 << SALT_BITS,
        )
        for n in range(number)
    ]


async def test_ten_thousand_streams_make_a_report_within_its_bound(
    hub_settings: HubSettings,
) -> None:
    delivery, turns = Delivery(), 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    everything = streams(delivery, NUMBER, lambda n: n % 1000)
    rows = await StreamTable(hub_settings).take(everything, ["x", "nothing"], 20_000.0)
    counting.cancel()
    assert turns >= NUMBER // SLICE, "the event loop turned after each slice"
    assert [row["lag"] for row in rows.top] == sorted(
        (row["lag"] for row in rows.top), reverse=True
    )
    assert (len(rows.top), rows.top[0]["lag"]) == (TOP, 999)
    assert (len(rows.found["x"]), len(rows.found["nothing"])) == (TOP, 0)
    report = {"channels": [], "streams": rows.top, "found": rows.found, "errors": []}
    assert len(encode(report)) <= REPORT_BYTES


async def test_no_slice_reads_more_than_its_number(hub_settings: HubSettings) -> None:
    delivery = Delivery()
    seen = [0]

    async def watch() -> None:
        while True:
            seen.append(delivery.asked)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await StreamTable(hub_settings).take(streams(delivery, 3000, lambda n: 0), [], 1.0)
    watching.cancel()
    steps = [after - before for before, after in pairwise(seen)]
    assert max(steps) <= SLICE + TOP


async def test_streams_that_lag_come_first_and_then_the_newest(hub_settings: HubSettings) -> None:
    everything = streams(Delivery(), 300, lambda n: 5 if n == 7 else 0)
    rows = (await StreamTable(hub_settings).take(everything, [], 400.0)).top
    assert [row["seconds"] for row in rows[:3]] == [392.0, 100.0, 101.0]
    assert (rows[0]["state"], rows[0]["waiting"]) == ("behind", 17)


@pytest.mark.parametrize(
    ("text", "number"), [("192.0.2.7", 12), ("X7", 11), ("7" * 30, 0), ("B71B00000", 2)]
)
async def test_a_text_is_found_in_address_user_and_id(
    hub_settings: HubSettings, text: str, number: int
) -> None:
    everything = streams(Delivery(), 300, lambda n: 0)
    assert everything[11].id == "b71b00000000"
    found = (await StreamTable(hub_settings).take(everything, [text], 1.0)).found[text]
    assert len(found) == number


async def test_what_is_known_of_a_client_is_bounded(hub_settings: HubSettings) -> None:
    [stream] = streams(Delivery(), 1, lambda n: 0)
    [row] = (await StreamTable(hub_settings).take([stream], [], 3.0)).top
    assert (row["user"], row["others"], row["channels"]) == (LONG, 1, [LONG, LONG, LONG])
