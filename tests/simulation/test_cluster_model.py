"""The same at a Redis Cluster whose slots get other owners: two nodes have two orders of the same messages.

`SEED=<seed> pytest tests/simulation/test_cluster_model.py` runs exactly one schedule, see test_model.py.
"""

from collections.abc import Callable

import pytest

from tests.simulation.cluster import SimulatedCluster
from tests.simulation.cluster_mutants import MUTANTS
from tests.simulation.cluster_schedule import ClusterSchedule
from tests.simulation.mutants import Mutant, Patch
from tests.simulation.schedule import CHANNEL
from tests.simulation.seeds import caught_after, run, seeds_in

SCHEDULES = 240
BLOCKS = 4


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_id_names_two_messages_whichever_node_owns_the_slots(block: int) -> None:
    for seed in seeds_in(block, BLOCKS, SCHEDULES):
        run(ClusterSchedule(seed), "test_cluster_model.py")


@pytest.mark.parametrize("tenths", range(25, 36))
def test_an_owner_that_wakes_during_a_move_does_not_keep_a_channel(tenths: int) -> None:
    """It takes new connections for a moment, while the hubs wait at the new owner to fill their holes."""
    seconds = tenths / 10
    with ClusterSchedule(1).simulation as simulation:
        cluster, world = simulation.redis, simulation.world
        assert isinstance(cluster, SimulatedCluster)
        hubs = [simulation.start_process() for _ in range(2)]
        world.run(2.0)
        stopped = cluster.owner
        stopped.stopped_until = world.now + seconds
        world.after(1.0, cluster.elect, 0, cluster.counters())
        world.after(seconds + 0.3, cluster.learn, stopped)
        world.run(seconds + 5.0)
        cluster.publish(CHANNEL, b"last")
        world.run(1.0)
        newest = cluster.channels[CHANNEL].order.newest
        assert [hub.channel(CHANNEL).feed.timeline.position for hub in hubs] == [newest, newest]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_checker_catches(
    mutant: Mutant, monkeypatch: Patch, record_property: Callable[[str, object], None]
) -> None:
    mutant(monkeypatch)
    record_property("schedules", caught_after(MUTANTS[mutant], ClusterSchedule))
