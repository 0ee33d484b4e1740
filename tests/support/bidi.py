"""WebDriver BiDi (https://w3c.github.io/webdriver-bidi/), as far as the tests of a browser need it."""

import itertools
import json
import socket
from collections.abc import Iterator
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Event, Ping, Request, TextMessage

Values = dict[str, Any]


class Refused(AssertionError):
    """The browser did not do what a command says."""


class Session:
    """Commands to a browser, one after the other. `log` has what its pages wrote meanwhile."""

    def __init__(self, port: int) -> None:
        self.log: list[Values] = []
        self._numbers = itertools.count(1)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._events = self._received()
        self._send(Request(host=f"127.0.0.1:{port}", target="/session"))
        assert isinstance(next(self._events), AcceptConnection)
        self.command("session.new", capabilities={})
        self.command("session.subscribe", events=["log.entryAdded"])

    def command(self, method: str, **params: Any) -> Values:
        """What the browser answers. Raises Refused with its words."""
        number = next(self._numbers)
        self._send(TextMessage(json.dumps({"id": number, "method": method, "params": params})))
        while (message := self._message()).get("id") != number:
            if message.get("method") == "log.entryAdded":
                self.log.append(message["params"])
        if message["type"] == "error":
            raise Refused(f"{method}: {message['error']}: {message['message']}")
        return dict(message["result"])

    def close(self) -> None:
        """Ends the browser."""
        with self._socket:
            self.command("browser.close")

    def _message(self) -> Values:
        text = ""
        for event in self._events:
            if isinstance(event, Ping):
                self._send(event.response())
            elif isinstance(event, TextMessage):
                text += event.data
                if event.message_finished:
                    return dict(json.loads(text))
        raise Refused(f"the browser has gone, after {text[:100]!r}")

    def _send(self, event: Event) -> None:
        self._socket.sendall(self._protocol.send(event))

    def _received(self) -> Iterator[Event]:
        while data := self._socket.recv(65_536):
            self._protocol.receive_data(data)
            yield from self._protocol.events()
