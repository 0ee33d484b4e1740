"""Other clients on the hub. Each does what the table in docs/javascript.md says of it."""

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Request, Response

from tests.javascript.conftest import Publish
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


def those_that_say_yes(row: str) -> dict[str, bool]:
    return {name: says_yes(row, name) for name in CLIENTS}


Pages = dict[str, ClientPage]


@pytest.fixture
def contexts(browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """One for each client, so that none waits for a connection of another one."""
    contexts = {name: browser.new_context() for name in CLIENTS}
    yield contexts
    for context in contexts.values():
        context.close()


@pytest.fixture
def open_pages(contexts: dict[str, BrowserContext], proxy: Proxy) -> Iterator[Callable[[], Pages]]:
    opened: list[ClientPage] = []

    def open_pages() -> Pages:
        pages = {name: ClientPage(each, proxy.url) for name, each in contexts.items()}
        opened.extend(pages.values())
        return pages

    yield open_pages
    assert [error for page in opened for error in page.errors] == []


@pytest.fixture
def pages(open_pages: Callable[[], Pages]) -> Pages:
    """A page for each client: all are tried at once, for what does not happen takes its time."""
    return open_pages()


def start_all(pages: Pages, hub: HubProcess, path: str = "/stream/") -> None:
    for name, page in pages.items():
        start(page, name, path)
    hub.wait_for_streams(len(pages))


def all_wait_for(pages: Pages, condition: str) -> None:
    for page in pages.values():
        page.wait_for(condition)


def got(pages: Pages) -> dict[str, list[str]]:
    return {name: page.run("return got") for name, page in pages.items()}


def wait_for_streams(pages: Pages, hub: HubProcess, number: int) -> None:
    page = next(iter(pages.values()))
    page.wait_until(lambda: hub.health()["streams_open"] == number, f"{number} streams are open")


def wait(pages: Pages, seconds: float) -> None:
    for page in pages.values():  # each goes on meanwhile
        page.page.wait_for_timeout(seconds * 1000 / len(pages))


def stream_requests(page: ClientPage) -> list[str]:
    """The addresses of streams that the page asks from now on."""
    urls: list[str] = []

    def note(request: Request) -> None:
        if "/stream/" in request.url:
            urls.append(request.url)

    page.page.on("request", note)
    return urls


def stream_refusals(page: ClientPage) -> list[int]:
    """The errors that the page is answered from now on, where it asks for a stream."""
    statuses: list[int] = []

    def note(response: Response) -> None:
        if "/stream/" in response.url and response.status >= 400:
            statuses.append(response.status)

    page.page.on("response", note)
    return statuses


def test_after_a_cut(pages: Pages, proxy: Proxy, hub: HubProcess, publish: Publish) -> None:
    start_all(pages, hub)
    publish("before")
    all_wait_for(pages, "got.length === 1")
    proxy.reset()
    publish("meanwhile")
    all_wait_for(pages, "got.length === 2")
    publish("after")
    all_wait_for(pages, "got.length === 3")
    assert those_that_say_yes("comes back after a cut, and resumes") == dict.fromkeys(CLIENTS, True)
    assert got(pages) == {name: ["before", "meanwhile", "after"] for name in CLIENTS}


def cut_with_a_502(pages: Pages, proxy: Proxy, publish: Publish) -> None:
    publish("before")
    all_wait_for(pages, "got.length === 1")
    refusals = [stream_refusals(page) for page in pages.values()]
    proxy.status = 502
    proxy.reset()
    next(iter(pages.values())).wait_until(lambda: all(refusals), "each has its answer")
    publish("meanwhile")
    proxy.status = None


def test_after_a_502(pages: Pages, proxy: Proxy, hub: HubProcess, publish: Publish) -> None:
    start_all(pages, hub)
    cut_with_a_502(pages, proxy, publish)
    back = those_that_say_yes("comes back after a 502")
    wait_for_streams(pages, hub, sum(back.values()))
    wait(pages, 4)
    wait_for_streams(pages, hub, sum(back.values()))
    publish("after")
    all_wait_for({name: pages[name] for name in CLIENTS if back[name]}, "got.at(-1) === 'after'")
    assert {name: TABLE["resumes then"][name] == "–" for name in CLIENTS} == {
        name: not is_back for name, is_back in back.items()
    }
    whole, only_before = ["before", "meanwhile", "after"], ["before"]
    assert got(pages) == {name: whole if back[name] else only_before for name in CLIENTS}
    assert all(says_yes("resumes then", name) for name in CLIENTS if back[name])


def test_reconnecting_eventsource_resumes_only_with_a_listener(
    page: ClientPage, proxy: Proxy, hub: HubProcess, publish: Publish
) -> None:
    name = "reconnecting-eventsource"
    assert "not with `onmessage`" in TABLE["resumes then"][name]
    load(page, name)
    page.run("""window.got = [];
        const source = new ReconnectingEventSource("/stream/");
        source.onmessage = ({ data }) => got.push(data);""")
    hub.wait_for_streams(1)
    cut_with_a_502({name: page}, proxy, publish)
    wait_for_streams({name: page}, hub, 1)
    publish("after")
    page.wait_for("got.at(-1) === 'after'")
    assert page.run("return got") == ["before", "after"]


def test_after_the_hub_has_ended_the_stream(pages: Pages, hub: HubProcess) -> None:
    start_all(pages, hub)
    asked = {name: stream_requests(page) for name, page in pages.items()}
    hub.stop()
    hub.start()
    back = those_that_say_yes("comes back when the hub ends the stream")
    wait_for_streams(pages, hub, sum(back.values()))
    wait(pages, 4)
    wait_for_streams(pages, hub, sum(back.values()))
    assert {name: bool(urls) for name, urls in asked.items()} == back


def test_fetch_event_source_comes_back_where_onclose_throws(
    page: ClientPage, hub: HubProcess
) -> None:
    cell = TABLE["comes back when the hub ends the stream"]["fetch-event-source"]
    assert "unless your `onclose` throws" in cell
    start(page, "fetch-event-source", more="onclose() { throw new Error(); }")
    hub.wait_for_streams(1)
    hub.stop()
    hub.start()
    page.wait_until(lambda: hub.health()["streams_open"] == 1, "it is back")


def refused() -> dict[int, str]:
    """What is asked for, for each status."""
    return {
        401: "/stream/?channel=private.1",
        403: f"/stream/?channel=private.1&token={token(channels=['another'])}",
        404: "/stream/?channel=nowhere",
    }


def test_refusals(open_pages: Callable[[], Pages]) -> None:
    opened = {status: open_pages() for status in refused()}
    asked: dict[str, list[list[str]]] = {name: [] for name in CLIENTS}
    for status, path in refused().items():
        for name, page in opened[status].items():
            asked[name].append(stream_requests(page))
            start(page, name, path)
    for pages in opened.values():
        wait(pages, 4 / len(opened))
    for name in CLIENTS:
        check_what_is_told(name, {status: told(pages[name]) for status, pages in opened.items()})
    stops = {name: [len(urls) == 1 for urls in lists] for name, lists in asked.items()}
    assert stops == {
        name: [yes] * 3 for name, yes in those_that_say_yes("stops asking then").items()
    }
    assert all(urls for lists in asked.values() for urls in lists)


def told(page: ClientPage) -> list[list[object]]:
    return [*page.run("return told.filter(([status]) => status)")]


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


def test_a_token_in_the_authorization_field(
    pages: Pages, hub: HubProcess, publish: Publish
) -> None:
    for name, page in pages.items():
        start(page, name, "/stream/?channel=private.1", token())
    can = those_that_say_yes("`Authorization` field")
    wait_for_streams(pages, hub, sum(can.values()))
    wait(pages, 2)

    def came() -> bool:
        """Again and again: a channel that nobody had begins some time after its stream was opened."""
        publish("private", channel="private.1")
        return all(got(pages)[name] for name in CLIENTS if can[name])

    next(iter(pages.values())).wait_until(came, "it came")
    assert {name: set(data) for name, data in got(pages).items()} == {
        name: {"private"} if can[name] else set() for name in CLIENTS
    }


def test_a_token_that_expires(pages: Pages, hub: HubProcess, publish: Publish) -> None:
    path = "/stream/?channel=private.1"
    first = token(exp=int(time.time()) + 5)
    for name, page in pages.items():
        if says_yes("`Authorization` field", name):
            start(page, name, path, first, token())
        else:
            start(page, name, f"{path}&token={first}")
    wait_for_streams(pages, hub, len(pages))
    wait(pages, 6)
    renews = those_that_say_yes("renews tokens")
    wait_for_streams(pages, hub, sum(renews.values()))
    publish("last", channel="private.1")
    all_wait_for({name: pages[name] for name in CLIENTS if renews[name]}, "got.at(-1) === 'last'")
    wait_for_streams(pages, hub, sum(renews.values()))


def test_a_gap(pages: Pages, hub: HubProcess) -> None:
    start_all(pages, hub, "/stream/?last_event_id=5-5")
    all_wait_for(pages, "window.gaps.length === 1")
    for name, page in pages.items():
        [gap] = page.run("return gaps")
        words = "objects" if isinstance(gap, dict) else "an event to parse"
        assert TABLE["gaps"][name] == words
        assert (gap if isinstance(gap, dict) else json.loads(gap))["reason"] == "unheard"


def test_two_tabs(open_pages: Callable[[], Pages], hub: HubProcess) -> None:
    tabs = [open_pages(), open_pages()]
    for pages in tabs:
        for name, page in pages.items():
            start(page, name, more="share: true")
    shares = those_that_say_yes("one stream for all tabs")
    expected = sum(1 if share else 2 for share in shares.values())
    wait_for_streams(tabs[0], hub, expected)
    for pages in tabs:
        wait(pages, 0.75)
    assert hub.health()["streams_open"] == expected


def test_a_dead_connection(pages: Pages, proxy: Proxy, hub: HubProcess) -> None:
    """The heartbeats of this hub come every 0.4 s."""
    start_all(pages, hub)
    wait(pages, 0.5)
    asked = {name: stream_requests(page) for name, page in pages.items()}
    proxy.stalls = True
    wait(pages, 6)
    assert {name: bool(urls) for name, urls in asked.items()} == those_that_say_yes(
        "notices a dead connection"
    )


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


@pytest.mark.parametrize("name", CLIENTS)
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
