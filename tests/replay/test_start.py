"""Where a client asks its stream to start: whatever it sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.feed.start import After, Live, Rewind, Since, Start
from relay.http.query import parse_query, parse_starts
from relay.wire.position import Position

NOW = 1_800_000_000_000


def parse_start(header: bytes | None, query: bytes, now_ms: int) -> Start:
    return parse_starts(["a"], header, parse_query(query), now_ms)["a"]


def test_an_id_of_several_channels_gives_each_its_own_place() -> None:
    def starts(names: str, text: bytes) -> dict[str, Start]:
        return dict(parse_starts(list(names), text, {}, NOW))

    assert starts("ab", b"@=b&b=5-3&a=4-1") == {
        "a": After(Position(4, 1)),
        "b": After(Position(5, 3)),
    }
    assert starts("ac", b"@=b&b=5-3&a=4-1") == {"a": After(Position(4, 1)), "c": Live()}
    assert starts("b", b"@=b&b=5-3&a=4-1") == {"b": After(Position(5, 3))}
    assert starts("ab", b"5-3") == {"a": After(Position(5, 3)), "b": Live()}
    assert starts("ab", b"junk") == {"a": After(None), "b": After(None)}
    assert starts("ab", b"a=junk&b=5-3") == {"a": After(None), "b": After(Position(5, 3))}


def test_a_channel_that_the_id_does_not_name_starts_where_the_query_says() -> None:
    def starts(text: bytes) -> dict[str, Start]:
        return dict(parse_starts(list("ab"), text, {"rewind": ["7"]}, NOW))

    assert starts(b"@=a&a=4-1") == {"a": After(Position(4, 1)), "b": Rewind(7)}
    assert starts(b"4-1") == {"a": After(Position(4, 1)), "b": Rewind(7)}
    assert starts(b"a=4-1&b=5-3") == {"a": After(Position(4, 1)), "b": After(Position(5, 3))}
    assert starts(b"junk") == {"a": After(None), "b": After(None)}


@pytest.mark.parametrize(
    ("header", "query", "start"),
    [
        (None, b"", Live()),
        (b"", b"", Live()),
        (b"5-3", b"", After(Position(5, 3))),
        (None, b"last_event_id=5-3", After(Position(5, 3))),
        (b"5-3", b"last_event_id=9-9", After(Position(5, 3))),
        (b"junk", b"last_event_id=9-9", After(None)),
        (b"5-3", b"rewind=5", After(Position(5, 3))),
        (None, b"last_event_id=&rewind=2", Rewind(2)),
        (None, b"lastEventId=5-3&rewind=2", After(Position(5, 3))),
        (None, b"lastEventID=5-3", After(Position(5, 3))),
        (None, b"rewind=all", Rewind(None)),
        (None, b"rewind=0", Live()),
        (None, b"since=10m", Since(NOW - 600_000)),
        (None, b"since=45s", Since(NOW - 45_000)),
        (None, b"since=2h", Since(NOW - 7_200_000)),
        (None, b"since=999999999d", Since(0)),
        (None, b"since=1732400000123", Since(1_732_400_000_123)),
        (None, b"since=2026-11-24T08:15:00Z", Since(1_795_508_100_000)),
        (None, b"since=2026-11-24T09:15:00%2B01:00", Since(1_795_508_100_000)),
        (None, b"since=2026-11-24T09:15:00+01:00", Since(1_795_508_100_000)),
        (None, b"since=2026-11-24T08:15:00.250", Since(1_795_508_100_250)),
        (None, b"since=2026-11-24", Since(1_795_478_400_000)),
        (None, b"other=1", Live()),
    ],
)
def test_a_request_is_read_as_its_start(header: bytes | None, query: bytes, start: Start) -> None:
    assert parse_start(header, query, NOW) == start


@pytest.mark.parametrize(
    "text",
    [
        b"1",
        b"-",
        b"1-",
        b"-1",
        b"0-1",
        b"01-1",
        b"1-01",
        b"1-1 ",
        b" 1-1",
        b"1-1\n",
        b"1-1\0",
        b"1--1",
    ]
    + [b"a-b", b"1-1-1", b"\xd9\xa1-1", b"9" * 17 + b"-1", b"1-" + b"9" * 17, b"1-1" * 100_000]
    + [b"1,1", b"1.0-1", b"+1-1", b"1e3-1", b"\xff\xfe", b"'; DROP", b"$", b"*", b"+"],
)
def test_an_id_that_is_no_position_is_unknown(text: bytes) -> None:
    assert parse_start(text, b"", NOW) == After(None)


@pytest.mark.parametrize(
    "query",
    [b"rewind=x", b"rewind=-1", b"rewind=1.5", b"rewind=9999999999", b"rewind=%00"]
    + [
        b"since=yesterday",
        b"since=10",
        b"since=10w",
        b"since=2026-13-01",
        b"since=-5m",
        b"since=%ff",
    ]
    + [b"since=9999-99-99T00:00:00Z", b"since=" + b"1" * 30, b"&".join([b"a=1"] * 200)],
)
def test_an_unreadable_request_is_refused_without_repeating_it(query: bytes) -> None:
    if query == b"since=10":
        assert parse_start(None, query, NOW) == Since(10)
        return
    with pytest.raises(ValueError) as error:  # noqa: PT011
        parse_start(None, query, NOW)
    assert len(str(error.value)) < 200


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_anything_else_never_raises_another_error(header: bytes, query: bytes) -> None:
    try:
        parse_start(header, query, NOW)
    except ValueError:
        assert not header


@given(st.integers(1, 10**15), st.integers(0, 10**15))
def test_every_position_is_read_back(epoch: int, offset: int) -> None:
    position = Position(epoch, offset)
    assert Position.parse(str(position)) == position
