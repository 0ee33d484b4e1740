"""The ring: bounds, indices, counts."""

from hypothesis import given
from hypothesis import strategies as st

from relay.feed.ring import Ring


def filled(number: int, entries: int = 1000, size: int = 1000) -> Ring:
    ring = Ring(entries, size)
    for n in range(number):
        ring.append(b"%d" % (n % 10), n + 1, n)
    return ring


def test_it_keeps_the_newest_entries_under_their_indices() -> None:
    ring = filled(25, entries=10)
    assert (ring.start, ring.end, ring.dropped, ring.size_bytes) == (15, 25, 15, 10)
    assert ring.join(15, 25) == b"5678901234"
    assert ring.join(20, 22) == b"01"


def test_it_is_bounded_in_bytes_but_keeps_the_newest() -> None:
    ring = Ring(1000, 10)
    for n, frame in enumerate([b"aaaa", b"bbbb", b"cccc", b"d" * 50], start=1):
        ring.append(frame, n, n)
        assert ring.size_bytes <= 10 or ring.end - ring.start == 1
    assert ring.join(ring.start, ring.end) == b"d" * 50


def test_count_at_counts_messages_not_entries() -> None:
    ring = Ring(3, 1000)
    for frame, count in [(b"m", 1), (b":", 1), (b"m", 2), (b":", 2), (b"m", 3)]:
        ring.append(frame, count, 0)
    assert [ring.count_at(i) for i in range(ring.start, ring.end + 1)] == [1, 2, 2, 3]
    assert ring.dropped == 1


def test_reach_takes_as_much_as_fits_and_one_entry_at_the_least() -> None:
    ring = Ring(10, 1000)
    for n, frame in enumerate([b"aaa", b"bbb", b"c" * 90, b"d"], start=1):
        ring.append(frame, n, n)
    assert [ring.reach(0, n) for n in (1, 3, 5, 6, 95, 96, 1000)] == [1, 1, 1, 2, 2, 3, 4]
    assert ring.reach(2, 10) == 3
    assert ring.reach(4, 10) == 4


def test_crowded_says_when_half_of_the_ring_waits() -> None:
    ring = filled(10, entries=10)
    assert not ring.crowded(5)
    assert ring.crowded(4)
    wide = filled(10, entries=1000, size=10)
    assert not wide.crowded(5)
    assert wide.crowded(4)


@given(st.lists(st.tuples(st.binary(max_size=20), st.booleans()), max_size=200), st.integers(1, 20))
def test_it_equals_a_plain_list(entries: list[tuple[bytes, bool]], bound: int) -> None:
    ring, count = Ring(bound, 60), 0
    counts = [0]
    for frame, is_message in entries:
        count += is_message
        counts.append(count)
        ring.append(frame, count, 0)
        assert ring.end - ring.start <= bound
    assert ring.end == len(entries)
    kept = entries[ring.start :]
    assert ring.join(ring.start, ring.end) == b"".join(frame for frame, _ in kept)
    assert ring.size_bytes == sum(len(frame) for frame, _ in kept)
    assert ring.added_bytes == sum(len(frame) for frame, _ in entries)
    assert [ring.count_at(i) for i in range(ring.start, ring.end + 1)] == counts[ring.start :]
    assert ring.dropped == counts[ring.start]
