"""What Redis denies is logged once for each connection."""

import pytest

from relay.broker.errors import SubscriptionRefused
from relay.source.refusals import Refusals


def test_each_refusal_is_logged_once_until_a_new_connection_stands(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals("127.0.0.1:6379")
    for _ in range(2):
        for channel in ("news", "orders"):
            refusals.report(SubscriptionRefused(f"{channel}: Redis refused SUBSCRIBE"))
    assert [record.getMessage().split(". ")[0] for record in caplog.records] == [
        "Redis 127.0.0.1:6379: news: Redis refused SUBSCRIBE",
        "Redis 127.0.0.1:6379: orders: Redis refused SUBSCRIBE",
    ]
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    refusals.forget()
    refusals.report(SubscriptionRefused("news: Redis refused SUBSCRIBE"))
    assert len(caplog.records) == 3
