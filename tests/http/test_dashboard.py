"""The view of the dashboard: the addresses that it hands to its page."""

import pytest
from django.test import Client
from django.urls import path

from relay.http.dashboard import dashboard

urlpatterns = [path("", dashboard)]


def test_the_page_asks_for_health_where_the_site_has_it() -> None:
    page = Client().get("/").content.decode()
    assert '<body data-stream="/stream/" data-health="/health/">' in page


@pytest.mark.urls(__name__)
def test_the_page_asks_for_no_health_where_the_site_has_none() -> None:
    page = Client().get("/").content.decode()
    assert '<body data-stream="/stream/" data-health="">' in page
