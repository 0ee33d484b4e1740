"""The open streams of a process, and who has how many."""

from typing import Any, cast

import pytest

from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.control.seats import Seats
from relay.engine.stream import Full, Owner, Stream
from relay.engine.streams import Streams
from tests.support.core import HandClock, make_context


class NoPresence:
    def enter(self, names: object, user: str) -> None: ...

    def leave(self, names: object, user: str) -> None: ...


class NoRedis:
    id = "a process"

    async def script(self, name: str, keys: object, arguments: object) -> None:
        raise RedisUnavailable("away", refused=False)


def streams(**limits: int) -> Streams:
    context = make_context(HandClock())
    seats = Seats(limits, cast(Any, NoRedis()), HubKeys("relay"), cast(Any, NoRedis()))
    return Streams(context.settings, cast(Any, NoPresence()), seats, context.stats)


def stream(owner: Owner) -> Stream:
    return Stream(cast(Any, None), cast(Any, None), ("news",), owner, 1)


async def test_a_user_and_a_token_of_the_same_name_have_a_limit_each() -> None:
    here = streams(user=1)
    user, by_token = Owner("8"), Owner("8", by_token=True)
    for owner in (user, by_token):
        await here.take_seat(owner)
        here.add(stream(owner))
        with pytest.raises(Full):
            await here.take_seat(owner)


async def test_a_stream_that_is_removed_makes_room_for_its_owner() -> None:
    here = streams(user=1)
    first = stream(Owner("8"))
    await here.take_seat(first.owner)
    here.add(first)
    here.remove(first)
    assert len(here) == 0
    await here.take_seat(Owner("8"))


async def test_a_seat_that_is_given_back_is_free() -> None:
    here = streams(address=1)
    owner = Owner(address="192.0.2.1")
    await here.take_seat(owner)
    with pytest.raises(Full):
        await here.take_seat(owner)
    here.give_back(owner)
    await here.take_seat(owner)
