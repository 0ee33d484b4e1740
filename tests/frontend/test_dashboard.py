"""The dashboard in a real Chromium: what comes in, and very much of it."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Dashboard, OpenDashboard, Shared, SteadyPublisher
from tests.support.corpus import CORPUS, MIB, as_received
from tests.support.servers import HubProcess, RedisServer

pytestmark = pytest.mark.browser


def test_a_published_message_shows_with_its_time(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish("Test Event")
    row = dashboard.row("Test Event")
    expect(row).to_have_count(1)
    expect(row.locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))
    expect(dashboard.figure("bytes")).to_have_text("10 B")
    dashboard.expect_messages(1)


def test_an_empty_page_tells_how_to_publish(dashboard: Dashboard, shared: Shared) -> None:
    dashboard.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    dashboard.button("Copy").click()
    expect(dashboard.button("Copied")).to_be_visible()
    copied = dashboard.page.evaluate("navigator.clipboard.readText()")
    assert copied == 'redis-cli -u $REDIS_URL publish demo_stream "Test Event"'
    shared.redis.publish("Test Event")
    expect(dashboard.page.get_by_text("Waiting for messages")).to_be_hidden()


@pytest.mark.parametrize(
    "payload",
    [
        "<img src=x onerror=\"window.hacked = 'yes'\">",
        "</li></ol><script>window.hacked = 'yes'</script>",
        "{{ 7 * 7 }} {% now 'Y' %} ${7*7} &lt;b&gt;",
    ],
)
def test_markup_is_text(dashboard: Dashboard, shared: Shared, payload: str) -> None:
    shared.redis.publish(payload)
    shared.redis.publish(json.dumps([payload]))
    expect(dashboard.rows).to_have_count(2)
    assert dashboard.texts() == [payload, json.dumps([payload])]
    assert dashboard.page.evaluate("window.hacked") is None
    assert dashboard.log.locator("img, script, b").count() == 0


def test_characters_that_rearrange_text_are_named(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish("invoice\u202efdp.exe\u2066\0")
    expect(dashboard.rows).to_have_count(1)
    assert dashboard.texts() == ["invoiceU+202Efdp.exeU+2066 ␀"]


def test_what_is_over_the_limit_is_announced(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish("\n" * MIB)
    row = dashboard.row("Too large")
    expect(row).to_contain_text(
        "A message on demo_stream was left out: it has 7 MB, and the limit is 2 MB."
    )
    expect(dashboard.figure("bytes")).to_have_text("0 B, 1 too large")
    dashboard.expect_messages(0)


def test_a_gap_stands_out_and_is_counted(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    dashboard = open_dashboard(hub)
    redis_server.kill()
    hub.wait_for_redis("lost")
    redis_server.start()
    hub.wait_for_redis("live")
    expect(dashboard.row("Gap")).to_contain_text(
        "the hub lost its connection to Redis for a while."
    )
    expect(dashboard.figure("gaps")).to_have_text("1")
    expect(dashboard.figure("missed")).to_have_text("1 gap of unknown size")


def test_every_payload_of_the_corpus_reaches_an_event_source(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    page = open_dashboard(hub).page
    page.goto(f"{hub.url}/health/")
    page.evaluate(
        """() => {
            window.events = [];
            const source = new EventSource("/stream/");
            const take = ({ type, data, lastEventId }) => window.events.push([type, data, lastEventId]);
            for (const name of ["message", "hub.gap", "hub.oversize"]) source.addEventListener(name, take);
            return new Promise((resolve) => (source.onopen = resolve));
        }"""
    )
    payloads = {**CORPUS, "empty": b""}
    for payload in payloads.values():
        redis_server.publish(payload)
    page.wait_for_function("(number) => window.events.length === number", arg=len(payloads))
    for (name, payload), event in zip(
        payloads.items(), page.evaluate("window.events"), strict=True
    ):
        if name == "1 MiB of LF":
            assert event[0] == "hub.oversize"
        else:
            assert event[:2] == ["message", as_received(payload.decode(errors="replace"))], name


def test_two_thousand_a_second_are_all_counted_and_the_page_stays_small(
    dashboard: Dashboard, shared: Shared
) -> None:
    """Prints the longest task; how long it took decides nothing here, the machine may be busy."""
    dashboard.page.evaluate(
        """() => {
            window.tasks = [0];
            const note = (list) => window.tasks.push(...list.getEntries().map((entry) => entry.duration));
            new PerformanceObserver(note).observe({ type: "longtask" });
        }"""
    )
    publisher = SteadyPublisher(shared.redis, 6000, 2000, lambda n: f'{{"n":{n},"text":"message"}}')
    publisher.start()
    publisher.join()
    dashboard.expect_messages(6000)
    expect(dashboard.rows.last).to_contain_text('{"n":5999,"text":"message"}')
    assert 0 < dashboard.rows.count() <= 120
    expect(dashboard.figure("gaps")).to_have_text("0")
    tasks = dashboard.page.evaluate("window.tasks")
    print(f"2,000 messages/s: the longest task took {max(tasks):.0f} ms")  # noqa: T201


def test_memory_is_bounded(dashboard: Dashboard, shared: Shared) -> None:
    publisher = SteadyPublisher(shared.redis, 12_000, 4000, lambda n: f"message {n}")
    publisher.start()
    publisher.join()
    for n in range(12_001, 12_031):
        shared.redis.publish("x" * MIB)
        if n % 5 == 0:  # else the hub would think this client slow, and rightly so
            dashboard.expect_messages(n)
    dashboard.expect_messages(12_030)
    metrics = after_garbage_collection(dashboard.page)
    print(f"{metrics['JSHeapUsedSize'] / MIB:.1f} MiB, {metrics['Nodes']:.0f} nodes")  # noqa: T201
    assert metrics["JSHeapUsedSize"] < 16 * MIB
    assert metrics["Nodes"] < 5000


def after_garbage_collection(page: Page) -> dict[str, float]:
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    cdp.send("HeapProfiler.collectGarbage")
    return {m["name"]: m["value"] for m in cdp.send("Performance.getMetrics")["metrics"]}
