"""ASGI applications that a site may have around or behind relay's, each served by its name here."""

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

from relay.asgi import relay_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
django_application: Any = get_asgi_application()
plain = relay_application(django_application)

# A router that raises for the lifespan, as channels' does.
by_type = ProtocolTypeRouter({"http": plain})

streams: Any = relay_application()
by_path = URLRouter([path("stream/", streams), re_path(r"", django_application)])
by_type_and_path = ProtocolTypeRouter({"http": by_path})


async def behind_middleware(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Copies the scope and wraps both callables, as middleware does."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"X-Middleware", b"yes")]
        await send(message)

    async def receiving() -> Any:
        return await receive()

    await plain(dict(scope), receiving, sending)


class Lived:
    """An application with a lifespan of its own; `/lived/` says what it has heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                self.heard.append((await receive())["type"])
                print(self.heard[-1], flush=True)  # noqa: T201
                await send({"type": f"lifespan.{word}.complete"})
        elif scope["path"] == "/lived/":
            body = " ".join(self.heard).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
        else:
            await django_application(scope, receive, send)


with_lifespan = relay_application(Lived())
alone = relay_application()
