"""The texts of refusals are translated as a site's locale says."""

import ast
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.urls import path
from django.utils import translation
from pytest_django import Settings

from relay import conf
from relay.engine.stream import Full
from relay.http import consumer, publish
from relay.http.consumer import StreamConsumer
from relay.http.refusal import csrf_failure
from relay.stats import Stats
from tests.support.servers import ROOT
from tests.support.tokens import TOKEN_KEY

GERMAN = {
    "": "Content-Type: text/plain; charset=UTF-8\n",
    "There is no such channel.": "Diesen Kanal gibt es nicht.",
    "Sign in to see this channel.": "Melden Sie sich an, um diesen Kanal zu sehen.",
    "The token is not valid.": "Das Token ist ungültig.",
    "A stream can have up to %(limit)d channels.": "Ein Stream hat bis zu %(limit)d Kanäle.",
    "All streams are taken.": "Alle Streams sind vergeben.",
    "rewind is not valid. Use a whole number of messages, or all.": "rewind ist ungültig.",
    "The CSRF token (X-CSRFToken) or the origin is missing or not right.": "Das CSRF-Token fehlt.",
}

urlpatterns = [path("publish/<path:channel>/", publish.publish)]


def compiled(messages: Mapping[str, str]) -> bytes:
    """A catalogue as `msgfmt` writes it (gettext manual, "The Format of GNU MO Files")."""
    pairs = sorted((one.encode(), two.encode()) for one, two in messages.items())
    texts = [one for one, _ in pairs] + [two for _, two in pairs]
    start = 28 + 8 * len(texts)
    table, data = b"", b""
    for text in texts:
        table += struct.pack("<II", len(text), start + len(data))
        data += text + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    return head + table + data


@pytest.fixture(autouse=True)
def site(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(compiled(GERMAN))
    settings.LOCALE_PATHS = [str(tmp_path)]
    settings.ALLOWED_HOSTS = ["hub", "testserver"]
    settings.RELAY_CHANNELS = {"news": {"access": "public"}, "desk": {"access": "signed-in"}}
    settings.RELAY_TOKEN_KEY = TOKEN_KEY
    settings.RELAY_HTTP_PUBLISH = "1"


class StandIn:
    """As much of a hub as a refusal needs."""

    def __init__(self, *, full: bool) -> None:
        self.settings = conf.load()
        self.catalogue = conf.load_catalogue()
        self.stats = Stats()
        self._full = full

    @property
    def streams(self) -> "StandIn":
        return self

    def check_room(self, admission: object = None) -> None:
        if self._full:
            raise Full("All streams are taken.")

    async def take_seat(self, owner: object) -> None: ...

    def give_back(self, owner: object) -> None: ...

    def refusal_retry(self) -> bytes:
        return b"retry: 1\n\n"


async def answer(
    monkeypatch: pytest.MonkeyPatch, query: bytes, *, full: bool = False, language: bytes = b""
) -> tuple[int, str]:
    """What the consumer answers, which no middleware has given a language."""
    monkeypatch.setattr(consumer, "get_hub", lambda: StandIn(full=full))
    headers = [(b"host", b"hub"), (b"accept-language", language)]
    scope = {"type": "http", "method": "GET", "headers": headers, "query_string": query}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await StreamConsumer.as_asgi()(scope, receive, send)
    problem = json.loads(b"".join(message.get("body", b"") for message in sent))
    assert problem["status"] == sent[0]["status"]
    return problem["status"], problem["detail"]


@pytest.fixture
def german(settings: Settings) -> None:
    settings.LANGUAGE_CODE = "de"


@pytest.mark.django_db
async def test_a_stream_refuses_in_the_language_of_the_site(
    german: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for query, status, text in (
        (b"channel=nothing", 404, "There is no such channel."),
        (b"channel=desk", 401, "Sign in to see this channel."),
        (b"channel=desk&token=x", 401, "The token is not valid."),
        (b"rewind=x", 400, "rewind is not valid. Use a whole number of messages, or all."),
    ):
        assert await answer(monkeypatch, query) == (status, GERMAN[text])
    many = b"&".join(b"channel=n%d" % n for n in range(51))
    assert await answer(monkeypatch, many) == (400, "Ein Stream hat bis zu 50 Kanäle.")
    assert await answer(monkeypatch, b"", full=True) == (503, "Alle Streams sind vergeben.")


async def test_without_a_translation_it_is_english(monkeypatch: pytest.MonkeyPatch) -> None:
    english = (404, "There is no such channel.")
    assert await answer(monkeypatch, b"channel=nothing", language=b"de") == english


@pytest.mark.urls(__name__)
def test_a_view_refuses_in_the_language_that_the_middleware_found(settings: Settings) -> None:
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware", *settings.MIDDLEWARE]
    for language, text in (
        ("de", "Diesen Kanal gibt es nicht."),
        ("en", "There is no such channel."),
    ):
        headers = {"Accept-Language": language}
        response = Client().post("/publish/nowhere/", b"x", content_type="a/b", headers=headers)
        assert (response.status_code, response.json()["detail"]) == (404, text)


def test_a_text_that_is_made_when_the_module_is_imported_is_lazy(settings: Settings) -> None:
    with translation.override("de"):
        response = csrf_failure(RequestFactory().post("/token/"))
    assert json.loads(response.content)["detail"] == "Das CSRF-Token fehlt."


def untranslated() -> Iterator[str]:
    """Texts of refusals that no translation can reach."""
    texts = {"Problem": 1, "unauthenticated": 0, "insufficient_scope": 0, "TokenRefused": 0}
    for package in ("access", "http"):
        for module in (ROOT / "relay" / package).glob("*.py"):
            for node in ast.walk(ast.parse(module.read_text())):
                name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
                if name in texts and isinstance(node, ast.Call):
                    text = node.args[texts[name]]
                    if isinstance(text, ast.Constant | ast.JoinedStr):
                        yield f"{module.name}:{node.lineno}"


def test_every_refusal_can_be_translated() -> None:
    assert list(untranslated()) == []
