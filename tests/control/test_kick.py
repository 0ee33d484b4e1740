"""Kicks end streams on every hub process within a second."""

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from relay.control.kicks import kick as kick_now
from tests.support.client import BackgroundStream
from tests.support.kicks import GROUP_KEY, KEYS, layers
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.site import MakeSite, Site, run_manage
from tests.support.tokens import bearer
from tests.support.waiting import at_most, wait_until, within

Manage = Callable[..., str]
CHANNELS = "news mine=signed-in orders.*=signed-in late=tests.support.kick_rules.slowly"


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(RELAY_CHANNELS=CHANNELS)


@pytest.fixture
def two(start_hub: StartHub, site: Site) -> list[HubProcess]:
    return [start_hub(**site.env), start_hub(**site.env)]


@pytest.fixture
def manage(site: Site, url: str) -> Manage:
    def run(*words: str) -> str:
        return run_manage("relay", *words, **site.env, REDIS_URL=url).stdout.strip()

    return run


def stream_at(
    hub: HubProcess, channel: str, cookie: str = "", subject: str = ""
) -> BackgroundStream:
    headers = {"Cookie": cookie} if cookie else {}
    headers |= bearer(sub=subject) if subject else {}
    return BackgroundStream(hub.url, f"/stream/?channel={channel}", headers)


@contextlib.contextmanager
def streams(
    hubs: list[HubProcess], *options: dict[str, str]
) -> Iterator[list[list[BackgroundStream]]]:
    """For each option one stream at each hub."""
    with contextlib.ExitStack() as stack:
        yield [[stack.enter_context(stream_at(hub, **each)) for hub in hubs] for each in options]


def test_a_users_streams_end_on_every_process(
    two: list[HubProcess], site: Site, url: str, manage: Manage
) -> None:
    ann, bob = site.people["ann"], site.people["bob"]
    with streams(
        two,
        {"channel": "mine", "cookie": ann.cookie},
        {"channel": "orders.7&channel=mine", "subject": ann.pk},
        {"channel": "mine", "cookie": bob.cookie},
        {"channel": "news"},
    ) as (by_session, by_token, of_bob, of_nobody):
        begin = time.monotonic()
        assert kick_now(user=ann.pk) == 2
        for stream in by_session + by_token:
            stream.ends_within_a_second(begin)
        with streams(two, {"channel": "mine", "cookie": ann.cookie}) as [again]:
            assert manage("kick", "--user", ann.pk) == "2 hub processes were told"
            for stream in again:
                stream.ends_within_a_second(time.monotonic())
        for stream in of_bob + of_nobody:
            assert stream.ended_at == 0.0
        for hub in two:
            hub.wait_for_streams(2)


def test_a_channels_streams_end_then_all(two: list[HubProcess], url: str, manage: Manage) -> None:
    with streams(
        two,
        {"channel": "orders.7", "subject": "svc"},
        {"channel": "news&channel=orders.7", "subject": "svc"},
        {"channel": "orders.8", "subject": "svc"},
        {"channel": "news"},
    ) as (alone, together, another, news):
        begin = time.monotonic()
        assert kick_now(channel="orders.7") == 2
        for stream in alone + together:
            stream.ends_within_a_second(begin)
        for hub in two:
            hub.wait_for_streams(2)
        assert not any(stream.ended_at for stream in another + news)
        assert manage("kick", "--channel", "orders.8") == "2 hub processes were told"
        for stream in another:
            stream.ends_within_a_second(time.monotonic())
        assert manage("kick", "--all") == "2 hub processes were told"
        for stream in news:
            stream.ends_within_a_second(time.monotonic())
    assert [hub.stop() for hub in two] == [0, 0]
    assert manage("kick", "--all") == "0 hub processes were told"
    for hub in two:
        assert "WARNING" not in hub.log()
        assert "Traceback" not in hub.log()


IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def start_two(start_hub: StartHub, site: Site, channel_layers: object) -> list[HubProcess]:
    env = {
        **site.env,
        "DJANGO_SETTINGS_MODULE": "tests.support.layer_settings",
        "TEST_CHANNEL_LAYERS": json.dumps(channel_layers),
    }
    return [start_hub(**env), start_hub(**env)]


@pytest.mark.parametrize("configured", [None, {}, IN_MEMORY], ids=["missing", "empty", "in memory"])
def test_kicks_come_within_a_second_where_there_is_no_channel_layer(
    start_hub: StartHub,
    site: Site,
    redis_server: RedisServer,
    settings: Settings,
    configured: dict[str, Any] | None,
) -> None:
    two = start_two(start_hub, site, configured)
    settings.REDIS_URL, settings.CHANNEL_LAYERS = redis_server.url, configured or {}
    ann = site.people["ann"]
    for _ in range(3):
        with streams(two, {"channel": "mine", "cookie": ann.cookie}, {"channel": "news"}) as (
            hers,
            others,
        ):
            begin = time.monotonic()
            assert kick_now(user=ann.pk) == 2
            for stream in hers:
                stream.ends_within_a_second(begin)
            assert not any(stream.ended_at for stream in others)
    with redis_server.client() as client:
        assert client.keys("asgi*") == []
    for hub in two:
        assert hub.stop() == 0
        assert "WARNING" not in hub.log()
        assert "layer" not in hub.log()


def test_kicks_come_within_a_second_where_the_channel_layer_hangs(
    start_hub: StartHub, site: Site, redis_server: RedisServer, settings: Settings
) -> None:
    hanging = RedisServer()
    try:
        two = start_two(start_hub, site, layers(hanging.url))
        settings.REDIS_URL, settings.CHANNEL_LAYERS = redis_server.url, layers(hanging.url)
        with hanging.client() as client:
            wait_until(lambda: client.zcard(GROUP_KEY) == 2, "both are members")
        hanging.signal(signal.SIGSTOP)
        for _ in range(2):
            with streams(two, {"channel": "mine", "subject": "svc"}, {"channel": "news"}) as (
                hers,
                others,
            ):
                begin = time.monotonic()
                assert kick_now(user="svc") == 2
                for stream in hers:
                    stream.ends_within_a_second(begin)
                assert not any(stream.ended_at for stream in others)
        for hub in two:
            assert hub.stop() == 0
            assert "Traceback" not in hub.log()
    finally:
        hanging.signal(signal.SIGCONT)
        hanging.close()


def test_a_control_channel_that_redis_denies_is_reported_once_and_the_layer_goes_on(
    start_hub: StartHub, site: Site, redis_server: RedisServer, url: str
) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetchannels")
        allowed = ["&demo_stream", "&news", "&mine", "&relay:{*", "&relay:probe:*"]
        client.execute_command("ACL", "SETUSER", "default", *allowed)
        two = [start_hub(**site.env), start_hub(**site.env)]
        with streams(two, {"channel": "mine", "subject": "svc"}, {"channel": "news"}) as (
            hers,
            others,
        ):
            for hub in two:
                hub.wait_for_log("relay:control: Redis refused")
            wait_until(
                lambda: sum(int(entry["count"]) for entry in client.acl_log()) >= 6,
                "it is tried again",
            )
            begin = time.monotonic()
            assert kick_now(user="svc") == 2
            for stream in hers:
                stream.ends_within_a_second(begin)
            assert not any(stream.ended_at for stream in others)
            client.execute_command("ACL", "SETUSER", "default", "allchannels")
            wait_until(
                lambda: dict(client.pubsub_numsub(KEYS.control)) == {KEYS.control.encode(): 2},
                "it is subscribed to as soon as it may be",
            )
    for hub in two:
        assert hub.log().count("relay:control: Redis refused") == 1
        assert hub.stop() == 0


def test_a_hub_that_stops_is_no_slower_for_it(two: list[HubProcess]) -> None:
    for hub in two:
        with within(3):
            assert hub.stop() == 0


def test_who_is_admitted_slowly_is_kicked_too(two: list[HubProcess], site: Site, url: str) -> None:
    ann, bob = site.people["ann"], site.people["bob"]
    late = [stream_at(two[0], "late", cookie=each.cookie) for each in (ann, bob)]
    for stream in late:
        stream.start()
    time.sleep(0.3)
    kick_now(user=ann.pk)
    wait_until(lambda: late[1].live, "bob is in")
    wait_until(lambda: late[0].ended_at, "ann is out")
    late[0].ended_properly()
    assert not late[1].ended_at
    for stream in late:
        stream.close()


def test_two_processes_and_a_redis_that_is_killed(
    two: list[HubProcess], redis_server: RedisServer, url: str
) -> None:
    with streams(two, {"channel": "mine", "subject": "svc"}, {"channel": "news"}) as (his, news):
        redis_server.kill()
        for hub in two:
            hub.wait_for_redis("lost")
        redis_server.start()
        with redis_server.client() as client:
            wait_until(lambda: client.zcard(KEYS.processes) == 2, "both are back")
        for hub in two:
            hub.wait_for_redis("live")  # before that they only look now and then
        begin = time.monotonic()
        assert kick_now(user="svc") == 2
        for stream in his:
            stream.ends_within_a_second(begin)
        assert not any(stream.ended_at for stream in news)


CHANGES = {
    "sign out": (
        "from django.contrib.auth import logout\n"
        "from django.contrib.sessions.backends.db import SessionStore\n"
        "from django.http import HttpRequest\n"
        "request = HttpRequest(); request.user = user; request.session = SessionStore()\n"
        "logout(request)"
    ),
    "deactivate": "user.is_active = False; user.save()",
    "set a password": "user.set_password('another'); user.save()",
    "delete": "user.delete()",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_done_to_a_user_ends_the_users_streams(
    make_site: MakeSite, start_hub: StartHub, redis_server: RedisServer, change: str
) -> None:
    site = make_site(RELAY_CHANNELS=CHANNELS, REDIS_URL=redis_server.url)
    hub = start_hub(**{**site.env, "redis_url": redis_server.url})
    ann, bob = site.people["ann"], site.people["bob"]
    with (
        stream_at(hub, "mine", cookie=ann.cookie) as hers,
        stream_at(hub, "mine", cookie=bob.cookie) as his,
    ):
        site.run(
            "from django.contrib.auth import get_user_model\n"
            f"user = get_user_model().objects.get(pk={ann.pk})\n{CHANGES[change]}"
        )
        hers.thread.join(at_most(1))
        hers.ended_properly()
        assert not his.ended_at
