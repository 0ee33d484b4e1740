"""The id and replay protocol, real classes under random schedules, against what was published.

A failed schedule prints its seed; `SEED=<seed> pytest tests/simulation/test_model.py` runs exactly that one.
`SCHEDULES=<number>` runs more of them than usual, from `SEED` on if that is given as well.
`make model` runs 3,000.
"""

from collections.abc import Callable

import pytest

from relay.feed.start import Live
from tests.simulation.mutants import MUTANTS, Mutant, Patch
from tests.simulation.schedule import CHANNEL, FAULTS, SHAKY, CalmSchedule, Flood, Schedule
from tests.simulation.seeds import caught_after, run, seeds_in

SCHEDULES = 500
BLOCKS = 8

# -- the protocol holds


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_client_gets_every_message_once_in_order_or_a_gap(block: int) -> None:
    for seed in seeds_in(block, BLOCKS, SCHEDULES):
        run(Schedule(seed, SHAKY if seed % 8 == 0 else FAULTS), "test_model.py")


# -- what must not be noticed is not


def test_one_fault_at_a_time_is_noticed_by_no_client() -> None:
    for seed in range(1, 31):
        schedule = CalmSchedule(seed)
        schedule.run()
        gaps = [gap for client in schedule.simulation.clients for gap in client.gaps]
        assert not gaps, f"seed {seed}"


# -- where ids could repeat


def test_an_epoch_below_the_newest_is_replaced_and_nobody_misses_anything() -> None:
    """Redis loses everything and its clock goes back; who comes then knows no better epoch."""
    with Schedule(1, ring_events=1000, ring_bytes=1_000_000).simulation as world:
        channel = world.redis.channels[CHANNEL]
        old = world.start_process()
        world.world.run(1.0)
        client = world.add_client(CHANNEL, 100_000)
        client.connect(old, Live())
        world.world.run(1.0)
        world.redis.publish(CHANNEL, b"before")
        while (
            channel.history.newest() != channel.order.newest
        ):  # then nothing is left to be written
            world.world.run(0.1)
        channel.history.delete()
        channel.counter = None
        world.redis.stop_clock(5000)
        newest = channel.order.epoch
        channel.order.may_go_back = True
        world.start_process()
        while channel.order.epoch == newest:
            world.world.run(0.01)
        assert channel.order.epoch < newest
        world.redis.publish(CHANNEL, b"between")
        world.world.run(1.0)
        assert channel.order.epoch == newest + 1
        world.redis.publish(CHANNEL, b"after")
        world.world.run(1.0)
        assert (client.messages, client.gaps) == (3, [])


def test_a_busy_channel_costs_no_client_that_keeps_up_a_message() -> None:
    for seed in range(1, 4):
        Flood(seed).run()


# -- the checks find what is wrong


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_checker_catches(
    mutant: Mutant, monkeypatch: Patch, record_property: Callable[[str, object], None]
) -> None:
    mutant(monkeypatch)
    record_property("schedules", caught_after(*MUTANTS[mutant]))
