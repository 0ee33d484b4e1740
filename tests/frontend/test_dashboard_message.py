"""The dashboard in a real Chromium: a message that somebody looks at."""

import json
import re
import time

import pytest
from playwright.sync_api import expect

from tests.support.browser import Dashboard, Shared, publish_numbers
from tests.support.corpus import MIB

pytestmark = pytest.mark.browser

ORDER = '{"id": 12345678901234567890.10, "items": [{"sku": "A-1", "price": 9.50}], "note": null}'


def open_row(dashboard: Dashboard, text: str) -> None:
    dashboard.row(text).locator(".row-text").click()
    expect(dashboard.message).to_be_visible()


def test_every_row_is_one_line(dashboard: Dashboard, shared: Shared) -> None:
    for payload in ("short", "x" * 3000, "one\ntwo\n" * 50, json.dumps(list(range(500)), indent=1)):
        shared.redis.publish(payload)
    expect(dashboard.rows).to_have_count(4)
    heights = dashboard.rows.evaluate_all("(rows) => rows.map((row) => row.offsetHeight)")
    assert len(set(heights)) == 1
    assert heights[0] <= 28
    assert dashboard.texts()[2].startswith("one two one two")


def test_a_click_shows_all_about_a_message(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish(ORDER)
    open_row(dashboard, "A-1")
    detail = dashboard.rows
    expect(detail.get_by_role("definition").filter(has_text="87 B")).to_have_count(1)
    expect(detail.locator(".facts")).to_contain_text(re.compile(r"Id\s*\d+-\d+"))
    expect(detail.locator(".facts")).to_contain_text(
        re.compile(r"Received\s*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}")
    )
    dashboard.row("A-1").locator(".row-text").click()
    expect(dashboard.message).to_be_hidden()


def test_json_is_a_tree_with_every_digit(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish(ORDER)
    open_row(dashboard, "A-1")
    message = dashboard.message
    expect(message.locator(".run-number").first).to_have_text("12345678901234567890.10")
    expect(message.get_by_text('"items": […] 1 item')).to_be_visible()
    expect(message.get_by_text('"sku"')).to_be_hidden()
    message.get_by_text("{…} 2 keys").click()
    expect(message.get_by_text('"price": 9.50')).to_be_visible()
    message.get_by_text('"items": […]').click()
    expect(message.get_by_text('"price": 9.50')).to_be_hidden()


def test_the_raw_view_is_remembered(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish(ORDER)
    open_row(dashboard, "A-1")
    dashboard.button("Raw").click()
    expect(dashboard.button("Raw")).to_have_attribute("aria-pressed", "true")
    expect(dashboard.message).to_have_text(ORDER)
    dashboard.open("rewind=1")
    open_row(dashboard, "A-1")
    expect(dashboard.message).to_have_text(ORDER)
    dashboard.button("Tree").click()
    expect(dashboard.message.get_by_text("{…} 3 keys")).to_be_visible()


def test_a_message_says_how_long_it_was_on_its_way(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish(json.dumps({"ts": time.time() - 3600}))
    open_row(dashboard, "ts")
    expect(dashboard.rows.locator(".facts")).to_contain_text("60 min after its “ts”")


def test_the_log_stands_still_while_a_message_is_open(dashboard: Dashboard, shared: Shared) -> None:
    publish_numbers(shared, 0, 5)
    expect(dashboard.rows).to_have_count(5)
    open_row(dashboard, "number 2")
    publish_numbers(shared, 100, 300)
    expect(dashboard.newest).to_have_text("200 new messages")
    expect(dashboard.message).to_have_text("number 2")
    dashboard.newest.click()
    expect(dashboard.message).to_be_hidden()
    expect(dashboard.row("number 299")).to_be_in_viewport()


def test_a_megabyte_is_shown_in_part_and_copied_whole(dashboard: Dashboard, shared: Shared) -> None:
    dashboard.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shared.redis.publish("x" * MIB)
    expect(dashboard.rows).to_have_count(1)
    assert dashboard.texts() == ["x" * 400 + "…"]
    open_row(dashboard, "xxx")
    expect(dashboard.rows.get_by_text("These are the first 100,000 characters")).to_be_visible()
    expect(dashboard.button("Tree")).to_be_hidden()
    assert dashboard.message.text_content() == "x" * 100_000
    dashboard.rows.get_by_role("button", name="Copy").click()
    expect(dashboard.button("Copied")).to_be_visible()
    assert dashboard.page.evaluate("navigator.clipboard.readText().then((t) => t.length)") == MIB
    assert dashboard.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_large_tree_is_made_as_far_as_it_is_opened(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish(json.dumps([{"n": n, "deep": [n]} for n in range(5000)]))
    open_row(dashboard, "deep")
    items = dashboard.message.get_by_role("listitem")
    expect(items).to_have_count(201)
    dashboard.button("Show 200 more").click()
    expect(items).to_have_count(401)


def test_text_that_runs_from_right_to_left_does_so(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish("مرحبا hello")
    shared.redis.publish('{"مرحبا": "שלום"}')
    shared.redis.publish("hello مرحبا")
    expect(dashboard.rows).to_have_count(3)
    direction = "(all) => all.map((text) => getComputedStyle(text).direction)"
    assert dashboard.log.locator(".row-text").evaluate_all(direction) == ["rtl", "ltr", "ltr"]


def test_the_keyboard_opens_and_closes_a_message(dashboard: Dashboard, shared: Shared) -> None:
    keyboard = dashboard.page.keyboard
    publish_numbers(shared, 0, 3)
    expect(dashboard.rows).to_have_count(3)
    dashboard.log.focus()
    keyboard.press("ArrowUp")
    for key in ("Enter", "ArrowRight"):
        keyboard.press(key)
        expect(dashboard.message).to_have_text("number 2")
        toggle = dashboard.row("number 2").get_by_role("button", name="Details")
        expect(toggle).to_have_attribute("aria-expanded", "true")
        keyboard.press("Escape" if key == "Enter" else "ArrowLeft")
        expect(dashboard.message).to_be_hidden()
        expect(dashboard.row("number 2")).to_be_focused()
    keyboard.press("Escape")
    expect(dashboard.log).to_be_focused()
