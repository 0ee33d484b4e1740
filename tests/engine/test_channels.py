"""Many channels: the catalogue, several on one stream, wildcards, named events, conflation."""

import socket
import time
from functools import partial
from urllib.parse import parse_qsl

import psutil
import pytest
import redis
from httpx_sse import ServerSentEvent
from httpx_sse._decoders import SSEDecoder

from relay.access import tokens
from relay.conf.catalogue import Catalogue, Spec
from relay.conf.entries import parse_channels
from relay.wire import stream_id
from relay.wire.position import Position
from tests.support.client import Stream, ask_and_go_on, open_raw_stream, raw_request, read_until
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until

ALL = "a b orders.*"


def said(events: list[ServerSentEvent]) -> list[tuple[str, str]]:
    """(channel, data), the channel as the id names it."""
    return [(dict(parse_qsl(e.id)).get("@", ""), e.data) for e in events]


def take(stream: Stream, number: int) -> list[ServerSentEvent]:
    events = stream.events()
    return [next(events) for _ in range(number)]


def opened(hub: HubProcess, path: str) -> Stream:
    """Opens a stream and waits for its position, so that no later message is missed."""
    stream = Stream(hub.url, path)
    while not stream.lines or not stream.lines[-1].startswith(b"id: "):
        stream.line()
    return stream


def test_each_event_says_which_channel_it_is_from(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS=ALL)
    with opened(hub, "/stream/?channel=a&channel=b&channel=orders.7") as stream:
        for channel, data in [("a", "1"), ("b", "2"), ("orders.7", "3"), ("a", "4")]:
            assert redis_server.publish(data, channel) == 1
        redis_server.publish("no", "orders.8")
        redis_server.publish("5", "b")
        events = take(stream, 5)
    assert said(events) == [("a", "1"), ("b", "2"), ("orders.7", "3"), ("a", "4"), ("b", "5")]
    positions = stream_id.decode(events[-1].id)
    assert positions is not None
    assert {name: int(at.partition("-")[2]) for name, at in positions.items()} == {
        "a": 2,
        "b": 2,
        "orders.7": 1,
    }


def test_one_channel_alone_has_a_plain_id(start_hub: StartHub, redis_server: RedisServer) -> None:
    hub = start_hub(RELAY_CHANNELS=ALL)
    with opened(hub, "/stream/?channel=b&channel=b") as stream:
        redis_server.publish("1", "b")
        [event] = take(stream, 1)
    assert Position.parse(event.id)


def test_two_processes_give_the_same_ids(start_hub: StartHub, redis_server: RedisServer) -> None:
    hubs = [start_hub(RELAY_CHANNELS=ALL) for _ in range(2)]
    path = "/stream/?channel=a&channel=b"
    streams = [opened(hub, path) for hub in hubs]
    with streams[0], streams[1]:
        redis_server.publish("0", "a")
        redis_server.publish("0", "b")
        for stream in streams:
            take(stream, 2)
        for n in range(20):
            redis_server.publish(str(n), "ab"[n % 2])
        found = [[(e.id, e.data) for e in take(stream, 20)] for stream in streams]
    assert found[0] == found[1]


def _is_longer(client: "redis.Redis", log: str, length: int) -> bool:
    return client.xlen(log) > length


@pytest.mark.parametrize("fresh", [False, True], ids=["same process", "fresh process"])
def test_resume_continues_every_channel_and_a_changed_set_keeps_those_that_stay(
    start_hub: StartHub, redis_server: RedisServer, fresh: bool
) -> None:
    hub = start_hub(RELAY_CHANNELS=ALL)
    with opened(hub, "/stream/?channel=a&channel=b") as stream:
        redis_server.publish("1", "a")
        redis_server.publish("2", "b")
        last = take(stream, 2)[-1].id
        keeper = opened(hub, "/stream/?channel=a&channel=b&channel=orders.7")
    with keeper:
        for n, channel in enumerate(["a", "b", "orders.7", "b", "a"], start=3):
            redis_server.publish(str(n), channel)
        take(keeper, 5)
        with redis_server.client() as client:
            for channel, length in (("a", 4), ("b", 4), ("orders.7", 2)):
                log = f"relay:{{{channel}}}:log"
                has_all = partial(_is_longer, client, log, length - 2)
                wait_until(has_all, log)
        hub = start_hub(RELAY_CHANNELS=ALL) if fresh else hub
        with Stream(hub.url, "/stream/?channel=b&channel=a", last_id=last) as stream:
            assert sorted(said(take(stream, 4))) == [("a", "3"), ("a", "7"), ("b", "4"), ("b", "6")]
            redis_server.publish("8", "a")
            assert said(take(stream, 1)) == [("a", "8")]
        with Stream(hub.url, "/stream/?channel=b&channel=orders.7", last_id=last) as stream:
            assert said(take(stream, 2)) == [("b", "4"), ("b", "6")]
            redis_server.publish("9", "orders.7")
            assert said(take(stream, 1)) == [("orders.7", "9")]
        with Stream(hub.url, "/stream/?channel=b", last_id=last) as stream:
            assert [e.data for e in take(stream, 2)] == ["4", "6"]


def test_rewind_and_gaps_of_several_channels(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS=ALL)
    with opened(hub, "/stream/?channel=a&channel=b") as stream:
        for n in range(6):
            redis_server.publish(str(n), "ab"[n % 2])
        take(stream, 6)
        with Stream(hub.url, "/stream/?channel=a&channel=b&rewind=2") as again:
            assert sorted(said(take(again, 4))) == [("a", "2"), ("a", "4"), ("b", "3"), ("b", "5")]
        with Stream(hub.url, "/stream/?channel=a&channel=b", last_id="a=junk") as again:
            [gap] = take(again, 1)
            assert (gap.event, gap.json()["channel"]) == ("hub.gap", "a")
            assert gap.json()["reason"] == "unknown-id"


def test_a_slow_client_of_several_channels_gets_a_gap_for_each(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS=ALL, RELAY_RING_EVENTS=300)
    path = "/stream/?channel=a&channel=b"
    raw = open_raw_stream(hub.url, receive_buffer=65_536, path=path)
    with raw, opened(hub, path) as quick:
        hub.wait_for_streams(2)
        events = quick.events()
        total = {"a": 0, "b": 0}
        for n in range(3000):
            channel = "aab"[n % 3]
            redis_server.publish(f"{total[channel]:06}" + "x" * 10_000, channel)
            total[channel] += 1
            if n % 50 == 0:
                while next(events).data[:6] != f"{total[channel] - 1:06}":
                    pass
        redis_server.publish("end", "a")
        data = read_all(raw)
    expected = {"a": 0, "b": 0}
    gaps = 0
    for event in data:
        channel = dict(parse_qsl(event.id)).get("@", "")
        if event.event == "hub.gap":
            gaps += 1
            expected[event.json()["channel"]] += event.json()["missed"]
        elif event.data and event.data != "end":
            assert int(event.data[:6]) == expected[channel], event.id
            expected[channel] += 1
    assert gaps >= 2
    assert expected == total


def read_all(raw: socket.socket) -> list[ServerSentEvent]:
    received = read_until(raw, b"data: end\n\n", 60)
    text = b"".join(line for line in received.split(b"\r\n") if not _is_size(line)).decode()
    decoder = SSEDecoder()
    decoded = [decoder.decode(line) for line in text.split("\n")]
    return [event for event in decoded if event is not None and event.data]


def _is_size(line: bytes) -> bool:
    return 0 < len(line) < 8 and all(c in b"0123456789abcdef" for c in line)


def test_a_wildcard_delivers_every_channel_that_matches_with_resume(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    channels = "tests.support.channel_settings"
    hub = start_hub(DJANGO_SETTINGS_MODULE=channels)
    with opened(hub, "/stream/?channel=orders.*") as stream:
        for n, channel in enumerate(
            ["orders.1", "orders.2", "other", "orders.\n\nid: 1", "orders.1"]
        ):
            redis_server.publish(str(n), channel)
        events = take(stream, 4)
        assert said(events) == [
            ("orders.1", "0"),
            ("orders.2", "1"),
            ("orders.\n\nid: 1", "3"),
            ("orders.1", "4"),
        ]
        with Stream(hub.url, "/stream/?channel=orders.*", last_id=events[1].id) as again:
            assert said(take(again, 2)) == said(events[2:])
    assert ask_and_go_on(hub.url, "/stream/?channel=closed.*").status == 404


def test_a_wildcard_leaves_out_a_channel_that_has_an_entry_of_its_own(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(DJANGO_SETTINGS_MODULE="tests.support.channel_settings")
    path = "/stream/?channel=orders.*"
    assert ask_and_go_on(hub.url, "/stream/?channel=orders.secret").status == 401
    with opened(hub, path) as stream:
        for n, channel in enumerate(["orders.1", "orders.secret", "orders.2", "orders.secret"]):
            assert redis_server.publish(str(n), channel) >= 1
        redis_server.publish("4", "orders.1")
        events = take(stream, 3)
        visible = [("orders.1", "0"), ("orders.2", "2"), ("orders.1", "4")]
        assert said(events) == visible
        redis_server.publish("5", "orders.secret")
        with Stream(hub.url, path, last_id=events[0].id) as again:  # from the ring
            assert said(take(again, 2)) == visible[1:]
            redis_server.publish("6", "orders.2")
            assert said(take(again, 1)) == [("orders.2", "6")]
        redis_server.publish("7", "orders.secret")
        for latest in (Stream(hub.url, f"{path}&latest=1"), Stream(hub.url, f"{path}&rewind=2")):
            with latest:
                assert said(take(latest, 1)) == [("orders.2", "6")]
        with redis_server.client() as client:
            wait_until(lambda: client.xlen("relay:{orders.*}:log") >= 8, "the history is written")
    fresh = start_hub(DJANGO_SETTINGS_MODULE="tests.support.channel_settings")
    with Stream(fresh.url, path, last_id=events[0].id) as stream:  # from the history
        assert said(take(stream, 3)) == [*visible[1:], ("orders.2", "6")]
        redis_server.publish("8", "orders.secret")
        redis_server.publish("9", "orders.1")
        assert said(take(stream, 1)) == [("orders.1", "9")]


def test_channels_over_the_limit_are_refused_and_unused_ones_left(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS="orders.*", RELAY_MAX_CHANNELS=3)
    with opened(hub, "/stream/?channel=orders.1"), opened(hub, "/stream/?channel=orders.2"):
        for path in ("orders.3", "orders.1&latest=1", "orders.1&channel=demo_stream"):
            assert ask_and_go_on(hub.url, f"/stream/?channel={path}").status == 503
        with opened(hub, "/stream/?channel=orders.1"), opened(hub, "/stream/"):
            pass
    with opened(hub, "/stream/?channel=orders.3") as stream:
        redis_server.publish("1", "orders.3")
        assert [event.data for event in take(stream, 1)] == ["1"]
        assert redis_server.publish("2", "orders.1") + redis_server.publish("2", "orders.2") == 1


def test_channels_that_are_left_while_they_are_entered_hold_up_no_other(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS="orders.*", RELAY_MAX_CHANNELS=2)
    for n in range(20):
        request = f"GET /stream/?channel=orders.{n} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with raw_request(hub.url, request.encode()) as connection:
            read_until(connection, b"retry: ")
        hub.wait_for_streams(0)
    with opened(hub, "/stream/?channel=orders.last") as stream:
        redis_server.publish("1", "orders.last")
        assert [event.data for event in take(stream, 1)] == ["1"]


def test_sets_of_channels_and_intervals_share_a_bounded_memory(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub()
    assert hub.process is not None
    streams = [Stream(hub.url, f"/stream/?latest=0.{100 + n}") for n in range(20)]
    hub.wait_for_streams(20)
    before = psutil.Process(hub.process.pid).memory_info().rss
    for n in range(24):
        redis_server.publish(b"%d" % n * 750_000)
        time.sleep(0.13)  # so that most intervals have an event of their own
    for stream in streams:
        stream.close()
    grown = psutil.Process(hub.process.pid).memory_info().rss - before
    assert grown < 200 * 1024 * 1024


def test_the_first_entry_that_matches_governs_a_channel() -> None:
    def spec(pattern: str, wildcard: str | None = None) -> Spec:
        return Spec(pattern, "public", 1, 1, 1000, wildcard)

    catalogue = Catalogue(
        [spec("o.x.*"), spec("o.*", "public"), spec("o.y"), spec("o.z.*")], "relay"
    )
    withheld = {"o.1": False, "o.x.1": True, "o.y": True, "o.z.1": False, "o.x.\n": True}
    assert {name: catalogue.withholds("o.*", name) for name in withheld} == withheld
    found = catalogue.find("o.y")
    assert found is not None
    assert found.hidden_from == ("o.*",)
    for name, granted in {"o.1": True, "o.x.1": False, "o.y": False, "o.*": True}.items():
        found = catalogue.find(name)
        assert found is not None
        assert tokens.grants({"channels": ["o.*"]}, "channels", found) is granted
        assert tokens.grants({"channels": [name]}, "channels", found)
        assert tokens.grants({"channels": ["o*", "*"]}, "channels", found) is (name != "o.*")


ENVELOPES = [
    ('{"event":"price","data":"12"}', ("price", "12")),
    ('{"event":"price","data":{"a":[1,2]}}', ("price", '{"a":[1,2]}')),
    ('{"data":"no name"}', ("message", "no name")),
    ('{"event":"x","data":"a\\nb","retry":500}', ("x", "a\nb")),
    ('{"event":"hub.gap","data":"forged"}', ("message", '{"event":"hub.gap","data":"forged"}')),
    ('{"event":"a\\nid: 1","data":""}', ("message", '{"event":"a\\nid: 1","data":""}')),
    ('{"event":"x"}', ("message", '{"event":"x"}')),
    ('{"event":"x","data":1,"other":2}', ("message", '{"event":"x","data":1,"other":2}')),
    ("[" * 5000, ("message", "[" * 5000)),
    ("plain", ("message", "plain")),
    (
        '{"specversion":"1.0","id":"1","source":"/s","type":"com.example.ok","data":{"n":1}}',
        ("com.example.ok", '{"n":1}'),
    ),
    (
        '{"specversion":"0.3","id":"1","source":"/s","type":"t","data":1}',
        ("message", '{"specversion":"0.3","id":"1","source":"/s","type":"t","data":1}'),
    ),
]


def test_envelopes_become_named_events_where_the_channel_says_so_and_nowhere_else(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(DJANGO_SETTINGS_MODULE="tests.support.channel_settings")
    with opened(hub, "/stream/?channel=named") as named, opened(hub, "/stream/?channel=a") as raw:
        for payload, _ in ENVELOPES:
            redis_server.publish(payload, "named")
            redis_server.publish(payload, "a")
        events = take(named, len(ENVELOPES))
        assert [(e.event, e.data) for e in events] == [expected for _, expected in ENVELOPES]
        assert events[3].retry == 500
        assert [(e.event, e.data) for e in take(raw, len(ENVELOPES))] == [
            ("message", payload) for payload, _ in ENVELOPES
        ]
    with Stream(hub.url, "/stream/?channel=named", last_id=events[0].id) as stream:
        assert (stream.event().event, stream.last_id != "") == ("price", True)


def test_latest_gives_the_newest_at_once_and_at_most_one_in_an_interval(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_CHANNELS=ALL)
    with opened(hub, "/stream/?channel=a") as keeper:
        redis_server.publish("old", "a")
        redis_server.publish("state", "a")
        take(keeper, 2)
        with Stream(hub.url, "/stream/?channel=a&latest=0.5") as stream:
            assert stream.event().data == "state"
            start = time.monotonic()
            for n in range(100):
                redis_server.publish(str(n), "a")
                time.sleep(0.012)
            redis_server.publish("last", "a")
            events: list[ServerSentEvent] = []
            while not events or events[-1].data != "last":
                events.append(stream.event())
            elapsed = time.monotonic() - start
        numbers = [int(e.data) for e in events if e.data != "last"]
        assert numbers == sorted(set(numbers))
        assert len(events) <= elapsed / 0.5 + 2
        assert all(e.event == "message" for e in events)
        with Stream(hub.url, "/stream/?channel=a&latest=0.5", last_id=stream.last_id) as again:
            redis_server.publish("next", "a")
            assert again.event().data == "next"


@pytest.mark.parametrize("value", ["0", "x", "-1", "1e9", "nan", "99999"])
def test_an_invalid_interval_is_refused(start_hub: StartHub, value: str) -> None:
    hub = start_hub(RELAY_CHANNELS=ALL)
    assert ask_and_go_on(hub.url, f"/stream/?latest={value}").status == 400


def subscribed(redis_server: RedisServer) -> set[str]:
    with redis_server.client() as client:
        names = {name.decode() for name in client.pubsub_channels()}
    return {name for name in names if not name.startswith("relay:")}


def test_a_channel_is_subscribed_on_first_use_and_left_when_unused(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(
        DJANGO_SETTINGS_MODULE="tests.support.channel_settings", RELAY_CHANNEL_IDLE_SECONDS=1
    )
    assert subscribed(redis_server) == {"demo_stream", "kept"}
    with opened(hub, "/stream/?channel=a"), opened(hub, "/stream/?channel=a&channel=b"):
        assert subscribed(redis_server) == {"demo_stream", "kept", "a", "b"}
    wait_until(lambda: subscribed(redis_server) == {"demo_stream", "kept"}, "a and b are left", 5)
    with opened(hub, "/stream/?channel=a") as stream:
        redis_server.publish("again", "a")
        assert stream.event().data == "again"
    redis_server.publish("nobody listens", "kept")
    with redis_server.client() as client:
        wait_until(lambda: client.xlen("relay:{kept}:log") == 2, "it is logged from the start")


def test_fifty_channels_fit_and_fifty_one_do_not(start_hub: StartHub) -> None:
    hub = start_hub(RELAY_CHANNELS="c.*")
    names = [f"channel=c.{n}" for n in range(51)]
    with opened(hub, "/stream/?" + "&".join(names[:50])) as stream:
        assert stream.lines[-1].count(b"&") == 49
    assert ask_and_go_on(hub.url, "/stream/?" + "&".join(names)).status == 400


def spec(pattern: str, **options: object) -> Spec:
    bounds: dict[str, object] = {"history_size": 1, "history_seconds": 1.0, "event_bytes": 999}
    return Spec(pattern, "public", **{**bounds, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "re*",
        "relay:*",
        "{x}",
        "rel{x}",
        "__key*",
        "asgi*",
        "a b",
        "a\n",
        "a[b]",
        "a?",
        "é\0",
    ]
    + ["x" * 256, "{X}", "a\\b"],
)
def test_a_pattern_that_matches_reserved_channels_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="channel"):
        Catalogue([spec(pattern)], "relay")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("user.5", ("user.5", {"user_id": "5"})),
        ("user.5.6", None),
        ("user.", None),
        ("orders.1.2", ("orders.1.2", {})),
        ("orders.", ("orders.", {})),
        ("exact", ("exact", {})),
        ("exac", None),
        ("user.{user_id}", None),
        ("orders.*", None),
    ],
)
def test_a_name_is_found_by_the_entry_that_matches(
    name: str, found: tuple[str, dict[str, str]] | None
) -> None:
    catalogue = Catalogue([spec("exact"), spec("user.{user_id}"), spec("orders.*")], "relay")
    result = catalogue.find(name)
    assert (result and (result.name, result.fields)) == found


def test_the_short_form_of_the_catalogue() -> None:
    assert parse_channels("a, b=signed-in user.{id}=owner x=perm:app.see y=site.rules.may") == (
        ("a", {"access": "public"}),
        ("b", {"access": "signed-in"}),
        ("user.{id}", {"access": "owner"}),
        ("x", {"access": "perm:app.see"}),
        ("y", {"access": "site.rules.may"}),
    )


@pytest.mark.parametrize(
    "value", ["a=nonsense", {"a": {"acces": "public"}}, {"a": {"history_size": -1}}, 5, {"a": None}]
)
def test_an_entry_of_an_unknown_form_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        parse_channels(value)


@pytest.mark.parametrize("text", ["", "x", "a=", "a=1-1&&b", "=", "@=a", "a=1-1" * 5000, "%ff=1-1"])
def test_any_text_can_be_decoded_as_an_id(text: str) -> None:
    positions = stream_id.decode(text)
    assert positions is None or "@" not in positions
