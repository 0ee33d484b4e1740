"""The client and tokens: fetched, renewed before they expire and after a refusal."""

import time
from typing import Any

import pytest

from tests.javascript.conftest import Publish
from tests.javascript.page import ClientPage
from tests.support.proxy import Proxy
from tests.support.servers import HubProcess
from tests.support.tokens import token

pytestmark = pytest.mark.browser


class Tokens:
    """What `window.nextToken` returns, one after the other; the last one again and again."""

    def __init__(self, page: ClientPage) -> None:
        self.page = page
        self.asked = 0
        self.made: list[Any] = []
        page.page.expose_function("nextToken", self._next)

    def _next(self) -> str:
        self.asked += 1
        make = self.made.pop(0) if len(self.made) > 1 else self.made[0]
        return str(make())


@pytest.fixture
def tokens(page: ClientPage) -> Tokens:
    return Tokens(page)


def lasting(seconds: float, **claims: Any) -> Any:
    return lambda: token(exp=int(time.time() + seconds), **claims)


def test_a_token_is_fetched_before_the_first_request(
    page: ClientPage, tokens: Tokens, publish: Publish
) -> None:
    tokens.made = [lasting(600)]
    page.connect(channels=["private.1"], token=True)
    page.wait_until_live()
    publish("seen", channel="private.1")
    page.wait_for_data("seen")
    assert tokens.asked == 1


def test_a_token_that_expires_is_renewed_and_nobody_notices(
    page: ClientPage, tokens: Tokens, publish: Publish
) -> None:
    tokens.made = [lasting(3)]
    page.connect(channels=["private.1"], token=True)
    page.wait_until_live()
    for n in range(80):
        publish(f"{n}", channel="private.1")
        page.page.wait_for_timeout(100)
    page.wait_for_data(*(f"{n}" for n in range(80)))
    assert tokens.asked >= 3
    assert page.states() == ["connecting", "live"]


def test_a_refused_token_is_replaced_once(
    page: ClientPage, tokens: Tokens, publish: Publish
) -> None:
    tokens.made = [lasting(-5), lasting(600)]
    page.connect(channels=["private.1"], token=True)
    page.wait_until_live()
    assert tokens.asked == 2
    publish("seen", channel="private.1")
    page.wait_for_data("seen")


def test_two_refused_tokens_are_told_and_not_tried_for_ever(
    page: ClientPage, tokens: Tokens, proxy: Proxy
) -> None:
    tokens.made = [lasting(-5)]
    page.connect(channels=["private.1"], token=True)
    page.wait_for("connection.state === 'refused'")
    assert (tokens.asked, page.state()["status"]) == (2, 401)
    asked = proxy.accepted
    page.page.wait_for_timeout(500)
    assert (tokens.asked, proxy.accepted) == (2, asked)


def test_a_token_that_does_not_grant_the_channel_is_not_replaced(
    page: ClientPage, tokens: Tokens
) -> None:
    tokens.made = [lasting(600, channels=["private.2"])]
    page.connect(channels=["private.1"], token=True)
    page.wait_for("connection.state === 'refused'")
    assert (tokens.asked, page.state()["status"]) == (1, 403)


def test_a_renewal_that_comes_too_late_costs_no_message(
    page: ClientPage, tokens: Tokens, publish: Publish, hub: HubProcess
) -> None:
    """The hub ends a stream at `exp`; here renewal comes too late, as after a machine slept."""
    tokens.made = [lasting(2), lasting(600)]
    page.run("const set = setTimeout; window.setTimeout = (f, ms) => set(f, ms > 500 ? 1e6 : ms)")
    page.connect(channels=["private.1"], token=True)
    page.wait_until_live()
    publish("before", channel="private.1")
    page.wait_for_data("before")
    page.wait_for("got.states.some(({ state }) => state === 'reconnecting')")
    publish("meanwhile", channel="private.1")
    page.wait_for_data("before", "meanwhile")


def test_where_the_token_cannot_be_had_it_tries_again(page: ClientPage, publish: Publish) -> None:
    page.run(
        """let asked = 0;
        window.nextToken = async () => {
          asked += 1;
          if (asked < 3) throw new TypeError("the site is away");
          return null;
        };"""
    )
    page.connect(token=True)
    page.wait_for("got.states.at(-1).detail === 'the site is away'")
    page.wait_until_live()


def test_a_page_that_says_that_nobody_is_signed_in_stops_it(page: ClientPage) -> None:
    page.run(
        """const { RelayError } = await import("/static/relay/client.js");
        window.nextToken = async () => { throw new RelayError(403, "signed out"); };"""
    )
    page.connect(token=True)
    page.wait_for("connection.state === 'refused'")
    assert page.state()["detail"] == "signed out"
