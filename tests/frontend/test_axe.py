"""Both pages as axe-core judges them, in each of their states and in both themes."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.javascript.tools import MODULES, needs_node
from tests.support.browser import Dashboard, OpenDashboard
from tests.support.operators import link_of
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.site import MakeSite, Site

pytestmark = [pytest.mark.browser, needs_node, pytest.mark.parametrize("scheme", ["light", "dark"])]

JUDGE = """async () => {
    const { violations, passes } = await axe.run();
    if (!passes.length) throw new Error("axe has looked at nothing");
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}"""


def violations(page: Page) -> list[str]:
    if not page.evaluate("typeof axe === 'object'"):
        page.add_script_tag(path=MODULES / "axe-core/axe.min.js")
    return list(page.evaluate(JUDGE))


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site()


@pytest.fixture
def hub(start_hub: StartHub, site: Site) -> HubProcess:
    settings = {"RELAY_CHANNELS": "news orders.*", "RELAY_HTTP_PUBLISH": "1"}
    return start_hub(**site.env, **settings, RELAY_MAX_EVENT_BYTES="1000", RELAY_OPERATOR_LINK="1")


@pytest.fixture
def dashboard(open_dashboard: OpenDashboard, hub: HubProcess, site: Site, scheme: str) -> Dashboard:
    """The dashboard of somebody who may publish."""
    dashboard = open_dashboard(hub, color_scheme=scheme, bypass_csp=True)
    session = site.people["eve"].session
    cookie = {"name": "sessionid", "value": session, "url": dashboard.url}
    dashboard.page.context.add_cookies([cookie])  # type: ignore[list-item]
    return dashboard.open()


def test_the_empty_dashboard(dashboard: Dashboard) -> None:
    assert violations(dashboard.page) == []


def test_the_dashboard_with_messages(dashboard: Dashboard, redis_server: RedisServer) -> None:
    for text in (json.dumps({"n": 1, "list": [None, True, "text"]}), "x" * 2000, "a text"):
        redis_server.publish(text)
    expect(dashboard.row("a text")).to_have_count(1)
    assert violations(dashboard.page) == []
    dashboard.row('"n"').get_by_role("button", name="Details").click()
    expect(dashboard.message).to_be_visible()
    assert violations(dashboard.page) == []
    dashboard.filter.fill("nothing has this")
    expect(dashboard.button("Clear the filter")).to_be_visible()
    assert violations(dashboard.page) == []


def shortcuts(dashboard: Dashboard) -> None:
    dashboard.button("Shortcuts").click()


def picker(dashboard: Dashboard) -> None:
    dashboard.button("Channels").click()
    expect(dashboard.page.get_by_role("checkbox", name="news")).to_be_visible()


def publishing(dashboard: Dashboard) -> None:
    dashboard.button("Publish").click()


@pytest.mark.parametrize("open_it", [shortcuts, picker, publishing])
def test_a_dialog(dashboard: Dashboard, open_it: Callable[[Dashboard], None]) -> None:
    open_it(dashboard)
    expect(dashboard.page.get_by_role("dialog")).to_be_visible()
    assert violations(dashboard.page) == []


def test_the_dashboard_without_its_hub(
    dashboard: Dashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    redis_server.publish("a text")
    expect(dashboard.row("a text")).to_have_count(1)
    violations(dashboard.page)  # axe is loaded while the hub is there
    hub.stop()
    expect(dashboard.status).not_to_have_text("Live")
    assert violations(dashboard.page) == []


@pytest.fixture
def ops(open_dashboard: OpenDashboard, hub: HubProcess, scheme: str) -> Page:
    page = open_dashboard(hub, color_scheme=scheme, bypass_csp=True).page
    page.goto(hub.url + link_of(hub))
    expect(page.get_by_role("status")).to_have_text("Live")
    expect(page.locator("#streams tbody tr:not(.empty)")).not_to_have_count(0)
    return page


def test_the_operator_s_page(ops: Page) -> None:
    assert violations(ops) == []
    ops.get_by_role("button", name="Shortcuts").click()
    expect(ops.get_by_role("dialog")).to_be_visible()
    assert violations(ops) == []


def test_the_question_before_a_kick(ops: Page) -> None:
    ops.locator("#streams tbody").get_by_role("button").first.click()
    expect(ops.get_by_role("dialog")).to_be_visible()
    assert violations(ops) == []
