"""A project with kicks, and a rule that takes its time.

The wiring stands here only until relay/hub.py, relay/gate.py, relay/consumers.py and relay/apps.py have
it; then what is left of this module is the rule, and `WIRED` of tests/test_kick.py is empty.
"""

import asyncio
from contextvars import ContextVar
from typing import Any

from django.apps import AppConfig

from hub.settings import *  # noqa: F403
from hub.settings import INSTALLED_APPS as APPS

INSTALLED_APPS = [*APPS, "tests.kick_project.Wired"]

asked_at = ContextVar("asked_at", default=0.0)


async def slowly(user: Any, channel: str, scope: Any) -> bool:
    """A rule that takes its time to let everybody in."""
    await asyncio.sleep(1.0)
    return True


class Wired(AppConfig):
    name = "tests"

    def ready(self) -> None:
        from relay import consumers, gate, hub, signals
        from relay.control import Kicks

        init, start, join, admit = hub.Hub.__init__, hub.Hub.start, hub.Hub.join, gate.admit

        def init_with_kicks(self: Any, settings: Any) -> None:
            init(self, settings)
            self.kicks = Kicks(self.streams, self.end, self._commands, settings.prefix)

        def start_with_kicks(self: Any) -> None:
            start(self)
            self._supervise(self.kicks.run(), "receiver of kicks")

        def join_unless_kicked(self: Any, *words: Any, **options: Any) -> Any:
            stream = join(self, *words, **options)
            if self.kicks.reached(stream, asked_at.get()):
                self.end(stream)
            return stream

        async def admit_at(*words: Any) -> Any:
            asked_at.set(asyncio.get_running_loop().time())
            return await admit(*words)

        hub.Hub.__init__ = init_with_kicks
        hub.Hub.start = start_with_kicks
        hub.Hub.join = join_unless_kicked
        consumers.gate.admit = admit_at
        signals.connect()
