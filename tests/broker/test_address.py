"""Clients for commands, with and without an event loop: the same options, from one place."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import pytest
import redis
from redis.exceptions import RedisError

from relay.broker.address import RedisAddress
from relay.broker.errors import RedisUnavailable
from relay.broker.names import Names
from relay.broker.pool import COMMAND_SECONDS
from relay.server.embedded_redis import packaged_server
from tests.support.forwarder import Forwarder
from tests.support.kicks import documented
from tests.support.servers import ROOT, RedisServer


@pytest.fixture
def valkey() -> Iterator[RedisServer]:
    """The server of `make run`, newer than the one in the path of most machines."""
    server = RedisServer(program=packaged_server())
    yield server
    server.close()


def names(redis_server: RedisServer) -> set[str]:
    with redis_server.client() as client:
        return {each["name"] for each in client.client_list()} - {""}


async def test_a_client_has_the_name_that_is_asked_for(redis_server: RedisServer) -> None:
    address = RedisAddress(redis_server.url)
    with address.sync_client() as sync_client:
        assert sync_client.ping()
        async with address.client() as client, address.client("mine") as mine:
            assert await client.ping()
            assert await mine.ping()
            assert names(redis_server) == {"relay-publish", "relay-hub-commands", "mine"}


async def test_a_redis_that_hangs_is_given_up_and_nothing_is_sent_twice(
    redis_server: RedisServer,
) -> None:
    address = RedisAddress(redis_server.url)
    with address.sync_client() as sync_client:
        async with address.client() as client:
            sync_client.ping()
            await client.ping()
            redis_server.signal(signal.SIGSTOP)
            try:
                begin = time.monotonic()
                with pytest.raises(RedisError):
                    sync_client.incr("n")
                with pytest.raises(RedisError):
                    await client.incr("n")
                assert 2 * COMMAND_SECONDS <= time.monotonic() - begin < 2 * COMMAND_SECONDS + 1
            finally:
                redis_server.signal(signal.SIGCONT)
            async with asyncio.timeout(5):
                while await client.get("n") != b"2":  # what was sent is executed late, and once
                    await asyncio.sleep(0.01)


@pytest.mark.parametrize("url", ["", "http://127.0.0.1", "redis://127.0.0.1:x"])
def test_a_url_that_is_none_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        RedisAddress(url)


def test_the_name_of_an_address_has_no_password() -> None:
    address = RedisAddress("rediss://ann:s3cret@redis.example.org:7000/1")
    assert address.name == "redis.example.org:7000"
    assert isinstance(address.sync_client(), redis.Redis)


@pytest.mark.parametrize("user", ["hub", "hub:"])
async def test_a_user_without_a_password_signs_in(redis_server: RedisServer, user: str) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "hub", "on", "nopass", "~*", "&*", "+@all")
        client.config_set("requirepass", "secret")
    received: list[Sequence[Sequence[bytes]]] = []
    address = RedisAddress(f"redis://{user}@127.0.0.1:{redis_server.port}/0")
    subscription = await address.connect(received.append)
    await subscription.subscribe(Names(["news"]))
    await address.probe("news")
    async with asyncio.timeout(5):
        while not received:
            await asyncio.sleep(0.01)
    assert received == [[[b"message", b"news", b""]]]
    subscription.abort("the test is over")
    await subscription.closed


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("decode_responses=True", "decode_responses"),
        ("ssl_cert_reqs=CERT_NONE", "CERT_NONE"),
        ("ssl_ca_certs=/nosuch/ca.pem", "No such file"),
        ("nosuch=1", "nosuch"),
    ],
)
def test_an_option_that_cannot_work_is_refused_and_named(option: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RedisAddress(f"rediss://127.0.0.1/0?{option}")


async def test_a_redis_without_the_command_client_serves_all_the_same() -> None:
    server = RedisServer("--rename-command", "CLIENT", "")
    try:
        address = RedisAddress(server.url)
        with address.sync_client() as sync_client:
            assert sync_client.ping()
        async with address.client() as client:
            assert await client.ping()
    finally:
        server.close()


async def test_no_command_is_sent_that_the_documented_rights_deny(
    valkey: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of today logs CLIENT SETINFO; the Redis 6.2 and 7.0 of many tests do not know it."""
    with valkey.client() as admin:
        rights = documented("operations.md", "ACL SETUSER hub ").split()[3:]
        admin.execute_command("ACL", "SETUSER", "hub", *rights)
        url = valkey.url.replace("//", "//hub:password@")
        address = RedisAddress(url)
        with address.sync_client() as sync_client:
            async with address.client() as client:
                await client.ping()
                sync_client.ping()
        subscription = await address.connect(lambda messages: None)
        await subscription.subscribe(Names(["demo_stream"]))
        await address.probe("relay:probe")
        subscription.abort("the test is over")
        await subscription.closed
        monkeypatch.setenv("REDIS_URL", url)
        words = [sys.executable, "manage.py", "relay", "publish", "demo_stream", "x"]
        subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
        assert [(entry["object"], entry["username"]) for entry in admin.acl_log()] == []
        with redis.Redis.from_url(url) as plain:
            plain.ping()
        assert admin.acl_log() != []  # what the hub would cause with the client as it is


async def test_a_connection_that_ended_while_idle_costs_no_command(
    redis_server: RedisServer,
) -> None:
    address = RedisAddress(redis_server.url)
    async with address.client() as client:
        for n in range(1, 6):
            assert await client.incr("n") == n
            with redis_server.client() as other:
                other.client_kill_filter(_type="normal", skipme=True)
            await asyncio.sleep(0.05)


async def test_a_reset_while_idle_costs_no_command(redis_server: RedisServer) -> None:
    with Forwarder(redis_server.port) as forwarder:
        address = RedisAddress(forwarder.url)
        async with address.client() as client:
            for n in range(1, 6):
                assert await client.incr("n") == n
                forwarder.reset()
                await asyncio.sleep(0.05)


async def test_a_probe_that_redis_refuses_is_an_error(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "hub", "on", ">x", "+@all", "-publish")
    address = RedisAddress(f"redis://hub:x@127.0.0.1:{redis_server.port}/0")
    with pytest.raises(RedisUnavailable, match="refused the probe: NOPERM") as refusal:
        await address.probe("news")
    assert refusal.value.refused
    wrong = RedisAddress(f"redis://hub:y@127.0.0.1:{redis_server.port}/0")
    with pytest.raises(RedisUnavailable, match="refused the probe: WRONGPASS"):
        await wrong.probe("news")


async def test_a_probe_leaves_no_connection(redis_server: RedisServer) -> None:
    address = RedisAddress(redis_server.url)
    with redis_server.client() as client:
        for _ in range(20):
            await address.probe("news")
        redis_server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(address.probe("news"), 0.2)
        finally:
            redis_server.signal(signal.SIGCONT)
        async with asyncio.timeout(5):
            while len(client.client_list()) > 1:
                await asyncio.sleep(0.01)
