"""Static files of the hub's own project: which there are, and how they are served under ASGI."""

import pytest
from django.test import AsyncClient, Client
from django.test.client import AsyncRequestFactory

from hub.static_files import StaticFilesMiddleware
from tests.support.servers import ROOT

APP = ROOT / "frontend/app.js"


async def body(response: object) -> bytes:
    return b"".join([part async for part in response])  # type: ignore[attr-defined]


async def test_a_static_file_under_asgi_is_no_warning() -> None:
    """Warnings are errors in the tests."""
    client = AsyncClient()
    found = await client.get("/static/relay/app.js")
    assert (found.status_code, await body(found)) == (200, APP.read_bytes())
    assert found["Content-Length"] == str(APP.stat().st_size)
    known = await client.get("/static/relay/app.js", headers={"If-None-Match": found["ETag"]})
    assert known.status_code == 304  # Django's client itself empties this answer
    part = await client.get("/static/relay/app.js", headers={"Range": "bytes=0-5"})
    assert (part.status_code, await body(part)) == (206, APP.read_bytes()[:6])


async def test_an_answer_without_a_body_under_asgi_is_no_warning_either() -> None:
    middleware = StaticFilesMiddleware(lambda request: None)
    found = middleware(AsyncRequestFactory().head("/static/relay/app.js"))
    assert (found.status_code, await body(found)) == (200, b"")


def test_a_static_file_under_wsgi_is_served_as_well() -> None:
    found = Client().get("/static/relay/app.js")
    assert b"".join(found) == APP.read_bytes()


async def test_the_file_of_an_answer_is_closed() -> None:
    middleware = StaticFilesMiddleware(lambda request: None)
    request = AsyncRequestFactory().get("/static/relay/app.js")
    found = middleware(request)
    file = found.file_to_stream or found._resource_closers[0].__self__
    assert await body(found) == APP.read_bytes()
    found.close()
    assert file.closed


@pytest.mark.parametrize("name", ["index.html", "dashboard.html"])
def test_a_template_is_no_static_file(name: str) -> None:
    assert Client().get(f"/static/relay/{name}").status_code == 404


def test_no_static_file_is_a_template() -> None:
    files = [path for path in (ROOT / "relay/static/relay").rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        assert b"{%" not in path.read_bytes(), path
