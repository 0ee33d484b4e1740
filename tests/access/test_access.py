"""Who may see which channel: every rule, every kind of client; and what attackers try."""

import http.client
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from pytest_django import Settings

from relay.access import tokens
from relay.access.identity import Viewer, identify
from relay.access.problem import Problem
from relay.access.rules import require
from relay.conf.catalogue import Catalogue, Spec, Target
from relay.conf.origins import Origins
from relay.conf.proxies import client_address, parse_networks
from relay.http import admission
from tests.support.client import Stream, raw_request, read_until
from tests.support.servers import ROOT, HubProcess, RedisServer, StartHub
from tests.support.site import TOKEN_KEY, Site
from tests.support.waiting import wait_until

CHANNELS = (
    "news orders.*=signed-in user.{user_id}=owner audit=perm:sessions.view_session"
    " ann=tests.support.rules.named_ann bob=tests.support.rules.named_bob broken=tests.support.rules.broken"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"), RELAY_CHANNELS=CHANNELS)


@pytest.fixture(scope="module")
def served(site: Site) -> "object":
    redis_server = RedisServer()
    hub = HubProcess(redis_server.url, **site.env, RELAY_ALLOWED_ORIGINS="https://app.example.com")
    yield hub
    hub.close()
    redis_server.close()


def token(**claims: object) -> str:
    now = int(time.time())
    full = {"sub": "svc", "aud": "relay-hub", "iat": now, "exp": now + 60, "channels": ["*"]}
    return jwt.encode(
        {k: v for k, v in {**full, **claims}.items() if v is not None}, TOKEN_KEY, "HS256"
    )


def ask(
    hub: HubProcess, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], str]:
    """Status, headers (names in lower case), and the problem's detail or the first line."""
    parts = urlsplit(hub.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders()}
        if told.get("content-type") != "application/problem+json":
            return (
                response.status,
                told,
                "" if method == "OPTIONS" else response.readline().decode(),
            )
        problem = json.loads(response.read())
        assert (problem["status"], set(problem)) == (response.status, {"title", "status", "detail"})
        return response.status, told, str(problem["detail"])
    finally:
        connection.close()


CLIENTS: dict[str, Callable[[Site], dict[str, str]]] = {
    "nobody": lambda site: {},
    "signed in (ann)": lambda site: {"Cookie": site.people["ann"].cookie},
    "with the permission (bob)": lambda site: {"Cookie": site.people["bob"].cookie},
    "superuser (eve)": lambda site: {"Cookie": site.people["eve"].cookie},
    "token for it": lambda site: {"Authorization": f"Bearer {token()}"},
    "token for another": lambda site: {"Authorization": f"Bearer {token(channels=['x'])}"},
    "expired token": lambda site: {"Authorization": f"Bearer {token(exp=int(time.time()) - 60)}"},
}
RULES = {
    "`public`": "news",
    "`signed-in`": "orders.7",
    "`owner` (`user.{user_id}`, ann's)": "user.1",
    "`perm:…`": "audit",
    "a function": "ann",
    "an async function": "bob",
    "a function that fails": "broken",
}


def table(site: Site, hub: HubProcess) -> str:
    lines = ["| rule | " + " | ".join(CLIENTS) + " |", "|---" * (len(CLIENTS) + 1) + "|"]
    reasons = {}
    for rule, channel in RULES.items():
        cells = []
        for client in CLIENTS.values():
            status, _, detail = ask(hub, f"/stream/?channel={channel}", client(site))
            cells.append(str(status))
            if status != 200:
                reasons[f"{status} {detail}"] = None
        lines.append(f"| {rule} | " + " | ".join(cells) + " |")
    told = "\n".join(f"- {reason}" for reason in sorted(reasons))
    return "\n".join(lines) + "\n\nThe reasons that are given:\n\n" + told + "\n"


def test_each_rule_for_each_client_is_what_the_documentation_says(
    site: Site, served: HubProcess
) -> None:
    page = ROOT / "docs/access.md"
    begin, end = "<!-- table: made by tests/access/test_access.py -->\n", "<!-- end of table -->"
    text = page.read_text()
    before, _, rest = text.partition(begin)
    documented, _, after = rest.partition(end)
    found = "\n" + table(site, served) + "\n"
    if os.environ.get("WRITE_DOCS"):
        page.write_text(before + begin + found + end + after)
        documented = found
    assert documented == found
    assert "a rule that fails" in served.log()


async def test_a_rule_that_is_not_there_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    """`serve` does not start with one; other commands do."""
    spec = Spec("x", "tests.support.rules.missing", 1, 1, 1000)
    with pytest.raises(Problem) as refused:
        await require(Viewer(AnonymousUser()), Target("x", spec, {}), {})
    assert refused.value.status == 401
    assert "The access rule of x failed; nobody gets in by it." in caplog.text


def test_users_that_cannot_be_read_are_a_busy_hub_and_no_silence(
    start_hub: StartHub, tmp_path: Path
) -> None:
    env = {"DATABASE_URL": f"sqlite:///{tmp_path / 'empty.sqlite3'}", "RELAY_CHANNELS": CHANNELS}
    hub = start_hub(**env)
    headers = {"Cookie": "sessionid=" + "x" * 32}
    status, told, detail = ask(hub, "/stream/?channel=orders.7", headers)
    assert (status, told["retry-after"]) == (503, "30")
    assert detail == "Who you are cannot be found out now."
    source = {**headers, "Accept": "text/event-stream"}
    status, _, first = ask(hub, "/stream/?channel=orders.7", source)
    assert (status, first.startswith("retry: ")) == (200, True)
    assert ask(hub, "/stream/", source)[0] == 200
    assert "Who asks for a stream could not be found out" in hub.log()


def test_a_wildcard_needs_a_rule_of_its_own(site: Site, served: HubProcess) -> None:
    headers = {"Cookie": site.people["eve"].cookie}
    assert ask(served, "/stream/?channel=orders.*", headers)[0] == 404


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "relay:{demo_stream}:marker",
        "relay:x",
        "__keyspace@0__:x",
        "asgi:x",
        "asgi__group",
    ]
    + ["orders.%0d%0aX-Evil:1", "*", "news*", "[n]ews", "new?", "orders.%00", "%ff"]
    + ["x" * 10_000, "orders." + "x" * 300, "news%20", "orders.a%20b", "user.1.2", "user."],
)
def test_what_the_catalogue_lacks_is_not_found(site: Site, served: HubProcess, name: str) -> None:
    headers = {"Cookie": site.people["eve"].cookie}
    status, _, detail = ask(served, f"/stream/?channel={name}", headers)
    assert status == 404
    assert "Evil" not in detail


def test_ten_thousand_names_are_too_many(served: HubProcess) -> None:
    names = "&".join(f"channel=n{n}" for n in range(99))
    assert ask(served, f"/stream/?{names}")[0] == 400
    names = "&".join("channel=n" for n in range(1500))
    assert ask(served, f"/stream/?{names}")[0] == 400


@pytest.mark.parametrize(
    "path", ["/", "/token/", "/publish/demo_stream/", "/presence/demo_stream/"]
)
@pytest.mark.parametrize(
    "kind", ["text/plain; charset*=none''x", "multipart/form-data; boundary*=q''"]
)
def test_a_header_that_cannot_be_read_is_refused_in_silence(
    served: HubProcess, path: str, kind: str
) -> None:
    before = served.log()
    assert ask(served, path, {"Content-Type": kind})[0] == 400
    assert served.log() == before


BAD_TOKENS: dict[str, Callable[[], str]] = {
    "another audience": lambda: token(aud="other"),
    "no audience": lambda: token(aud=None),
    "no expiry": lambda: token(exp=None),
    "no subject": lambda: token(sub=None),
    "an empty subject": lambda: token(sub=""),
    "no time of issue": lambda: token(iat=None),
    "issued in the future": lambda: token(iat=int(time.time()) + 3600),
    "not yet valid": lambda: token(nbf=int(time.time()) + 3600),
    "another key": lambda: jwt.encode({"sub": "x"}, "another key, also long enough 123", "HS256"),
    "alg none": lambda: jwt.encode({"sub": "x", "aud": "relay-hub"}, None, "none"),
    "junk": lambda: "junk",
    "three dots": lambda: "a.b.c",
    "too long": lambda: "x" * 12_000,
    "another algorithm": lambda: jwt.encode({"sub": "x"}, TOKEN_KEY * 2, "HS512"),
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
@pytest.mark.parametrize("way", ["header", "query", "cookie"])
def test_a_token_that_is_not_valid_is_refused_and_never_repeated(
    served: HubProcess, kind: str, way: str
) -> None:
    text = BAD_TOKENS[kind]()
    if way == "header":
        found = ask(served, "/stream/?channel=orders.7", {"Authorization": f"Bearer {text}"})
    elif way == "query":
        found = ask(served, f"/stream/?channel=orders.7&token={text}")
    else:
        found = ask(served, "/stream/?channel=orders.7", {"Cookie": f"relay_token={text}"})
    status, headers, detail = found
    assert status == 401, found
    assert headers["www-authenticate"] == "Bearer"
    assert text[:20] not in detail
    assert text[:20] not in served.log()


@pytest.mark.parametrize("way", ["header", "query", "cookie"])
def test_a_valid_token_works_each_way(served: HubProcess, way: str) -> None:
    text = token(channels=["orders.*"])
    headers = {
        "header": {"Authorization": f"bearer {text}"},
        "query": {},
        "cookie": {"Cookie": f"a=b; relay_token={text}"},
    }[way]
    path = f"/stream/?channel=orders.7&token={text if way == 'query' else ''}"
    status, told, _ = ask(served, path, headers)
    assert (status, told["referrer-policy"]) == (200, "no-referrer")
    assert text not in served.log()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_token_in_the_address_is_in_no_servers_log(
    start_hub: StartHub, site: Site, server: str
) -> None:
    command = {
        "daphne": ["-m", "daphne", "-p", "{port}", "hub.asgi:application"],
        "uvicorn": ["-m", "uvicorn", "--port", "{port}", "hub.asgi:application"],
    }
    hub = start_hub(command=command[server], **site.env)
    text = token()
    assert ask(hub, f"/stream/?channel=orders.7&token={text}")[0] == 200
    assert ask(hub, f"/stream/?token={text}x&channel=orders.7")[0] == 401
    wait_until(lambda: "token=-&channel=orders.7" in hub.log(), "the request is logged")
    hub.wait_for_streams(0)
    assert text not in hub.log()


def test_rs256_tokens_by_a_key_set(start_hub: StartHub, redis_server: RedisServer) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))
    keys = json.dumps({"keys": [{**jwk, "kid": "k1", "alg": "RS256", "use": "sig"}]})
    hub = start_hub(RELAY_TOKEN_JWKS=keys, RELAY_CHANNELS="x=signed-in")
    now = int(time.time())
    claims = {"sub": "u", "aud": "relay-hub", "iat": now, "exp": now + 60, "channels": ["x"]}
    good = jwt.encode(claims, private, "RS256", headers={"kid": "k1"})
    assert ask(hub, f"/stream/?channel=x&token={good}")[0] == 200
    unknown = jwt.encode(claims, private, "RS256", headers={"kid": "k2"})
    assert ask(hub, f"/stream/?channel=x&token={unknown}")[0] == 401
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    confused = jwt.api_jws.PyJWS().encode(
        json.dumps(claims).encode(), TOKEN_KEY, "HS256", headers={"kid": "k1"}
    )
    assert public
    assert ask(hub, f"/stream/?channel=x&token={confused}")[0] == 401


def test_a_stream_ends_when_its_token_does(
    start_hub: StartHub, redis_server: RedisServer, site: Site
) -> None:
    hub = start_hub(**site.env)
    text = token(exp=int(time.time()) + 2)
    start = time.monotonic()
    with Stream(hub.url, f"/stream/?channel=orders.7&token={text}", timeout=10) as stream:
        assert list(stream.events()) == []  # and not one event
        assert time.monotonic() - start < 4
        assert stream.lines[-2].startswith(b"retry: ")
    hub.wait_for_streams(0)


def test_a_signed_in_user_gets_a_token_for_what_that_user_may_see(
    site: Site, served: HubProcess
) -> None:
    ann = site.people["ann"]
    csrf = "x" * 32
    cookies = f"{ann.cookie}; csrftoken={csrf}"

    def post(form: str, cookie: str = cookies, **headers: str) -> tuple[int, dict[str, object]]:
        parts = urlsplit(served.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie, **headers}
        connection.request("POST", "/token/", form, sent)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        is_json = "json" in str(response.headers["Content-Type"])
        return response.status, json.loads(body) if is_json else {}

    token_header = {"X-CSRFToken": csrf}
    status, told = post(f"channel=user.{ann.pk}&channel=orders.1", **token_header)
    assert (status, told["expires_in"]) == (200, 300)
    assert told["channels"] == [f"user.{ann.pk}", "orders.1"]
    path = f"/stream/?channel=orders.1&channel=user.{ann.pk}&token={told['token']}"
    assert ask(served, path)[0] == 200
    assert ask(served, f"/stream/?channel=orders.2&token={told['token']}")[0] == 403
    assert post("channel=user.999", **token_header)[0] == 403
    assert post("channel=nothing", **token_header)[0] == 404
    status, told = post("channel=orders.1")  # cross-site: no CSRF token
    assert status == 403
    assert "CSRF" in str(told["detail"])
    assert post("channel=orders.1", cookie=f"csrftoken={csrf}", **token_header)[0] == 401


ORIGINS = {
    "https://app.example.com": 200,
    "https://evil.example.com": 403,
    "http://app.example.com": 403,
    "https://app.example.com.evil.com": 403,
    "https://app.example.com:8443": 403,
    "null": 403,
    "": 403,
    "https://app.example.com\x01": 403,
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_pages_of_other_origins_need_to_be_listed(served: HubProcess, origin: str) -> None:
    request = f"GET /stream/ HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n".encode()
    with raw_request(served.url, request) as connection:
        head = read_until(connection, b"\r\n\r\n")
    assert f" {ORIGINS[origin]} ".encode() in head.splitlines()[0] or b" 400 " in head
    allowed = b"Access-Control-Allow-Origin: https://app.example.com\r\n" in head
    assert allowed is (ORIGINS[origin] == 200)
    if allowed:
        assert b"Access-Control-Allow-Credentials: true\r\n" in head
        assert b"Vary: Origin\r\n" in head


def test_a_preflight_is_answered(served: HubProcess) -> None:
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
    status, told, _ = ask(served, "/stream/", headers, "OPTIONS")
    assert (status, told["access-control-allow-methods"]) == (204, "GET")
    assert "Authorization" in told["access-control-allow-headers"]
    assert ask(served, "/stream/", {"Origin": "https://evil.example"}, "OPTIONS")[0] == 403


def test_a_refusal_can_be_read_by_the_page_that_asked(served: HubProcess) -> None:
    headers = {"Origin": "https://app.example.com"}
    status, told, _ = ask(served, "/stream/?channel=orders.7", headers)
    assert (status, told["access-control-allow-origin"]) == (401, "https://app.example.com")


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("https://a.example.com", "hub", True),
        ("https://b.a.example.com", "hub", True),
        ("https://example.com", "hub", False),
        ("https://evilexample.com", "hub", False),
        ("http://a.example.com", "hub", False),
        ("https://*.example.com", "hub", False),
        ("http://hub:8000", "hub:8000", True),
        ("http://hub:8000", "hub:9000", False),
        ("https://x.org:444", "hub", True),
        ("https://x.org", "hub", False),
        ("https://user@a.example.com", "hub", False),
        ("https://a.example.com/path", "hub", False),
    ],
)
def test_origins_are_exact_or_below_a_host(origin: str, host: str, allowed: bool) -> None:
    origins = Origins(["https://*.example.com", "https://x.org:444"])
    assert origins.allows(origin, host) is allowed


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("9.9.9.9", "1.2.3.4", "9.9.9.9"),
        ("10.0.0.1", "evil\r\nx, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "::1, fd00::5", "fd00::/64"),
        ("::ffff:10.0.0.1", "::ffff:1.2.3.4,10.0.0.2", "1.2.3.4"),
        ("2001:db8:0:1:2::3", "", "2001:db8:0:1::/64"),
        ("", "1.2.3.4", ""),
    ],
)
def test_only_trusted_proxies_name_the_client(peer: str, forwarded_for: str, address: str) -> None:
    assert client_address(peer, forwarded_for, parse_networks(["10.0.0.0/8"])) == address


def test_every_line_of_a_header_of_proxies_counts() -> None:
    settings = SimpleNamespace(
        max_streams_per_address=1, trusted_proxies=parse_networks(["10.0.0.0/8"])
    )
    lines = [(b"x-forwarded-for", b"6.6.6.6, 1.2.3.4"), (b"x-forwarded-for", b"10.0.0.2")]
    scope = {"client": ("10.0.0.1", 5), "headers": lines}
    assert admission._address(SimpleNamespace(settings=settings), scope) == "1.2.3.4"


def test_a_wildcard_in_a_token_is_no_key_to_a_channel_with_an_entry_of_its_own(
    start_hub: StartHub, site: Site
) -> None:
    channels = "room=perm:sessions.view_session room*=signed-in"
    hub = start_hub(**{**site.env, "RELAY_CHANNELS": channels})
    bearer = {"Authorization": f"Bearer {token(channels=['room*'])}"}
    assert ask(hub, "/stream/?channel=rooms", bearer)[0] == 200
    spec = Spec("room*", "signed-in", 1, 1, 1000, "signed-in")
    catalogue = Catalogue([spec, Spec("room", "signed-in", 1, 1, 1000)], "relay")
    for name, granted in {"room": False, "rooms": True, "room*": True}.items():
        found = catalogue.find(name)
        assert found is not None
        assert tokens.grants({"channels": ["room*"]}, "channels", found) is granted


def test_a_stream_ends_when_its_session_does(start_hub: StartHub, site: Site) -> None:
    hub = start_hub(**site.env)
    cookie = site.run(
        "import datetime; from django.utils import timezone\n"
        "from django.contrib.sessions.models import Session\n"
        f"row = Session.objects.get(pk='{site.people['bob'].session}')\n"
        "row.pk = 'b' * 32; row.expire_date = timezone.now() + datetime.timedelta(seconds=4)\n"
        "row.save(); print(row.pk)"
    )
    headers = {"Cookie": f"sessionid={cookie}"}
    with Stream(hub.url, "/stream/?channel=orders.7", headers=headers, timeout=10) as stream:
        assert list(stream.events()) == []  # it ends, by itself
        assert stream.lines[-2].startswith(b"retry: ")
    assert ask(hub, "/stream/?channel=orders.7", headers)[0] == 401


def test_a_cookie_that_is_replayed_after_the_user_signed_out_is_nobodys(
    site: Site, served: HubProcess
) -> None:
    sessions = (
        "from importlib import import_module\n"
        "from django.conf import settings\n"
        "from django.contrib.auth import logout\n"
        "from django.http import HttpRequest\n"
        "Store = import_module(settings.SESSION_ENGINE).SessionStore\n"
    )
    cookie = site.run(
        f"{sessions}session = Store()\n"
        f"session.update(Store('{site.people['eve'].session}').load())\n"
        "session.save(); print(session.session_key)"
    )
    headers = {"Cookie": f"sessionid={cookie}"}
    assert ask(served, "/stream/?channel=orders.7", headers)[0] == 200
    site.run(
        f"{sessions}request = HttpRequest(); request.session = Store('{cookie}')\nlogout(request)"
    )
    assert ask(served, "/stream/?channel=orders.7", headers)[0] == 401


def test_a_page_of_another_site_gets_nothing_by_the_users_cookie(
    site: Site, served: HubProcess
) -> None:
    headers = {"Cookie": site.people["ann"].cookie, "Origin": "https://evil.example.com"}
    status, told, _ = ask(served, "/stream/?channel=orders.7", headers)
    assert (status, "access-control-allow-origin" in told) == (403, False)


@pytest.mark.django_db(transaction=True)
async def test_looking_at_a_session_does_not_change_it(settings: Settings) -> None:
    settings.SECRET_KEY = "the old key"
    user = await User.objects.acreate_user("kim", password="pw")
    session = SessionStore()
    await session.aset(SESSION_KEY, str(user.pk))
    await session.aset(BACKEND_SESSION_KEY, settings.AUTHENTICATION_BACKENDS[0])
    await session.aset(HASH_SESSION_KEY, user.get_session_auth_hash())
    await session.asave()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the new key", ["the old key"]
    cookie = f"sessionid={session.session_key}".encode()
    for _ in range(2):
        viewer = await identify({b"cookie": cookie}, {})
        assert viewer.key == str(user.pk)


def test_an_accept_header_that_cannot_be_read_is_not_acceptable(served: HubProcess) -> None:
    assert ask(served, "/stream/", {"Accept": "text/plain; a*=bogus''1"})[0] == 406
    assert "Traceback" not in served.log().split("a rule that fails")[-1]


def test_names_that_no_id_could_hold_are_refused_at_once(served: HubProcess, site: Site) -> None:
    names = "&".join(f"channel=orders.{n:0200}" for n in range(30))
    headers = {"Cookie": site.people["ann"].cookie}
    assert ask(served, f"/stream/?{names}", headers)[0] == 400


def test_streams_per_user_and_per_address_are_limited(start_hub: StartHub, site: Site) -> None:
    hub = start_hub(
        **site.env,
        RELAY_MAX_STREAMS_PER_USER=2,
        RELAY_MAX_STREAMS_PER_ADDRESS=3,
        RELAY_TRUSTED_PROXIES="127.0.0.1",
    )
    ann, bob = site.people["ann"], site.people["bob"]

    def opened(cookie: str, forwarded_for: str, accept: str = "text/event-stream") -> bytes:
        request = (
            f"GET /stream/?channel=orders.1 HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n"
            f"X-Forwarded-For: {forwarded_for}\r\nAccept: {accept}\r\n\r\n"
        )
        connection = raw_request(hub.url, request.encode())
        connections.append(connection)
        return read_until(connection, b"retry: " if accept != "*/*" else b"\r\n\r\n")

    connections: list[object] = []
    try:
        for n in (1, 2):
            opened(ann.cookie, "1.1.1.1")
            hub.wait_for_streams(n)
        opened(ann.cookie, "2.2.2.2")
        assert b" 503 " in opened(ann.cookie, "2.2.2.2", "*/*")
        hub.wait_for_streams(2)
        opened(bob.cookie, "1.1.1.1")
        hub.wait_for_streams(3)
        opened(bob.cookie, "1.1.1.1")  # the fourth of this address
        opened(bob.cookie, "6.6.6.6, 1.1.1.1")  # what the client itself wrote does not help
        assert hub.health()["streams_open"] == 3
        opened(bob.cookie, "1.1.1.1, 3.3.3.3")
        hub.wait_for_streams(4)
    finally:
        for connection in connections:
            connection.close()  # type: ignore[attr-defined]
    hub.wait_for_streams(0)


def test_a_query_of_a_megabyte_does_no_harm(served: HubProcess) -> None:
    request = b"GET /stream/?channel=" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    try:
        with raw_request(served.url, request) as connection:
            assert b" 200 " not in connection.recv(4096)
    except OSError:
        pass  # cut off before it was sent
    wait_until(lambda: ask(served, "/stream/?channel=news")[0] == 200, "the hub still serves")
