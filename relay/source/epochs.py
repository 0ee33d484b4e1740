"""Opens epochs: publishes a marker, from which every process counts messages from 1 again."""

from dataclasses import dataclass

from relay.broker.broker import Broker
from relay.broker.errors import NotMaster, Redirected, SlotUnsettled
from relay.broker.keys import Keys
from relay.broker.master import Master

FORGET_SECONDS = 300
"""How long Redis keeps what it has of a channel that was left without ever a message."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of an epoch when it is opened."""

    receivers: int
    """How many processes received its marker."""
    first: bool
    """Whether neither its process nor Redis knew an earlier epoch of the channel."""

    @property
    def alone(self) -> bool:
        """Whether no other process has the channel."""
        return self.receivers <= 1


class Epochs:
    """The epochs of one channel. They only grow (relay/broker/scripts/epoch_open.lua)."""

    def __init__(self, broker: Broker, keys: Keys, publish: str = "PUBLISH") -> None:
        self._broker = broker
        self._keys = keys
        self._publish = publish

    async def open(self, master: Master, known: int) -> Opened:
        """Publishes a marker with a new epoch, above `known`.

        It runs at the very server that this process listens to, and follows no redirection. While the
        slot of the channel is on its way, Redis gives the script no keys; the time and `known` keep the
        epochs growing. Raises RedisUnavailable: Redirected and NotMaster where another server is the
        master now, which publish nothing.
        """
        keys = [self._keys.counter, self._keys.history]
        words = [self._keys.marker(master.node), known, self._publish, int(master.elected)]
        try:
            answer = await master.commands.script("epoch_open", keys, words)
        except (Redirected, SlotUnsettled) as error:
            if isinstance(error, Redirected) and not error.asking:
                raise
            answer = await master.commands.script("epoch_open", [], words)
        epoch, receivers, refusal, first = answer
        if not epoch:
            raise NotMaster(f"{master.name} is a replica now: {refusal.decode()}")
        return Opened(int(receivers), bool(first))

    async def leave(self) -> None:
        """Lets Redis forget the channel soon, unless it had messages. Raises RedisUnavailable."""
        keys = [self._keys.history, self._keys.counter]
        master = self._broker.topology.master(self._keys.history)
        marker = self._keys.marker(master.node if master else "")
        ask = "NUMSUB" if self._publish == "PUBLISH" else "SHARDNUMSUB"
        await self._broker.commands.script(
            "channel_left", keys, [marker, FORGET_SECONDS * 1000, ask]
        )
