"""Kicks and the channel layer: without one, with one that fails, with one that is quiet."""

import asyncio
import logging
from typing import Any

import pytest
from channels.layers import channel_layers
from pytest_django import Settings

from relay.control import layer
from relay.control.kicks import akick
from relay.control.layer import LayerMember
from tests.support.forwarder import Forwarder
from tests.support.kicks import (
    close_shared_layer,
    documented,
    layers,
    running,
)
from tests.support.servers import RedisServer
from tests.support.waiting import until


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
