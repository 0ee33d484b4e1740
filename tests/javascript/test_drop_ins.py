"""Other clients on the hub. Each does what the table in docs/javascript.md says of it."""

import gzip
import json
import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Request

from tests.javascript.conftest import OpenPage, Publish
from tests.javascript.page import ClientPage
from tests.javascript.tools import HERE, MODULES, PACKAGE, needs_node, run
from tests.support.proxy import Proxy
from tests.support.servers import ROOT, HubProcess
from tests.support.tokens import token

pytestmark = [pytest.mark.browser, pytest.mark.slow, needs_node]

TEXT = (ROOT / "docs/javascript.md").read_text().partition("## Other clients")[2]

Table = dict[str, dict[str, str]]


def read_table() -> Table:
    """What stands in each row below the name of each client."""
    lines = re.findall(r"^\| (.*) \|$", TEXT, re.MULTILINE)
    rows = [[cell.strip() for cell in f" {line}".split(" |")] for line in lines]
    clients = [cell.split()[0].strip("`") for cell in rows[0][1:]]
    clients[0] = "this client"
    return {name: dict(zip(clients, cells, strict=True)) for name, *cells in rows[1:]}


TABLE = read_table()
CLIENTS = list(TABLE["size, minified and compressed"])

START = {
    "this client": """
        const { connect } = await import("/static/relay/client.js");
        const onState = ({ status, detail }) => status && told.push([status, detail]);
        const options = { onMessage: take, onGap: (gap) => gaps.push(gap), onState, ...more };
        if (tokens[0]) options.token = () => tokens.shift();
        connect(url, options);""",
    "EventSource": "listen(new EventSource(url, { headers }));",
    "reconnecting-eventsource": "listen(new ReconnectingEventSource(url, { headers }));",
    "event-source-polyfill": """
        listen(new EventSourcePolyfill(url, { headers, heartbeatTimeout: 1500 }));""",
    "fetch-event-source": """
        const onmessage = ({ event, data, id }) => {
          if (event === "hub.gap") gaps.push(data);
          else if (data) take({ data, lastEventId: id });
        };
        const onerror = ({ status }) => void told.push([status]);
        const options = { headers, onmessage, onerror, openWhenHidden: true, ...more };
        lib.fetchEventSource(url, options).catch(() => {});""",
}

LISTEN = """
const listen = (source) => {
  source.addEventListener("message", take);
  source.addEventListener("hub.gap", ({ data }) => gaps.push(data));
  source.onerror = ({ status }) => told.push([status]);
};
"""


def load(page: ClientPage, name: str) -> None:
    page.page.add_script_tag(content=FILES[name]() or ";")


def published(path: str) -> Callable[[], str]:
    return (MODULES / path).read_text


def built(*options: str) -> str:
    entry = str(MODULES / "@microsoft/fetch-event-source/lib/esm/index.js")
    return run(str(MODULES / ".bin/esbuild"), entry, "--bundle", "--minify", *options)


FILES: dict[str, Callable[[], str]] = {
    "this client": lambda: "",
    "EventSource": lambda: "",
    "reconnecting-eventsource": published(
        "reconnecting-eventsource/dist/ReconnectingEventSource.min.js"
    ),
    "event-source-polyfill": published("event-source-polyfill/src/eventsource.min.js"),
    "fetch-event-source": lambda: built("--format=iife", "--global-name=lib"),
}


def start(
    page: ClientPage, name: str, path: str = "/stream/", *tokens: str, more: str = ""
) -> None:
    """Opens a stream. `got`, `gaps` and `told` (of errors) have what comes to the page."""
    load(page, name)
    page.run(
        f"""const {{ url, tokens }} = x;
        const headers = tokens[0] ? {{ Authorization: `Bearer ${{tokens[0]}}` }} : {{}};
        const more = {{ {more} }};
        Object.assign(window, {{ got: [], gaps: [], told: [] }});
        const take = ({{ data }}) => got.push(data);
        {LISTEN}
        {START[name]}""",
        {"url": f"{page.origin}{path}", "tokens": tokens},
    )


def says_yes(row: str, name: str) -> bool:
    """Whether the table says yes. It says yes or no, with more after it."""
    [word] = re.findall(r"^(?:yes|no)\b", TABLE[row][name])
    return bool(word == "yes")


def is_back(page: ClientPage, hub: HubProcess) -> None:
    page.wait_until(lambda: hub.health()["streams_open"] == 1, "it is back")


every_client = pytest.mark.parametrize("name", CLIENTS)


@every_client
def test_after_a_cut(
    page: ClientPage, proxy: Proxy, hub: HubProcess, publish: Publish, name: str
) -> None:
    start(page, name)
    hub.wait_for_streams(1)
    publish("before")
    page.wait_for("got.length === 1")
    proxy.reset()
    publish("meanwhile")
    page.wait_for("got.length === 2")
    publish("after")
    page.wait_for("got.length === 3")
    assert says_yes("comes back after a cut, and resumes", name)
    assert page.run("return got") == ["before", "meanwhile", "after"]


def cut_with_a_502(page: ClientPage, proxy: Proxy, hub: HubProcess, publish: Publish) -> None:
    hub.wait_for_streams(1)
    publish("before")
    page.wait_for("got.length === 1")
    asked = proxy.accepted
    proxy.status = 502
    proxy.reset()
    page.wait_until(lambda: proxy.accepted > asked, "it asks")
    publish("meanwhile")
    proxy.status = None


@every_client
def test_after_a_502(
    page: ClientPage, proxy: Proxy, hub: HubProcess, publish: Publish, name: str
) -> None:
    start(page, name)
    cut_with_a_502(page, proxy, hub, publish)
    if not says_yes("comes back after a 502", name):
        page.page.wait_for_timeout(4000)
        assert hub.health()["streams_open"] == 0
        assert TABLE["resumes then"][name] == "–"
        return
    is_back(page, hub)
    publish("after")
    page.wait_for("got.at(-1) === 'after'")
    assert says_yes("resumes then", name)
    assert page.run("return got") == ["before", "meanwhile", "after"]


def test_reconnecting_eventsource_resumes_only_with_a_listener(
    page: ClientPage, proxy: Proxy, hub: HubProcess, publish: Publish
) -> None:
    assert "not with `onmessage`" in TABLE["resumes then"]["reconnecting-eventsource"]
    load(page, "reconnecting-eventsource")
    page.run("""window.got = [];
        const source = new ReconnectingEventSource("/stream/");
        source.onmessage = ({ data }) => got.push(data);""")
    cut_with_a_502(page, proxy, hub, publish)
    is_back(page, hub)
    publish("after")
    page.wait_for("got.at(-1) === 'after'")
    assert page.run("return got") == ["before", "after"]


@every_client
def test_after_the_hub_has_ended_the_stream(page: ClientPage, hub: HubProcess, name: str) -> None:
    start(page, name)
    hub.wait_for_streams(1)
    hub.stop()
    hub.start()
    if says_yes("comes back when the hub ends the stream", name):
        is_back(page, hub)
    else:
        page.page.wait_for_timeout(4000)
        assert hub.health()["streams_open"] == 0


def test_fetch_event_source_comes_back_where_onclose_throws(
    page: ClientPage, hub: HubProcess
) -> None:
    cell = TABLE["comes back when the hub ends the stream"]["fetch-event-source"]
    assert "unless your `onclose` throws" in cell
    start(page, "fetch-event-source", more="onclose() { throw new Error(); }")
    hub.wait_for_streams(1)
    hub.stop()
    hub.start()
    is_back(page, hub)


def refused() -> dict[int, str]:
    """What is asked for, for each status."""
    return {
        401: "/stream/?channel=private.1",
        403: f"/stream/?channel=private.1&token={token(channels=['another'])}",
        404: "/stream/?channel=nowhere",
    }


def stream_requests(page: ClientPage) -> list[str]:
    """The addresses of streams that the page asks from now on."""
    urls: list[str] = []

    def note(request: Request) -> None:
        if "/stream/" in request.url:
            urls.append(request.url)

    page.page.on("request", note)
    return urls


@every_client
def test_refusals(open_page: OpenPage, proxy: Proxy, name: str) -> None:
    pages = {status: open_page(proxy.url) for status in refused()}
    asked = {status: stream_requests(page) for status, page in pages.items()}
    for status, path in refused().items():
        start(pages[status], name, path)
    pages[401].page.wait_for_timeout(4000)
    told = {
        status: page.run("return told.filter(([status]) => status)")
        for status, page in pages.items()
    }
    check_what_is_told(name, told)
    assert all(asked.values())
    for urls in asked.values():
        assert (len(urls) == 1) == says_yes("stops asking then", name), urls


def check_what_is_told(name: str, told: dict[int, list[list[object]]]) -> None:
    if not says_yes("tells 401, 403, 404", name):
        assert [*told.values()] == [[], [], []]
        return
    assert {status: found[0][0] for status, found in told.items()} == {n: n for n in told}
    has_words = "with the hub's words" in TABLE["tells 401, 403, 404"][name]
    assert [len(found[0]) == 2 for found in told.values()] == [has_words] * 3


def test_fetch_event_source_can_tell_in_onopen(page: ClientPage) -> None:
    assert "your `onopen` can" in TABLE["tells 401, 403, 404"]["fetch-event-source"]
    more = "onopen: async ({ status }) => void told.push([status])"
    start(page, "fetch-event-source", refused()[401], more=more)
    page.wait_for("told[0]?.[0] === 401")


@every_client
def test_a_token_in_the_authorization_field(
    page: ClientPage, hub: HubProcess, publish: Publish, name: str
) -> None:
    start(page, name, "/stream/?channel=private.1", token())
    if not says_yes("`Authorization` field", name):
        page.page.wait_for_timeout(2000)
        assert hub.health()["streams_open"] == 0
        return
    hub.wait_for_streams(1)

    def came() -> bool:
        """Again and again: a channel that nobody had begins some time after its stream was opened."""
        publish("private", channel="private.1")
        return bool(page.run("return got.length"))

    page.wait_until(came, "it came")
    assert set(page.run("return got")) == {"private"}


@every_client
def test_a_token_that_expires(page: ClientPage, hub: HubProcess, name: str) -> None:
    path = "/stream/?channel=private.1"
    first = token(exp=int(time.time()) + 4)
    if says_yes("`Authorization` field", name):
        start(page, name, path, first, token())
    else:
        start(page, name, f"{path}&token={first}")
    hub.wait_for_streams(1)
    page.page.wait_for_timeout(6000)
    assert hub.health()["streams_open"] == says_yes("renews tokens", name)


@every_client
def test_a_gap(page: ClientPage, name: str) -> None:
    start(page, name, "/stream/?last_event_id=5-5")
    page.wait_for("window.gaps.length === 1")
    [gap] = page.run("return gaps")
    words = "objects" if isinstance(gap, dict) else "an event to parse"
    assert TABLE["gaps"][name] == words
    assert (gap if isinstance(gap, dict) else json.loads(gap))["reason"] == "unheard"


@every_client
def test_two_tabs(open_page: OpenPage, proxy: Proxy, hub: HubProcess, name: str) -> None:
    for page in (open_page(proxy.url), open_page(proxy.url)):
        start(page, name, more="share: true")
    page.wait_until(lambda: hub.health()["streams_open"] > 0, "a stream is open")
    page.page.wait_for_timeout(1500)
    is_one = says_yes("one stream for all tabs", name)
    assert hub.health()["streams_open"] == (1 if is_one else 2)


@every_client
def test_a_dead_connection(page: ClientPage, proxy: Proxy, hub: HubProcess, name: str) -> None:
    """The heartbeats of this hub come every 0.4 s."""
    start(page, name)
    hub.wait_for_streams(1)
    page.page.wait_for_timeout(500)
    requests = stream_requests(page)
    opened = proxy.accepted
    proxy.stalls = True
    if says_yes("notices a dead connection", name):
        page.wait_until(lambda: requests and proxy.accepted > opened, "it asks anew")
    else:
        page.page.wait_for_timeout(6000)
        assert (requests, proxy.accepted) == ([], opened)


def test_fetch_event_source_ends_where_the_page_is_hidden(
    page: ClientPage, hub: HubProcess
) -> None:
    assert "Set `openWhenHidden: true`" in TEXT
    start(page, "fetch-event-source", more="openWhenHidden: false")
    hub.wait_for_streams(1)
    page.run("""Object.defineProperty(document, "hidden", { value: true });
        document.dispatchEvent(new Event("visibilitychange"));""")
    page.wait_until(lambda: hub.health()["streams_open"] == 0, "the stream has ended")


def size_of(name: str) -> int:
    """What a page loads: the file that is published minified, or what esbuild makes of it."""
    text = FILES[name]()
    if name == "this client":
        text = (PACKAGE / "client.js").read_text()
    elif name == "fetch-event-source":
        text = built("--format=esm")
    return len(gzip.compress(text.encode(), 9)) if text else 0


@every_client
def test_the_size(name: str) -> None:
    size = size_of(name)
    said = TABLE["size, minified and compressed"][name]
    assert said == (f"{size / 1024:.1f} KiB" if size else "0")


def test_the_versions_are_those_that_are_tried() -> None:
    tried = json.loads((HERE / "package.json").read_text())["devDependencies"]
    header = TEXT.strip().partition("| |")[2].partition("\n")[0]
    versions = re.findall(r"([a-z-]+) (\d+\.\d+\.\d+)", header)
    assert len(versions) == 3
    for name, version in versions:
        assert version in (tried.get(name), tried.get(f"@microsoft/{name}"))
