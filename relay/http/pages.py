"""The pages of a Django site, so many at once, and only where Django can read the request."""

import asyncio

from django.core.exceptions import BadRequest
from django.utils.translation import gettext_lazy as _

from relay.access.problem import Problem
from relay.http.answer import Answer
from relay.types import Application, Message, Receive, Scope, Send

AT_ONCE = 64
"""Each may have a thread of its own: Django runs sync middleware and views there."""

WAIT_SECONDS = 5.0
LONG_SECONDS = 1.0

FIELD_BYTES = 1024
"""Django parses these fields in the event loop, in time that grows with the square of their length."""

PARSED_FIELDS = {b"content-type", b"accept"}


class Pages:
    """Answers at most AT_ONCE requests at once; others wait, and get 503 when that takes too long."""

    def __init__(self, site: Application) -> None:
        self._site = site
        self._room = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if any(name in PARSED_FIELDS and len(v) > FIELD_BYTES for name, v in scope["headers"]):
            await send_problem(_unreadable(), send)
        elif not await self._has_room():
            later = [(b"Retry-After", b"1")]
            await send_problem(Problem(503, _("This process is busy."), later), send)
        else:
            await self._answer(scope, receive, send)

    async def _has_room(self) -> bool:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await self._room.acquire()
        except TimeoutError:
            return False

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 400 where Django raises: it cannot read a header, such as a charset of another alphabet."""
        place = _Place(self._room)

        async def observed(message: Message) -> None:
            place.response_began()
            await send(message)

        try:
            await self._site(scope, receive, observed)
        except (ValueError, BadRequest):  # the latter since Django 6.1
            if place.began:
                raise
            await send_problem(_unreadable(), observed)
        finally:
            place.leave()


class _Place:
    """One of the places. A response that takes long, such as one that streams, gives it up."""

    def __init__(self, room: asyncio.Semaphore) -> None:
        self._room = room
        self._left = False
        self._timer: asyncio.TimerHandle | None = None
        self.began = False

    def response_began(self) -> None:
        if not self.began:
            self.began = True
            self._timer = asyncio.get_running_loop().call_later(LONG_SECONDS, self.leave)

    def leave(self) -> None:
        """Frees the place; harmless when called again."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._left:
            self._left = True
            self._room.release()


def _unreadable() -> Problem:
    return Problem(400, _("A header of the request cannot be read."))


async def send_problem(refusal: Problem, send: Send) -> None:
    """Answers with a problem."""
    await send_answer(Answer.refusal(refusal), send)


async def send_answer(answer: Answer, send: Send) -> None:
    """Sends a response that is complete."""
    start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})
