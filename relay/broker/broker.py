"""Redis, as one hub process uses it."""

from relay.broker.address import RedisAddress
from relay.broker.commands import Commands


class Broker:
    """The address, for subscribed connections, and the commands, which share a pool."""

    def __init__(self, url: str) -> None:
        self.address = RedisAddress(url)
        self.commands = Commands(self.address.client)
