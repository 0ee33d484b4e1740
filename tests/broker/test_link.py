"""The link: whether it is live, and calls that are never missed."""

import asyncio

import pytest

from relay.broker.link import WORDS, Link


def test_it_is_live_between_restored_and_lost() -> None:
    link = Link()
    assert not link.live
    link.restored()
    assert link.live
    link.lost()
    assert not link.live


async def test_each_call_is_heard_once_also_one_that_came_before() -> None:
    link = Link()
    link.call()
    link.call()
    async with asyncio.timeout(1):
        await link.called()
    heard = asyncio.create_task(link.called())
    await asyncio.sleep(0)
    assert not heard.done()
    link.call()
    async with asyncio.timeout(1):
        await heard


async def test_a_link_that_is_restored_calls() -> None:
    link = Link()
    link.lost()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(link.called(), 0.01)
    link.restored()
    async with asyncio.timeout(1):
        await link.called()


async def test_a_link_that_is_whole_again_calls() -> None:
    """The listener of the new master is live before that of the old one is given up."""
    link = Link()
    old, new = object(), object()
    link.restored(old)
    link.lost(old)
    link.restored(new)
    async with asyncio.timeout(1):
        await link.called()
    assert not link.live
    link.forget(old)
    assert link.live
    async with asyncio.timeout(1):
        await link.called()
    link.forget(object())  # nothing has changed
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await link.called()


async def test_one_waits_only_while_it_is_interrupted() -> None:
    link = Link()
    async with asyncio.timeout(1):
        await link.connected()  # nobody knows yet
    link.lost()
    assert link.interrupted
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(link.connected(), 0.01)
    link.restored()
    async with asyncio.timeout(1):
        await link.connected()


async def test_what_is_heard_is_handed_over_once_and_in_order() -> None:
    link = Link()
    link.hear(b"one")
    link.hear(b"two")
    assert await link.heard(None) == [b"one", b"two"]
    assert await link.heard(0.01) == []
    asyncio.get_running_loop().call_soon(link.hear, b"three")
    assert await link.heard(None) == [b"three"]


async def test_what_nobody_takes_is_bounded_in_number_and_length() -> None:
    link = Link()
    for number in range(1000):
        link.hear(b"%d" % number)
    link.hear(b"x" * 1025)
    heard = await link.heard(None)
    assert heard == [b"%d" % number for number in range(1000 - WORDS, 1000)]
