"""The benchmark measures the real servers."""

import os
from collections.abc import Iterator

import pytest
import redis

from bench import audience, servers
from bench.errors import Missing
from bench.ledger import Tally
from bench.scenarios import FlatOut, HistoryCost, Idle, Live, Resume
from bench.servers import SERVERS, Hub, Place


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(audience, "SETTLE_SECONDS", 0.2)
    core = min(os.sched_getaffinity(0))
    with servers.start_redis(core) as (port, pid):
        yield Place(max(os.sched_getaffinity(0)), core, port, pid)


def test_the_real_hub_loses_and_doubles_nothing(place: Place) -> None:
    hub = Hub("hub", "hub, quick heartbeats", {"RELAY_HEARTBEAT_SECONDS": "0.8"})
    measured = Live("live", 40, 200, 1).run(hub, place)
    assert measured.tally == Tally(delivered=40 * 200)
    assert measured.cost.cpu_seconds > 0
    assert 0 < measured.figures["p50_ms"] <= measured.figures["p99_ms"]
    assert measured.figures["cpu_us"] > 0


INSTALLED = [server.name for server in SERVERS if server.installed()]


@pytest.mark.parametrize(
    "name", sorted({"floor", "nchan"} | {"mercure", "centrifugo"} & {*INSTALLED})
)
def test_other_servers_are_checked_in_the_same_way(place: Place, name: str) -> None:
    server = next(server for server in SERVERS if server.name == name)
    if not server.installed():
        pytest.skip(f"{server.title} is not installed")
    measured = FlatOut("burst", 20, 100).run(server, place)
    assert measured.tally == Tally(delivered=20 * 100)
    assert measured.figures["deliveries_per_s"] > 0


def test_idle_streams_of_the_real_hub_have_a_cost_and_stay_open(place: Place) -> None:
    measured = Idle("idle", 1_000, 0.3).run(Hub("hub", "hub"), place)
    assert measured.tally == Tally()
    assert measured.figures["open_us"] > 0
    assert measured.figures["memory_kib"] > 0


def test_every_stream_of_the_load_with_channels_has_one_of_its_own(place: Place) -> None:
    load = Idle("channels", 30, 0.3, apart=True, settle_seconds=0.5)
    hub, floor = (server for server in SERVERS if server.name in {"hub", "floor"})
    with redis.Redis(port=place.redis_port) as client:
        measured = load.run(hub, place)
        assert measured.tally == Tally()
        assert measured.figures["memory_kib"] > 0
        assert len(client.keys("relay:{demo_stream.*}:epoch")) == 30
    with pytest.raises(Missing, match="one channel"):
        load.run(floor, place)


@pytest.mark.parametrize("restarted", [False, True])
def test_who_comes_back_to_the_real_hub_gets_all_that_was_missed(
    place: Place, restarted: bool
) -> None:
    load = Resume("resume", 60, 40, restarted=restarted)
    measured = load.run(Hub("hub", "hub"), place)
    missed = sum(40 - 1 - n % 40 for n in range(60))
    assert measured.tally == Tally(delivered=missed + 60 * audience.WARM_UP_MESSAGES)
    assert measured.figures["all_live_s"] > 0
    assert measured.figures["history_reads"] < 30  # not one for each stream
    assert bool(measured.figures["history_reads"]) or not restarted


def test_who_cannot_come_back_is_left_out(place: Place) -> None:
    floor = next(server for server in SERVERS if server.name == "floor")
    with pytest.raises(Missing, match="cannot come back"):
        Resume("resume", 1, 1).run(floor, place)


@pytest.mark.long
def test_log_on_and_history_off_run_side_by_side(place: Place) -> None:
    with redis.Redis(port=place.redis_port) as client:
        measured = HistoryCost("log", 20, 50, 1, rounds=2).run(Hub("hub", "hub"), place)
        assert client.keys("relay:{demo_stream}:log")
        assert not client.keys("*history_off*:log")
    assert measured.tally == Tally(delivered=2 * 2 * 20 * 50)
    figures = measured.figures
    assert figures["history_ratio"] == pytest.approx(figures["cpu_us"] / figures["off_cpu_us"])
    assert figures["off_cpu_us"] > 0
    floor = next(server for server in SERVERS if server.name == "floor")
    with pytest.raises(Missing, match="no history"):
        HistoryCost("log", 1, 1, 1).run(floor, place)
