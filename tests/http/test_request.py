"""A request is read once, with all fields of a name, under ASGI and WSGI alike."""

from typing import Any

import pytest
from django.http.cookie import parse_cookie
from django.test import AsyncRequestFactory, RequestFactory

from relay.http.request import StreamRequest, scope_of


def scope(*headers: tuple[bytes, bytes], **fields: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "headers": headers, **fields}


def test_cookies_of_several_fields_are_all_there() -> None:
    request = StreamRequest.of(
        scope((b"cookie", b"a=1"), (b"cookie", b"sessionid=abc"), (b"cookie", b"b=2"))
    )
    assert request.cookie == "a=1; sessionid=abc; b=2"
    assert request.credentials("").session_key == "abc"


def test_several_fields_of_another_name_are_a_list() -> None:
    request = StreamRequest.of(
        scope(
            *((b"host", b"a"), (b"host", b"b"), (b"accept", b"text/html"), (b"accept", b"*/*")),
            *((b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"2.2.2.2")),
            *((b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")),
        )
    )
    assert request.host == "a, b"
    assert request.accept == "text/html, */*"
    assert request.forwarded_for == "1.1.1.1, 2.2.2.2"
    assert request.credentials("").token == "a, Bearer b"


def test_what_is_missing_is_empty_and_the_host_is_the_servers() -> None:
    request = StreamRequest.of(scope(server=("hub", 80)))
    assert (request.host, request.origin, request.accept) == ("hub", None, "")
    assert (request.last_event_id, request.query_string) == (b"", b"")
    assert StreamRequest.of(scope()).host == ""


def test_no_secret_is_in_its_repr() -> None:
    secrets = scope(
        (b"cookie", b"sessionid=secret"),
        (b"authorization", b"Bearer secret"),
        query_string=b"token=secret",
    )
    assert "secret" not in repr(StreamRequest.of(secrets))


@pytest.mark.parametrize("path", ["/presence/news/", "/presence/news/?token=%C3%A9&a=b"])
def test_a_scope_made_under_wsgi_reads_as_one_of_asgi(path: str) -> None:
    headers = {"Cookie": "a=1; relay_token=x", "Authorization": "Bearer y"}
    asgi = scope_of(AsyncRequestFactory().get(path, headers=headers))
    wsgi = scope_of(RequestFactory().get(path, headers=headers))
    assert asgi["client"][0] == wsgi["client"][0] == "127.0.0.1"
    assert {asgi[key] == wsgi[key] for key in ("type", "method", "path", "scheme")} == {True}
    one, two = StreamRequest.of(asgi), StreamRequest.of(wsgi)
    for field in ("host", "authorization", "query_string", "method", "origin"):
        assert getattr(one, field) == getattr(two, field), field
    assert parse_cookie(one.cookie) == parse_cookie(two.cookie) == {"a": "1", "relay_token": "x"}
