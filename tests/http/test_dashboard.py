"""The view of the dashboard: the address that it hands to its page."""

import pytest
from django.test import Client
from django.urls import path, set_script_prefix

from relay.http.dashboard import dashboard

urlpatterns = [path("", dashboard)]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("prefix", ["/", "/shop/"])
def test_the_page_asks_for_the_stream_below_the_path_of_the_site(prefix: str) -> None:
    set_script_prefix(prefix)
    try:
        page = dashboard(Client().get("/").wsgi_request).content.decode()
    finally:
        set_script_prefix("/")
    assert f'<body data-stream="{prefix}stream/">' in page
