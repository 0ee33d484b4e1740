"""Three hosts of two workers on one Redis Cluster: clients go from host to host, one host loses Redis."""

import random
import time
from collections.abc import Iterator

import pytest

from tests.support.hoppers import Hopper, Ledger, Load, hopping, wait_for_all
from tests.support.hosts import HOSTS, HostHub, Network, network
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]

CHANNELS = [f"load.{number}" for number in range(40)]
MESSAGES = 1_000
"""On each channel, at RATE a second: 2,000 a second on all of them, for 20 s."""
RATE = 50.0
CLIENTS = 60
CUT_SECONDS = 4.0


@pytest.fixture
def hosts() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture
def hubs(request: pytest.FixtureRequest, hosts: Network) -> Iterator[list[HostHub]]:
    request.node.hubs = started = []
    try:
        for number in range(1, HOSTS + 1):
            started.append(hosts.hub(number, RELAY_CHANNELS="load.*"))
        for hub in started:
            hub.wait_until_up()
        yield started
    finally:
        for hub in started:
            hub.close()


def clients(rng: random.Random, healthy: list[str], urls: list[str]) -> list[Hopper]:
    """One to three channels each. Each channel has a client that never meets the host that is cut off.

    So at every time a process that hears Redis has it: nothing may be lost.
    """
    made = []
    for number in range(CLIENTS):
        if number < len(CHANNELS) // 2:
            channels, places = CHANNELS[2 * number : 2 * number + 2], healthy
        else:
            channels, places = rng.sample(CHANNELS, rng.choice((1, 1, 2, 3))), urls
        made.append(Hopper(places, channels, rng))
    return made


def test_clients_hop_between_hosts_one_of_which_loses_redis(
    hosts: Network, hubs: list[HostHub]
) -> None:
    rng = random.Random(random.random())
    cut = rng.randrange(HOSTS)
    urls = [hub.url for hub in hubs]
    healthy = urls[:cut] + urls[cut + 1 :]
    hoppers = clients(rng, healthy, urls)
    for hopper in hoppers:
        hopper.start()
    wait_until(lambda: all(hopper.is_there for hopper in hoppers), "all have a stream", 20)
    loads = [Load(hosts.cluster, CHANNELS[part::2], MESSAGES, RATE) for part in range(2)]
    with hopping(hoppers):
        for load in loads:
            load.start()
        loads[0].wait_for(MESSAGES // 3)
        hosts.cut(cut + 1)
        time.sleep(CUT_SECONDS)
        lost = hubs[cut].log().count(": lost (")
        hosts.mend(cut + 1)
        for load in loads:
            load.finish()
    wait_for_all(hoppers, MESSAGES)
    for hopper in hoppers:
        hopper.stop()
    ledger = Ledger(MESSAGES)
    gaps = {hopper: ledger.check(hopper) for hopper in hoppers}
    assert lost >= 2, "both workers of the host lose Redis"
    assert [gap for hopper in hoppers if urls[cut] not in hopper.urls for gap in gaps[hopper]] == []
    assert len(ledger.ids) == MESSAGES * len(CHANNELS)
