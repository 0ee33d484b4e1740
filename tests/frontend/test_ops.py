"""The operator's page in a real Chromium: what it shows, what it does, and who reads it."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from tests.support.client import BackgroundStream
from tests.support.operators import link_of
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.site import MakeSite
from tests.support.tokens import TOKEN_KEY, bearer
from tests.support.waiting import repeating, wait_until

pytestmark = pytest.mark.browser

LINK = {"SECRET_KEY": "for the tests of operators only", "RELAY_OPERATOR_LINK": "1"}
MARKUP = "<img src=x onerror=\"window.hacked = 'yes'\">"


class Ops:
    """The page, in the words of its reader."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.status = page.get_by_role("status")
        self.notice = page.locator("#notice")
        self.box = page.get_by_role("searchbox")

    def table(self, name: str) -> Locator:
        return self.page.locator(f"#{name} tbody tr:not(.empty)")

    def row(self, table: str, text: str) -> Locator:
        return self.table(table).filter(has_text=text)

    def sum(self, name: str) -> Locator:
        return self.page.locator(f"[data-sum={name}]")


OpenOps = Callable[..., Ops]


@pytest.fixture
def open_ops(browser: Browser) -> Iterator[OpenOps]:
    """Opens the page by a path. Whatever the page itself got wrong fails the test."""
    contexts = []
    wrong: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def open_ops(hub: HubProcess, path: str = "", cookie: str = "", **options: Any) -> Ops:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        if cookie:
            name, _, value = cookie.partition("=")
            context.add_cookies([{"name": name, "value": value, "url": hub.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", note)
        page.goto(hub.url + (path or link_of(hub)))
        ops = Ops(page)
        expect(ops.status).to_have_text("Live")
        return ops

    yield open_ops
    for context in contexts:
        context.close()
    assert wrong == []


def test_a_link_opens_the_page_and_leaves_the_address(
    open_ops: OpenOps, start_hub: StartHub
) -> None:
    hub = start_hub(**LINK, RELAY_WORKERS="2")
    ops = open_ops(hub)
    assert ops.page.url == f"{hub.url}/ops/"
    expect(ops.table("processes")).to_have_count(2)
    expect(ops.sum("processes")).to_have_text("2 of 2")
    expect(ops.row("redis", f":{hub.env['REDIS_URL'].rpartition(':')[2][:5]}")).to_contain_text(
        "live"
    )
    ops.page.reload()
    expect(ops.table("processes")).to_have_count(2)


def test_channels_rates_and_streams_are_shown_live(
    open_ops: OpenOps, start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(**LINK, RELAY_CHANNELS="orders.*")
    ops = open_ops(hub)
    expect(ops.row("channels", "demo_stream")).to_have_count(1)
    with (
        BackgroundStream(hub.url, "/stream/?channel=orders.7"),
        BackgroundStream(hub.url),
        repeating(lambda: redis_server.publish("x", "orders.7"), 0.05),
    ):
        expect(ops.table("streams")).to_have_count(3)
        expect(ops.row("channels", "orders.7").get_by_role("cell").nth(3)).not_to_have_text("0")
        expect(ops.sum("messages")).not_to_have_text("0")
        expect(ops.row("streams", "orders.7")).to_contain_text("127.0.0.1")
    expect(ops.row("streams", "orders.7")).to_have_count(0)


def test_a_stream_is_found_and_kicked_and_another_of_the_user_stays(
    open_ops: OpenOps, start_hub: StartHub, make_site: MakeSite
) -> None:
    site = make_site(RELAY_CHANNELS="mine=signed-in")
    hubs = [start_hub(**site.env), start_hub(**site.env)]
    ann, eve = site.people["ann"], site.people["eve"]
    path = "/stream/?channel=mine"
    ops = open_ops(hubs[0], "/ops/", eve.cookie)
    with (
        BackgroundStream(hubs[0].url, path, {"Cookie": ann.cookie}) as first,
        BackgroundStream(hubs[1].url, path, {"Cookie": ann.cookie}) as second,
    ):
        ops.box.fill("mine")
        expect(ops.page.get_by_text("2 streams found.")).to_be_visible()
        expect(ops.table("streams")).to_have_count(2)
        assert hubs[1].process is not None
        row = ops.row("streams", f":{hubs[1].process.pid}")
        name = str(row.get_by_role("rowheader").text_content())
        row.get_by_role("button", name=f"Kick stream {name}").click()
        dialog = ops.page.get_by_role("dialog", name="End this stream?")
        expect(dialog).to_contain_text(f"{name}, user {ann.pk}")
        dialog.get_by_role("button", name="Cancel").click()
        expect(dialog).to_be_hidden()
        row.get_by_role("button", name=f"Kick stream {name}").click()
        dialog.get_by_role("button", name="End").click()
        expect(ops.notice).to_contain_text(f"Kicked the stream {name}, user {ann.pk}")
        expect(ops.notice).to_contain_text("2 processes told.")
        wait_until(lambda: second.ended_at, "it ended")
        expect(ops.table("streams")).to_have_count(1)
        assert first.ended_at == 0.0
        ops.page.get_by_role("button", name=f"Kick user {ann.pk}").click()
        ops.page.get_by_role("dialog").get_by_role("button", name="End").click()
        wait_until(lambda: first.ended_at, "it ended, too")
    expect(ops.page.get_by_text("No streams are found.")).to_be_visible()
    hubs[0].wait_for_log(f"Operator user {eve.pk} kicked user {ann.pk}.")


def test_an_error_and_a_gap_show_up(
    open_ops: OpenOps, start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(**LINK)
    ops = open_ops(hub)
    expect(ops.page.get_by_text("No gaps.")).to_be_visible()
    expect(ops.page.get_by_text("None.")).to_be_visible()
    with BackgroundStream(hub.url):
        redis_server.kill()
        expect(ops.status).to_have_text("Redis is away")
        redis_server.start()
        expect(ops.status).to_have_text("Live")
        lines = ops.page.locator("#errors").get_by_role("listitem")
        expect(lines.filter(has_text="Streams stay open; reconnecting.")).to_have_count(1)
        hour = ops.page.get_by_role(
            "img", name=re.compile(r"gaps?: \d redis-lost in the last hour")
        )
        expect(hour.locator("rect")).to_have_count(1)
    expect(ops.row("processes", "live")).to_have_count(1)
    expect(ops.page.locator("#channels-note")).to_have_text("1 shown.")


def test_a_process_that_is_killed_is_silent_and_then_gone(
    open_ops: OpenOps, start_hub: StartHub
) -> None:
    one, two = start_hub(**LINK), start_hub(**LINK)
    ops = open_ops(one)
    expect(ops.table("processes")).to_have_count(2)
    two.kill()
    expect(ops.row("processes", "silent for")).to_have_count(1)
    expect(ops.sum("processes")).to_have_text("1 of 2")
    expect(ops.page.locator("#summary")).to_have_text("1 of 2 processes report")
    expect(ops.table("processes")).to_have_count(1, timeout=40_000)


def test_the_page_says_when_its_stream_is_lost(open_ops: OpenOps, start_hub: StartHub) -> None:
    hub = start_hub(**LINK)
    ops = open_ops(hub)
    expect(ops.table("processes")).to_have_count(1)
    hub.kill()
    expect(ops.status).to_have_text("Reconnecting…")
    expect(ops.row("processes", "silent")).to_have_count(0)


def test_the_page_says_when_the_right_is_withdrawn(
    open_ops: OpenOps, start_hub: StartHub, make_site: MakeSite
) -> None:
    site = make_site()
    hub = start_hub(**site.env)
    ops = open_ops(hub, "/ops/", site.people["eve"].cookie)
    site.run(
        "from django.contrib.auth.models import User;"
        "User.objects.filter(username='eve').update(is_superuser=False)"
    )
    expect(ops.status).to_have_text("Refused")
    expect(ops.notice).to_contain_text("Your right may have been withdrawn.")


def test_markup_in_names_is_text(open_ops: OpenOps, start_hub: StartHub) -> None:
    """A token may have any subject."""
    hub = start_hub(**LINK, RELAY_TOKEN_KEY=TOKEN_KEY, RELAY_CHANNELS="mine=signed-in")
    ops = open_ops(hub)
    headers = bearer(sub=MARKUP + "\u202e", channels=["mine"])
    with BackgroundStream(hub.url, "/stream/?channel=mine", headers):
        row = ops.row("streams", MARKUP + "U+202E (token)")
        expect(row).to_have_count(1)
        row.get_by_role("button", name="Kick user").click()
        dialog = ops.page.get_by_role("dialog")
        expect(dialog).to_contain_text(MARKUP)
        dialog.get_by_role("button", name="End").click()
        expect(ops.notice).to_contain_text(MARKUP)
    assert ops.page.evaluate("window.hacked") is None
    assert ops.page.locator("main img[src], dialog img").count() == 0


def forged(**changed: Any) -> str:
    """A report that somebody has published who may only publish in Redis."""
    report = {
        "at": 1,
        "process": {"id": MARKUP, "host": MARKUP, "pid": 1, "state": MARKUP, "version": MARKUP},
        "redis": {"masters": [{"name": MARKUP, "live": 1}], "deployment": MARKUP},
        "channels": [{"name": MARKUP, "kind": "channel", "streams": 1e9, "position": MARKUP}],
        "streams": [{"id": MARKUP, "user": MARKUP, "channels": [MARKUP, 7], "state": MARKUP}],
        "gaps": [[1, {MARKUP: 1}]],
        "errors": [{"at": 1, "level": MARKUP, "text": MARKUP}],
    }
    return json.dumps({**report, **changed})


def test_a_forged_report_is_text_and_breaks_nothing(
    open_ops: OpenOps, start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(**LINK)
    ops = open_ops(hub)
    expect(ops.table("processes")).to_have_count(1)
    odd: list[Any] = [None, 7, "x", [], {}, [None, [], 7], {"x": [None]}, -1, 1e308, True]
    messages = [forged(), "x", "[]", "null", "{}", '{"process": 7}', "[" * 10_000]
    names = ("at", "process", "redis", "channels", "streams", "found", "gaps", "errors", "figures")
    messages += [forged(**{name: value}) for name in names for value in odd]
    many = [{"name": f"c{n}", "kind": "channel"} for n in range(2000)]
    messages += [forged(process={"id": f"many {n}"}, channels=many) for n in range(5)]
    for message in messages:
        redis_server.publish(message, "relay:ops")
    expect(ops.row("errors", "x")).to_have_count(0)
    expect(ops.row("processes", MARKUP)).to_have_count(1)
    expect(ops.row("processes", f":{hub.process.pid if hub.process else 0}")).to_contain_text(
        "live"
    )
    assert ops.page.evaluate("window.hacked") is None
    assert ops.page.locator("main img[src]").count() == 0
    expect(ops.status).to_have_text("Live")


def test_tables_are_sorted_and_the_keyboard_is_enough(
    open_ops: OpenOps, start_hub: StartHub
) -> None:
    hub = start_hub(**LINK, RELAY_CHANNELS="orders.*")
    ops = open_ops(hub)
    keyboard = ops.page.keyboard
    with (
        BackgroundStream(hub.url, "/stream/?channel=orders.1"),
        BackgroundStream(hub.url, "/stream/?channel=orders.2"),
        BackgroundStream(hub.url, "/stream/?channel=orders.2"),
    ):
        heads = ops.table("channels").get_by_role("rowheader")
        expect(heads.first).to_have_text("orders.2")
        title = ops.page.locator("#channels").get_by_role("button", name="Channel", exact=True)
        title.focus()
        keyboard.press("Enter")
        expect(heads).to_have_text(["demo_stream", "orders.1", "orders.2"])
        assert title.locator("..").get_attribute("aria-sort") == "ascending"
        keyboard.press("Enter")
        expect(heads.first).to_have_text("orders.2")
        keyboard.press("Escape")
        ops.page.locator("#show-keys").focus()
        keyboard.press("/")
        expect(ops.box).to_be_focused()


def test_a_row_keeps_its_place_while_somebody_points_at_it(
    open_ops: OpenOps, start_hub: StartHub
) -> None:
    hub = start_hub(**LINK, RELAY_CHANNELS="orders.*")
    ops = open_ops(hub)
    heads = ops.table("channels").get_by_role("rowheader")
    with BackgroundStream(hub.url, "/stream/?channel=orders.1"):
        expect(ops.row("channels", "orders.1")).to_have_count(1)
        expect(ops.row("channels", "demo_stream")).to_have_count(1)
        before = heads.all_text_contents()
        ops.row("channels", "demo_stream").hover()
        with BackgroundStream(hub.url), BackgroundStream(hub.url):
            row = ops.row("channels", "demo_stream").get_by_role("cell").first
            expect(row).to_have_text("2")
            assert heads.all_text_contents() == before
            ops.page.mouse.move(1, 1)
            expect(heads.first).to_have_text("demo_stream")


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_the_page_fits_its_window(open_ops: OpenOps, start_hub: StartHub, width: int) -> None:
    hub = start_hub(**LINK)
    ops = open_ops(hub, viewport={"width": width, "height": 800})
    with BackgroundStream(hub.url):
        expect(ops.table("streams")).to_have_count(2)
        assert ops.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_names_that_assistive_technology_gets(open_ops: OpenOps, start_hub: StartHub) -> None:
    hub = start_hub(**LINK)
    ops = open_ops(hub)
    expect(ops.table("streams")).to_have_count(1)
    expect(ops.page.locator("body")).to_match_aria_snapshot(
        """
        - link "Skip to the streams"
        - banner:
          - heading "Relay Hub operator" [level=1]
          - status: Live
        - main:
          - region "Sums":
            - term: Processes live
            - definition: 1 of 1
          - heading "Processes" [level=2]
          - region "Processes":
            - table:
              - rowgroup:
                - row:
                  - columnheader "Process"
          - heading "Streams" [level=2]
          - searchbox "Find streams by user, address, channel or id"
          - region "The last hour":
            - heading "The last hour" [level=2]
            - img "No gaps in the last hour"
            - heading "Warnings and errors" [level=3]
        """
    )


def test_the_pages_that_let_nobody_in_tell_why(browser: Browser, start_hub: StartHub) -> None:
    hub = start_hub(**LINK)
    page = browser.new_page()
    answer = page.goto(f"{hub.url}/ops/?link=used")
    assert answer is not None
    assert answer.status == 403
    expect(page.get_by_text("it was used already, or it is too old")).to_be_visible()
    page.get_by_role("link", name="open the page").click()
    expect(page.get_by_text("you are not signed in")).to_be_visible()
    page.close()
