"""A stream channel in memory: ids of entries as positions, their places in the ring, and what is missing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.feed import stored_timeline
from relay.feed.entry_encoder import EntryEncoder
from relay.feed.ring import Ring
from relay.feed.stored_feed import StoredFeed
from relay.stats import Stats
from relay.wire.notices import GapReason
from relay.wire.position import MAX_PART, Position


def make_feed(entries: int = 100, *, named: bool = False) -> StoredFeed:
    stats = Stats()
    encoder = EntryEncoder("c", 1_000_000, stats, named=named)
    return StoredFeed("c", Ring(entries, 1_000_000), encoder, stats)


def add(feed: StoredFeed, *ids: str) -> None:
    feed.receive([(identity.encode(), [b"data", identity.encode()]) for identity in ids])


def rest_after(feed: StoredFeed, identity: str) -> list[str] | None:
    """What a client at this id gets from the ring; a gap is `gap`."""
    position = Position.parse_entry(identity)
    assert position is not None
    place = feed.timeline.find(position)
    if place is None:
        return None
    frames = [item.frame.decode() for item in feed.ring.items(place.cursor, feed.ring.end)]
    return ["gap" if "hub.gap" in frame else frame.split("data: ")[1].strip() for frame in frames]


def gaps(feed: StoredFeed) -> list[dict[str, object]]:
    frames = [item.frame for item in feed.ring.items(feed.ring.start, feed.ring.end)]
    return [json.loads(frame.split(b"data: ")[1]) for frame in frames if b"hub.gap" in frame]


def test_an_entry_has_its_own_id_and_a_client_continues_after_any_id() -> None:
    feed = make_feed()
    feed.begin(Position(5, 0))
    add(feed, "5-1", "7-0", "7-18446744073709551615", "9-0")
    assert feed.timeline.position == (9, 0)
    assert rest_after(feed, "5-0") == ["5-1", "7-0", "7-18446744073709551615", "9-0"]
    assert rest_after(feed, "6-3") == ["7-0", "7-18446744073709551615", "9-0"]
    assert rest_after(feed, "7-1") == ["7-18446744073709551615", "9-0"]
    assert rest_after(feed, "9-0") == []
    for unknown in ("4-9", "9-1"):
        assert rest_after(feed, unknown) is None


def test_after_a_gap_a_client_before_it_is_told_and_one_after_it_is_not() -> None:
    feed = make_feed()
    feed.begin(Position(0, 0))
    add(feed, "1-0", "2-0")
    feed.skip_to(Position(5, 0).predecessor, 3, GapReason.EXPIRED)
    add(feed, "5-0")
    assert rest_after(feed, "2-0") == ["gap", "5-0"]
    assert rest_after(feed, f"4-{MAX_PART}") == ["5-0"]
    assert rest_after(feed, "3-0") is None
    [gap] = gaps(feed)
    assert (gap["from"], gap["to"], gap["missed"]) == ("2-0", f"4-{MAX_PART}", 3)
    assert feed.timeline.distance(Position(1, 0), Position(5, 0)) is None


def test_a_stream_that_begins_anew_has_smaller_ids() -> None:
    feed = make_feed()
    feed.begin(Position(0, 0))
    add(feed, "100-0", "200-0")
    feed.restart(Position(0, 0))
    assert feed.timeline.position == (0, 0)
    add(feed, "1-0")
    assert feed.timeline.position == (1, 0)
    assert rest_after(feed, "0-0") == ["1-0"]
    assert rest_after(feed, "100-0") == ["200-0", "1-0"]
    assert feed.timeline.has(Position(100, 0))
    assert not feed.timeline.has(Position(0, 5))


def test_the_distance_of_ids_that_have_left_the_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_timeline, "KEPT_POSITIONS", 50)
    feed = make_feed(entries=10)
    feed.begin(Position(0, 0))
    for number in range(1, 1001):
        add(feed, f"{number}-0")
    timeline = feed.timeline
    assert rest_after(feed, "989-0") is None
    assert rest_after(feed, "990-0") == [f"{n}-0" for n in range(991, 1001)]
    assert timeline.distance(Position(950, 0), Position(1000, 0)) == 50
    assert timeline.distance(Position(3, 0), Position(1000, 0)) is None
    assert len(timeline._parts[0]) <= 10 + 4 * 50


def test_how_many_entries_there_ever_were_is_known_back_to_the_last_gap() -> None:
    feed = make_feed()
    feed.begin(Position(0, 0))
    add(feed, "1-0", "2-0", "3-0")
    assert feed.timeline.added_at(Position(3, 0)) is None
    feed.timeline.note_added(10, None)
    assert [feed.timeline.added_at(Position(n, 0)) for n in (1, 3)] == [(8, None), (10, None)]
    add(feed, "4-0")
    assert feed.timeline.added_at(Position(4, 0)) == (11, None)
    feed.skip_to(Position(6, 0), None, GapReason.RESET)
    assert feed.timeline.added_at(Position(6, 0)) is None
    feed.timeline.note_added(None, None)
    assert feed.timeline.added_at(Position(6, 0)) is None


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), unique=True, max_size=40),
    st.integers(1, 40),
    st.integers(0, 31),
    st.integers(0, 4),
)
def test_a_place_is_right_for_every_id(
    ids: list[tuple[int, int]], room: int, ms: int, number: int
) -> None:
    feed = make_feed(entries=room)
    feed.begin(Position(0, 0))
    kept = sorted(ids)[1:] if (0, 0) in ids else sorted(ids)
    add(feed, *(f"{a}-{b}" for a, b in kept))
    after = [f"{a}-{b}" for a, b in kept if (a, b) > (ms, number)]
    newest = kept[-1] if kept else (0, 0)
    known = (ms, number) <= newest and len(after) <= room
    if kept and (ms, number) < kept[0]:  # it may be an id of another stream
        known = known and (ms, number) in {(0, 0), Position(*kept[0]).predecessor}
    assert rest_after(feed, f"{ms}-{number}") == (after if known else None)


def event_of(words: list[bytes], *, named: bool = False) -> str:
    feed = make_feed(named=named)
    feed.begin(Position(0, 0))
    feed.receive([(b"1-0", words)])
    [item] = feed.ring.items(feed.ring.start, feed.ring.end)
    return item.frame.decode().removeprefix("id: 1-0\n")


@pytest.mark.parametrize(
    ("words", "event"),
    [
        ([b"data", b"x"], "data: x\n\n"),
        ([b"more", b"1", b"data", b"x", b"data", b"y"], "data: x\n\n"),
        ([b"a", b"1", b"b", b"2", b"a", b"3"], 'data: {"a":"1","b":"2"}\n\n'),
        ([b"event", b"e", b"data", b"x"], "data: x\n\n"),
        ([b"event", b"e"], 'data: {"event":"e"}\n\n'),
        ([b"data", b'{"event":"e","data":"x"}'], 'data: {"event":"e","data":"x"}\n\n'),
        ([b"a", b"1\nid: 5"], 'data: {"a":"1\\nid: 5"}\n\n'),
        ([b"data", b"1\nid: 5"], "data: 1\ndata: id: 5\n\n"),
    ],
)
def test_the_fields_of_an_entry(words: list[bytes], event: str) -> None:
    assert event_of(words) == event


@pytest.mark.parametrize(
    ("words", "event"),
    [
        ([b"event", b"e", b"data", b"x"], "event: e\ndata: x\n\n"),
        ([b"retry", b"500", b"data", b"x"], "retry: 500\ndata: x\n\n"),
        ([b"event", b"hub.gap", b"retry", b"-1", b"data", b"x"], "data: x\n\n"),
        ([b"event", b"a\nid: 5", b"retry", b"9" * 30, b"data", b"x"], "data: x\n\n"),
        ([b"event", b"\xff", b"retry", b"\xb2", b"data", b"x"], "data: x\n\n"),
        ([b"event", b"e", b"a", b"1"], 'event: e\ndata: {"a":"1"}\n\n'),
        ([b"data", b'{"event":"e","data":"x"}'], 'data: {"event":"e","data":"x"}\n\n'),
    ],
)
def test_the_fields_of_an_entry_that_may_name_its_event(words: list[bytes], event: str) -> None:
    assert event_of(words, named=True) == event


def test_an_entry_over_the_limit_is_announced() -> None:
    stats = Stats()
    feed = StoredFeed("c", Ring(9, 10_000), EntryEncoder("c", 256, stats), stats)
    feed.begin(Position(0, 0))
    feed.receive([(b"1-0", [b"data", b"x" * 300])])
    [item] = feed.ring.items(0, 1)
    assert b'hub.oversize\ndata: {"channel":"c","id":"1-0","bytes":308' in item.frame
    assert stats.oversize == 1


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("0-0", (0, 0)),
        ("18446744073709551615-18446744073709551615", (MAX_PART, MAX_PART)),
        ("18446744073709551616-0", None),
        ("0-18446744073709551616", None),
        ("01-0", None),
        ("1", None),
        ("1-0\n", None),
        ("\u0661-0", None),
    ],
)
def test_the_text_of_an_id(text: str, position: tuple[int, int] | None) -> None:
    assert Position.parse_entry(text) == position


def test_the_id_before_another_one() -> None:
    assert Position(5, 1).predecessor == (5, 0)
    assert Position(5, 0).predecessor == (4, MAX_PART)
