"""What a request must pass before it gets a stream, and what the answers carry."""

import time
from collections.abc import Iterator
from unittest import mock

import pytest
from django.db import DatabaseError
from pytest_django import Settings

from relay import conf
from relay.access import entrance, threads
from relay.access.problem import Problem
from relay.feed.start import After, Rewind
from relay.http import admission
from relay.http.admission import Admitted, admit
from relay.http.answer import STREAM_HEADERS, Answer, TurnedAway
from relay.http.query import parse_starts
from relay.wire.position import Position
from tests.support.tokens import TOKEN_KEY

ORIGIN = b"https://app.example.com"
CORS = [
    (b"Access-Control-Allow-Origin", ORIGIN),
    (b"Access-Control-Allow-Credentials", b"true"),
    (b"Access-Control-Expose-Headers", b"Idempotency-Replayed, Retry-After"),
    (b"Vary", b"Origin"),
]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["hub"]
    settings.RELAY_CHANNELS = {"news": {"access": "public"}, "desk": {"access": "signed-in"}}
    settings.RELAY_ALLOWED_ORIGINS = ORIGIN.decode()
    settings.RELAY_TOKEN_KEY = TOKEN_KEY


async def ask(
    *headers: tuple[bytes, bytes],
    query: bytes = b"channel=news",
    method: str = "GET",
    host: bytes = b"hub",
) -> Admitted | Answer:
    fields = [(b"host", host), *headers]
    scope = {"type": "http", "method": method, "headers": fields, "query_string": query}
    return await admit(scope, conf.load(), conf.load_catalogue())


async def refused(*headers: tuple[bytes, bytes], **request: object) -> Problem:
    with pytest.raises(Problem) as problem:
        await ask(*headers, **request)  # type: ignore[arg-type]
    return problem.value


async def test_a_client_is_admitted_with_all_that_it_asks_for() -> None:
    admitted = await ask(
        (b"origin", ORIGIN), (b"accept", b"text/event-stream"), query=b"channel=news&rewind=5"
    )
    assert isinstance(admitted, Admitted)
    assert admitted.headers == CORS
    assert admitted.names_event_streams
    assert admitted.admission.starts == {"news": Rewind(5)}
    assert (admitted.admission.latest_seconds, admitted.admission.ends_at) == (None, None)


async def test_a_last_event_id_is_read_from_its_field() -> None:
    admitted = await ask((b"last-event-id", b"5-3"))
    assert isinstance(admitted, Admitted)
    assert admitted.admission.starts == {"news": After(Position(5, 3))}


async def test_two_host_fields_are_no_host() -> None:
    assert (await refused((b"host", b"hub"))).status == 400
    assert (await refused((b"host", b"evil"))).status == 400
    assert (await refused(host=b"evil")).status == 400


async def test_two_origins_are_no_origin() -> None:
    assert (await refused((b"origin", ORIGIN), (b"origin", ORIGIN))).status == 403


async def test_a_preflight_and_a_head_are_answers_that_a_page_can_read() -> None:
    answer = await ask((b"origin", ORIGIN), method="OPTIONS")
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers[0] == (b"Allow", admission.METHODS)
    assert list(answer.headers[-len(CORS) :]) == CORS
    assert await ask((b"origin", ORIGIN), method="HEAD") == Answer(200, [*STREAM_HEADERS, *CORS])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        ("POST", b"", 405),
        ("GET", b"channel=nothing", 404),
        ("GET", b"rewind=x", 400),
        ("GET", b"&".join([b"a=1"] * 101), 400),
        ("GET", b"channel=desk", 401),
        ("GET", b"channel=desk&token=nonsense", 401),
    ],
)
async def test_every_refusal_can_be_read_by_the_page_that_asked(
    method: str, query: bytes, status: int
) -> None:
    problem = await refused((b"origin", ORIGIN), method=method, query=query)
    assert problem.status == status
    assert list(problem.headers[-len(CORS) :]) == CORS
    answer = Answer.refusal(problem)
    assert (b"Content-Length", str(len(answer.body)).encode()) in answer.headers


@pytest.fixture
def broken_users() -> Iterator[None]:
    with mock.patch.object(entrance, "session_viewer", side_effect=DatabaseError("gone")):
        yield


@pytest.mark.django_db
@pytest.mark.parametrize("accept", [b"text/event-stream", b"*/*"])
async def test_who_cannot_be_identified_is_turned_away_in_a_form_the_page_can_read(
    broken_users: None, accept: bytes
) -> None:
    with pytest.raises(TurnedAway) as turned_away:
        await ask((b"origin", ORIGIN), (b"accept", accept), query=b"channel=desk")
    answer = turned_away.value.answer(b"retry: 7\n\n", 1500)
    assert set(CORS) <= set(answer.headers)
    if accept == b"*/*":
        assert answer.status == 503
        assert (b"Retry-After", b"1") in answer.headers
        assert b"You cannot be identified now." in answer.body
    else:
        assert answer == Answer(200, [*STREAM_HEADERS, *CORS], b"retry: 7\n\n")


async def test_who_asked_for_it_reads_why_it_is_turned_away(broken_users: None) -> None:
    with pytest.raises(TurnedAway) as turned_away:
        await ask(query=b"channel=desk&errors=stream")
    answer = turned_away.value.answer(b"retry: 7\n\n", 1500)
    assert answer.status == 200
    assert answer.body.startswith(b"retry: 7\n\nevent: hub.error\ndata: {")
    assert b"You cannot be identified now." in answer.body


@pytest.mark.django_db
async def test_connections_to_the_database_that_broke_are_closed_before_and_after() -> None:
    """Outside of Django's requests nobody else does: one restart would refuse everybody for ever."""
    with mock.patch.object(threads, "close_old_connections") as close:
        await ask()
        await refused(query=b"channel=desk&token=nonsense")
        assert close.call_count == 0  # neither a public channel nor a token needs the database
        await refused((b"cookie", b"sessionid=x"), query=b"channel=desk")
        assert close.call_count == 2


@pytest.mark.parametrize("text", ["2026-" + "T" * 60_000, "2026-T" + " " * 60_000, "1" * 60_000])
def test_a_time_of_any_length_is_read_in_no_time(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ValueError, match="since is not valid"):
        parse_starts(["a"], None, {"since": [text]}, 0)
    assert time.process_time() - start < 0.5
