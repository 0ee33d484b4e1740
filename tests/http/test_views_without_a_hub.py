"""The views in a process that runs no hub: under WSGI, and in a site's own ASGI process."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from django.test import AsyncClient, Client
from django.urls import include, path
from pytest_django import Settings

from relay.access import tokens
from relay.engine import lifespan
from relay.engine.hub import Hub
from relay.http.refusal import FORGED
from tests.support.servers import RedisServer, Taken
from tests.support.tokens import TOKEN_KEY

CHANNELS = {
    "news": {"access": "public"},
    "desk": {"access": "signed-in"},
    "order.{pk}": {"access": f"{__name__}.by_its_header"},
}


def by_its_header(user: Any, channel: Any, scope: Any) -> bool:
    """A rule that reads the scope, which has the same form everywhere."""
    return (b"x-order", channel.fields["pk"].encode()) in [tuple(pair) for pair in scope["headers"]]


urlpatterns = [path("", include("relay.urls"))]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def publish_site(
    settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = redis_server.url
    settings.RELAY_CHANNELS = CHANNELS
    settings.RELAY_HTTP_PUBLISH = "1"
    settings.RELAY_TOKEN_KEY = TOKEN_KEY

    def no_hub(*_: object) -> None:
        raise AssertionError("a view started a hub")

    monkeypatch.setattr(Hub, "__init__", no_hub)


def wsgi(
    method: str, url: str, body: bytes = b"", **headers: Any
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """What Django's WSGI handler answers, as a WSGI server calls it."""
    url, _, query = url.partition("?")
    environ = {
        **{"REQUEST_METHOD": method, "PATH_INFO": url, "QUERY_STRING": query},
        **{"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))},
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
        **{"CONTENT_TYPE": headers.get("content_type", "text/plain"), "HTTP_HOST": "localhost"},
    }
    setup_testing_defaults(environ)
    started: list[Any] = []
    application: Any = get_wsgi_application()
    response = application(environ, lambda *words: started.extend(words))
    answer = json.loads(b"".join(response))
    response.close()
    return int(started[0].split()[0]), dict(started[1]), answer


Get = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture(params=["WSGI handler", "client", "async client"])
def get(request: pytest.FixtureRequest) -> Get:
    """A GET by each handler; everything that a response holds is checked."""

    def by_client(url: str, **headers: str) -> tuple[int, Any]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return checked(Client().get(url, headers=names))

    async def ask(url: str, **headers: Any) -> tuple[int, Any]:
        if request.param == "async client":
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return checked(await AsyncClient().get(url, headers=names))
        if request.param == "client":
            return await asyncio.to_thread(by_client, url, **headers)
        status, fields, answer = await asyncio.to_thread(lambda: wsgi("GET", url, **headers))
        assert fields["Cache-Control"] == "no-store"
        return status, answer.get("detail", answer)

    return ask


def checked(response: Any) -> tuple[int, Any]:
    assert response["Cache-Control"] == "no-store"
    answer = json.loads(response.content)
    return response.status_code, answer.get("detail", answer)


async def test_health_names_no_hub_and_starts_none(get: Get) -> None:
    text = "This process runs no hub. Ask the process that serves the streams."
    assert await get("/health/") == (503, text)
    assert lifespan.running_hub() is None


async def test_presence_needs_redis_alone(get: Get) -> None:
    assert await get("/presence/news/") == (200, {"channel": "news", "count": 0})
    assert await get("/presence/nowhere/") == (404, "There is no such channel.")
    assert await get("/presence/desk/") == (401, "Sign in to see this channel.")
    claims = tokens.issue("svc", ["desk"], presence=["desk"])
    seen = (200, {"channel": "desk", "count": 0, "users": []})
    assert await get("/presence/desk/", authorization=f"Bearer {claims}") == seen
    assert await get(f"/presence/desk/?token={claims}") == seen
    assert await get("/presence/desk/", cookie=f"a=b; relay_token={claims}") == seen


async def test_pages_and_the_list_of_channels_need_redis_alone(get: Get) -> None:
    empty = {"messages": [], "more": False}
    assert await get("/history/news/") == (200, {"channel": "news", **empty})
    assert await get("/history/desk/") == (401, "Sign in to see this channel.")
    claims = tokens.issue("svc", ["desk"], publish=["desk"])
    by_token = {"authorization": f"Bearer {claims}"}
    assert await get("/history/desk/", **by_token) == (200, {"channel": "desk", **empty})
    status, answer = await get("/channels/?q=es", **by_token)
    desk = {"name": "desk", "wildcard": False, "streams": 0, "publish": True, "envelope": False}
    assert (status, answer) == (200, {"channels": [desk], "more": False})
    assert await get("/channels/?q=es") == (200, {"channels": [], "more": False})


class Plain:
    """A backend of a site's own, with no more than Django's documentation asks for."""

    def authenticate(self, request: Any, **credentials: Any) -> None:
        return None

    def get_user(self, user_id: Any) -> User | None:
        return User.objects.filter(pk=user_id).first()


async def test_a_backend_needs_no_more_than_get_user_for_the_views(settings: Settings) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Plain"]
    client = AsyncClient()
    await client.aforce_login(await User.objects.acreate_user("ann"), f"{__name__}.Plain")
    answer = await client.post("/token/", {"channel": "desk"})
    assert (answer.status_code, answer.json()["channels"]) == (200, ["desk"])
    assert checked(await client.get("/presence/desk/")) == (200, {"channel": "desk", "count": 0})
    refused = await client.post("/publish/news/", b"x", content_type="text/plain")
    assert refused.status_code == 403  # somebody, who may not


async def test_a_rule_gets_a_scope_of_the_same_form(get: Get) -> None:
    assert (await get("/presence/order.7/", x_order="7"))[0] == 200
    assert (await get("/presence/order.8/", x_order="7"))[0] == 401


def test_publishing_needs_redis_alone(taken: Taken) -> None:
    bearer = f"Bearer {tokens.issue('svc', [], publish=['news'])}"
    published = (200, {"published": 1, "subscribers": 1})
    status, _, answer = wsgi("POST", "/publish/news/", b"x \xff", authorization=bearer)
    assert (status, answer) == published
    response = Client().post(
        "/publish/news/", b"y", content_type="text/plain", headers={"Authorization": bearer}
    )
    assert (response.status_code, response.json()) == published
    status, fields, answer = wsgi("POST", "/publish/news/", b"x")
    assert (status, answer["detail"]) == (401, "A token or a signed-in user is needed.")
    assert fields["Content-Type"] == "application/problem+json"
    assert taken() == [("news", b"x \xff"), ("news", b"y")]


def test_a_token_needs_neither(redis_server: RedisServer) -> None:
    redis_server.kill()
    client = Client()
    client.force_login(User.objects.create_user("ann"))
    form = {"channel": ["desk", "news"]}
    response = client.post("/token/", form)
    assert response["Cache-Control"] == "no-store"
    answer = response.json()
    assert answer["channels"] == ["desk", "news"]
    assert tokens.decode(answer["token"])["channels"] == ["desk", "news"]
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    kind = "application/x-www-form-urlencoded"
    status, _, answer = wsgi(
        "POST", "/token/", b"channel=order.7", cookie=cookie, content_type=kind, x_order="7"
    )
    assert (status, answer["detail"]) == (403, str(FORGED))
    csrf = "a" * 32
    with_csrf = {"cookie": f"{cookie}; csrftoken={csrf}", "x_csrftoken": csrf}
    status, _, answer = wsgi(
        "POST", "/token/", b"channel=order.7", content_type=kind, x_order="7", **with_csrf
    )
    assert (status, answer["channels"]) == (200, ["order.7"])
    status, _, answer = wsgi(
        "POST", "/token/", b"channel=order.8", content_type=kind, x_order="7", **with_csrf
    )
    assert (status, answer["detail"]) == (403, "This user may not see this channel.")


def test_a_form_is_not_lost_where_the_slash_is_missing() -> None:
    client = Client()
    client.force_login(User.objects.create_user("ann"))
    answer = client.post("/token", {"channel": "desk"})
    assert (answer.status_code, answer.json()["channels"]) == (200, ["desk"])
    json_body = client.post("/token/", {"channel": "desk"}, content_type="application/json")
    assert json_body.status_code == 415


def test_a_token_is_refused_in_the_form_of_problems() -> None:
    status, fields, answer = wsgi("GET", "/token/")
    assert (status, fields["Allow"]) == (405, "POST")
    assert answer["detail"] == "A token is requested with POST."
    response = Client().post("/token/", {"channel": "desk"})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["detail"] == "Sign in to get a token."
    client = Client()
    client.force_login(User.objects.create_user("ann"))
    assert client.post("/token/", {"channel": "nowhere"}).status_code == 404
    assert client.post("/token/", {"channel": [f"n{n}" for n in range(51)]}).status_code == 400
