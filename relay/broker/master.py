"""A master: the server that takes the writes of some keys, and so gives their messages an order."""

from functools import partial

from relay.broker.address import RedisAddress
from relay.broker.commands import ServerCommands
from relay.broker.dialogue import Dialogue
from relay.broker.errors import NotMaster, SubscriptionRefused
from relay.broker.gate import Gate
from relay.broker.hello import Hello
from relay.broker.subscription import Receive, Subscription
from relay.broker.tracking import Observer, Tracking

USE = {
    "cluster": "is a node of a cluster: use redis+cluster:// in REDIS_URL",
    "sentinel": "is a Sentinel: use redis+sentinel://host/service in REDIS_URL",
}
"""What a server says of its mode, and what to do where one was expected that stands alone."""


class Master:
    """One server as this process uses it. `node` is its id in a cluster, and empty elsewhere.

    `elected`: sentinels or a cluster have named it and may name another one. Two masters have two
    orders of messages, even if they are at one address one after the other.
    """

    def __init__(self, address: RedisAddress, node: str = "", *, elected: bool = False) -> None:
        self.address = address
        self.node = node
        self.elected = elected
        self.gate = Gate()
        self.commands = ServerCommands(partial(address.client, gate=self.gate))

    @property
    def name(self) -> str:
        """For the log."""
        return self.address.name

    async def connect(self, receive: Receive) -> Subscription:
        """Returns a connection to this very master, subscribed to nothing yet.

        Raises OSError when it cannot be reached, NotMaster when it was elected and is a replica now,
        SubscriptionRefused when it says no, or is no server of the expected kind.
        """
        subscription = await self.address.connect(receive)
        try:
            await self._check(await subscription.hello(), subscription)
        except BaseException:
            subscription.abort("the attempt was given up")
            raise
        return subscription

    async def track(self, observer: Observer) -> Tracking:
        """Returns a connection to this very master, which tracks. Raises like `connect`."""
        tracking = await self.address.track(observer)
        try:
            await self._check(await tracking.begin(), tracking)
        except BaseException:
            tracking.abort("the attempt was given up")
            raise
        return tracking

    async def aclose(self) -> None:
        """Closes the connections for commands."""
        await self.commands.aclose()

    async def _check(self, hello: Hello, connection: Dialogue) -> None:
        """Raises NotMaster or SubscriptionRefused where the connection leads to another server."""
        expected = "cluster" if self.node else "standalone"
        if hello.mode not in {expected, ""}:
            raise SubscriptionRefused(USE.get(hello.mode, "is not in a cluster"))
        if self.elected and hello.role not in {"master", ""}:
            raise NotMaster(f"{self.name} is a replica now")
        if self.node and await connection.node_id() != self.node:
            raise NotMaster(f"{self.name} is another node now")
