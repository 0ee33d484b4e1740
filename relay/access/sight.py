"""Which of many channels the sender of one request may see, with bounded work.

The rules are those of a stream (rules.py). A permission is asked for once. A function of the site may
cost a query, so only so many channels are put to such functions.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence

from relay.access import tokens
from relay.access.identity import Viewer
from relay.access.rules import RuleFailed, admits, has_permission
from relay.conf.catalogue import Rule, Target
from relay.types import Scope

QUESTIONS = 200
"""How many channels of one request are put to functions of the site."""

QUESTION_SECONDS = 1.0
"""After this time no further channel is put to one."""

TURN = 50
"""After so many channels the event loop gets its turn."""

KNOWN = ("public", "signed-in", "owner")


def is_function(rule: Rule | None) -> bool:
    """Whether a rule is a function of the site."""
    return rule is not None and (callable(rule) or not (rule in KNOWN or rule.startswith("perm:")))


class Sight:
    """`viewers` are all whom the credentials of a request name. Without one only public channels are seen."""

    def __init__(self, viewers: Sequence[Viewer], scope: Scope) -> None:
        self._viewers = viewers
        self._scope = scope
        self._heads = {id(viewer): tokens.heads(viewer.claims or {}) for viewer in viewers}
        self._permissions: dict[str, bool] = {}
        self._failed: set[str] = set()
        self._left = QUESTIONS
        self._asking_ends: float | None = None
        self._unasked = False
        self._let_in = False

    @property
    def is_cut(self) -> bool:
        """Whether functions were asked about a part of their channels only.

        A visitor whom none of them has let in does not learn that there are so many channels.
        """
        return self._unasked and self._let_in

    async def among(self, targets: Iterable[Target]) -> AsyncIterator[Target]:
        """Yields the targets that are seen, in their order."""
        for number, target in enumerate(targets, start=1):
            if await self.sees(target):
                yield target
            if number % TURN == 0:
                await asyncio.sleep(0)

    async def sees(self, target: Target) -> bool:
        """Whether one of the viewers may see the channel."""
        if target.rule == "public":
            return True
        for viewer in self._viewers:
            if await self._admits(viewer, target):
                return True
        return False

    async def _admits(self, viewer: Viewer, target: Target) -> bool:
        rule = target.rule
        if viewer.claims is not None:
            # A token may have hundreds of entries, and most channels begin as none of them.
            begins = target.name.startswith(self._heads[id(viewer)])
            return begins and tokens.grants(viewer.claims, "channels", target)
        if is_function(rule):
            return await self._ask(viewer, target)
        if isinstance(rule, str) and rule.startswith("perm:"):
            return await self._has(viewer, rule.removeprefix("perm:"))
        return await admits(viewer, target, self._scope)

    async def _has(self, viewer: Viewer, permission: str) -> bool:
        """Remembers the answer: beside the subjects of tokens there is one user at most."""
        if permission not in self._permissions:
            self._permissions[permission] = await has_permission(viewer.user, permission)
        return self._permissions[permission]

    async def _ask(self, viewer: Viewer, target: Target) -> bool:
        """A function that has failed is not asked again, because each failure is a traceback in the log."""
        if target.spec.pattern in self._failed:
            return False
        if not self._may_ask():
            self._unasked = True
            return False
        try:
            answer = await admits(viewer, target, self._scope)
        except RuleFailed:
            self._failed.add(target.spec.pattern)
            return False
        self._let_in = self._let_in or answer
        return answer

    def _may_ask(self) -> bool:
        now = time.monotonic()
        if self._asking_ends is None:
            self._asking_ends = now + QUESTION_SECONDS
        self._left -= 1
        return self._left >= 0 and now < self._asking_ends
