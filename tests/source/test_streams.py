"""Stream channels on a real Redis: what XADD writes comes to every client, whatever happens to the key."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.support.client import Stream
from tests.support.servers import ROOT, HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until

CHANNELS = "orders.*=public+stream news"


def path(channel: str, query: str = "") -> str:
    return f"/stream/?channel={channel}{query}"


@pytest.fixture
def hub(start_hub: StartHub) -> HubProcess:
    return start_hub(RELAY_CHANNELS=CHANNELS)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis_server.client() as connected:
        yield connected


def open_live(hub: HubProcess, channel: str, query: str = "") -> Stream:
    """Returns a stream that has its first id."""
    stream = Stream(hub.url, path(channel, query))
    while not stream.line().startswith(b"id: "):
        pass
    return stream


def add(client: "redis.Redis", channel: str, *texts: str) -> list[str]:
    pipe = client.pipeline(transaction=False)
    for text in texts:
        pipe.xadd(channel, {"data": text})
    return [identity.decode() for identity in pipe.execute()]


def gap_of(event: Any) -> dict[str, Any]:
    assert event.event == "hub.gap", event
    return dict(json.loads(event.data))


def test_an_entry_comes_with_its_own_id(hub: HubProcess, client: "redis.Redis") -> None:
    with open_live(hub, "orders.7") as stream:
        [identity] = add(client, "orders.7", "shipped")
        event = stream.event()
    assert (event.id, event.event, event.data) == (identity, "message", "shipped")


def test_a_stream_that_exists_before_the_hub_is_served_from_its_beginning(
    hub: HubProcess, client: "redis.Redis"
) -> None:
    client.xadd("orders.1", {"data": "first"}, id="0-1")
    client.xadd("orders.1", {"data": "second"}, id="5-0")
    added = add(client, "orders.1", *map(str, range(1000)))
    with Stream(hub.url, path("orders.1", "&rewind=all")) as stream:
        events = [stream.event() for _ in range(1002)]
        add(client, "orders.1", "live")
        assert stream.event().data == "live"
    assert [event.id for event in events] == ["0-1", "5-0", *added]
    assert [event.data for event in events] == ["first", "second", *map(str, range(1000))]


@pytest.mark.parametrize(
    ("query", "first"), [("&rewind=3", 7), ("&rewind=100", 0), ("&last_event_id={6}", 7)]
)
def test_a_stream_starts_in_the_past_that_nobody_has_heard(
    hub: HubProcess, client: "redis.Redis", query: str, first: int
) -> None:
    ids = add(client, "orders.2", *map(str, range(10)))
    with Stream(hub.url, path("orders.2", query.format(*ids))) as stream:
        assert stream.data(10 - first) == [str(n) for n in range(first, 10)]


def test_what_is_added_while_no_hub_runs_is_not_lost(
    hub: HubProcess, client: "redis.Redis"
) -> None:
    with open_live(hub, "orders.3") as stream:
        add(client, "orders.3", "before")
        stream.event()
        at = stream.last_id
    hub.stop()
    add(client, "orders.3", *map(str, range(500)))
    hub.start()
    with Stream(hub.url, path("orders.3"), last_id=at) as stream:
        assert stream.data(500) == [str(n) for n in range(500)]


def test_a_killed_connection_loses_nothing_and_makes_no_gap(
    hub: HubProcess, client: "redis.Redis"
) -> None:
    with open_live(hub, "orders.4") as stream:
        for round_number in range(3):
            for each in client.client_list():
                if each["name"] == "relay-hub":
                    client.client_kill_filter(_id=each["id"])
            add(client, "orders.4", *[f"{round_number}.{n}" for n in range(100)])
            assert stream.data(100) == [f"{round_number}.{n}" for n in range(100)]


def test_a_deleted_key_is_no_gap_and_begins_anew(hub: HubProcess, client: "redis.Redis") -> None:
    with open_live(hub, "orders.5") as stream, open_live(hub, "orders.50") as other:
        add(client, "orders.5", "a")
        assert stream.event().data == "a"
        client.delete("orders.5")
        for _ in range(3):  # after as many round trips the hub has seen it
            add(client, "orders.50", "x")
            other.event()
        client.xadd("orders.5", {"data": "b"}, id="1-1")
        event = stream.event()
        assert (event.id, event.data) == ("1-1", "b")
    with Stream(hub.url, path("orders.5"), last_id="0-0") as stream:
        assert stream.event().data == "b"


def test_a_stream_that_is_replaced_by_a_shorter_one_is_a_gap(
    hub: HubProcess, client: "redis.Redis"
) -> None:
    with open_live(hub, "orders.6") as stream:
        add(client, "orders.6", "a")
        stream.event()
        client.xadd("other", {"data": "b"}, id="1-1")
        client.rename("other", "orders.6")
        gap = gap_of(stream.event())
        assert (gap["missed"], gap["reason"], gap["to"]) == (None, "reset", "1-0")
        event = stream.event()
        assert (event.id, event.data) == ("1-1", "b")


def test_entries_that_are_trimmed_before_they_are_read_are_counted(
    hub: HubProcess, client: "redis.Redis"
) -> None:
    with open_live(hub, "orders.8") as stream:
        add(client, "orders.8", "a")
        stream.event()
        pipe = client.pipeline(transaction=True)
        for number in range(10):
            pipe.xadd("orders.8", {"data": str(number)}, maxlen=2, approximate=False)
        pipe.execute()
        gap = gap_of(stream.event())
        assert (gap["missed"], gap["reason"]) == (8, "expired")
        assert stream.data(2) == ["8", "9"]


def test_trimming_what_was_delivered_is_no_gap(hub: HubProcess, client: "redis.Redis") -> None:
    with open_live(hub, "orders.9") as stream:
        for number in range(20):
            client.xadd("orders.9", {"data": str(number)}, maxlen=1, approximate=False)
            assert stream.event().data == str(number)
        client.xtrim("orders.9", maxlen=0)
        add(client, "orders.9", "after")
        assert stream.event().data == "after"


def test_a_client_that_returns_after_a_trim_is_told_how_many_it_missed(
    hub: HubProcess, client: "redis.Redis"
) -> None:
    with open_live(hub, "orders.10") as stream:
        ids = add(client, "orders.10", *map(str, range(30)))
        stream.data(30)
    client.xtrim("orders.10", maxlen=5, approximate=False)
    hub.stop()
    hub.start()
    with Stream(hub.url, path("orders.10"), last_id=ids[9]) as stream:
        gap = gap_of(stream.event())
        assert (gap["from"], gap["missed"], gap["reason"]) == (ids[9], None, "expired")
        assert stream.data(5) == ["25", "26", "27", "28", "29"]
    with Stream(hub.url, path("orders.10"), last_id="0-0") as stream:
        assert gap_of(stream.event())["missed"] == 25
        assert stream.data(5) == ["25", "26", "27", "28", "29"]
    with Stream(hub.url, path("orders.10"), last_id=ids[24]) as stream:
        assert stream.event().data == "25"


def test_a_key_of_another_type_is_logged_once_and_the_others_go_on(
    hub: HubProcess, client: "redis.Redis"
) -> None:
    client.set("orders.11", "text")
    with Stream(hub.url, path("orders.11")) as wrong, open_live(hub, "orders.12") as right:
        add(client, "orders.12", "a")
        assert right.event().data == "a"
        hub.wait_for_log("the channel orders.11 cannot be read: the key has the type string")
        client.delete("orders.11")
        add(client, "orders.11", "now")
        assert wrong.event().data == "now"
    assert hub.log().count("cannot be read") == 1


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"data": "a\nb"}, "a\nb"),
        ({"status": "shipped", "n": "1"}, '{"status":"shipped","n":"1"}'),
        ({"data": b"\xff\xfe"}, "\ufffd\ufffd"),
        ({"b": b"\xff", "a": "ü"}, '{"b":"\ufffd","a":"ü"}'),
        ({"data": ""}, ""),
        ({"data": "x" * 1024 * 1024, "more": "y"}, "x" * 1024 * 1024),
    ],
    ids=["lines", "fields", "no UTF-8", "fields that are no UTF-8", "empty", "1 MiB"],
)
def test_what_an_entry_becomes(
    hub: HubProcess, client: "redis.Redis", fields: dict[Any, Any], text: str
) -> None:
    with open_live(hub, "orders.13") as stream:
        client.xadd("orders.13", fields)
        client.xadd("orders.13", {"data": "next"})
        assert stream.event().data == text
        assert stream.event().data == "next"


def test_a_wildcard_of_stream_channels_is_refused(hub: HubProcess) -> None:
    with Stream(hub.url, path("orders.*")) as stream:
        assert stream.response.status == 400
        assert b"Name each one" in stream.response.read()


def test_stream_channels_and_others_on_one_stream(hub: HubProcess, client: "redis.Redis") -> None:
    channels = path("orders.14", "&channel=orders.15&channel=news")
    add(client, "orders.14", "old")
    with Stream(hub.url, channels + "&rewind=all") as stream:
        assert stream.event().data == "old"
        wait_until(lambda: client.publish("news", "n") == 1, "the hub listens")
        assert stream.event().data == "n"
        [second] = add(client, "orders.15", "b")
        event = stream.event()
        assert event.data == "b"
        assert f"orders.15={second}" in event.id
        at = stream.last_id
    add(client, "orders.14", "c")
    with Stream(hub.url, channels, last_id=at) as stream:
        assert stream.event().data == "c"


def test_since_a_time(hub: HubProcess, client: "redis.Redis") -> None:
    for ms in (1000, 2000, 3000):
        client.xadd("orders.16", {"data": str(ms)}, id=f"{ms}-0")
    with Stream(hub.url, path("orders.16", "&since=2000")) as stream:
        assert stream.data(2) == ["2000", "3000"]
    client.xtrim("orders.16", maxlen=1, approximate=False)
    with Stream(hub.url, path("orders.16", "&since=1500")) as stream:
        gap = gap_of(stream.event())
        assert (gap["missed"], gap["reason"]) == (None, "expired")
        assert stream.data(1) == ["3000"]


def test_an_id_that_the_stream_never_had_is_a_gap(hub: HubProcess, client: "redis.Redis") -> None:
    add(client, "orders.17", "a")
    greatest = "18446744073709551615-18446744073709551615"
    for text in ("99999999999999999-0", greatest, "nonsense", "18446744073709551616-0"):
        with Stream(hub.url, path("orders.17"), last_id=text) as stream:
            assert gap_of(stream.event())["reason"] == "unknown-id"
            add(client, "orders.17", "b")
            assert stream.event().data == "b"


def test_many_channels_among_many_keys(start_hub: StartHub, client: "redis.Redis") -> None:
    """One connection reads them all, and no command lists the keys."""
    hub = start_hub(RELAY_CHANNELS=CHANNELS, RELAY_NEW_CHANNELS_PER_MINUTE=0)
    pipe = client.pipeline(transaction=False)
    for number in range(20_000):
        pipe.xadd(f"orders.key{number}", {"data": "old"})
    pipe.execute()
    groups = [[f"orders.key{50 * g + n}" for n in range(50)] for g in range(10)]
    paths = ["/stream/?" + "&".join(f"channel={name}" for name in names) for names in groups]
    streams = [Stream(hub.url, each) for each in paths]
    try:
        names = [name for names in groups for name in names]
        for stream, group in zip(streams, groups, strict=True):
            while stream.line().decode().count("=") < len(group):
                pass  # until its id has every channel
        for name in names:
            client.xadd(name, {"data": name})
        for stream, group in zip(streams, groups, strict=True):
            assert sorted(stream.data(50)) == sorted(group)
        tracking = [c for c in client.client_list() if "t" in c["flags"]]
        assert len(tracking) == 1
        used = client.info("commandstats")
        assert not {"cmdstat_keys", "cmdstat_scan"} & used.keys()
    finally:
        for stream in streams:
            stream.close()


def test_the_number_is_exact_where_this_process_has_received_everything(
    start_hub: StartHub, client: "redis.Redis"
) -> None:
    hub = start_hub(RELAY_CHANNELS=CHANNELS, RELAY_RING_EVENTS=8)
    with open_live(hub, "orders.19") as stream:
        ids = add(client, "orders.19", *map(str, range(100)))
        while stream.event().data != "99":
            pass
    client.xtrim("orders.19", maxlen=5, approximate=False)
    with Stream(hub.url, path("orders.19"), last_id=ids[9]) as stream:
        gap = gap_of(stream.event())
        assert (gap["from"], gap["missed"], gap["reason"]) == (ids[9], 85, "expired")
        assert stream.data(5) == ["95", "96", "97", "98", "99"]


def test_the_database_of_the_url_is_read(start_hub: StartHub, redis_server: RedisServer) -> None:
    hub = start_hub(redis_url=redis_server.url.removesuffix("/0") + "/3", RELAY_CHANNELS=CHANNELS)
    with redis_server.client(db=3) as client, open_live(hub, "orders.20") as stream:
        add(client, "orders.20", "a")
        assert stream.event().data == "a"
        with redis_server.client() as another:
            add(another, "orders.20", "of another database")
        add(client, "orders.20", "b")
        assert stream.event().data == "b"
    with Stream(hub.url, path("orders.20", "&rewind=all")) as stream:
        assert stream.data(2) == ["a", "b"]


def test_a_user_with_the_documented_rights_is_enough(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    text = (ROOT / "docs/operations.md").read_text()
    [line] = re.findall(r"^    ACL SETUSER hub (.*)$", text, re.M)
    [more] = re.findall(r"For \[stream channels\][^`]*`([^`]*)`", text)
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "hub", *line.split(), *more.split(), "~orders.*")
        url = redis_server.url.replace("redis://", "redis://hub:password@")
        hub = start_hub(redis_url=url, RELAY_CHANNELS=CHANNELS)
        with open_live(hub, "orders.21") as stream:
            add(client, "orders.21", "a")
            assert stream.event().data == "a"
            client.xtrim("orders.21", maxlen=0)
            add(client, "orders.21", "b")
            assert stream.event().data == "b"
        with Stream(hub.url, path("orders.21", "&rewind=5")) as stream:
            assert stream.event().data == "b"
        assert "ERROR" not in hub.log()


def test_a_key_that_redis_denies_is_logged_once(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "some", "on", ">x", "+@all", "&*", "~relay:*")
        url = redis_server.url.replace("redis://", "redis://some:x@")
        hub = start_hub(redis_url=url, RELAY_CHANNELS=CHANNELS)
        with Stream(hub.url, path("orders.22")) as stream:
            hub.wait_for_log("orders.*: NOPERM")
            client.execute_command("ACL", "SETUSER", "some", "~orders.*")
            while not stream.line().startswith(b"id: "):
                pass
            add(client, "orders.22", "a")
            assert stream.event().data == "a"
    assert hub.log().count("NOPERM") == 1


def test_the_default_channel_may_be_a_stream(start_hub: StartHub, client: "redis.Redis") -> None:
    hub = start_hub(RELAY_CHANNELS="demo_stream=public+stream")
    assert "xadd demo_stream '*' data \"Test Event\"" in hub.log()
    with Stream(hub.url) as stream:
        while not stream.line().startswith(b"id: "):
            pass
        client.xadd("demo_stream", {"data": "Test Event"})
        assert stream.event().data == "Test Event"
    with Stream(hub.url, "/stream/?rewind=20&latest=1") as stream:
        assert stream.event().data == "Test Event"
