"""The open streams of a process, and who has how many."""

from typing import Any, cast

import pytest

from relay.engine.stream import Full, Owner, Stream
from relay.engine.streams import Streams
from tests.support.core import HandClock, make_context


class NoPresence:
    def enter(self, names: object, user: str) -> None: ...

    def leave(self, names: object, user: str) -> None: ...


def streams(**limits: int) -> Streams:
    context = make_context(HandClock(), **limits)
    return Streams(context.settings, cast(Any, NoPresence()), context.stats)


def stream(owner: Owner) -> Stream:
    return Stream(cast(Any, None), cast(Any, None), ("news",), owner)


def test_a_user_and_a_token_of_the_same_name_have_a_limit_each() -> None:
    here = streams(max_streams_per_user=1)
    user, by_token = Owner("8"), Owner("8", by_token=True)
    for owner in (user, by_token):
        here.check_room(owner)
        here.add(stream(owner))
        with pytest.raises(Full):
            here.check_room(owner)


def test_a_stream_that_is_removed_makes_room_for_its_owner() -> None:
    here = streams(max_streams_per_user=1)
    first = stream(Owner("8"))
    here.add(first)
    here.remove(first)
    here.check_room(Owner("8"))
    assert len(here) == 0
