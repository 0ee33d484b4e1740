"""The connections of one Daphne server, and how it stops listening."""

import logging
from functools import partial
from typing import Any

from daphne.http_protocol import HTTPFactory
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from relay.http.body_limits import BodyLimits
from relay.server import bounds, internals
from relay.server.budget import Budget
from relay.server.channel import HubChannel
from relay.sockets.poller import AVAILABLE

logger = logging.getLogger("relay")

POLL_SECONDS = 0.02


class HubFactory(HTTPFactory):  # type: ignore[misc]
    """Builds the connections. Closes the listening socket before anything else when the reactor stops."""

    def __init__(self, limits: BodyLimits, server: Any) -> None:
        super().__init__(server)
        self.limits = limits
        self.bodies = Budget(max(bounds.BODIES_BYTES, limits.publish_bytes, limits.site_bytes))
        self.stopping = False
        self.hands_over = _hands_over()
        self._waiting: dict[HubChannel, None] = {}
        self._polls = 0
        self._polling = LoopingCall(self._poll)
        internals.reactor.addSystemEventTrigger("before", "shutdown", self._stop)

    def buildProtocol(self, addr: Any) -> HubChannel:
        return HubChannel(self)

    def acceptableProtocols(self) -> list[bytes]:
        """HTTP/2 is for a proxy in front: none of the bounds here would hold for it."""
        return [b"http/1.1"]

    def log(self, request: Any) -> None:
        """Does nothing: Twisted would format a line for each request that nobody reads."""

    def began_to_wait(self, channel: HubChannel) -> None:
        self._waiting[channel] = None
        if len(self._waiting) > bounds.WAITING:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.cut()

    def ended_to_wait(self, channel: HubChannel) -> None:
        self._waiting.pop(channel, None)

    def _stop(self) -> "Deferred[Any]":
        """Accepts what the kernel has, closes the sockets, and waits for the heads under way."""
        self.stopping = True
        for port in internals.listening_ports(self):
            internals.accept_waiting(port, bounds.ACCEPTED_AT_THE_END)
            port.stopListening()
        for channel in list(self._waiting):
            channel.close_if_idle()
        done: Deferred[Any] = self._polling.start(POLL_SECONDS, now=False)
        return done

    def _poll(self) -> None:
        self._polls += 1
        if not self._waiting or self._polls > bounds.STOP_SECONDS / POLL_SECONDS:
            self._polling.stop()


def _hands_over() -> bool:
    """Whether streams get their sockets: on Linux, and from versions that are known to be the same inside."""
    if not AVAILABLE:
        return False
    newer = internals.newer_than_tested()
    if newer:
        logger.warning("%s is newer than what was tested. Streams cost more memory and CPU.", newer)
    return not newer


def harden(limits: BodyLimits) -> None:
    """Has every Daphne server that starts from here on serve with these bounds."""
    internals.replace_factory(partial(HubFactory, limits))
