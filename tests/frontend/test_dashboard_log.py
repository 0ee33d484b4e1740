"""The dashboard in a real Chromium: the reader's hand on the log."""

import pytest
from playwright.sync_api import expect

from tests.support.browser import Dashboard, Shared, publish_numbers

pytestmark = pytest.mark.browser

AWAY = """() => {
    const { scrollTop, scrollHeight, clientHeight } = document.getElementById("log");
    return scrollHeight - scrollTop - clientHeight > 400;
}"""


def test_pause_holds_the_log_and_resume_shows_what_came(
    dashboard: Dashboard, shared: Shared
) -> None:
    shared.redis.publish("before")
    expect(dashboard.rows).to_have_count(1)
    dashboard.button("Pause").click()
    for n in range(3):
        shared.redis.publish(f"while paused {n}")
    expect(dashboard.newest).to_have_text("3 new messages")
    dashboard.expect_messages(4)
    assert dashboard.texts() == ["before"]
    dashboard.button("Resume").click()
    expect(dashboard.rows).to_have_count(4)
    expect(dashboard.newest).to_be_hidden()
    assert dashboard.texts() == ["before", *(f"while paused {n}" for n in range(3))]


def test_the_log_stands_still_for_a_reader_who_looks_back(
    dashboard: Dashboard, shared: Shared
) -> None:
    publish_numbers(shared, 0, 500)
    expect(dashboard.rows.last).to_contain_text("number 499")
    dashboard.log.hover()
    dashboard.page.mouse.wheel(0, -400)
    expect(dashboard.rows).to_have_count(300)
    dashboard.page.wait_for_function(
        "() => { const log = document.getElementById('log'); return log.scrollTop > 5000; }"
    )
    publish_numbers(shared, 500, 700)
    expect(dashboard.newest).to_have_text("200 new messages")
    assert dashboard.texts() == [f"number {n}" for n in range(200, 500)]
    dashboard.newest.click()
    expect(dashboard.rows.last).to_contain_text("number 699")
    expect(dashboard.rows.last).to_be_in_viewport()
    assert dashboard.texts()[-30:] == [f"number {n}" for n in range(670, 700)]
    publish_numbers(shared, 700, 701)
    expect(dashboard.rows.last).to_contain_text("number 700")
    expect(dashboard.newest).to_be_hidden()


def test_scrolling_back_to_the_edge_follows_again(dashboard: Dashboard, shared: Shared) -> None:
    publish_numbers(shared, 0, 100)
    expect(dashboard.rows.last).to_contain_text("number 99")
    dashboard.log.focus()
    dashboard.page.keyboard.press("Home")
    dashboard.page.wait_for_function(AWAY)
    publish_numbers(shared, 100, 101)
    expect(dashboard.newest).to_have_text("1 new message")
    dashboard.page.keyboard.press("End")
    expect(dashboard.newest).to_be_hidden()
    expect(dashboard.rows.last).to_contain_text("number 100")
    expect(dashboard.rows.last).to_be_in_viewport()


def test_clear_empties_the_log_and_keeps_the_totals(dashboard: Dashboard, shared: Shared) -> None:
    publish_numbers(shared, 0, 10)
    expect(dashboard.rows).to_have_count(10)
    dashboard.button("Clear").click()
    expect(dashboard.rows).to_have_count(0)
    expect(dashboard.page.get_by_text("Waiting for messages")).to_be_visible()
    publish_numbers(shared, 10, 11)
    expect(dashboard.rows).to_have_count(1)
    dashboard.expect_messages(11)


def test_the_filter_looks_at_old_and_new_messages(dashboard: Dashboard, shared: Shared) -> None:
    publish_numbers(shared, 0, 300)
    expect(dashboard.rows.last).to_contain_text("number 299")
    dashboard.filter.fill("NUMBER 1")
    expect(dashboard.rows).to_have_count(111)
    publish_numbers(shared, 1000, 1001)
    publish_numbers(shared, 2000, 2001)
    expect(dashboard.rows.last).to_contain_text("number 1000")
    dashboard.filter.fill("no such")
    expect(dashboard.rows).to_have_count(0)
    dashboard.button("Clear the filter").click()
    expect(dashboard.filter).to_have_value("")
    expect(dashboard.rows.last).to_contain_text("number 2000")


def test_the_filter_works_on_a_log_that_stands_still(dashboard: Dashboard, shared: Shared) -> None:
    publish_numbers(shared, 0, 20)
    expect(dashboard.rows).to_have_count(20)
    dashboard.button("Pause").click()
    publish_numbers(shared, 20, 2000)
    expect(dashboard.newest).to_have_text("1,980 new messages")
    dashboard.filter.fill("number 1")
    assert dashboard.texts() == ["number 1", *(f"number {n}" for n in range(10, 20))]
    dashboard.filter.press("Escape")
    assert dashboard.texts() == [f"number {n}" for n in range(20)]
