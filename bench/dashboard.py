"""`python -m bench.dashboard`: what the dashboard costs the browser that shows it.

Opens it in a real Chromium on a real hub, publishes JSON messages at three rates, and prints a table.
"""

import argparse
import json
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import redis
from playwright.sync_api import CDPSession, Page, expect, sync_playwright

from bench import interrupt
from bench.errors import BenchError, Missing
from bench.servers import Place, start_redis
from bench.servers.hub import Hub

RATES = (30, 500, 2000)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
STEP_SECONDS = 0.01
SETTLE_SECONDS = 2.0
"""The charts and the figures of a second are drawn in the next: the first seconds do not count."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the browser did at one rate. Shares are of one core, sizes in bytes."""

    published_per_second: float
    shown_per_second: float
    busy: float
    heap_bytes: int
    nodes: int


class Publisher(threading.Thread):
    """Publishes JSON messages at a steady rate until it is stopped."""

    def __init__(self, port: int, per_second: int) -> None:
        super().__init__()
        self._client = redis.Redis(port=port)
        self._per_second = per_second
        self._ended = threading.Event()
        self.sent = 0

    def run(self) -> None:
        start = time.monotonic()
        while not self._ended.wait(STEP_SECONDS):
            due = int((time.monotonic() - start) * self._per_second)
            pipe = self._client.pipeline(transaction=False)
            for number in range(self.sent, due):
                pipe.publish("demo_stream", message(number))
            pipe.execute()
            self.sent = due

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self._client.close()


def message(number: int) -> str:
    """Returns an order of some 200 bytes."""
    items = [{"sku": f"A-{number % 997}", "price": 9.5, "count": number % 7 + 1}] * 2
    customer = {"name": "Ada Lovelace", "id": number * 31, "isNew": number % 3 == 0}
    return json.dumps({"type": "order.created", "n": number, "customer": customer, "items": items})


class Tab:
    """The open dashboard, and what Chromium says of it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._cdp: CDPSession = page.context.new_cdp_session(page)
        # CPU time: with the time of the clock, other programs of the machine would count as well.
        self._cdp.send("Performance.enable", {"timeDomain": "threadTicks"})

    def metrics(self) -> dict[str, float]:
        """Returns the metrics of the main thread by name; times in seconds of CPU."""
        answer = self._cdp.send("Performance.getMetrics")
        return {metric["name"]: metric["value"] for metric in answer["metrics"]}

    def collect_garbage(self) -> None:
        self._cdp.send("HeapProfiler.collectGarbage")

    def shown_rate(self) -> float:
        return float(self._page.locator("#rate").inner_text().replace(",", ""))

    def wait(self, seconds: float) -> None:
        self._page.wait_for_timeout(seconds * 1000)


def measure(tab: Tab, redis_port: int, per_second: int, seconds: int) -> Measured:
    """Publishes and watches for so many seconds."""
    publisher = Publisher(redis_port, per_second)
    publisher.start()
    try:
        tab.wait(SETTLE_SECONDS)
        before, began, sent = tab.metrics(), time.monotonic(), publisher.sent
        shown = []
        for _ in range(seconds):
            tab.wait(1)
            shown.append(tab.shown_rate())
        after, passed = tab.metrics(), time.monotonic() - began
        rate = (publisher.sent - sent) / passed
    finally:
        publisher.stop()
    tab.collect_garbage()
    left = tab.metrics()
    return Measured(
        published_per_second=rate,
        shown_per_second=sum(shown) / len(shown),
        busy=(after["TaskDuration"] - before["TaskDuration"]) / passed,
        heap_bytes=int(left["JSHeapUsedSize"]),
        nodes=int(left["Nodes"]),
    )


def table(results: Sequence[Measured]) -> str:
    """Returns the results in Markdown."""
    head = (
        "| Published a second | Shown a second | Main thread busy | JavaScript heap | Nodes |",
        "|---|---|---|---|---|",
    )
    rows = (
        f"| {one.published_per_second:,.0f} | {one.shown_per_second:,.0f} | {one.busy:.0%}"
        f" | {one.heap_bytes / 2**20:.1f} MiB | {one.nodes:,} |"
        for one in results
    )
    return "\n".join((*head, *rows))


def run(rates: Sequence[int], seconds: int) -> list[Measured]:
    """Measures all rates, one after the other, in one tab. Raises BenchError."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise Missing("Chromium is not installed")
    with (
        start_redis(None) as (redis_port, redis_pid),
        Hub("hub", "Relay Hub").start(Place(0, 1, redis_port, redis_pid)) as hub,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"http://127.0.0.1:{hub.address[1]}/?rewind=0")
        expect(page.locator("#status")).to_have_text("Live", timeout=30_000)
        results = [measure(Tab(page), redis_port, rate, seconds) for rate in rates]
        browser.close()
    return results


def main(argv: Sequence[str]) -> int:
    """Prints the table. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.dashboard",
        description="Measures the dashboard in Chromium, on a hub and a Redis of its own.",
    )
    parser.add_argument("--rates", nargs="+", type=int, default=RATES, metavar="N")
    parser.add_argument("--seconds", type=int, default=10, metavar="N", help="at each rate (10)")
    options = parser.parse_args(argv)
    interrupt.install()
    try:
        print(table(run(options.rates, options.seconds)))
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except interrupt.Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        return interrupted.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
