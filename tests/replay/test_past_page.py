"""What a page of the past tells: each message once and each gap once, as a resuming stream has them."""

from hypothesis import given
from hypothesis import strategies as st

from relay.feed.entries import Entry, Run
from relay.history.history import Page
from relay.replay.gaps import gap_before
from relay.replay.past_page import told
from relay.wire.notices import Gap, GapReason
from relay.wire.position import Position
from tests.simulation.history import Stream


def message(epoch: int, offset: int) -> Entry:
    return Entry(Position(epoch, offset), b"data: x\n\n", None, 1)


def boundary(epoch: int, previous: Position | None = None) -> Entry:
    return Entry(Position(epoch, 0), None, previous, 1)


def page(entries: list[Entry], before: Position | None, number: int) -> Page:
    """As the script reads it."""
    older = [e for e in entries if before is None or e.position < before]
    later = [e for e in entries if before is not None and e.position >= before]
    texts = [n for n, entry in enumerate(older) if entry.event is not None]
    first = texts[-number] if len(texts) > number else 0
    return Page(older[first:], later[0] if later else None, more=len(texts) > number)


def test_missing_offsets_are_counted() -> None:
    items = told("c", Page([message(5, 1), message(5, 4)], None, more=False), None)
    gap = Gap("c", Position(5, 1), Position(5, 3), 2, GapReason.EXPIRED)
    assert items == [message(5, 1), gap, message(5, 4)]


def test_a_boundary_that_is_linked_is_no_gap_and_one_that_is_not_is() -> None:
    entries = [message(5, 1), boundary(6, Position(5, 1)), message(6, 1), boundary(7)]
    gap = Gap("c", Position(6, 1), Position(7, 0), None, GapReason.UNHEARD)
    assert told("c", Page(entries, None, more=False), None) == [message(5, 1), message(6, 1), gap]


def test_what_is_missing_up_to_the_position_before_which_is_read_is_told() -> None:
    entries = [message(5, 1), message(5, 2)]
    followed = Page(entries, message(5, 5), more=False)
    gap = Gap("c", Position(5, 2), Position(5, 4), 2, GapReason.EXPIRED)
    assert told("c", followed, Position(5, 5))[-1] == gap
    within = Gap("c", Position(5, 2), Position(5, 3), 1, GapReason.EXPIRED)
    assert told("c", followed, Position(5, 4))[-1] == within
    assert told("c", followed, Position(5, 3)) == entries


def test_what_is_not_stored_yet_is_told_as_not_available() -> None:
    unstored = Page([message(5, 2)], None, more=False)
    assert told("c", unstored, Position(5, 3)) == [message(5, 2)]
    assert told("c", unstored, Position(5, 9))[-1] == Gap(
        "c", Position(5, 2), Position(5, 8), 6, GapReason.HISTORY_UNAVAILABLE
    )
    assert told("c", unstored, Position(6, 1))[-1] == Gap(
        "c", Position(5, 2), Position(6, 0), None, GapReason.HISTORY_UNAVAILABLE
    )
    assert told("c", Page([], None, more=False), Position(6, 1)) == []


runs = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 6), st.integers(1, 4), st.booleans(), st.booleans())
)


@given(runs, st.integers(1, 4))
def test_pages_together_are_what_a_stream_from_the_first_entry_on_gets(
    made: list[tuple[int, int, int, bool, bool]], number: int
) -> None:
    stream = Stream(lambda: 1)
    for epoch, offset, length, linked, force in made:
        events = [(1, b"x") for _ in range(length)]
        previous = stream.newest() if linked else None
        run = Run(Position(epoch, offset), previous, events)
        stream.append(run, force=force, size=100, keep_ms=1000)
    entries = [
        Entry(e.position, b"data: x\n\n" if e.event is not None else None, e.previous, 1)
        for e in stream.entries
    ]
    # A page begins with a message: what precedes the first message is not told.
    while entries and entries[0].event is None:
        del entries[0]
    while entries and entries[-1].event is None:
        del entries[-1]
    expected: list[Entry | Gap] = []
    for n, entry in enumerate(entries):
        gap = gap_before("c", entries[n - 1].position, entry) if n else None
        expected += [gap] if gap else []
        expected += [entry] if entry.event is not None else []
    pages: list[Entry | Gap] = []
    before = None
    while True:
        found = page(entries, before, number)
        items = told("c", found, before)
        pages = [*items, *pages]
        if not found.more:
            break
        assert isinstance(items[0], Entry)
        before = items[0].position
    assert pages == expected
