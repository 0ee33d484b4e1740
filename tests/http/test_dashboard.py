"""The view of the dashboard: the addresses that it hands to its page."""

import pytest
from django.test import Client
from django.urls import include, path, set_script_prefix
from pytest_django import Settings

from relay.http.dashboard import dashboard

urlpatterns = [path("", dashboard)]
WITH_VIEWS = (*urlpatterns, path("live/", include("relay.urls")))


HEAD = '<body data-channel="demo_stream" data-redis="redis-cli"'


def body_tag(prefix: str = "/") -> str:
    set_script_prefix(prefix)
    try:
        page = dashboard(Client().get("/").wsgi_request).content.decode()
    finally:
        set_script_prefix("/")
    [line] = [line for line in page.splitlines() if line.startswith("<body")]
    return line


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("prefix", ["/", "/shop/"])
def test_the_page_asks_for_the_stream_below_the_path_of_the_site(prefix: str) -> None:
    assert body_tag(prefix) == f'{HEAD} data-stream="{prefix}stream/">'


@pytest.mark.parametrize("prefix", ["/", "/shop/"])
def test_the_page_knows_the_views_that_the_site_routes(settings: Settings, prefix: str) -> None:
    settings.ROOT_URLCONF = WITH_VIEWS
    views = f'data-channels="{prefix}live/channels/" data-history="{prefix}live/history/"'
    assert body_tag(prefix) == f'{HEAD} data-stream="{prefix}stream/" {views}>'
    settings.RELAY_HTTP_PUBLISH = "1"
    views += f' data-publish="{prefix}live/publish/"'
    assert body_tag(prefix) == f'{HEAD} data-stream="{prefix}stream/" {views}>'
