"""What the Python client asks for, how long it waits, and when it has its token renewed; without a hub."""

import time
from email.utils import formatdate
from itertools import pairwise

import pytest

from relay.client.events import Gap, Message
from relay.client.session import Session, StreamRefused
from relay.client.token import Token
from tests.support.tokens import token

URL = "http://127.0.0.1/stream/"
ERROR = ConnectionError("gone")


def begun(piece: bytes, session: Session | None = None) -> Session:
    """A session whose stream has brought this."""
    session = session or Session(URL)
    session.begin("text/event-stream; charset=utf-8")
    assert list(session.events(piece)) == []
    return session


# -- what is asked


def test_channels_and_the_beginning_are_in_the_address_once() -> None:
    session = Session(f"{URL}?channel=a&x=1", query={"rewind": "all"})
    assert session.url == f"{URL}?x=1&channel=a&rewind=all"
    session = Session(f"{URL}?channel=a&x=1", ["b", "o.*"])
    assert session.url == f"{URL}?x=1&channel=b&channel=o.%2A"


def test_the_place_and_the_token_are_in_the_fields() -> None:
    session = begun(b"id: 4-2\n\n")
    assert session.headers("t")["Last-Event-ID"] == "4-2"
    assert session.headers("t")["Authorization"] == "Bearer t"
    assert not {"Last-Event-ID", "Authorization"} & Session(URL).headers(None).keys()


def test_the_place_moves_on_with_each_event_that_is_taken() -> None:
    session = Session(URL)
    session.begin("text/event-stream")
    events = session.events(b"id: 4-2\ndata: a\n\nid: 4-3\ndata: b\n\n")
    assert next(events) == Message("", "4-2", "a")
    assert session.last_event_id == "4-2"


def test_a_gap_without_a_place_keeps_the_last_one() -> None:
    session = begun(b"id: 4-2\n\n")
    session.begin("text/event-stream")
    data = b'{"channel":"c","from":"4-2","to":null,"missed":null,"reason":"new"}'
    [gap] = session.events(b"event: hub.gap\ndata: %b\n\n" % data)
    assert gap == Gap("c", "", "4-2", None, None, "new")
    assert session.last_event_id == "4-2"


@pytest.mark.parametrize("data", [b"[]", b"{}", b"5", b"{"])
def test_a_notice_that_cannot_be_read_is_a_message(data: bytes) -> None:
    session = Session(URL)
    session.begin("text/event-stream")
    [event] = session.events(b"event: hub.gap\ndata: %b\n\n" % data)
    assert event == Message("", "", data.decode(), "hub.gap")


# -- how long it waits


def test_the_first_wait_is_the_hubs_and_then_they_double_with_jitter_up_to_30_s() -> None:
    session = begun(b"retry: 1700\n:heartbeat=15\n\n")
    assert session.ended() == 1.7
    waits = [session.failed(ERROR) for _ in range(20)]
    for number, seconds in enumerate(waits, 1):
        longest = min(1.7 * 2**number, 30.0)
        assert longest / 2 <= seconds <= longest
    assert len(set(waits)) == len(waits)
    assert begun(b":heartbeat=15\n\n", session).failed(ERROR) == 1.7


def test_a_retry_that_is_longer_than_30_s_is_kept() -> None:
    session = begun(b"retry: 60000\n\n")
    assert session.failed(ERROR) == 60.0
    assert 30.0 <= session.failed(ERROR) <= 60.0


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_retry_after_is_the_least(status: int) -> None:
    for text in ("90", formatdate(time.time() + 91, usegmt=True)):
        seconds = [Session(URL).refused(status, {"retry-after": text}, b"") for _ in range(5)]
        assert all(89 <= each <= 137 for each in seconds)
        assert all(one != other for one, other in pairwise(seconds))
    for text in ("", "soon", "-5", formatdate(0)):
        assert Session(URL).refused(status, {"retry-after": text}, b"") == 2.0


@pytest.mark.parametrize("status", [204, 302, 400, 401, 403, 404, 410])
def test_what_would_be_refused_again_is_raised_with_the_words_of_the_hub(status: int) -> None:
    with pytest.raises(StreamRefused, match=rf"^{status}: Not for you$") as raised:
        Session(URL).refused(status, {}, b'{"detail": "Not for you"}')
    assert (raised.value.status, raised.value.detail) == (status, "Not for you")
    with pytest.raises(StreamRefused, match=rf"^{status}: [A-Z]"):
        Session(URL).refused(status, {}, b"<html>")


def test_the_heartbeat_is_what_the_hub_says() -> None:
    assert Session(URL).silence_seconds == 37.5
    session = begun(b"retry: 5\n:heartbeat=0.4\n\n:\nid: 4-2\n\n")
    assert session.silence_seconds == 1.0
    assert begun(b":\n\n", session).silence_seconds == 1.0


# -- tokens


class Issuer:
    """A function that returns tokens that expire after so many seconds, and counts them."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.number = 0

    def __call__(self) -> str:
        self.number += 1
        return token(exp=int(time.time() + self.seconds), number=self.number)


@pytest.mark.parametrize(
    ("life", "heartbeat", "due"), [(600, 15, 570), (600, 0.4, 570), (600, 60, 480), (20, 15, 10)]
)
def test_a_token_is_renewed_two_heartbeats_before_its_end_or_at_half_of_its_life(
    monkeypatch: pytest.MonkeyPatch, life: int, heartbeat: float, due: int
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    issuer = Issuer(life)
    made = Token(issuer)
    first = made.get()
    monkeypatch.setattr(time, "time", lambda: now + due - 2)
    assert not made.renew_if_due(heartbeat)
    assert made.get() == first
    monkeypatch.setattr(time, "time", lambda: now + due + 2)
    assert made.renew_if_due(heartbeat)
    assert made.get() != first
    assert not made.renew_if_due(heartbeat)
    assert issuer.number == 2


def test_a_token_that_expired_between_two_requests_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer = Issuer(600)
    made = Token(issuer)
    first, now = made.get(), time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1000)
    assert made.get() != first


def test_a_token_that_came_expired_is_not_asked_for_again_and_again() -> None:
    issuer = Issuer(-50)
    made = Token(issuer)
    assert made.get() == made.get()
    assert not made.renew_if_due(15)
    assert made.rejected()
    made.get()
    assert issuer.number == 2
    assert not made.rejected()


@pytest.mark.parametrize("source", [None, "a text", "a.b.c", token(iat=0, exp=1)])
def test_a_token_that_is_given_is_never_renewed(source: str | None) -> None:
    made = Token(source)
    assert not made.renew_if_due(15)
    assert not made.rejected()
    assert made.get() == source


@pytest.mark.parametrize(
    "text", ["", "opaque", "a.b.c", "a.bnVsbA.c", "a.e30.c", "a.\u00e9.c", None]
)
def test_a_token_that_does_not_say_when_it_expires_is_kept(text: str | None) -> None:
    made = Token(lambda: text)
    assert made.get() == text
    assert not made.renew_if_due(15)
