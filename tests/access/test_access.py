"""Who may see which channel: every rule, every kind of client; and names that are none."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser

from relay.access.identity import Viewer
from relay.access.problem import Problem
from relay.access.rules import require
from relay.conf.catalogue import Spec, Target
from tests.support.client import ask, raw_request, read_until
from tests.support.servers import ROOT, HubProcess, StartHub
from tests.support.site import Site
from tests.support.tokens import token
from tests.support.waiting import wait_until

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
    reasons: dict[str, None] = {}
    for rule, channel in RULES.items():
        cells = []
        for client in CLIENTS.values():
            found = ask(hub.url, f"/stream/?channel={channel}", headers=client(site))
            cells.append(str(found.status))
            if found.status != 200:
                reasons[f"{found.status} {found.detail}"] = None
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
    empty = f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    hub = start_hub(DATABASE_URL=empty, RELAY_CHANNELS="orders.*=signed-in")
    headers = {"Cookie": "sessionid=" + "x" * 32}
    found = ask(hub.url, "/stream/?channel=orders.7", headers=headers)
    assert (found.status, found.headers["Retry-After"]) == (503, "30")
    assert found.detail == "You cannot be identified now."
    source = {**headers, "Accept": "text/event-stream"}
    found = ask(hub.url, "/stream/?channel=orders.7", headers=source)
    assert (found.status, found.body.startswith(b"retry: ")) == (200, True)
    assert ask(hub.url, "/stream/", headers=source).status == 200
    assert "The client of a stream could not be identified" in hub.log()


def test_a_wildcard_needs_a_rule_of_its_own(site: Site, served: HubProcess) -> None:
    headers = {"Cookie": site.people["eve"].cookie}
    assert ask(served.url, "/stream/?channel=orders.*", headers=headers).status == 404


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
    found = ask(served.url, f"/stream/?channel={name}", headers=headers)
    assert found.status == 404
    assert "Evil" not in found.detail


def test_ten_thousand_names_are_too_many(served: HubProcess) -> None:
    names = "&".join(f"channel=n{n}" for n in range(99))
    assert ask(served.url, f"/stream/?{names}").status == 400
    names = "&".join("channel=n" for n in range(1500))
    assert ask(served.url, f"/stream/?{names}").status == 400


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
    assert ask(served.url, path, headers={"Content-Type": kind}).status == 400
    assert served.log() == before


def test_an_accept_header_that_cannot_be_read_is_not_acceptable(served: HubProcess) -> None:
    assert ask(served.url, "/stream/", headers={"Accept": "text/plain; a*=bogus''1"}).status == 406
    assert "Traceback" not in served.log().split("a rule that fails")[-1]


def test_names_that_no_id_could_hold_are_refused_at_once(served: HubProcess, site: Site) -> None:
    names = "&".join(f"channel=orders.{n:0200}" for n in range(30))
    headers = {"Cookie": site.people["ann"].cookie}
    assert ask(served.url, f"/stream/?{names}", headers=headers).status == 400


def test_a_query_of_a_megabyte_does_no_harm(served: HubProcess) -> None:
    request = b"GET /stream/?channel=" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    try:
        with raw_request(served.url, request) as connection:
            assert b" 200 " not in connection.recv(4096)
    except OSError:
        pass  # cut off before it was sent
    wait_until(
        lambda: ask(served.url, "/stream/?channel=news").status == 200, "the hub still serves"
    )


@pytest.mark.parametrize("last", [b"a=b", b"relay_token="])
def test_cookies_of_several_fields_count(served: HubProcess, site: Site, last: bytes) -> None:
    """HTTP/2 sends each cookie in a field of its own, and not every proxy joins them."""
    session = site.people["ann"].cookie.encode()
    fields = [b"Cookie: x=y", b"Cookie: " + session, b"Cookie: " + last]
    lines = [b"GET /stream/?channel=orders.7 HTTP/1.1", b"Host: localhost", *fields]
    with raw_request(served.url, b"\r\n".join(lines) + b"\r\n\r\n") as connection:
        assert b" 200 " in read_until(connection, b"\r\n\r\n")


def test_a_request_with_two_hosts_is_refused(served: HubProcess) -> None:
    lines = [b"GET /stream/ HTTP/1.1", b"Host: evil.example", b"Host: localhost", b"", b""]
    with raw_request(served.url, b"\r\n".join(lines)) as connection:
        assert b" 400 " in read_until(connection, b"\r\n\r\n")
