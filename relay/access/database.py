"""Whether the database of users and sessions answers."""

import asyncio
from contextvars import Context
from typing import Literal

from django.contrib.auth import get_user_model
from django.db import connections, router

from relay.access import threads
from relay.clock import Clock
from relay.conf import Settings

ANSWER_SECONDS = 2.0
"""How long the database may take to answer."""

KEPT_SECONDS = 1.0
"""How long an answer counts, however many ask."""


def is_needed(settings: Settings) -> bool:
    """Whether any request has to know who sends it."""
    rules = {rule for spec in settings.catalogue().specs for rule in (spec.access, spec.wildcard)}
    return settings.http_publish or not rules <= {"public", None}


def aliases() -> list[str]:
    """Returns the databases of sessions and of users, as DATABASES names them."""
    return list(dict.fromkeys(["default", router.db_for_read(get_user_model())]))


class DatabaseCheck:
    """Asks the databases at most once in `KEPT_SECONDS`, and in one thread at a time."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._needed = is_needed(settings)
        self._clock = clock
        self._asked_at = 0.0
        self._answer: asyncio.Task[bool] | None = None

    async def state(self) -> Literal["live", "lost", "unused"]:
        """Never raises, and takes at most `ANSWER_SECONDS`."""
        if not self._needed:
            return "unused"
        answer = self._ask()
        done, _ = await asyncio.wait([answer], timeout=ANSWER_SECONDS)
        return "live" if done and answer.result() else "lost"

    def _ask(self) -> "asyncio.Task[bool]":
        answer = self._answer
        if answer is None or (answer.done() and self._clock.time() - self._asked_at > KEPT_SECONDS):
            self._asked_at = self._clock.time()
            # A context of its own: the thread must not be one of the request that happens to ask.
            answer = self._answer = asyncio.create_task(_answers(), context=Context())
        return answer


async def _answers() -> bool:
    try:
        return await threads.run("database", _all_usable)
    except Exception:
        return False


def _all_usable() -> bool:
    for alias in aliases():
        connections[alias].ensure_connection()
    return all(connections[alias].is_usable() for alias in aliases())
