"""Pages of other origins and the views: preflights, answers, refusals."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.urls import set_script_prefix
from pytest_django import Settings

from tests.support.tokens import TOKEN_KEY, token

ORIGIN = "https://app.example.com"


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.RELAY_CHANNELS = {"desk": {"access": "signed-in"}}
    settings.RELAY_ALLOWED_ORIGINS = ORIGIN
    settings.RELAY_HTTP_PUBLISH = "1"
    settings.RELAY_TOKEN_KEY = TOKEN_KEY


async def ask(method: str, path: str, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await AsyncClient().generic(method, path, headers=names)


@pytest.mark.parametrize(
    "path", ["/token/", "/publish/desk/", "/presence/desk/", "/history/desk/", "/channels/"]
)
async def test_a_preflight_is_answered_for_listed_origins_alone(path: str) -> None:
    asked = {"Access_Control_Request_Method": "POST"}
    answer = await ask("OPTIONS", path, Origin=ORIGIN, **asked)
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (204, ORIGIN)
    assert "Authorization" in answer["Access-Control-Allow-Headers"]
    assert answer["Access-Control-Allow-Credentials"] == "true"
    answer = await ask("OPTIONS", path, Origin="https://evil.example", **asked)
    assert answer.status_code == 405
    assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.parametrize(
    "path", ["/token/", "/publish/desk/", "/presence/desk/", "/history/desk/", "/channels/"]
)
@pytest.mark.parametrize("origin", [ORIGIN, "https://evil.example", "null"])
async def test_a_refusal_can_be_read_by_listed_origins_alone(path: str, origin: str) -> None:
    answer = await ask("DELETE", path, Origin=origin)
    assert answer.status_code == 405
    assert answer.get("Access-Control-Allow-Origin") == (ORIGIN if origin == ORIGIN else None)
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.django_db(transaction=True)
async def test_each_set_of_channels_has_a_cookie_and_a_form_that_is_none_is_refused() -> None:
    client = AsyncClient()
    await client.aforce_login(await User.objects.acreate_user("ann"))
    answer = await client.post("/token/", '{"channel": "desk"}', content_type="application/json")
    assert answer.status_code == 415
    names = ["desk"], ["desk", "demo_stream"]
    cookies = set()
    for channel in names:
        answer = await client.post("/token/", {"channel": channel, "cookie": "1"})
        assert answer.status_code == 200
        cookies |= {name for name in answer.cookies if name.startswith("relay_token_")}
        assert {morsel["path"] for morsel in answer.cookies.values()} == {"/stream"}
    assert len(cookies) == 2
    assert token() not in str(cookies)


@pytest.mark.django_db(transaction=True)
async def test_the_cookie_of_a_token_reaches_the_stream_of_a_site_below_a_path(
    settings: Settings,
) -> None:
    settings.RELAY_STREAM_PATH = "live/stream/"
    client = AsyncClient()
    await client.aforce_login(await User.objects.acreate_user("ann"))
    set_script_prefix("/shop/")
    try:
        answer = await client.post("/token/", {"channel": "desk", "cookie": "1"})
    finally:
        set_script_prefix("/")
    assert [morsel["path"] for morsel in answer.cookies.values()] == ["/shop/live/stream"]
