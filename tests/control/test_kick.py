"""Kicks: streams end on every process within a second, whatever becomes of the message that says so."""

import asyncio
import contextlib
import http.client
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import jwt
import pytest
from channels.layers import channel_layers
from django.contrib.auth import alogout
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.http import HttpRequest
from django.test import Client
from pytest_django import Settings

from relay.broker.address import RedisAddress
from relay.broker.commands import Commands
from relay.broker.errors import RedisError
from relay.broker.keys import HubKeys
from relay.broker.link import Link
from relay.control import kick_ledger, kick_notes, kick_receiver, kicks, layer, signals
from relay.control.kick import Kick
from relay.control.kick_receiver import KickReceiver
from relay.control.kicks import akick
from relay.control.kicks import kick as kick_now
from relay.control.layer import LayerMember
from relay.control.processes import Processes
from tests.support.forwarder import Forwarder
from tests.support.servers import ROOT, HubProcess, RedisServer, wait_until
from tests.support.site import TOKEN_KEY, Site

Start = Callable[..., HubProcess]

KEYS = HubKeys("relay")
GROUP_KEY = "asgi:group:relay.control"
CHANNELS = "news mine=signed-in orders.*=signed-in late=tests.support.kick_rules.slowly"


# -- the receiver of one process, with streams that are none


@dataclass(frozen=True)
class Owner:
    user: str = ""


@dataclass(eq=False)
class Fake:
    names: tuple[str, ...] = ("news",)
    owner: Owner = Owner()


@dataclass
class Process:
    """A hub process in so far as kicks go; nobody but the channel layer calls its link."""

    link: Link = field(default_factory=Link)
    streams: set[Fake] = field(default_factory=set)
    ended: list[Fake] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link.restored()

    def receiver(self, commands: Commands) -> KickReceiver:
        self.kicks = KickReceiver(self, commands, KEYS, self.link, Processes(commands, KEYS))
        return self.kicks

    def end(self, stream: Fake) -> None:
        self.streams.discard(stream)
        self.ended.append(stream)

    def open(self, user: str = "", *names: str) -> Fake:
        stream = Fake(names or ("news",), Owner(user))
        self.streams.add(stream)
        return stream

    async def until_ended(self, *streams: Fake, seconds: float = 1.0) -> None:
        async with asyncio.timeout(seconds):
            while not set(streams) <= set(self.ended):
                await asyncio.sleep(0.005)
        assert len(self.ended) == len(set(self.ended)), "ended twice"


@asynccontextmanager
async def running(
    url: str, renew_seconds: float = 30.0, member: bool = True
) -> AsyncIterator[Process]:
    """A process whose kicks are received; `member` waits until the group has it."""
    address, process = RedisAddress(url), Process()
    commands = Commands(address.client)
    with (
        address.sync_client() as client,
        mock.patch.object(layer, "RENEW_SECONDS", renew_seconds),
        mock.patch.object(kick_receiver, "LOOK_SECONDS", renew_seconds),
    ):
        before = client.zcard(GROUP_KEY) if member else 0
        task = asyncio.create_task(process.receiver(commands).run())
        try:
            if member:
                await until(lambda: client.zcard(GROUP_KEY) > before)
            client.close()
            yield process
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await commands.aclose()


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def url(redis_server: RedisServer, settings: Settings) -> str:
    """Of a Redis that is both the hub's and the layer's."""
    settings.REDIS_URL = redis_server.url
    settings.CHANNEL_LAYERS = layers(redis_server.url)
    return redis_server.url


def layers(url: str) -> dict[str, Any]:
    backend = "channels_redis.core.RedisChannelLayer"
    return {"default": {"BACKEND": backend, "CONFIG": {"hosts": [url]}}}


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message goes through the layer."""

    async def tell(group: str, refusal: str) -> None:
        pass

    monkeypatch.setattr(kicks, "_tell_by_layer", tell)


@pytest.mark.parametrize(
    ("kicked", "others"),
    [
        ({"user": "7"}, [Fake(("a",), Owner("8")), Fake(("a",)), Fake(("7",))]),
        ({"channel": "a"}, [Fake(("b",)), Fake(("ab",)), Fake(("a*c",)), Fake(("b",), Owner("a"))]),
        ({"channel": "orders.*"}, [Fake(("orders.7",))]),
        ({"all": True}, []),
    ],
    ids=str,
)
async def test_only_the_streams_that_are_named_end(
    url: str, kicked: dict[str, Any], others: list[Fake]
) -> None:
    hit = [
        Fake(("a",), Owner("7")),
        Fake(("orders.*", "b", "a"), Owner("7")),
        Fake(("*", "x"), Owner("7")),
    ]
    if kicked == {"channel": "orders.*"}:
        hit = hit[1:]
    async with running(url) as one, running(url) as two:
        for process in (one, two):
            process.streams.update(hit + others)
        assert await akick(**kicked) == 2
        for process in (one, two):
            await process.until_ended(*hit)
        await asyncio.sleep(0.05)
        for process in (one, two):
            assert process.streams == set(others)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"user": "7", "channel": "a"}, {"user": "7", "all": True}, {"user": ""}, {"channel": ""}],
    ids=str,
)
async def test_one_must_be_named_and_only_one(url: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="kick"):
        await akick(**wrong)
    with pytest.raises(
        ValueError, match=r"^7 cannot be kicked\. Use the id or the name, as text\.$"
    ):
        await akick(user=7)  # type: ignore[arg-type]


@pytest.mark.parametrize("kick", [Kick("7"), Kick("a b \u20ac"), Kick(channel="orders.7"), Kick()])
def test_a_kick_is_read_as_it_was_written_and_no_two_are_alike(kick: Kick) -> None:
    assert Kick.decode(kick.encode().encode()) == kick
    assert kick.encode() != kick.encode()


@pytest.mark.parametrize("entry", [b"", b"1", b"1 user", b"1 user ", b"1 pet 7", b"\xff"])
async def test_what_nobody_understands_kicks_nobody(
    url: str, redis_server: RedisServer, entry: bytes
) -> None:
    async with running(url, renew_seconds=0.1) as process:
        stream = process.open("7")
        with redis_server.client() as client:
            client.zadd(KEYS.kicks, {entry: time.time() * 1000})
        await akick(user="8")
        await asyncio.sleep(0.3)
        assert process.streams == {stream}


async def test_a_kick_is_applied_once(url: str) -> None:
    async with running(url, renew_seconds=0.05) as process:
        before = process.open("7")
        await akick(user="7")
        await process.until_ended(before)
        process.open("7")
        await asyncio.sleep(0.3)
        assert process.ended == [before]


async def test_what_was_kicked_before_the_start_is_not_applied(url: str) -> None:
    assert await akick(user="7") == 0
    assert await akick(all=True) == 0
    await asyncio.sleep(0.01)
    async with running(url, renew_seconds=0.05, member=False) as process:
        stream = process.open("7")
        await asyncio.sleep(0.5)
        assert process.streams == {stream}
        await akick(user="7")
        await process.until_ended(stream)


async def test_a_lost_message_is_made_good(url: str, silent: None) -> None:
    async with running(url, renew_seconds=0.3) as process:
        streams = [process.open(str(n)) for n in range(5)]
        for n in range(4):
            await akick(user=str(n))
        await process.until_ended(*streams[:4])
        assert process.streams == {streams[4]}


async def test_a_group_that_redis_forgot_is_joined_again(
    url: str, redis_server: RedisServer
) -> None:
    async with running(url, renew_seconds=0.5) as process:
        with redis_server.client() as client:
            for _ in range(3):
                assert client.delete(*client.keys("asgi*")) >= 1
                stream = process.open("7")
                await akick(user="7")
                await process.until_ended(stream)
                await until(lambda: client.exists(GROUP_KEY))


async def test_a_kick_during_a_loss_of_redis_is_applied_after_it(
    redis_server: RedisServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with Forwarder(redis_server.port) as way:
        settings.CHANNEL_LAYERS, settings.REDIS_URL = layers(way.url), redis_server.url
        async with running(way.url) as process:
            stream = process.open("7")
            way.target = 1
            with redis_server.client() as client:
                client.client_kill_filter(skipme=True)
            await akick(user="7")
            await asyncio.sleep(0.5)
            assert process.streams == {stream}
            way.target = redis_server.port
            await process.until_ended(stream, seconds=2.5)


async def test_redis_killed_and_started_again(url: str, redis_server: RedisServer) -> None:
    async with running(url) as process:
        for _ in range(3):
            redis_server.kill()
            with pytest.raises(RedisError, match=r"Nobody was kicked\.$"):
                await akick(user="7")
            await asyncio.sleep(random.uniform(0, 0.3))
            await asyncio.to_thread(redis_server.start)
            stream, other = process.open("7"), process.open("8")
            with redis_server.client() as client:
                await until(lambda: client.exists(KEYS.processes), 2.5)
            begin = time.monotonic()
            assert await akick(user="7") == 1
            await process.until_ended(stream)
            assert time.monotonic() - begin < 1
            assert other in process.streams


async def test_a_kick_right_after_a_restart_of_redis_is_not_lost(
    url: str, redis_server: RedisServer
) -> None:
    async with running(url) as process:
        redis_server.kill()
        await asyncio.to_thread(redis_server.start)
        stream = process.open("7")
        await akick(user="7")
        await process.until_ended(stream, seconds=2.5)


async def test_a_layer_that_fails_is_reported_once_and_kicks_come_all_the_same(
    url: str, redis_server: RedisServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "relay")
    with Forwarder(1) as forwarder:
        settings.CHANNEL_LAYERS = layers(forwarder.url)
        async with running(url, member=False) as process:
            stream = process.open("7")
            await until(lambda: "The channel layer fails" in caplog.text)
            assert await akick(user="7") == 1
            await process.until_ended(stream, seconds=1.5)
            forwarder.target = redis_server.port
            await until(lambda: "The channel layer works again." in caplog.text)
        await close_shared_layer()
    reported = [record.message.partition(":")[0] for record in caplog.records]
    assert reported == [
        "The channel layer fails",
        "A kick did not go over the channel layer",
        "The channel layer works again.",
    ]


@pytest.mark.parametrize(
    ("given", "configured"),
    [
        ({}, False),
        ({"other": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}, False),
        ({"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}, False),
        ({"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}}, True),
    ],
)
def test_a_layer_that_reaches_no_other_process_is_none(
    settings: Settings, given: dict[str, Any], configured: bool
) -> None:
    settings.CHANNEL_LAYERS = given
    assert layer.is_configured() == configured


def test_a_site_need_not_have_the_setting(settings: Settings) -> None:
    del settings.CHANNEL_LAYERS
    assert not layer.is_configured()


async def test_without_a_layer_none_is_touched_and_a_call_is_enough(
    url: str,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "relay")
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": layer.IN_MEMORY}}

    def touched(self: object, name: str) -> None:
        raise AssertionError("the layer was touched")

    monkeypatch.setattr(type(channel_layers), "_make_backend", touched)
    async with running(url, member=False) as process:
        await until(lambda: process.kicks._ledger.since_ms)
        stream = process.open("7")
        assert await akick(user="7") == 1
        assert process.streams == {stream}
        process.link.call()
        await process.until_ended(stream)
    assert caplog.records == []


async def test_a_kick_that_nobody_could_be_told_of_is_noted_and_reported(
    redis_server: RedisServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CHANNEL_LAYERS = {}
    rights = documented("operations.md", "ACL SETUSER hub ").split()[3:]
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "hub", "on", *rights, "resetchannels")
    settings.REDIS_URL = redis_server.url.replace("//", "//hub:password@")
    async with running(settings.REDIS_URL, renew_seconds=0.3, member=False) as process:
        stream = process.open("7")
        await akick(user="7")
        await process.until_ended(stream)
    [record] = caplog.records
    assert record.getMessage().startswith("A kick may take up to 30.0 s: ")


async def test_a_quiet_layer_is_no_failing_layer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py gives up a wait after 5 s, which is just how long channels_redis waits."""
    failed: list[Exception] = []

    def note(self: object, error: Exception) -> None:
        failed.append(error)

    monkeypatch.setattr(LayerMember, "_failed", note)
    async with running(url) as process:
        await asyncio.sleep(5.5)
        stream = process.open("7")
        await akick(user="7")
        await process.until_ended(stream)
    assert failed == []


async def test_who_is_admitted_while_kicked_is_kicked(url: str) -> None:
    async with running(url) as process:
        loop = asyncio.get_running_loop()
        before, stream, another = loop.time(), Fake(owner=Owner("7")), Fake(owner=Owner("8"))
        assert not process.kicks.reached(stream, before)
        hit = process.open("7")
        await akick(user="7")
        await akick(user="9")
        await process.until_ended(hit)
        assert process.kicks.reached(stream, before)
        assert process.kicks.reached(stream, loop.time())
        assert not process.kicks.reached(another, before)
        await asyncio.sleep(kick_ledger.HOLD_SECONDS + 0.1)
        assert not process.kicks.reached(stream, loop.time())
        assert process.kicks.reached(stream, before)


async def test_10_000_streams_end_and_the_event_loop_goes_on(url: str) -> None:
    async with running(url) as process:
        for n in range(10_000):
            process.open(str(n % 100))
        await akick(user="7")
        await until(lambda: len(process.ended) == 100, 1.0)
        await akick(all=True)
        await until(lambda: not process.streams, 1.0)


async def test_200_kicks_leave_nothing_behind(
    url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kick_notes, "KEEP_SECONDS", 0.5)
    monkeypatch.setattr(kick_ledger, "OVERLAP_SECONDS", 0.5)
    async with running(url, renew_seconds=0.5) as process:
        with redis_server.client() as client:
            stream = process.open("last")
            await akick(user="first")
            tasks, clients = len(asyncio.all_tasks()), len(client.client_list())
            for n in range(200):
                process.open(f"{n}")
                await akick(user=f"{n}")
            await akick(user="last")
            await process.until_ended(stream)
            assert len(process.ended) == 201
            await until(lambda: not client.exists(KEYS.kicks))
            await until(lambda: not process.kicks._ledger.applied)
            await until(lambda: len(client.client_list()) <= clients)
            await until(lambda: len(asyncio.all_tasks()) <= tasks)
            keys = {key.decode().partition("!")[0].split(".")[0] for key in client.scan_iter()}
            assert keys <= {KEYS.processes, "asgi:group:relay"}
    await close_shared_layer()


async def close_shared_layer() -> None:
    await channel_layers["default"].close_pools()


async def test_the_end_leaves_no_task_and_no_member_whenever_it_comes(
    url: str, redis_server: RedisServer
) -> None:
    tasks = asyncio.all_tasks()
    for n in range(60):
        async with running(url, renew_seconds=0.05, member=bool(n % 2)) as process:
            process.open("7")
            if n % 3:
                await akick(user="7")
            await asyncio.sleep(random.uniform(0, 0.1))
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == tasks
    await close_shared_layer()
    with redis_server.client() as client:
        assert client.zcard(KEYS.processes) == 0
        await until(lambda: len(client.client_list()) == 1)
        assert client.zcard(GROUP_KEY) <= 30  # ends that came within the joining


async def test_the_end_does_not_wait_for_a_redis_that_hangs(
    url: str, redis_server: RedisServer
) -> None:
    async with running(url) as process:
        process.open("7")
        redis_server.signal(signal.SIGSTOP)
        begin = time.monotonic()
    assert time.monotonic() - begin < 1.5
    redis_server.signal(signal.SIGCONT)


def documented(page: str, begin: str) -> str:
    """The one line of an example that begins so."""
    text = (ROOT / "docs" / page).read_text()
    [line] = [line for line in text.splitlines() if line.strip().startswith(begin)]
    return line


async def test_the_documented_rights_are_enough(
    redis_server: RedisServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    rights = documented("operations.md", "ACL SETUSER hub ").split()[3:]
    rights += documented("kick.md", "~asgi").split()
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "hub", "on", *rights)
    url = redis_server.url.replace("//", "//hub:password@")
    settings.REDIS_URL, settings.CHANNEL_LAYERS = url, layers(url)
    async with running(url, renew_seconds=0.3, member=False) as process:
        with redis_server.client() as client:
            await until(lambda: client.zcard(GROUP_KEY))
        for _ in range(5):
            stream = process.open("7")
            assert await akick(user="7") == 1
            await process.until_ended(stream)
            await asyncio.sleep(0.2)
        assert caplog.records == []
        with redis_server.client() as client:
            assert client.execute_command("ACL", "LOG") == []


async def test_a_redis_that_refuses_is_told(
    url: str,
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")
        async with running(url, member=False) as process:
            await until(lambda: "Kicks may come late or not at all" in caplog.text)
            with pytest.raises(RedisError, match=r"Redis refused EVALSHA.*Nobody was kicked"):
                await akick(user="7")
            client.execute_command("ACL", "SETUSER", "default", "+@all")
            await until(lambda: "Kicks are received again." in caplog.text)
            stream = process.open("7")
            await akick(user="7")
            await process.until_ended(stream)


def test_kick_works_without_an_event_loop_and_says_how_many_there_are(url: str) -> None:
    for _ in range(20):
        assert kick_now(user="7") == 0


# -- two hub processes


def token(subject: str) -> str:
    now = int(time.time())
    claims = {"sub": subject, "aud": "relay-hub", "iat": now, "exp": now + 600, "channels": ["*"]}
    return jwt.encode(claims, TOKEN_KEY, "HS256")


class Opened:
    """An open stream, read to its end in a thread; use as a context manager."""

    def __init__(self, hub: HubProcess, channel: str, cookie: str = "", subject: str = "") -> None:
        parts = urlsplit(hub.url)
        self.connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        headers = {"Cookie": cookie} if cookie else {}
        if subject:
            headers["Authorization"] = f"Bearer {token(subject)}"
        self.connection.request("GET", f"/stream/?channel={channel}", headers=headers)
        self.lines: list[bytes] = []
        self.ended_at = 0.0
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._read)

    def __enter__(self) -> "Opened":
        self.thread.start()
        wait_until(lambda: any(b"id:" in line for line in self.lines), "the stream is live")
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            self.connection.sock.shutdown(2)
        self.thread.join(5)
        self.connection.close()

    def _read(self) -> None:
        try:
            self.response = self.connection.getresponse()
            while line := self.response.readline():
                self.lines.append(line)
        except (OSError, http.client.HTTPException) as error:
            self.error = error
        self.ended_at = time.monotonic()

    def ends_within_a_second(self, begin: float) -> None:
        self.thread.join(5)
        assert self.ended_at, "it has not ended"
        assert self.ended_at - begin < 1
        self.ended_properly()

    def ended_properly(self) -> None:
        """With a last chunk, and a `retry:` as the last field."""
        assert self.error is None
        assert self.response.isclosed()
        fields = [line for line in self.lines if line.strip()]
        assert fields[-1].startswith(b"retry: ")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"), RELAY_CHANNELS=CHANNELS)


@pytest.fixture
def two(start_hub: Start, site: Site) -> list[HubProcess]:
    return [start_hub(**site.env), start_hub(**site.env)]


def run_manage(site: Site, redis_url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={**os.environ, **site.env, "REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def manage(site: Site, redis_server: RedisServer) -> Callable[..., str]:
    def run(*words: str) -> str:
        found = run_manage(site, redis_server.url, *words)
        found.check_returncode()
        return found.stdout.strip()

    return run


@contextlib.contextmanager
def streams(hubs: list[HubProcess], *options: dict[str, str]) -> Iterator[list[list[Opened]]]:
    """For each option one stream at each hub."""
    with contextlib.ExitStack() as stack:
        yield [[stack.enter_context(Opened(hub, **each)) for hub in hubs] for each in options]


def test_a_users_streams_end_on_every_process(
    two: list[HubProcess], site: Site, url: str, manage: Callable[..., str]
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
            assert manage("relay", "kick", "--user", ann.pk) == "2 hub processes were told"
            for stream in again:
                stream.ends_within_a_second(time.monotonic())
        for stream in of_bob + of_nobody:
            assert stream.ended_at == 0.0
        for hub in two:
            hub.wait_for_streams(2)


def test_a_channels_streams_end_then_all(
    two: list[HubProcess], url: str, manage: Callable[..., str]
) -> None:
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
        assert manage("relay", "kick", "--channel", "orders.8") == "2 hub processes were told"
        for stream in another:
            stream.ends_within_a_second(time.monotonic())
        assert manage("relay", "kick", "--all") == "2 hub processes were told"
        for stream in news:
            stream.ends_within_a_second(time.monotonic())
    assert [hub.stop() for hub in two] == [0, 0]
    assert manage("relay", "kick", "--all") == "0 hub processes were told"
    for hub in two:
        assert "WARNING" not in hub.log()
        assert "Traceback" not in hub.log()


IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def start_two(start_hub: Start, site: Site, channel_layers: object) -> list[HubProcess]:
    env = {
        **site.env,
        "DJANGO_SETTINGS_MODULE": "tests.support.layer_settings",
        "TEST_CHANNEL_LAYERS": json.dumps(channel_layers),
    }
    return [start_hub(**env), start_hub(**env)]


@pytest.mark.parametrize("configured", [None, {}, IN_MEMORY], ids=["missing", "empty", "in memory"])
def test_kicks_come_within_a_second_where_there_is_no_channel_layer(
    start_hub: Start,
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
    start_hub: Start, site: Site, redis_server: RedisServer, settings: Settings
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
    start_hub: Start, site: Site, redis_server: RedisServer, url: str
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
                wait_until(lambda hub=hub: "relay:control: Redis refused" in hub.log(), "reported")
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
        begin = time.monotonic()
        assert hub.stop() == 0
        assert time.monotonic() - begin < 3


def test_who_is_admitted_slowly_is_kicked_too(two: list[HubProcess], site: Site, url: str) -> None:
    ann, bob = site.people["ann"], site.people["bob"]
    late = [Opened(two[0], "late", cookie=ann.cookie), Opened(two[0], "late", cookie=bob.cookie)]
    for stream in late:
        stream.thread.start()
    time.sleep(0.3)
    kick_now(user=ann.pk)
    wait_until(lambda: any(b"id:" in line for line in late[1].lines), "bob is in")
    wait_until(lambda: late[0].ended_at, "ann is out")
    late[0].ended_properly()
    assert not late[1].ended_at
    for stream in late:
        stream.__exit__()


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
        begin = time.monotonic()
        assert kick_now(user="svc") == 2
        for stream in his:
            stream.ends_within_a_second(begin)
        assert not any(stream.ended_at for stream in news)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "one of the arguments --user --channel --all is required"),
        (["--user", "7", "--all"], "not allowed with argument"),
        (["--user", ""], "cannot be kicked. Use the id or the name, as text."),
    ],
    ids=str,
)
def test_the_command_says_what_is_wrong(
    site: Site, redis_server: RedisServer, words: list[str], said: str
) -> None:
    found = run_manage(site, redis_server.url, "relay", "kick", *words)
    assert found.returncode != 0
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_the_command_says_that_a_channel_is_none(site: Site, redis_server: RedisServer) -> None:
    def said(channel: str) -> str:
        found = run_manage(site, redis_server.url, "relay", "kick", "--channel", channel)
        found.check_returncode()
        return found.stderr

    assert said("order.7") == "order.7 is no channel of RELAY_CHANNELS: no stream has it.\n"
    assert said("orders.7") == ""


def test_the_command_says_that_redis_is_away(site: Site) -> None:
    found = run_manage(site, "redis://:s3cret@127.0.0.1:1/0", "relay", "kick", "--all")
    assert found.returncode == 1
    assert "Redis 127.0.0.1:1: " in found.stderr
    assert "Nobody was kicked." in found.stderr
    assert "s3cret" not in found.stderr


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
    tmp_path: Path, start_hub: Start, redis_server: RedisServer, change: str
) -> None:
    site = Site(tmp_path, RELAY_CHANNELS=CHANNELS, REDIS_URL=redis_server.url)
    hub = start_hub(**{**site.env, "redis_url": redis_server.url})
    ann, bob = site.people["ann"], site.people["bob"]
    with (
        Opened(hub, "mine", cookie=ann.cookie) as hers,
        Opened(hub, "mine", cookie=bob.cookie) as his,
    ):
        site.run(
            "from django.contrib.auth import get_user_model\n"
            f"user = get_user_model().objects.get(pk={ann.pk})\n{CHANGES[change]}"
        )
        hers.thread.join(1)
        hers.ended_properly()
        assert not his.ended_at


# -- signals


@pytest.fixture
def kicked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The users who were kicked."""
    users: list[str] = []
    monkeypatch.setattr(signals, "kick", lambda user: users.append(user))
    return users


@pytest.fixture
def ann(transactional_db: None) -> User:
    return User.objects.create_user("ann", password="pw")


def test_signing_out_kicks(ann: User, kicked: list[str], client: Client) -> None:
    client.force_login(ann)
    assert kicked == []
    client.logout()
    assert kicked == [str(ann.pk)]
    client.logout()
    assert kicked == [str(ann.pk)], "nobody was signed in"


async def test_signing_out_asynchronously_kicks(ann: User, kicked: list[str]) -> None:
    request = HttpRequest()
    request.session = SessionStore()

    async def auser() -> User:
        return ann

    request.auser = auser
    await alogout(request)
    assert kicked == [str(ann.pk)]


CHANGED: dict[str, Callable[[User], object]] = {
    "deactivated": lambda user: _change(user, is_active=False).save(),
    "deactivated, that field": lambda user: _change(user, is_active=False).save(
        update_fields=["is_active"]
    ),
    "password": lambda user: (user.set_password("another"), user.save()),
    "unusable password": lambda user: (user.set_unusable_password(), user.save()),
    "deleted": lambda user: user.delete(),
    "deleted with others": lambda user: User.objects.all().delete(),
}


def _change(user: User, **values: object) -> User:
    for name, value in values.items():
        setattr(user, name, value)
    return user


@pytest.mark.parametrize("change", CHANGED)
def test_a_change_kicks_once_after_the_commit(ann: User, kicked: list[str], change: str) -> None:
    key = str(ann.pk)
    user = User.objects.get(pk=ann.pk)
    with contextlib.suppress(RuntimeError), transaction.atomic():
        CHANGED[change](user)
        raise RuntimeError("rolled back")
    assert kicked == []
    user = User.objects.get(pk=key)
    with transaction.atomic():
        CHANGED[change](user)
        assert kicked == []
    assert kicked == [key]
    if "deleted" not in change:
        user.save()
        assert kicked == [key]


def test_without_a_transaction_the_row_is_written_before_the_kick(
    ann: User, kicked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    active: list[bool] = []
    monkeypatch.setattr(
        signals, "kick", lambda user: active.append(User.objects.get(pk=user).is_active)
    )
    _change(ann, is_active=False).save()
    assert active == [False]


OTHER: dict[str, Callable[[User], object]] = {
    "a name": lambda user: _change(user, first_name="Ann").save(),
    "activated": lambda user: _change(user, is_active=True).save(),
    "a new one": lambda user: User.objects.create_user("bob", password="pw"),
    "not written": lambda user: _change(user, is_active=False).save(update_fields=["email"]),
    "only some loaded": lambda user: User.objects.only("username").get(pk=user.pk).save(),
}


@pytest.mark.parametrize("change", OTHER)
def test_other_changes_kick_nobody(ann: User, kicked: list[str], change: str) -> None:
    OTHER[change](User.objects.get(pk=ann.pk))
    assert kicked == []


def test_signing_in_and_other_models_cost_no_query(
    ann: User, kicked: list[str], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        ann.save(update_fields=["last_login"])
    with django_assert_num_queries(1):
        Group.objects.create(name="g")
    with django_assert_num_queries(2):
        ann.save()


def test_a_kick_that_fails_does_not_keep_anybody_signed_in(
    ann: User,
    client: Client,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    client.force_login(ann)
    client.logout()
    assert "sessionid" not in client.cookies
    [record] = caplog.records
    assert record.message.startswith(f"The streams of user {ann.pk} could not be ended: Redis ")
    assert record.levelname == "ERROR"
