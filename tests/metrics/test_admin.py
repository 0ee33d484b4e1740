"""The server of the admin address: what it answers, and that nobody can hold it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay import tasks
from relay.conf.addresses import Address
from relay.metrics import admin
from relay.metrics.admin import AdminServer
from relay.metrics.host import Host, View
from relay.metrics.request import BadRequest, parse_request
from relay.metrics.table import BUILD
from tests.support.metrics import Samples
from tests.support.servers import free_port
from tests.support.waiting import until

VALUES = {BUILD: {"version": "1", "python": "3"}, "relay_channels": 5}


class Stage:
    """An admin server of two workers, and what it was asked."""

    def __init__(self) -> None:
        self.address = Address("127.0.0.1", free_port())
        self.asked: list[View] = []
        self.error: Exception | None = None
        self.server = AdminServer(self.address, self.collect)
        self.task = asyncio.create_task(self.server.run())

    async def collect(self, view: View) -> Host:
        self.asked.append(view)
        if self.error:
            raise self.error
        return Host({"1": VALUES, "draining-77": VALUES}, silent=1, deaths=2)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address)

    async def ask(self, request: bytes) -> bytes:
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(), 15)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def status(self, request: bytes) -> int:
        return int((await self.ask(request)).split()[1])

    async def listens(self) -> bool:
        try:
            _, writer = await self.connect()
        except OSError:
            return False
        writer.close()
        return True


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await until(stage.listens)
    yield stage
    async with asyncio.timeout(5):
        await tasks.end([stage.task])
    assert not stage.server._connections


GET = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\n\r\n"


async def test_all_workers_are_one_answer_with_a_label_each(stage: Stage) -> None:
    head, _, body = (await stage.ask(GET)).partition(b"\r\n\r\n")
    found = Samples(body.decode())
    assert found.by("worker", "relay_channels") == {"1": 5, "draining-77": 5}
    assert found.by("state", "relay_workers") == {"answering": 2, "silent": 1}
    assert found.sum("relay_worker_deaths_total") == 2
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert fields[b"Content-Length"] == b"%d" % len(body)
    assert fields[b"Connection"] == b"close"
    assert fields[b"Cache-Control"] == b"no-store"


async def test_head_is_the_answer_without_its_body(stage: Stage) -> None:
    whole = await stage.ask(GET)
    head = await stage.ask(GET.replace(b"GET", b"HEAD"))
    assert whole.startswith(head)
    assert head.endswith(b"\r\n\r\n")
    assert len(whole) - len(head) == int(head.split(b"Content-Length: ")[1].split()[0])


async def test_details_are_json(stage: Stage) -> None:
    answer = await stage.ask(GET.replace(b"metrics", b"details?pretty"))
    said = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (said["silent"], said["deaths"], list(said["workers"])) == (1, 2, ["1", "draining-77"])
    assert stage.asked == [View.DETAILS]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET http://x/metrics HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nHost: [::1]:9464\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nHost: hub.example.org\r\n\r\n", 421),
        (b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1.example.org:9464\r\n\r\n", 421),
        (b"GET /metrics HTTP/1.1\r\nHost: [::1\r\n\r\n", 421),
        (b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: x\r\n\r\n", 421),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde", 405),
        (b"DELETE / HTTP/1.1\r\n\r\n", 405),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET /metrics HTTP/2\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\na: b\r\n folded\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\na\0: b\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\na: " + b"b" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /metrics HTTP/1.1\r\na: " + b"b" * 200_000, 431),
    ],
)
async def test_a_bad_request_gets_a_clear_answer(
    stage: Stage, request_bytes: bytes, status: int
) -> None:
    answer = await stage.ask(request_bytes)
    assert int(answer.split()[1]) == status
    assert (b"Allow: GET, HEAD\r\n" in answer) == (status == 405)
    assert await stage.status(GET) == 200


@given(head=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=500)
def test_any_bytes_are_a_request_or_a_bad_one(head: bytes) -> None:
    for text in (head, b"GET " + head, b"GET /metrics HTTP/1.1\r\n" + head):
        try:
            request = parse_request(text + b"\r\n\r\n")
        except BadRequest:
            continue
        assert request.method in {"GET", "HEAD"}
        assert request.names_loopback in {True, False}


async def test_a_request_that_does_not_come_is_408_and_one_that_ends_is_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "HEAD_SECONDS", 0.1)
    assert await stage.status(b"GET /metrics HTTP/1.1\r\nHost") == 408
    reader, writer = await stage.connect()
    writer.write(b"GET ")
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_a_client_that_does_not_read_is_cut(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "WRITE_SECONDS", 0.1)
    _, writer = await stage.connect()
    writer.write(GET)
    await until(lambda: stage.asked)
    await until(lambda: not stage.server._connections)  # it had not closed its side either
    writer.close()


async def test_over_the_bound_of_connections_one_more_is_closed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(lambda: not stage.server._connections)
    idle = [await stage.connect() for _ in range(admin.MAX_CONNECTIONS)]
    await until(lambda: len(stage.server._connections) == admin.MAX_CONNECTIONS)
    reader, writer = await stage.connect()
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    for _, each in idle:
        each.close()
    await until(lambda: not stage.server._connections)
    assert await stage.status(GET) == 200


async def test_who_asks_all_the_time_gets_the_answer_of_a_moment_ago(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "FRESH_SECONDS", 3600.0)
    answers = await asyncio.gather(*(stage.ask(GET) for _ in range(10)))
    assert len(set(answers)) == 1
    assert stage.asked == [View.METRICS]


async def test_a_bug_costs_one_answer(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.error = LookupError("a bug")
    assert await stage.ask(GET) == b""
    assert [r.getMessage() for r in caplog.records] == [
        "An answer of the admin address failed; this is a bug."
    ]
    stage.error = None
    assert await stage.status(GET) == 200


async def test_an_address_that_is_taken_is_one_warning_until_it_can_be_had(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "relay")
    monkeypatch.setattr(admin, "RETRY_SECONDS", 0.01)
    second = AdminServer(stage.address, stage.collect)
    task = asyncio.create_task(second.run())
    await until(lambda: caplog.records)
    await asyncio.sleep(0.05)  # some attempts
    await tasks.end([stage.task])
    await until(lambda: len(caplog.records) > 1)
    warning, information = (record.getMessage() for record in caplog.records)
    shown = stage.address.shown
    assert warning.startswith(f"The metrics cannot be served at {shown}: ")
    assert "address already in use" in warning
    assert information == f"The metrics are served at {shown}."
    assert await stage.status(GET) == 200
    await tasks.end([task])
