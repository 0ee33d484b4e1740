"""A real Chromium for the tests: the dashboard as a person has it before them."""

import asyncio
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    expect,
    sync_playwright,
)

from bench.dashboard import BROWSERS
from tests.support.servers import HubProcess, RedisServer

NAMES = (os.environ.get("CHROMIUM", ""), "chromium-headless-shell", *BROWSERS)
"""In their order. The shell has the same engine, and opens a page for a third of the CPU."""

expect.set_options(timeout=15_000)


@dataclass(frozen=True, slots=True)
class Shared:
    """A hub and its Redis, for all tests of a module; a test that breaks them starts its own."""

    redis: RedisServer
    hub: HubProcess


class OpenDashboard(Protocol):
    """The fixture `open_dashboard`; options are those of a browser's context."""

    def __call__(self, hub: HubProcess, **options: Any) -> "Dashboard": ...


class Dashboard:
    """The page, in the words of its reader."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.status = page.get_by_role("status")
        self.log = page.get_by_role("log", name="Messages")
        self.rows = self.log.get_by_role("listitem")
        self.filter = page.get_by_role("searchbox", name="Filter messages")
        self.message = self.log.get_by_role("group", name="Message")
        self.chosen = page.get_by_role("list", name="Channels", exact=True)
        self.newest = page.get_by_role("button", name=re.compile("new messages?$"))

    def open(self, query: str = "rewind=0") -> "Dashboard":
        """Opens it with nothing of the past, which other tests may have left, unless `query` says so."""
        self.page.goto(f"{self.url}/?{query}")
        expect(self.status).to_have_text("Live")
        return self

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def row(self, text: str) -> Locator:
        return self.rows.filter(has_text=text)

    def texts(self) -> list[str]:
        return self.log.locator(".row-text").all_text_contents()

    def figure(self, name: str) -> Locator:
        return self.page.locator(f"[data-figure={name}]")

    def expect_messages(self, number: int) -> None:
        expect(self.figure("messages")).to_have_text(f"{number:,}")


@dataclass(frozen=True, slots=True)
class Chromium:
    """A browser that was started once.

    Playwright's event loop counts as the running one of the thread between two calls. Here it does so
    only while the browser is borrowed.
    """

    browser: Browser
    loop: asyncio.AbstractEventLoop

    @contextmanager
    def borrowed(self) -> Iterator[Browser]:
        asyncio._set_running_loop(self.loop)
        try:
            yield self.browser
        finally:
            asyncio._set_running_loop(None)


@contextmanager
def launched(names: Iterable[str]) -> Iterator[Chromium]:
    """The first of these programs that there is; without one, the one that Playwright has installed."""
    path = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        chromium = Chromium(browser, asyncio.get_running_loop())
        asyncio._set_running_loop(None)
        try:
            yield chromium
        finally:
            asyncio._set_running_loop(chromium.loop)  # until Playwright has stopped it
            browser.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One for all tests of this process: its start costs as much as that of a few pages."""
    with launched(NAMES) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def browser(chromium: Chromium) -> Iterator[Browser]:
    """Borrowed for a module and no longer: meanwhile no test can have an event loop of its own."""
    with chromium.borrowed() as browser:
        yield browser


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    redis = RedisServer()
    hub = HubProcess(redis.url)
    yield Shared(redis, hub)
    hub.close()
    redis.close()


@pytest.fixture
def open_dashboard(browser: Browser) -> Iterator[OpenDashboard]:
    """Opens the dashboard of a hub. Whatever the page itself got wrong fails the test."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def watch(page: Page) -> None:
        def note(message: ConsoleMessage) -> None:
            if _is_wrong(message.text):
                wrong.append(message.text)

        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", note)

    def open_dashboard(hub: HubProcess, **options: Any) -> Dashboard:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        watch(page)
        return Dashboard(page, hub.url).open()

    yield open_dashboard
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def dashboard(
    request: pytest.FixtureRequest, open_dashboard: OpenDashboard, shared: Shared
) -> Dashboard:
    request.node.hubs = [shared.hub]
    return open_dashboard(shared.hub)


def _is_wrong(text: str) -> bool:
    return "Content Security Policy" in text or "Uncaught" in text


class SteadyPublisher(threading.Thread):
    """Publishes `payload(0)`, `payload(1)` and so on at a steady rate, in steps of 10 ms."""

    def __init__(
        self, redis: RedisServer, number: int, per_second: int, payload: Callable[[int], str]
    ) -> None:
        super().__init__()
        self.redis, self.number, self.per_second, self.payload = redis, number, per_second, payload

    def run(self) -> None:
        start, sent = time.monotonic(), 0
        with self.redis.client() as client:
            while sent < self.number:
                due = min(self.number, round((time.monotonic() - start) * self.per_second))
                pipe = client.pipeline(transaction=False)
                for n in range(sent, due):
                    pipe.publish("demo_stream", self.payload(n))
                pipe.execute()
                sent = due
                time.sleep(0.01)


def publish_numbers(shared: Shared, start: int, end: int) -> None:
    with shared.redis.client() as client:
        pipe = client.pipeline(transaction=False)
        for n in range(start, end):
            pipe.publish("demo_stream", f"number {n}")
        pipe.execute()
