"""Pages in a real Chromium, of a hub that is reached through a proxy."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.javascript.page import ClientPage
from tests.support.proxy import Proxy
from tests.support.servers import HubProcess, RedisServer

OpenPage = Callable[[str], ClientPage]
Publish = Callable[..., None]


@pytest.fixture
def hub(client_hub: HubProcess) -> HubProcess:
    return client_hub


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def open_page(context: BrowserContext) -> Iterator[OpenPage]:
    """Opens a page of an origin; an error that no script caught fails the test."""
    pages: list[ClientPage] = []

    def open_page(origin: str) -> ClientPage:
        pages.append(ClientPage(context, origin))
        return pages[-1]

    yield open_page
    assert [error for page in pages for error in page.errors] == []


@pytest.fixture
def page(open_page: OpenPage, proxy: Proxy) -> ClientPage:
    return open_page(proxy.url)


@pytest.fixture
def publish(redis_server: RedisServer) -> Publish:
    def publish(*messages: str, channel: str = "demo_stream") -> None:
        with redis_server.client() as client:
            for message in messages:
                client.publish(channel, message)

    return publish
