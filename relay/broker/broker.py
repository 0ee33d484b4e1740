"""Redis, as one hub process uses it."""

from functools import partial

from relay.broker.address import RedisAddress
from relay.broker.commands import Commands
from relay.broker.gate import Gate


class Broker:
    """The address, for subscribed connections, and the commands, which share a pool and its gate."""

    def __init__(self, url: str) -> None:
        self.address = RedisAddress(url)
        self.gate = Gate()
        self.commands = Commands(partial(self.address.client, gate=self.gate))
