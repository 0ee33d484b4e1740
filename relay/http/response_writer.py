"""The writer of a stream's response, whichever server it is on."""

import sys
from collections.abc import Coroutine
from typing import Any, Protocol

from relay.feed.writer import Writer
from relay.http.asgi_writer import AsgiWriter
from relay.types import Send


class ResponseWriter(Writer, Protocol):
    """Writes the body of a response that has been started, with its headers sent."""

    async def run(self, client_gone: Coroutine[Any, Any, None]) -> None:
        """Returns when the client has left, or the response is finished or cut."""


def open_writer(send: Send, buffer_bytes: int) -> ResponseWriter:
    """Returns a writer for the response behind an ASGI `send`.

    Under Daphne it writes to the socket and reports a client as behind at `buffer_bytes`.
    """
    if "daphne.server" in sys.modules:
        from relay.http.daphne_writer import DaphneWriter, daphne_request

        request = daphne_request(send)
        if request is not None:
            return DaphneWriter(request, buffer_bytes)
    return AsgiWriter(send)
