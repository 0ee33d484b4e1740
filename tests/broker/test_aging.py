"""Servers that nobody names any more are forgotten, and no others."""

import pytest

from relay.broker import aging
from relay.broker.aging import Aging


def test_what_is_named_stays_and_the_rest_goes_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: Aging[str, int] = Aging()
    kept.put("here", 1)
    kept.put("gone", 2)
    assert kept.forget(["here", "never put"]) == []
    assert list(kept.values()) == [1, 2]
    monkeypatch.setattr(aging, "FORGET_SECONDS", -1.0)
    assert kept.forget([]) == [1, 2]
    assert kept.get("gone") is None


def test_a_server_that_comes_back_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: Aging[str, int] = Aging()
    kept.put("a", 1)
    with monkeypatch.context() as patch:
        patch.setattr(aging, "FORGET_SECONDS", -1.0)
        kept.forget([])
    kept.put("a", 2)
    assert kept.forget([]) == []
    assert kept.get("a") == 2
