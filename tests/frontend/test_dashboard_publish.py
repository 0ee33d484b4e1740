"""The dashboard in a real Chromium: publishing, and the same from a terminal."""

import re
import shlex

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.support.browser import Dashboard, OpenDashboard, Shared
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.site import MakeSite, Site

pytestmark = pytest.mark.browser


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site()


@pytest.fixture
def hub(start_hub: StartHub, site: Site) -> HubProcess:
    return start_hub(**site.env, RELAY_CHANNELS="news", RELAY_HTTP_PUBLISH=1)


@pytest.fixture
def dashboard(open_dashboard: OpenDashboard, hub: HubProcess) -> Dashboard:
    return open_dashboard(hub)


def sign_in(dashboard: Dashboard, site: Site, name: str) -> None:
    session = site.people[name].session
    dashboard.page.context.add_cookies(
        [{"name": "sessionid", "value": session, "url": dashboard.url}]
    )
    dashboard.open()


def box(dashboard: Dashboard) -> Locator:
    return dashboard.page.get_by_role("dialog", name="Publish")


def test_who_may_publishes_from_the_page(
    dashboard: Dashboard, site: Site, redis_server: RedisServer
) -> None:
    sign_in(dashboard, site, "eve")
    dashboard.button("Publish").click()
    expect(box(dashboard).get_by_label("Message")).to_be_focused()
    expect(box(dashboard).get_by_label("Channel")).to_have_value("demo_stream")
    dashboard.page.keyboard.type('{"it\'s": "é"}')
    dashboard.page.keyboard.press("Control+Enter")
    expect(box(dashboard).get_by_text("Published. Redis gave it to 1 subscriber")).to_be_visible()
    box(dashboard).get_by_label("Channel").fill("nowhere")
    dashboard.button("Send").click()
    expect(box(dashboard).get_by_text("There is no such channel.")).to_be_visible()
    dashboard.button("Close").click()
    expect(dashboard.rows).to_have_count(1)
    assert dashboard.texts() == ['{"it\'s": "é"}']


def test_a_message_that_is_sent_again_without_an_answer_comes_once(
    dashboard: Dashboard, site: Site
) -> None:
    sign_in(dashboard, site, "eve")
    dashboard.button("Publish").click()
    box(dashboard).get_by_label("Message").fill("once")
    lost = re.compile("/publish/")

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    dashboard.page.route(lost, lose_the_answer)
    dashboard.button("Send").click()
    expect(box(dashboard).locator(".is-error")).to_be_visible()
    dashboard.page.unroute(lost)
    dashboard.button("Send").click()
    expect(box(dashboard).get_by_text("Published.")).to_be_visible()
    dashboard.button("Close").click()
    expect(dashboard.row("once")).to_have_count(1)
    dashboard.expect_messages(1)


@pytest.mark.parametrize("name", ["ann", None])
def test_who_may_not_gets_neither_the_button_nor_the_token(
    dashboard: Dashboard, site: Site, name: str | None
) -> None:
    if name:
        sign_in(dashboard, site, name)
    expect(dashboard.button("Publish")).to_be_hidden()
    assert dashboard.page.locator("meta[name=csrf-token]").count() == 0
    assert [cookie["name"] for cookie in dashboard.page.context.cookies()] == (
        ["sessionid"] if name else []
    )


def copied(dashboard: Dashboard, button: str) -> str:
    """What the button puts on the clipboard."""
    dashboard.button(button).click()
    expect(dashboard.button(button)).to_have_text("Copied")
    return str(dashboard.page.evaluate("navigator.clipboard.readText()"))


def test_the_same_is_done_from_a_terminal(dashboard: Dashboard, site: Site) -> None:
    sign_in(dashboard, site, "eve")
    dashboard.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    dashboard.button("Publish").click()
    text = 'it\'s $HOME `id` "!"'
    box(dashboard).get_by_label("Message").fill(text)
    words = shlex.split(copied(dashboard, "Copy the redis-cli command"))
    assert words == ["redis-cli", "-u", "$REDIS_URL", "publish", "demo_stream", text]
    words = shlex.split(copied(dashboard, "Copy the curl command"))
    url = f"{dashboard.url}/publish/demo_stream/"
    assert words == ["curl", "-H", "Authorization: Bearer $TOKEN", "--data-binary", text, url]


def test_the_stream_of_the_page_is_read_in_a_terminal(dashboard: Dashboard) -> None:
    dashboard.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    dashboard.open("channel=news&channel=demo_stream&rewind=0")
    dashboard.button("Channels").click()
    words = shlex.split(copied(dashboard, "Copy the curl command"))
    assert words == ["curl", "-N", f"{dashboard.url}/stream/?channel=news&channel=demo_stream"]


def test_no_address_of_redis_is_on_the_page(dashboard: Dashboard, shared: Shared) -> None:
    dashboard.page.goto(f"{shared.hub.url}/")
    source = dashboard.page.content()
    assert str(shared.redis.port) not in source
    assert "redis://" not in source
