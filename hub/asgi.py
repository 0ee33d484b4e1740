"""The ASGI application: `daphne hub.asgi:application`, or any other ASGI server."""

import os
import sys
from typing import Any, cast

from channels.routing import URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
django_application = get_asgi_application()

from relay import conf  # noqa: E402
from relay.lifespan import Receive, lifespan, start_with_reactor  # noqa: E402
from relay.routing import urlpatterns  # noqa: E402
from relay.writers import Send  # noqa: E402

try:
    conf.load()
except ValueError as error:
    sys.exit(f"error: {error}")  # better no hub than one that answers nothing

_http = URLRouter([*urlpatterns, re_path(r"", cast(Any, django_application))])


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """HTTP goes to the streams or to Django; a WebSocket is refused, there is nothing to say on it."""
    if scope["type"] == "http":
        await _http(scope, receive, send)
    elif scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})


start_with_reactor()
