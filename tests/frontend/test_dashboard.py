"""The dashboard in a real Chromium, on the real hub and a real Redis."""

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Dashboard, OpenDashboard, Shared, SteadyPublisher
from tests.support.corpus import CORPUS, MIB, as_received
from tests.support.servers import HubProcess, RedisServer, StartHub
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

# What comes in


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
    assert copied == 'redis-cli publish demo_stream "Test Event"'
    shared.redis.publish("Test Event")
    expect(dashboard.page.get_by_text("Waiting for messages")).to_be_hidden()


def test_json_is_shown_pretty_and_to_the_digit(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish(
        '{"total":12345678901234567890.10,"items":["' + "x" * 60 + '","' + "y" * 60 + '"]}'
    )
    expect(dashboard.rows).to_have_count(1)
    assert dashboard.texts() == [
        '{\n  "total": 12345678901234567890.10,\n  "items": [\n    "'
        + "x" * 60
        + '",\n    "'
        + "y" * 60
        + '"\n  ]\n}'
    ]


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


def test_a_megabyte_is_clipped_shown_in_part_and_copied_whole(
    dashboard: Dashboard, shared: Shared
) -> None:
    dashboard.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shared.redis.publish("x" * MIB)
    row = dashboard.rows
    expect(row).to_have_count(1)
    assert dashboard.texts() == ["x" * 2000]
    row.get_by_role("button", name="Show all 1,048,576 characters").click()
    expect(row.get_by_text("These are the first 100,000 characters")).to_be_visible()
    assert dashboard.texts() == ["x" * 100_000]
    row.get_by_role("button", name="Copy").click()
    expect(row.get_by_role("button", name="Copied")).to_be_visible()
    assert dashboard.page.evaluate("navigator.clipboard.readText().then((t) => t.length)") == MIB
    row.get_by_role("button", name="Show less").click()
    assert dashboard.texts() == ["x" * 2000]
    assert dashboard.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


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


# Many messages


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
    expect(dashboard.rows.last).to_contain_text('{ "n": 5999, "text": "message" }')
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


# The reader's hand on the log


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
    assert dashboard.texts()[-100:] == [f"number {n}" for n in range(600, 700)]
    publish_numbers(shared, 700, 701)
    expect(dashboard.rows.last).to_contain_text("number 700")
    expect(dashboard.newest).to_be_hidden()


def test_scrolling_back_to_the_edge_follows_again(dashboard: Dashboard, shared: Shared) -> None:
    publish_numbers(shared, 0, 100)
    expect(dashboard.rows.last).to_contain_text("number 99")
    dashboard.log.focus()
    dashboard.page.keyboard.press("Home")
    dashboard.page.wait_for_function("() => document.getElementById('log').scrollTop === 0")
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


def publish_numbers(shared: Shared, start: int, end: int) -> None:
    with shared.redis.client() as client:
        pipe = client.pipeline(transaction=False)
        for n in range(start, end):
            pipe.publish("demo_stream", f"number {n}")
        pipe.execute()


# The connection


def test_it_comes_back_after_the_hub_was_away(
    open_dashboard: OpenDashboard, start_hub: StartHub, redis_server: RedisServer
) -> None:
    hub = start_hub(RELAY_RETRY_MS=100)
    dashboard = open_dashboard(hub)
    hub.kill()
    expect(dashboard.status).to_have_text("Reconnecting…")
    hub.start()
    expect(dashboard.status).to_have_text("Live")
    expect(dashboard.row("Disconnected")).to_contain_text(
        "Messages published in that time may not have arrived here."
    )
    expect(dashboard.figure("reconnects")).to_have_text("1")
    expect(dashboard.figure("resumes")).to_have_text("0 resumed")
    redis_server.publish("after")
    expect(dashboard.row("after")).to_have_count(1)


@pytest.mark.parametrize("status", [503, 404, 204])
def test_it_comes_back_when_an_event_source_gave_up(
    open_dashboard: OpenDashboard,
    start_hub: StartHub,
    redis_server: RedisServer,
    status: int,
) -> None:
    hub = start_hub(RELAY_RETRY_MS=100)
    dashboard = open_dashboard(hub)
    hub.kill()
    with stand_in(hub.port, status) as server:
        wait_until(lambda: server.asked, "the page asks for the stream")
        expect(dashboard.status).to_have_text("Reconnecting…")
    hub.start()
    expect(dashboard.status).to_have_text("Live")
    redis_server.publish("after")
    expect(dashboard.row("after")).to_have_count(1)


def test_with_ids_it_shows_them_and_resumes(
    open_dashboard: OpenDashboard, start_hub: StartHub
) -> None:
    """A hub that numbers its events: the browser asks on by header, a new EventSource by query."""
    hub = start_hub(RELAY_RETRY_MS=100)
    dashboard = open_dashboard(hub)
    hub.kill()
    answers = (
        "retry: 50\n\nid: 17-1\ndata: one\n\n",
        'retry: 50\n\nid: 17-9\nevent: hub.gap\ndata: {"missed":7,"reason":"expired"}\n\n',
        503,
        "retry: 60000\n\nid: 17-10\ndata: ten\n\n",
    )
    with stand_in(hub.port, *answers) as server:
        expect(dashboard.row("ten")).to_contain_text("17-10")
        assert server.asked[1:] == [
            ("/stream/", "17-1"),
            ("/stream/", "17-9"),
            ("/stream/?last_event_id=17-9", None),
        ]
    expect(dashboard.row("one")).to_contain_text("17-1")
    expect(dashboard.row("Gap")).to_contain_text(
        "7 messages are missing: this page was away for longer than the hub keeps messages."
    )
    expect(dashboard.row("Disconnected")).to_have_count(1)
    expect(dashboard.row("Resumed")).to_have_count(2)
    expect(dashboard.row("Resumed").last).to_contain_text("where this page had stopped")
    expect(dashboard.figure("missed")).to_have_text("7 messages missing")
    expect(dashboard.figure("reconnects")).to_have_text("3")
    expect(dashboard.figure("resumes")).to_have_text("2 resumed")
    dashboard.filter.fill("17-10")
    expect(dashboard.row("one")).to_have_count(0)
    expect(dashboard.row("ten")).to_have_count(1)


def test_what_was_published_in_the_meantime_arrives_once(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    dashboard = open_dashboard(hub)
    redis_server.publish("before")
    expect(dashboard.row("before")).to_have_count(1)
    dashboard.page.evaluate("dispatchEvent(new Event('pagehide'))")
    hub.wait_for_streams(0)
    redis_server.publish("meanwhile")
    dashboard.page.evaluate("dispatchEvent(new Event('pageshow'))")
    hub.wait_for_streams(1)
    redis_server.publish("later")
    expect(dashboard.row("later")).to_have_count(1)
    resumed = "Resumed after less than a second, where this page had stopped."
    assert dashboard.texts() == ["before", resumed, "meanwhile", "later"]
    expect(dashboard.figure("resumes")).to_have_text("1 resumed")
    dashboard.expect_messages(3)


class StandIn(ThreadingHTTPServer):
    """Gives one answer after the other, a status or a stream that ends; keeps what it was asked."""

    def __init__(self, port: int, answers: tuple[int | str, ...]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", port), _Answer)


class _Answer(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.server.asked.append((self.path, self.headers["Last-Event-ID"]))
        body = b"" if isinstance(answer, int) else answer.encode()
        self.send_response(answer if isinstance(answer, int) else 200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def stand_in(port: int, *answers: int | str) -> Iterator[StandIn]:
    with StandIn(port, answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_hub_that_hangs_leaves_the_page_as_it_is(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    dashboard = open_dashboard(hub)
    assert hub.process is not None
    hub.process.send_signal(signal.SIGSTOP)
    redis_server.publish("late")
    hub.process.send_signal(signal.SIGCONT)
    expect(dashboard.row("late")).to_have_count(1)
    expect(dashboard.figure("reconnects")).to_have_text("0")


def test_without_a_network_it_says_offline(open_dashboard: OpenDashboard, hub: HubProcess) -> None:
    dashboard = open_dashboard(hub)
    dashboard.page.context.set_offline(True)
    expect(dashboard.status).to_have_text("Offline")
    dashboard.page.context.set_offline(False)
    expect(dashboard.status).to_have_text("Live")


def test_an_event_proves_that_the_connection_outlived_the_network(
    dashboard: Dashboard, shared: Shared
) -> None:
    dashboard.page.evaluate("dispatchEvent(new Event('offline'))")
    expect(dashboard.status).to_have_text("Offline")
    shared.redis.publish("still here")
    expect(dashboard.status).to_have_text("Live")
    assert dashboard.texts() == ["still here"]
    expect(dashboard.figure("reconnects")).to_have_text("0")


# Readers of all kinds


def test_the_names_that_assistive_technology_gets(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish("Test Event")
    expect(dashboard.rows).to_have_count(1)
    expect(dashboard.page.locator("body")).to_match_aria_snapshot(
        """
        - link "Skip to the messages"
        - banner:
          - heading "Relay Hub" [level=1]
          - status: Live
          - 'button "Theme: system"'
          - button "Shortcuts"
        - main:
          - region "Figures":
            - term: Events per second
            - img /^Last minute. \\d+ events? per second now, \\d+ at most$/
            - term: Messages
            - definition: "1"
            - term: Gaps
            - definition: "0"
            - term: Reconnects
            - definition: "0"
          - heading "Messages" [level=2]
          - searchbox "Filter messages"
          - button "Pause"
          - button "Clear"
          - log "Messages":
            - list:
              - listitem:
                - time
                - text: /Test Event( \\d+-\\d+)?/
                - button "Copy"
        """
    )
    expect(dashboard.log).to_have_attribute("aria-live", "off")
    expect(dashboard.page.locator("#summary")).to_have_attribute("aria-live", "polite")


def test_a_screen_reader_hears_a_summary_every_few_seconds(
    open_dashboard: OpenDashboard, shared: Shared
) -> None:
    dashboard = open_dashboard(shared.hub)
    dashboard.page.clock.install()
    dashboard.open()
    summary = dashboard.page.locator("#summary")
    publish_numbers(shared, 0, 1200)
    shared.redis.publish("\n" * MIB)
    expect(dashboard.figure("bytes")).to_contain_text("1 too large")
    dashboard.page.clock.run_for(5000)
    expect(summary).to_have_text("1,200 new messages, 1 oversize message")


def test_the_keyboard_alone_is_enough(dashboard: Dashboard, shared: Shared) -> None:
    keyboard = dashboard.page.keyboard
    dashboard.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for text in ("first", "second", "x" * 3000):
        shared.redis.publish(text)
    expect(dashboard.rows).to_have_count(3)
    names = []
    for _ in range(7):
        keyboard.press("Tab")
        assert focus_is_visible(dashboard.page)
        names.append(dashboard.page.evaluate(FOCUSED))
    assert names == [
        "Skip to the messages",
        "Theme: system",
        "Shortcuts",
        "Filter messages",
        "Pause",
        "Clear",
        "Messages",
    ]
    keyboard.press("ArrowUp")
    shared.redis.publish("while reading")
    expect(dashboard.newest).to_have_text("1 new message")
    keyboard.press("Tab")
    assert dashboard.page.evaluate(FOCUSED) == "Show all 3,000 characters"
    keyboard.press("Enter")
    assert dashboard.texts()[2] == "x" * 3000
    keyboard.press("ArrowUp")
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(dashboard.button("Copied")).to_be_visible()
    assert dashboard.page.evaluate("navigator.clipboard.readText()") == "second"
    keyboard.press("Escape")
    expect(dashboard.log).to_be_focused()
    expect(dashboard.rows).to_have_count(4)
    expect(dashboard.newest).to_be_hidden()


FOCUSED = """() => {
    const focused = document.activeElement;
    return focused.ariaLabel ?? focused.innerText.trim();
}"""


def focus_is_visible(page: Page) -> bool:
    return bool(
        page.evaluate(
            """() => {
                const style = getComputedStyle(document.activeElement);
                return style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2;
            }"""
        )
    )


def test_the_skip_link_leads_to_the_log(dashboard: Dashboard) -> None:
    dashboard.page.keyboard.press("Tab")
    expect(dashboard.page.get_by_role("link", name="Skip to the messages")).to_be_in_viewport()
    dashboard.page.keyboard.press("Enter")
    expect(dashboard.log).to_be_focused()


def test_single_keys_do_what_the_list_says(dashboard: Dashboard, shared: Shared) -> None:
    keyboard = dashboard.page.keyboard
    keys = dashboard.page.get_by_role("dialog", name="Keyboard shortcuts")
    shared.redis.publish("one")
    expect(dashboard.rows).to_have_count(1)
    keyboard.press("p")
    expect(dashboard.button("Resume")).to_be_visible()
    keyboard.press("n")
    expect(dashboard.button("Pause")).to_be_visible()
    keyboard.press("t")
    expect(dashboard.button("Theme: light")).to_be_visible()
    keyboard.press("c")
    expect(dashboard.rows).to_have_count(0)
    keyboard.press("?")
    expect(keys).to_be_visible()
    listed = {text.lower() for text in keys.locator("dt").all_text_contents()}
    assert listed == {"p", "c", "n", "/", "t", "?", "↑ ↓"}
    keyboard.press("p")
    keyboard.press("Escape")
    expect(keys).to_be_hidden()
    expect(dashboard.button("Pause")).to_be_visible()
    keyboard.press("/")
    keyboard.type("cpt")
    expect(dashboard.filter).to_have_value("cpt")
    expect(dashboard.button("Theme: light")).to_be_visible()


def test_single_keys_can_be_switched_off_for_good(dashboard: Dashboard) -> None:
    dashboard.button("Shortcuts").click()
    dashboard.page.get_by_role("checkbox", name="Use the single-key shortcuts").uncheck()
    dashboard.button("Close").click()
    dashboard.page.keyboard.press("p")
    expect(dashboard.button("Pause")).to_be_visible()
    dashboard.page.reload()
    expect(dashboard.status).to_have_text("Live")
    dashboard.page.keyboard.press("p")
    expect(dashboard.button("Pause")).to_be_visible()


GROUND = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(244, 246, 249)", "rgb(11, 14, 19)"


def test_the_theme_follows_the_system_until_one_is_chosen(dashboard: Dashboard) -> None:
    page = dashboard.page
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(GROUND) == DARK
    page.emulate_media(color_scheme="light")
    assert page.evaluate(GROUND) == LIGHT
    dashboard.button("Theme: system").click()
    dashboard.button("Theme: light").click()
    expect(dashboard.button("Theme: dark")).to_be_visible()
    assert page.evaluate(GROUND) == DARK
    page.reload()
    expect(dashboard.button("Theme: dark")).to_be_visible()
    assert page.evaluate(GROUND) == DARK
    dashboard.button("Theme: dark").click()
    expect(dashboard.button("Theme: system")).to_be_visible()
    assert page.evaluate(GROUND) == LIGHT


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer, scheme: str
) -> None:
    dashboard = open_dashboard(hub, color_scheme=scheme)
    assert low_contrast(dashboard) == []
    for payload in ('{"a":["b",1,null]}', "bidi \u202e", "", "x" * 3000, "\n" * MIB):
        redis_server.publish(payload)
    redis_server.kill()
    hub.wait_for_redis("lost")
    redis_server.start()
    expect(dashboard.row("Gap")).to_have_count(1)
    dashboard.page.keyboard.press("p")
    redis_server.publish("new")
    expect(dashboard.newest).to_be_visible()
    assert low_contrast(dashboard) == []
    hub.kill()
    expect(dashboard.status).to_have_text("Reconnecting…")
    dashboard.button("Shortcuts").click()
    assert low_contrast(dashboard) == []
    dashboard.page.evaluate("dispatchEvent(new Event('offline'))")
    expect(dashboard.status).to_have_text("Offline")
    assert low_contrast(dashboard) == []


def low_contrast(dashboard: Dashboard) -> list[str]:
    """Texts on the page with less than 4.5:1 on what is behind them (WCAG 2.2, 1.4.3)."""
    script = """() => {
        const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        const bytes = (colours) => {
            canvas.clearRect(0, 0, 1, 1);
            for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        const luminance = (rgb) => {
            const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            const [r, g, b] = rgb.map((value) => linear(value / 255));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const grounds = (element) => element
            ? [...grounds(element.parentElement), getComputedStyle(element).backgroundColor] : [];
        const ratio = (element) => {
            const behind = grounds(element);
            const a = luminance(bytes(behind));
            const b = luminance(bytes([...behind, getComputedStyle(element).color]));
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        };
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const low = [];
        let seen = 0;
        while (walker.nextNode()) {
            const element = walker.currentNode.parentElement;
            const text = walker.currentNode.data.trim().slice(0, 40);
            if (!text || !element.checkVisibility()) continue;
            seen += 1;
            if (ratio(element) < 4.5) low.push(`${text}: ${ratio(element).toFixed(2)}`);
        }
        return seen < 15 ? [`only ${seen} texts`] : low;
    }"""
    return list(dashboard.page.evaluate(script))


@pytest.mark.parametrize("width", [1920, 390, 320])
def test_it_fits_every_width(open_dashboard: OpenDashboard, shared: Shared, width: int) -> None:
    dashboard = open_dashboard(shared.hub, viewport={"width": width, "height": 844})
    for payload in ("x" * 5000, "\u0f3c" * 300, '{"key":"' + "v" * 500 + '"}', "a\tb" * 300):
        shared.redis.publish(payload)
    expect(dashboard.rows).to_have_count(4)
    assert (
        dashboard.page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility())
            .filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML)"""
        )
        == []
    )
    for name in ("Pause", "Clear", "Theme: system", "Shortcuts"):
        expect(dashboard.button(name)).to_be_in_viewport(ratio=1)
        box = dashboard.button(name).bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24


def test_nothing_moves_for_who_wants_less_motion(
    open_dashboard: OpenDashboard, shared: Shared
) -> None:
    dashboard = open_dashboard(shared.hub, reduced_motion="reduce")
    moving = dashboard.page.evaluate(
        """() => [...document.querySelectorAll("*")].map((e) => getComputedStyle(e))
            .filter((s) => s.transitionDuration !== "0s" || s.animationName !== "none").length"""
    )
    assert moving == 0


def test_the_rate_is_drawn(dashboard: Dashboard, shared: Shared) -> None:
    chart = dashboard.page.get_by_role("img", name=re.compile("^Last minute"))
    deadline = time.monotonic() + 10
    publish_numbers(shared, 0, 40)
    expect(chart).to_have_accessible_name(re.compile(", (40|[1-3]?[0-9]) at most$"))
    expect(chart).not_to_have_accessible_name(re.compile(" 0 at most$"))
    assert time.monotonic() < deadline
    drawn = dashboard.page.evaluate(
        """() => {
            const canvas = document.querySelector("rate-chart canvas");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return data.some((value) => value !== 0);
        }"""
    )
    assert drawn


def test_nothing_is_loaded_from_elsewhere(open_dashboard: OpenDashboard, hub: HubProcess) -> None:
    dashboard = open_dashboard(hub)
    urls: list[str] = []
    dashboard.page.on("request", lambda request: urls.append(request.url))
    answer = dashboard.page.reload()
    expect(dashboard.status).to_have_text("Live")
    assert answer is not None
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert len(urls) > 15
    assert [url for url in urls if not url.startswith(f"{hub.url}/")] == []
