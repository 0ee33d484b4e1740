"""A page of a stream channel's past, as its clients get it."""

from collections.abc import Sequence

from relay.conf.catalogue import Target
from relay.feed.entries import Entry
from relay.feed.entry_encoder import EntryEncoder
from relay.feed.stored_feed import RawEntry
from relay.stats import Stats
from relay.wire.position import Position


def decode(target: Target, entries: Sequence[RawEntry]) -> Sequence[Entry]:
    """Returns the messages. Their time is that of their ids."""
    spec = target.spec
    encoder = EntryEncoder(target.name, spec.event_bytes, Stats(), named=spec.envelope)
    found = []
    for identity, words in entries:
        at = Position.of_entry(identity)
        found.append(Entry(at, encoder.encode_entry(words, *at), None, at.epoch))
    return found
