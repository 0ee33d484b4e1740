"""A worker's side of the way to its parent."""

import asyncio
import socket
from dataclasses import replace

from relay import conf
from relay.broker.broker import Broker
from relay.clock import LoopClock
from relay.engine.hub import Hub
from relay.workers.words import Word, line_of, report_of
from relay.workers.worker import ParentLink
from tests.support.servers import RedisServer


class Server:
    """Notes what it is told to do."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stop_listening(self, *, answer_waiting: bool) -> None:
        self.told.append(f"stop listening, answer waiting: {answer_waiting}")

    def stop(self) -> None:
        self.told.append("stop")


async def test_it_says_that_it_lives_also_while_redis_is_away(redis_server: RedisServer) -> None:
    redis_server.kill()
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    hub, server = _hub(redis_server.url), Server()
    hub.start()
    link = ParentLink(theirs.detach())
    following = asyncio.create_task(link.follow(hub, server))  # type: ignore[arg-type]
    for _ in range(20):
        assert report_of(await reader.readline()) is Word.BEAT
    redis_server.start()
    async with asyncio.timeout(30):
        while report_of(await reader.readline()) is not Word.READY:
            pass
    writer.write(line_of(Word.CLOSE))
    await following
    assert server.told == ["stop listening, answer waiting: True", "stop"]
    writer.close()
    await writer.wait_closed()
    await hub.stop()


def _hub(redis_url: str) -> Hub:
    return Hub(replace(conf.load(), redis_url=redis_url), Broker(redis_url), LoopClock())
