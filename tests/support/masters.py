"""The master of a Redis that stands alone."""

from relay.broker.broker import Broker
from relay.broker.master import Master


def only_master(broker: Broker) -> Master:
    master = broker.topology.master("")
    assert master is not None
    return master
