"""Redis, as one process uses it."""

from relay.broker.topology import open_topology


class Broker:
    """The servers, for subscribed connections, and commands, which go to the master of their key."""

    def __init__(self, url: str) -> None:
        self.topology, self.commands = open_topology(url)

    async def aclose(self) -> None:
        """Ends the commands that are under way, and closes all connections for commands."""
        await self.topology.aclose()
