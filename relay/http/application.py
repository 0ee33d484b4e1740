"""Which requests are streams, and what becomes of the others."""

import re
from typing import Any

from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from relay import conf
from relay.access.problem import Problem
from relay.engine.lifespan import get_hub, lifespan
from relay.http import probes
from relay.http.consumer import StreamConsumer
from relay.http.pages import Pages, send_answer, send_problem
from relay.http.refusal import refuse as refuse_request
from relay.types import Application, Receive, Send

_TOKEN = re.compile(rb"((?:^|&)(?:token|link)=)[^&]*")

NOT_HERE = _("This process serves live streams. The site's pages are served by another one.")


class RelayApplication:
    """Streams are at `stream_path`, below the site's root, and probes beside them; all else is `site`'s."""

    def __init__(self, site: Application | None, stream_path: str) -> None:
        self._site = site
        self._pages = Pages(site) if isinstance(site, ASGIHandler) else None
        self._streams = StreamConsumer.as_asgi()
        self._paths = {f"/{stream_path}", f"/{stream_path}".removesuffix("/")}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(mask_token(scope), receive, send)
            case "lifespan":
                site = None if isinstance(self._site, ASGIHandler) else self._site
                await lifespan(site, scope, receive, send)
            case "websocket" if self._site is None or isinstance(self._site, ASGIHandler):
                await receive()
                await send({"type": "websocket.close", "code": 1000})
            case _:
                if self._site is not None:
                    await self._site(scope, receive, send)

    async def _http(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        hub = (
            get_hub()
        )  # no server may have started it, and probes must not wait for the first stream
        path = path_below_root(scope)
        if path in self._paths:
            await self._streams(scope, receive, send)
        elif path in probes.PATHS:
            await send_answer(await probes.answer_probe(path, scope["method"], hub), send)
        elif self._site is None:
            await send_problem(Problem(404, NOT_HERE), send)
        elif self._pages is not None:
            await self._pages(scope, receive, send)
        else:
            await self._site(scope, receive, send)


class RelayPages(ASGIHandler):
    """Django with the site's middleware, and of its URLs those alone that lead to a view of relay.

    The views of a site are for its own server: they may expect more processes, or no event loop.
    """

    def resolve_request(self, request: Any) -> Any:
        match = super().resolve_request(request)
        return match if match.func.__module__.startswith("relay.") else (_not_here, (), {})


async def _not_here(request: HttpRequest) -> HttpResponse:
    return refuse_request(Problem(404, NOT_HERE))


def path_below_root(scope: dict[str, Any]) -> str:
    """The path of a request as a URLconf sees it, without FORCE_SCRIPT_NAME or `root_path`."""
    path, root = str(scope["path"]), str(get_script_prefix(scope)).rstrip("/")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def stream_paths() -> frozenset[bytes]:
    """The paths of the stream as they stand in a request, where no proxy or server adds a root to them."""
    root = (django_settings.FORCE_SCRIPT_NAME or "").rstrip("/")
    path = f"{root}/{conf.load().stream_path}"
    return frozenset({path.encode(), path.removesuffix("/").encode()})


def mask_token(scope: dict[str, Any]) -> dict[str, Any]:
    """A scope with the whole query. In the server's own scope the values of `token` and `link` are hidden.

    uvicorn writes a line for each request that shows its query. Daphne's is mended in relay/server/.
    """
    query = scope["query_string"]
    if b"token=" not in query and b"link=" not in query:
        return scope
    ours = dict(scope)
    scope["query_string"] = _TOKEN.sub(rb"\1-", query)
    return ours
