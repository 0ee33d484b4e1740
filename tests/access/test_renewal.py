"""A page that renews the token in the address of its stream, as docs/access.md shows it."""

import re
import time

import pytest
from playwright.sync_api import Browser

from tests.support.servers import ROOT, RedisServer, StartHub
from tests.support.site import MakeSite
from tests.support.tokens import token
from tests.support.waiting import wait_until

TOKEN_SECONDS = 3


@pytest.mark.browser
def test_the_javascript_that_renews_a_token_loses_nothing(
    browser: Browser, start_hub: StartHub, redis_server: RedisServer, make_site: MakeSite
) -> None:
    site = make_site(RELAY_CHANNELS="orders.{pk}=signed-in", RELAY_RETRY_MS="100")
    hub = start_hub(**site.env)
    text = (ROOT / "docs/access.md").read_text()
    [code] = re.findall(r"^```js\n(async function follow.*?)^```", text, re.M | re.S)
    assert "https://hub.example.com" in code
    given: list[str] = []

    def new_token() -> str:
        given.append(token(exp=int(time.time()) + TOKEN_SECONDS))
        return given[-1]

    with browser.new_context(bypass_csp=True) as context:
        page = context.new_page()
        page.goto(f"{hub.url}/health/")  # a page of the hub, and nothing on it
        page.expose_function("newToken", new_token)
        page.evaluate("() => { window.shown = []; window.show = (text) => shown.push(text); }")
        page.evaluate(f"() => {{ {code.replace('https://hub.example.com', hub.url)}; follow(); }}")

        def shows(*texts: str) -> None:
            page.wait_for_function(
                "(texts) => texts.length === shown.length", arg=list(texts), timeout=20_000
            )
            assert page.evaluate("shown") == list(texts)

        wait_until(lambda: page.evaluate("1") and hub.health()["streams_open"], "it is open")
        with redis_server.client() as client:
            wait_until(lambda: client.exists("relay:{orders.7}:log"), "its stream has begun")
        redis_server.publish("one", "orders.7")
        shows("one")
        wait_until(lambda: page.evaluate("1") and not hub.health()["streams_open"], "it has ended")
        redis_server.publish("meanwhile", "orders.7")
        shows("one", "meanwhile")
        assert len(given) > 1
