"""The log in JSON of real hubs: its lines have what finds a stream."""

import json
import os
from typing import Any

import psutil

from tests.support.client import Stream
from tests.support.servers import HubProcess, StartHub
from tests.support.tokens import TOKEN_KEY, bearer
from tests.support.waiting import wait_until

JSON = {"LOG_JSON": "1", "LOG_LEVEL": "DEBUG"}


def lines(hub: HubProcess, words: str) -> list[dict[str, Any]]:
    """The lines on standard error that hold these words; each has to be a JSON object."""
    found = [
        line for line in hub.log().splitlines() if not line.startswith(("Relay Hub on", "Try:"))
    ]
    entries = [json.loads(line) for line in found if not line.startswith("warning:")]
    return [entry for entry in entries if words in entry["message"]]


def line(hub: HubProcess, words: str) -> dict[str, Any]:
    return dict(wait_until(lambda: lines(hub, words), words)[0])


def test_a_stream_is_found_by_its_user_its_client_and_its_request(start_hub: StartHub) -> None:
    hub = start_hub(
        **JSON,
        RELAY_CHANNELS="news=signed-in",
        RELAY_TOKEN_KEY=TOKEN_KEY,
        RELAY_TRUSTED_PROXIES="127.0.0.1",
        RELAY_MAX_STREAMS_PER_ADDRESS="5",
    )
    secret = bearer(sub="ann")
    headers = {**secret, "X-Request-ID": "proxy-17", "X-Forwarded-For": "203.0.113.7"}
    path = "/stream/?channel=news&channel=demo_stream"
    with Stream(hub.url, path, last_id="demo_stream=1-1", headers=headers), Stream(hub.url):
        opened = line(hub, " opened.")
        wait_until(lambda: len(lines(hub, " opened.")) == 2, "both are there")
    assert hub.process is not None
    assert opened["message"] == f"Stream {opened['stream']} opened."
    known = {"process": hub.process.pid, "level": "DEBUG", "logger": "relay"}
    ours = {"channels": ["news", "demo_stream"], "user": "ann", "client": "203.0.113.7"}
    assert known.items() | {"request_id": "proxy-17"}.items() <= {
        (name, value) for name, value in opened.items() if name != "channels"
    }
    assert {name: opened[name] for name in ours} == ours
    assert opened.keys() <= {*known, *ours, "time", "message", "stream", "request_id"}
    ended = wait_until(
        lambda: [e for e in lines(hub, " ended.") if e["stream"] == opened["stream"]], "it ended"
    )
    assert {name: ended[0][name] for name in ours} == ours
    [other] = [e for e in lines(hub, " opened.") if e["stream"] != opened["stream"]]
    assert (other["channels"], other["client"]) == (["demo_stream"], "127.0.0.1")
    assert not other.keys() & {"user", "request_id", "worker"}
    assert secret["Authorization"].split()[1] not in hub.log()
    assert "1-1" not in hub.log()


def test_lines_of_workers_and_of_their_parent_have_the_number_of_the_worker(
    start_hub: StartHub,
) -> None:
    hub = start_hub(**JSON, RELAY_WORKERS="2")
    hub.wait_for_log("2 workers")
    assert hub.process is not None
    workers = {worker.pid for worker in psutil.Process(hub.process.pid).children()}
    streams = [Stream(hub.url) for _ in range(12)]
    opened = wait_until(
        lambda: found if len(found := lines(hub, " opened.")) == 12 else None, "all are there"
    )
    numbers = {entry["process"]: entry["worker"] for entry in opened}
    assert numbers.keys() <= workers
    assert set(numbers.values()) <= {1, 2}
    assert len(set(numbers.values())) == len(numbers), "each has its own"
    victim = opened[0]["process"]
    os.kill(victim, 9)
    death = line(hub, "Starting another.")
    assert (death["process"], death["worker"]) == (hub.process.pid, numbers[victim])
    for stream in streams:
        stream.close()


def test_text_lines_are_as_they_were(start_hub: StartHub) -> None:
    hub = start_hub(LOG_LEVEL="DEBUG", LOG_JSON="0")
    with Stream(hub.url, headers={"X-Request-ID": "proxy-17"}):
        hub.wait_for_log(" opened.\n")
    hub.wait_for_log(" ended.\n")
    assert "DEBUG relay: Stream " in hub.log()
    assert "proxy-17" not in hub.log()
