"""The operator's page on real hubs: what it is told, by whom, and what it costs when nobody looks."""

import json
import signal
import time
from itertools import takewhile
from typing import Any

import pytest

from relay.control.watch import VALID_SECONDS
from tests.support.client import BackgroundStream, Stream, ask
from tests.support.operators import (
    PATH,
    Page,
    come_by,
    link_of,
    operator_of,
    watching,
)
from tests.support.servers import COMMANDS, HubProcess, RedisServer, StartHub
from tests.support.site import MakeSite, Site, run_manage
from tests.support.waiting import wait_until

LINK: dict[str, Any] = {"SECRET_KEY": "for the tests of operators only", "RELAY_OPERATOR_LINK": "1"}


def listeners(redis_server: RedisServer, channel: str) -> int:
    with redis_server.client() as client:
        return int(client.pubsub_numsub(channel)[0][1])


# -- what is told


def test_every_process_of_every_host_reports(start_hub: StartHub) -> None:
    first = start_hub(**LINK, RELAY_WORKERS="2")
    second = start_hub(**LINK)
    with Stream(second.url), watching(first, operator_of(first)) as reports:
        found = reports.of_each(3)
    workers = sorted(report["process"]["worker"] for report in found.values())
    assert workers == ["", "1", "2"]
    for report in found.values():
        assert report["process"]["state"] == "live"
        assert report["redis"]["deployment"] == "server"
        assert [master["live"] for master in report["redis"]["masters"]] == [True]
        assert report["figures"]["memory_bytes"] > 1024
        assert report["cut"] is False


def test_a_stream_is_told_with_its_channel_its_place_and_its_lag(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(**LINK)
    with Stream(hub.url) as stream, watching(hub, operator_of(hub)) as reports:
        redis_server.publish("one")
        message = stream.event()
        place = stream.last_id

        def has_it(report: Any) -> bool:
            return any(row["position"] == place for row in report["streams"])

        report = reports.first(has_it)
    assert message.data == "one"
    [row] = [row for row in report["streams"] if row["channels"] == ["demo_stream"]]
    assert row["state"] == "live"
    assert (row["lag"], row["waiting"], row["others"], row["user"]) == (0, 0, 0, "")
    assert row["address"] == "127.0.0.1"
    assert row["seconds"] < 60
    [channel] = [row for row in report["channels"] if row["name"] == "demo_stream"]
    assert (channel["streams"], channel["ring"][0], channel["position"]) == (1, 1, place)


def test_how_much_of_its_size_a_history_has_is_told(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    channels = "demo_stream brief=public orders.*=public+stream"
    hub = start_hub(**LINK, RELAY_CHANNELS=channels, RELAY_HISTORY_SIZE="50")
    with Stream(hub.url) as stream, Stream(hub.url, "/stream/?channel=orders.7"):
        hub.wait_for_streams(2)
        redis_server.publish("one")
        assert stream.event().data == "one"
        with redis_server.client() as client:
            for number in range(7):
                client.xadd("orders.7", {"data": number})

        def told(report: Any) -> dict[str, tuple[int, int]]:
            return {row["name"]: (row["kept"], row["keeps"]) for row in report["channels"]}

        with watching(hub, operator_of(hub)) as reports:
            wanted = {"demo_stream": (2, 50), "orders.7": (7, 50)}  # a boundary and a message
            found = told(reports.first(lambda each: told(each).items() >= wanted.items()))
    assert found["relay:ops"] == (0, 0)


def test_the_page_of_reports_is_no_message_of_the_figures(start_hub: StartHub) -> None:
    hub = start_hub(**LINK)
    with watching(hub, operator_of(hub)) as reports:
        for _ in range(3):
            assert next(iter(reports))["rates"]["messages_per_second"] == 0.0


def test_gaps_and_errors_of_the_hub_are_told(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(**LINK)
    cookie = operator_of(hub)
    with Stream(hub.url):
        redis_server.kill()
        hub.wait_for_redis("lost")
        redis_server.start()
        hub.wait_for_redis("live")
        with watching(hub, cookie) as reports:
            report = reports.first(lambda each: bool(each["gaps"]))
    assert [gaps for _, gaps in report["gaps"]] == [{"redis-lost": 1}]
    [line] = report["errors"]
    assert line["level"] == "WARNING"
    assert line["text"].endswith("Streams stay open; reconnecting.")


def test_a_text_is_looked_for_in_all_processes(start_hub: StartHub) -> None:
    hubs = [start_hub(**LINK, RELAY_CHANNELS="orders.*") for _ in range(2)]
    cookie = operator_of(hubs[0])
    page = Page(hubs[0], cookie)
    with (
        Stream(hubs[0].url, "/stream/?channel=orders.7"),
        Stream(hubs[1].url, "/stream/?channel=orders.8"),
        Stream(hubs[1].url),
        watching(hubs[0], cookie) as reports,
    ):
        reports.of_each(2)
        assert page.post("/ops/find/", text="ORDERS").status == 200
        found = reports.of_each(2, lambda report: "ORDERS" in report["found"])
    names = [row["channels"] for each in found.values() for row in each["found"]["ORDERS"]]
    assert sorted(names) == [["orders.7"], ["orders.8"]]


def test_a_full_process_has_room_for_an_operator(start_hub: StartHub) -> None:
    hub = start_hub(**LINK, RELAY_MAX_STREAMS="1")
    cookie = operator_of(hub)
    with Stream(hub.url), watching(hub, cookie) as reports:
        assert reports.first(lambda each: len(each["streams"]) == 2)["figures"]["streams_max"] == 1
        assert ask(hub.url).status == 503
        assert hub.health()["streams_open"] == 2


def test_the_reports_go_on_after_redis_was_silent_for_longer_than_a_watch_counts(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    one, two = start_hub(**LINK), start_hub(**LINK)
    with watching(one, operator_of(one)) as reports:
        reports.of_each(2)
        redis_server.signal(signal.SIGSTOP)
        one.wait_for_redis("lost")
        time.sleep(VALID_SECONDS + 4)
        redis_server.signal(signal.SIGCONT)
        two.wait_for_redis("live", 20)
        since = time.time() * 1000
        found = reports.of_each(2, lambda each: each["at"] > since)
    assert {report["process"]["state"] for report in found.values()} == {"live"}


# -- what it costs


def heard_by(redis_server: RedisServer, seconds: float) -> list[str]:
    """Every command that Redis gets within so long, scripts' own included."""
    end = "ECHO the end"
    with redis_server.client() as client, client.monitor() as monitor:
        time.sleep(seconds)
        client.echo(end.removeprefix("ECHO "))
        commands = (line["command"] for line in monitor.listen())
        return list(takewhile(lambda command: command != end, commands))


def for_operators(redis_server: RedisServer) -> list[str]:
    """The commands of three seconds that are for operators: about their channel, and watches."""
    own = "PUBLISH relay:probe:", "PUBLISH relay:{demo_stream}:marker"
    return [
        command
        for command in heard_by(redis_server, 3)
        if "relay:ops" in command
        or (command.startswith(("PUBLISH", "SUBSCRIBE")) and not command.startswith(own))
    ]


def test_a_hub_that_nobody_watches_sends_nothing_for_it(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    start_hub(**LINK)
    with redis_server.client() as client:
        names = {name.decode().split(":")[1] for name in client.pubsub_channels("relay:*")}
    assert names == {"control", "probe", "{demo_stream}"}
    assert for_operators(redis_server) == []


def test_a_hub_that_nobody_watches_any_more_sends_nothing_for_it(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(**LINK, RELAY_CHANNEL_IDLE_SECONDS="0")
    with watching(hub, operator_of(hub)) as reports:
        next(iter(reports))
        assert for_operators(redis_server)
    wait_until(lambda: for_operators(redis_server) == [], "nothing is sent", 20)
    assert listeners(redis_server, "relay:ops") == 0


def test_the_reports_end_soon_after_the_watcher_has_vanished(
    start_hub: StartHub, redis_server: RedisServer
) -> None:
    one, two = start_hub(**LINK), start_hub(**LINK)
    cookie = operator_of(one)
    with redis_server.client() as client, client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe("relay:ops")
        with watching(one, cookie) as reports:
            reports.of_each(2)
        left = time.monotonic()
        last: dict[str, float] = {}
        while time.monotonic() - left < 12:
            message = heard.get_message(timeout=0.2)
            if message is not None:
                process = json.loads(message["data"])["process"]["pid"]
                last[process] = time.monotonic() - left
    assert two.health()["redis"] == "live"
    assert len(last) == 2
    assert max(last.values()) < 10


# -- who is let in


def test_a_link_works_once_over_several_workers(start_hub: StartHub) -> None:
    hub = start_hub(**LINK, RELAY_WORKERS="2")
    link = link_of(hub)
    cookie = come_by(hub, link)
    for _ in range(8):
        assert ask(hub.url, link).status == 403
        assert ask(hub.url, "/ops/", headers={"Cookie": cookie}).status == 200
    secret = link.partition("link=")[2]
    assert hub.log().count(secret) == 1, "printed once, and in no other line"


def test_a_new_start_makes_the_cookie_worthless(start_hub: StartHub) -> None:
    hub = start_hub(**LINK)
    cookie = operator_of(hub)
    assert ask(hub.url, "/ops/", headers={"Cookie": cookie}).status == 200
    hub.stop()
    hub.start()
    assert ask(hub.url, "/ops/", headers={"Cookie": cookie}).status == 403
    assert ask(hub.url, PATH, headers={"Cookie": cookie}).status == 403


def test_without_the_setting_no_link_is_printed(start_hub: StartHub) -> None:
    hub = start_hub(SECRET_KEY=LINK["SECRET_KEY"])
    assert "link=" not in hub.log()


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(RELAY_CHANNELS="mine=signed-in")


def test_the_stream_is_for_operators_alone(start_hub: StartHub, site: Site) -> None:
    hub = start_hub(**site.env)
    refused = "You may not see this (relay.operate)."
    ann, eve = site.people["ann"], site.people["eve"]
    for headers in ({}, {"Cookie": ann.cookie}):
        assert ask(hub.url, PATH, headers=headers).detail == refused
    for options in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        answer = ask(hub.url, PATH, headers={"Cookie": eve.cookie, **options})
        assert answer.status == 403
    assert ask(hub.url, PATH, headers={"Cookie": eve.cookie}).status == 200
    with_another = ask(hub.url, f"{PATH}&channel=mine", headers={"Cookie": eve.cookie})
    assert (with_another.status, with_another.detail) == (404, "There is no such channel.")


def test_a_page_of_a_listed_origin_does_not_get_the_stream(start_hub: StartHub, site: Site) -> None:
    hub = start_hub(**site.env, RELAY_ALLOWED_ORIGINS="https://app.example.com")
    headers = {"Cookie": site.people["eve"].cookie, "Origin": "https://app.example.com"}
    assert ask(hub.url, PATH, headers=headers).status == 403


def test_no_token_opens_the_stream(start_hub: StartHub, site: Site) -> None:
    hub = start_hub(**site.env)
    for name in ("*", "relay:ops", "relay:*"):
        token = site.manage("relay", "token", site.people["eve"].pk, "--channel", name)
        assert ask(hub.url, PATH, headers={"Authorization": f"Bearer {token}"}).status == 403


WITHDRAW = """
from django.contrib.auth.models import User
User.objects.filter(username="eve").update(is_superuser=False)
"""


def test_the_stream_ends_when_the_right_is_withdrawn(start_hub: StartHub, site: Site) -> None:
    hub = start_hub(**site.env)
    cookie = {"Cookie": site.people["eve"].cookie}
    with BackgroundStream(hub.url, PATH, cookie) as stream:
        site.run(WITHDRAW)  # which sends no signal
        wait_until(lambda: stream.ended_at, "it ended", 15)
        stream.ended_properly()
    assert ask(hub.url, PATH, headers=cookie).status == 403
    assert ask(hub.url, "/ops/", headers=cookie).status == 403


def test_a_kick_of_the_operator_ends_the_stream(
    start_hub: StartHub, site: Site, redis_server: RedisServer
) -> None:
    hub = start_hub(**site.env)
    eve = site.people["eve"]
    with BackgroundStream(hub.url, PATH, {"Cookie": eve.cookie}) as stream:
        page = Page(hub, eve.cookie)
        begin = time.monotonic()
        answer = page.post("/ops/kick/", user=eve.pk)
        assert answer.json() == {"processes": 1}
        stream.ends_within_a_second(begin)


# -- kicks


def test_one_of_two_streams_of_a_user_is_kicked(start_hub: StartHub, site: Site) -> None:
    hubs = [start_hub(**site.env), start_hub(**site.env)]
    ann, eve = site.people["ann"], site.people["eve"]
    path = "/stream/?channel=mine"
    with (
        BackgroundStream(hubs[0].url, path, {"Cookie": ann.cookie}) as first,
        BackgroundStream(hubs[1].url, path, {"Cookie": ann.cookie}) as second,
        watching(hubs[0], eve.cookie) as reports,
    ):
        by_process = reports.of_each(2)
        rows = [row for each in by_process.values() for row in each["streams"]]
        ids = [row["id"] for row in rows if row["user"] == ann.pk]
        assert len(set(ids)) == 2
        pids = {each["process"]["pid"]: each for each in by_process.values()}
        assert hubs[1].process is not None
        theirs = hubs[1].process.pid
        [victim] = [row["id"] for row in pids[theirs]["streams"] if row["user"] == ann.pk]
        page = Page(hubs[0], eve.cookie)
        begin = time.monotonic()
        assert page.post("/ops/kick/", stream=victim).status == 200
        second.ends_within_a_second(begin)
        with BackgroundStream(hubs[1].url, path, {"Cookie": ann.cookie}) as back:
            left = reports.first(
                lambda report: (
                    report["process"]["pid"] == theirs
                    and any(row["user"] == ann.pk for row in report["streams"])
                )
            )
            assert victim not in [row["id"] for row in left["streams"]]
            assert (first.ended_at, back.ended_at) == (0.0, 0.0)
            mine = {"Cookie": ann.cookie}

            def present() -> int:
                return int(ask(hubs[0].url, "/presence/mine/", headers=mine).json()["count"])

            wait_until(lambda: present() == 2, "two are counted", 5)
        wait_until(lambda: present() == 1, "one is counted", 5)
    hubs[0].wait_for_log(f"Operator user {eve.pk} kicked stream {victim}.")


def test_the_command_kicks_the_stream_that_the_log_names(
    start_hub: StartHub, site: Site, redis_server: RedisServer
) -> None:
    hub = start_hub(**site.env, LOG_LEVEL="DEBUG")
    with BackgroundStream(hub.url) as stream, BackgroundStream(hub.url) as other:
        opened = [line for line in hub.log().splitlines() if line.endswith(" opened.")]
        name = opened[0].split()[-2]
        site.env["REDIS_URL"] = redis_server.url
        assert site.manage("relay", "kick", "--stream", name) == "1 hub process was told"
        stream.ends_within_a_second(time.monotonic())
        assert other.ended_at == 0.0


# -- whoever may publish in Redis


@pytest.mark.parametrize(
    "message",
    [b"", b"x", b"[]", b'{"watch": 7}', b'{"watch": "' + b"x" * 2000 + b'"}', b"\xff", b"[" * 1000],
)
def test_a_message_on_the_control_channel_harms_nothing(
    start_hub: StartHub, redis_server: RedisServer, message: bytes
) -> None:
    hub = start_hub(**LINK)
    cookie = operator_of(hub)
    redis_server.publish(message, "relay:control")
    redis_server.publish(b"not a report", "relay:ops")
    with watching(hub, cookie) as reports:
        assert next(iter(reports))["process"]["state"] == "live"
    assert "bug" not in hub.log()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_link_is_hidden_in_the_lines_of_other_servers(
    redis_server: RedisServer, server: str
) -> None:
    words = {
        "daphne": ["-m", "daphne", "-v", "1", "-p", "{port}", "hub.asgi:application"],
        "uvicorn": ["-m", "uvicorn", "--port", "{port}", "hub.asgi:application"],
    }
    hub = HubProcess(redis_server.url, words[server], **LINK)
    try:
        assert ask(hub.url, "/ops/?x=1&link=secret-text").status == 403
        hub.wait_for_log("link=-")
        assert "secret-text" not in hub.log()
    finally:
        hub.close()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_other_servers_have_the_page_too(redis_server: RedisServer, server: str) -> None:
    """They print no link; the command does."""
    hub = HubProcess(redis_server.url, COMMANDS[server], **LINK)
    try:
        printed = run_manage("relay", "operator-link", REDIS_URL=redis_server.url, **LINK)
        cookie = come_by(hub, printed.stdout.strip().removeprefix("http://127.0.0.1:8000"))
        with Stream(hub.url) as stream, watching(hub, cookie) as reports:
            report = reports.first(lambda each: len(each["streams"]) == 2)
            rows = [row for row in report["streams"] if row["channels"] == ["demo_stream"]]
            assert [row["state"] for row in rows] == ["live"]
            assert Page(hub, cookie).post("/ops/kick/", stream=rows[0]["id"]).status == 200
            assert list(stream.events()) == []
    finally:
        hub.close()
