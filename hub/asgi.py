"""The ASGI application: `daphne hub.asgi:application`, or any other ASGI server."""

import os
import re
import sys
from typing import Any, cast

import django
from channels.routing import URLRouter
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponseBadRequest
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
django.setup(set_prefix=False)

from relay import conf  # noqa: E402
from relay.engine.lifespan import lifespan, start_with_reactor  # noqa: E402
from relay.routing import urlpatterns  # noqa: E402
from relay.types import Receive, Send  # noqa: E402

try:
    conf.load()
except ValueError as error:
    sys.exit(f"error: {error}")  # better no hub than one that answers nothing


class Django(ASGIHandler):
    """Answers 400 where Django raises: to a header that cannot be read, such as a charset that none is."""

    def create_request(self, scope: Any, body_file: Any) -> Any:
        try:
            return super().create_request(scope, body_file)
        except ValueError:
            return None, HttpResponseBadRequest()


_TOKEN = re.compile(rb"((?:^|&)token=)[^&]*")

_http = URLRouter([*urlpatterns, re_path(r"", cast(Any, Django()))])


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """HTTP goes to the streams or to Django; a WebSocket is refused, there is nothing to say on it."""
    if scope["type"] == "http":
        await _http(_seen_by_us_alone(scope, send), receive, send)
    elif scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})


def _seen_by_us_alone(scope: dict[str, Any], send: Send) -> dict[str, Any]:
    """The scope as it came. In the server's own the token of `?token=` is hidden: Daphne's command
    and uvicorn write a line for each request that shows its query."""
    query = scope["query_string"]
    if b"token=" not in query:
        return scope
    ours = dict(scope)
    scope["query_string"] = hidden = _TOKEN.sub(rb"\1-", query)
    for request in getattr(send, "args", ()):  # Daphne's, which has it as well
        if isinstance(getattr(request, "uri", None), bytes):
            request.uri = request.uri.replace(query, hidden)
    return ours


start_with_reactor()
