"""Clients for commands, with and without an event loop: the same options, from one place."""

import asyncio
import signal
import time

import pytest
import redis
from redis.exceptions import RedisError

from relay.broker.address import COMMAND_SECONDS, RedisAddress
from tests.support.servers import RedisServer


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
