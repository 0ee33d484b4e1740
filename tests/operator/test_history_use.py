"""Redis is seldom asked how much it keeps, and a report does not wait for the answer."""

import asyncio
from typing import Any, cast

import pytest

from relay.broker.errors import RedisUnavailable
from relay.operator import history_use
from relay.operator.history_use import LOOK_SECONDS, HistoryUse


class Channel:
    def __init__(self, name: str, answer: int | Exception | None) -> None:
        self.name = name
        self._answer = answer
        self.asked = 0

    async def kept(self) -> int:
        self.asked += 1
        if isinstance(self._answer, Exception):
            raise self._answer
        if self._answer is None:
            await asyncio.Event().wait()
        return cast(int, self._answer)


async def test_it_asks_again_after_a_while_and_leaves_out_what_redis_refuses() -> None:
    use, news = HistoryUse(), Channel("news", 5)
    broken: Any = [news, Channel("private", RedisUnavailable("no right", refused=True))]
    assert await use.look(broken, 100.0) == {"news": 5}
    assert await use.look(broken, 100.0 + LOOK_SECONDS - 0.1) == {"news": 5}
    assert news.asked == 1
    assert await use.look(broken, 100.0 + LOOK_SECONDS) == {"news": 5}
    assert news.asked == 2


async def test_a_redis_that_hangs_does_not_hold_up_the_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_use, "ANSWER_SECONDS", 0.01)
    hanging: Any = [Channel("news", 5), Channel("orders", None)]
    async with asyncio.timeout(5):
        assert await HistoryUse().look(hanging, 100.0) == {}
