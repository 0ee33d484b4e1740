"""Whether the database answers: what /health/ says of it, and what asking costs."""

import asyncio
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from pytest_django import Settings

from relay import conf
from relay.access import database
from relay.access.database import DatabaseCheck
from tests.support.client import ask
from tests.support.core import HandClock
from tests.support.servers import StartHub
from tests.support.site import Site
from tests.support.waiting import wait_until


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(f"{url}/health/") as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_health_sees_a_database_that_is_lost_and_back(start_hub: StartHub, tmp_path: Path) -> None:
    here, away = tmp_path / "here", tmp_path / "away"
    here.mkdir()
    hub = start_hub(DATABASE_URL=f"sqlite:///{here}/db.sqlite3", RELAY_CHANNELS="news=signed-in")
    assert hub.health()["database"] == "live"
    assert status(hub.url) == 200
    here.rename(away)
    wait_until(lambda: hub.health()["database"] == "lost", "the loss is seen")
    assert status(hub.url) == 503
    assert hub.health()["redis"] == "live"
    away.rename(here)
    wait_until(lambda: status(hub.url) == 200, "it is back")


def test_without_a_channel_that_needs_it_no_database_is_asked(start_hub: StartHub) -> None:
    hub = start_hub(DATABASE_URL="sqlite:////nosuch/db.sqlite3")
    assert hub.health()["database"] == "unused"
    assert status(hub.url) == 200


class Asked:
    """What is asked instead of a database, and how often."""

    def __init__(self) -> None:
        self.times = 0
        self.answers = threading.Event()
        self.error: Exception | None = None

    def __call__(self) -> bool:
        self.times += 1
        self.answers.wait(5)
        if self.error:
            raise self.error
        return True


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(database, "_all_usable", asked)
    monkeypatch.setattr(database, "ANSWER_SECONDS", 0.1)
    return asked


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def check(clock: HandClock, settings: Settings) -> DatabaseCheck:
    settings.RELAY_CHANNELS = "news=signed-in"
    return DatabaseCheck(conf.load(), clock)


async def test_a_database_that_hangs_is_lost_and_has_one_thread(
    asked: Asked, check: DatabaseCheck
) -> None:
    assert await asyncio.gather(*(check.state() for _ in range(20))) == ["lost"] * 20
    assert await check.state() == "lost"
    assert asked.times == 1
    asked.answers.set()
    async with asyncio.timeout(5):
        while await check.state() == "lost":
            await asyncio.sleep(0.01)
    assert asked.times == 1


async def test_an_answer_counts_for_a_second(
    asked: Asked, check: DatabaseCheck, clock: HandClock
) -> None:
    asked.answers.set()
    assert await check.state() == "live"
    asked.error = RuntimeError("whatever a driver raises")
    assert await check.state() == "live"
    assert asked.times == 1
    clock.now = 1.1
    assert await check.state() == "lost"
    assert asked.times == 2


@pytest.mark.parametrize("rule", ["breaking", "breaking_async"])
@pytest.mark.parametrize("kept", [False, True])
def test_a_connection_that_broke_costs_one_request_at_most(
    start_hub: StartHub, site: Site, rule: str, kept: bool
) -> None:
    """Each request leaves a broken connection behind; one that is kept is noticed by its next use."""
    changed = {"RELAY_CHANNELS": f"desk=tests.support.rules.{rule}"}
    if kept:
        changed["DJANGO_SETTINGS_MODULE"] = "tests.support.mortal_settings"
    hub = start_hub(**{**site.env, **changed})
    cookie = {"Cookie": site.people["ann"].cookie}
    answers = [ask(hub.url, "/stream/?channel=desk", headers=cookie).status for _ in range(6)]
    assert answers[0] == 200
    assert 200 in answers[1:3]
    assert 200 in answers[3:5]
    if not kept:
        assert set(answers) == {200}
