"""A real hub with an event loop of its own, which can hang or be killed at any moment."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from relay.broker.broker import Broker
from relay.broker.errors import RedisUnavailable
from relay.conf import Settings
from relay.engine.hub import Hub
from relay.engine.pubsub_channel import PubSubChannel
from tests.simulation.clock import VirtualClock, VirtualLoop, World
from tests.simulation.redis import SimulatedRedis

if TYPE_CHECKING:
    from tests.simulation.client import Writer

COMMAND_SECONDS = 2.0


class Process:
    """A real hub with an event loop of its own."""

    def __init__(self, world: World, redis: SimulatedRedis, settings: Settings, name: int) -> None:
        self.world = world
        self.redis = redis
        self.name = name
        self.loop = VirtualLoop(world, world.random.choice([0, 0, world.random.randint(-300, 300)]))
        self.alive = True
        self.stopping = False
        self.unplugged_until = 0.0
        self.flaky = 0.0
        """The share of commands whose answer is lost."""
        self.writers: list[Writer] = []
        self._settings = settings
        self.hub: Hub

    def start(self) -> None:
        with self.loop.running():
            broker = cast(Broker, self.redis.broker(self))
            self.hub = Hub(self._settings, broker, VirtualClock(self.loop))
            self.hub.start()
        self.loop.turn()

    def kill(self) -> None:
        """SIGKILL, or the end of a process that has stopped."""
        self.alive = False
        self.loop.end()
        for connection in list(self.redis.connections):
            if connection._process is self:
                connection.detach()
        for writer in self.writers:
            writer.cut()

    def stop(self) -> None:
        """SIGTERM."""
        self.stopping = True
        self.loop.call_soon(self._stop)

    def _stop(self) -> None:
        task = self.loop.create_task(self.hub.stop())
        task.add_done_callback(lambda _: self.kill())

    def hang(self, seconds: float) -> None:
        """SIGSTOP, then SIGCONT."""
        if not self.loop.suspended:
            self.loop.suspended = True
            self.world.after(seconds, self.loop.resume)

    def unplug(self, seconds: float) -> None:
        """Nothing passes between this process and Redis for a while; then what was sent arrives."""
        self.unplugged_until = self.world.now + seconds

    def channel(self, name: str) -> PubSubChannel:
        channel = self.hub.channels[name]
        assert isinstance(channel, PubSubChannel)
        return channel

    # -- requests to Redis

    async def request(self, effect: Callable[[], Any], redis: SimulatedRedis) -> Any:
        """Has `redis` execute it at some moment from now on, even if nobody waits for it any more."""
        if self.loop.ended:
            raise RedisUnavailable("the process was killed", refused=False)
        answer = self.loop.create_future()
        self._pass(self._execute, redis, effect, answer)
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                return await answer
        except TimeoutError:
            raise RedisUnavailable("no answer", refused=False) from None

    def _pass(self, callback: Callable[..., object], *args: object) -> None:
        pause = max(self.unplugged_until - self.world.now, 0.0)
        self.world.after(pause + self.world.delay(), callback, *args)

    def _execute(
        self, redis: SimulatedRedis, effect: Callable[[], Any], answer: "asyncio.Future[Any]"
    ) -> None:
        if self.unplugged_until > self.world.now:
            self._pass(self._execute, redis, effect, answer)
            return
        if redis.stopped_until > self.world.now:
            pause = redis.stopped_until - self.world.now + self.world.delay()
            self.world.after(pause, self._execute, redis, effect, answer)
            return
        if not self.alive and self.world.random.random() < 0.5:
            return  # it died before this had left
        lost = self.flaky and self.world.random.random() < self.flaky
        if redis.down or (lost and self.world.random.random() < 0.5):
            result: object = RedisUnavailable("no connection", refused=False)
        else:
            try:
                result = effect()
            except RedisUnavailable as error:
                result = error
            if lost:
                result = RedisUnavailable("the connection broke", refused=False)
        self._pass(self.loop.call_soon, self._answer, answer, result)

    def _answer(self, answer: "asyncio.Future[Any]", result: object) -> None:
        if answer.done():
            return
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)
