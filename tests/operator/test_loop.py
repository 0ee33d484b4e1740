"""The reports of one process, in this process: when they come, and what a bug in them costs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pytest_django import Settings

from relay import tasks
from relay.broker.address import RedisAddress
from relay.control.watch import Watch
from relay.engine.hub import Hub
from relay.engine.lifespan import passing_hub
from relay.operator import figures, reports
from relay.operator.reports import report_to_operators
from tests.support.servers import RedisServer
from tests.support.waiting import at_most, until


class Heard:
    """What was published on the operator's channel and on the control channel."""

    def __init__(self) -> None:
        self.reports: list[Any] = []
        self.watches = 0


@asynccontextmanager
async def reporting(url: str) -> AsyncIterator[tuple[Hub, Heard]]:
    heard = Heard()
    async with (
        passing_hub() as hub,
        RedisAddress(url).client() as client,
        client.pubsub() as pubsub,
    ):
        await pubsub.subscribe("relay:ops", "relay:control")

        async def listen() -> None:
            async for message in pubsub.listen():
                if message["type"] != "message":
                    continue
                if message["channel"] == b"relay:ops":
                    heard.reports.append(json.loads(message["data"]))
                else:
                    heard.watches += Watch.decode(message["data"]) is not None

        works = [asyncio.create_task(listen()), asyncio.create_task(report_to_operators(hub))]
        await until(lambda: hub.live)
        try:
            yield hub, heard
        finally:
            await tasks.end(works)


@pytest.fixture(autouse=True)
def fast(settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = redis_server.url
    monkeypatch.setattr(reports, "REPORT_SECONDS", 0.05)


async def test_nothing_is_reported_before_a_watch_and_after_it(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.control.watch.VALID_SECONDS", 0.3)
    async with reporting(redis_server.url) as (hub, heard):
        await asyncio.sleep(0.2)
        assert heard.reports == []
        hub.context.link.hear(b"no watch")
        await asyncio.sleep(0.2)
        assert heard.reports == []
        redis_server.publish(Watch().encode(), "relay:control")
        await until(lambda: len(heard.reports) >= 3)
        number = -1
        while number != len(heard.reports):
            number = len(heard.reports)
            await asyncio.sleep(0.5)
        assert {report["process"]["id"] for report in heard.reports} == {hub.id}
        assert heard.watches == 1, "a process that has no operator renews no watch"


async def test_a_bug_in_a_report_is_logged_and_costs_no_stream(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, calls = figures.figures_of, 0

    def broken_once(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        return real(*arguments)

    monkeypatch.setattr(reports, "figures_of", broken_once)
    async with reporting(redis_server.url) as (hub, heard):
        hub.context.link.hear(Watch().encode())
        await until(lambda: heard.reports, at_most(5))
        assert hub.live
    [line] = [r for r in caplog.records if "this is a bug" in r.getMessage()]
    assert line.exc_info is not None
    errors = heard.reports[0]["errors"]
    assert [error["text"] for error in errors] == [
        "A report to operators failed; this is a bug. (ZeroDivisionError)"
    ]


async def test_a_report_that_redis_refuses_is_told_once(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with reporting(redis_server.url) as (hub, heard):
        with redis_server.client() as client:
            client.acl_setuser("default", commands=["-publish"], enabled=True)
            hub.context.link.hear(Watch().encode())
            await until(lambda: len(said(caplog)) == 1)
            await asyncio.sleep(0.3)
            client.acl_setuser("default", commands=["+publish"], enabled=True)
            await until(lambda: heard.reports and len(said(caplog)) == 2)
    assert said(caplog)[0].startswith("The operator's page gets no reports of this process: Redis")
    assert said(caplog)[1] == "The operator's page gets reports again."


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines about the operator's page."""
    lines = [record.getMessage() for record in caplog.records]
    return [line for line in lines if "operator's page" in line]
