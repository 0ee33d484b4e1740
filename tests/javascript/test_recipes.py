"""Every recipe of docs/javascript.md, run as it is written."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.javascript.conftest import Publish
from tests.javascript.tools import MODULES, PACKAGE, bundle, needs_node
from tests.support.proxy import Proxy
from tests.support.servers import ROOT, HubProcess, RedisServer, StartHub, free_port
from tests.support.site import MakeSite
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow, needs_node]

PAGE = (ROOT / "docs/javascript.md").read_text()
TYPES = {".html": "text/html", ".js": "text/javascript"}


def recipe(heading: str, number: int = 0) -> str:
    """A block of code below a heading."""
    section = re.split(r"^#+ ", PAGE.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)
    return re.findall(r"^```\w+\n(.*?)^```$", section[0], re.MULTILINE | re.DOTALL)[number]  # type: ignore[no-any-return]


def serve(page: Page, origin: str, files: dict[str, str]) -> None:
    """Adds files to an origin, for this page, and opens the first of them."""
    for name, body in files.items():
        page.route(f"{origin}/{name}", answer(body, TYPES[Path(name).suffix]))
    page.goto(f"{origin}/{next(iter(files))}")


def answer(body: str, kind: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(body=body, content_type=kind)


@pytest.fixture
def plain(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []


def script(name: str) -> str:
    return f"<!doctype html><div id=app></div><script type=module src=/{name}></script>"


def test_the_first_lines(plain: Page, hub: HubProcess, publish: Publish) -> None:
    said: list[str] = []
    plain.on("console", lambda message: said.append(message.text))
    serve(plain, hub.url, {"a.html": script("a.js"), "a.js": recipe("JavaScript")})
    hub.wait_for_streams(1)
    publish("hello", channel="news")
    publish('{"a": 1}', channel="orders.7")
    wait_in(plain, lambda: len(said) == 2, "both are there")
    assert said == ["hello", "{a: 1}"]


def test_a_page(plain: Page, hub: HubProcess, publish: Publish) -> None:
    serve(plain, hub.url, {"a.html": recipe("A page")})
    expect(plain.get_by_role("status")).to_have_text("live")
    publish("<b>hello", channel="news")
    expect(plain.get_by_role("listitem")).to_have_text(["<b>hello"])
    plain.reload()
    expect(plain.get_by_role("listitem")).to_have_text(["<b>hello"])


def test_a_token(plain: Page, start_hub: StartHub, make_site: MakeSite, publish: Publish) -> None:
    site = make_site(RELAY_CHANNELS="desk=signed-in")
    hub = start_hub(**site.env)
    module = recipe("A token") + "\nwindow.connection = connection;"
    files = {"a.html": script("a.js"), "a.js": module}
    serve(plain, hub.url, files)
    plain.wait_for_function("window.connection?.state === 'refused'")
    assert plain.evaluate("connection.error.message") == "Sign in first."
    session, csrf = site.people["ann"].session, "a" * 32
    plain.context.add_cookies(
        [
            {"name": "sessionid", "value": session, "url": hub.url},
            {"name": "csrftoken", "value": csrf, "url": hub.url},
        ]
    )
    plain.evaluate("connection.addEventListener('message', ({ data }) => (window.last = data))")
    plain.evaluate("connection.reconnect()")
    plain.wait_for_function("window.connection.state === 'live'")
    publish("private", channel="desk")
    plain.wait_for_function("window.last === 'private'")


REACT = """
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

function News({ channel }) {
  const { messages, state } = useChannel(channel);
  return <><p role="status">{state.state}</p><ul>{messages.map((text) => <li key={text}>{text}</li>)}</ul></>;
}
const root = createRoot(document.getElementById("app"));
window.show = (channel) => root.render(<StrictMode><News channel={channel} /></StrictMode>);
window.leave = () => root.unmount();
show("news");
"""

VUE = """
import { createApp, h } from "vue";

const channel = ref("news");
const app = createApp({
  setup() {
    const { messages, state } = useChannel(channel);
    const items = () => messages.value.map((text) => h("li", text));
    return () => [h("p", { role: "status" }, state.value), h("ul", items())];
  },
});
app.mount("#app");
window.show = (name) => (channel.value = name);
window.leave = () => app.unmount();
"""


@pytest.mark.parametrize(("heading", "use"), [("React", REACT), ("Vue", VUE)], ids=["React", "Vue"])
def test_a_framework(
    plain: Page, hub: HubProcess, publish: Publish, tmp_path: Path, heading: str, use: str
) -> None:
    module = bundle(recipe(heading) + use, tmp_path)
    serve(plain, hub.url, {"a.html": script("a.js"), "a.js": module})
    expect(plain.get_by_role("status")).to_have_text("live")
    publish("one", "two", channel="news")
    expect(plain.get_by_role("listitem")).to_have_text(["one", "two"])
    plain.evaluate('show("orders.7")')
    publish("three", channel="news")
    expect(plain.get_by_role("listitem")).to_have_text([])
    expect(plain.get_by_role("status")).to_have_text("live")
    publish("paid", channel="orders.7")
    expect(plain.get_by_role("listitem")).to_have_text(["paid"])
    plain.evaluate('show("news")')
    expect(plain.get_by_role("listitem")).to_have_text(["one", "two", "three"])
    hub.wait_for_streams(1)
    plain.evaluate("leave()")
    hub.wait_for_streams(0)


HTMX = """<!doctype html><script src="/htmx.js"></script>{more}"""


def htmx_files() -> dict[str, str]:
    return {
        "htmx.js": (MODULES / "htmx.org/dist/htmx.min.js").read_text(),
        "sse.js": (MODULES / "htmx-ext-sse/sse.js").read_text(),
    }


def test_htmx(plain: Page, hub: HubProcess, publish: Publish) -> None:
    page = HTMX.format(more=f'<script src="/sse.js"></script><main>{recipe("htmx")}</main>')
    serve(plain, hub.url, {"a.html": page, **htmx_files()})
    hub.wait_for_streams(1)
    publish("<p>one</p>", "<p>two</p>", channel="news")
    expect(plain.locator("main p")).to_have_text(["one", "two"])


def test_htmx_does_not_resume_after_a_502(
    plain: Page, proxy: Proxy, hub: HubProcess, publish: Publish
) -> None:
    page = HTMX.format(more=f'<script src="/sse.js"></script><main>{recipe("htmx")}</main>')
    serve(plain, proxy.url, {"a.html": page, **htmx_files()})
    hub.wait_for_streams(1)
    publish("<p>one</p>", channel="news")
    expect(plain.locator("main p")).to_have_text(["one"])
    proxy.status = 502
    proxy.reset()
    wait_in(plain, lambda: proxy.answers, "it has its answer")
    publish("<p>lost</p>", channel="news")
    proxy.status = None
    wait_in(plain, lambda: hub.health()["streams_open"] == 1, "it is back")
    publish("<p>two</p>", channel="news")
    expect(plain.locator("main p")).to_have_text(["one", "two"])


def wait_in(page: Page, condition: Callable[[], object], what: str) -> None:
    """Waits while the page goes on."""

    def holds() -> object:
        page.wait_for_timeout(20)
        return condition()

    wait_until(holds, what, 15)


def test_htmx_with_the_client(plain: Page, hub: HubProcess, publish: Publish) -> None:
    module = recipe("htmx", 1)
    page = HTMX.format(more='<main id="news"></main><script type="module" src="/a.js"></script>')
    serve(plain, hub.url, {"a.html": page, "a.js": module, **htmx_files()})
    hub.wait_for_streams(1)
    publish("<p>one</p>", "<p>two</p>", channel="news")
    expect(plain.locator("main p")).to_have_text(["one", "two"])


class Vite:
    """Vite's server for development, on a project of one page."""

    def __init__(self, folder: Path, config: str, module: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "vite.config.js").write_text(config)
        (folder / "index.html").write_text(script("main.js"))
        (folder / "main.js").write_text(module)
        (folder / "node_modules/@relay-hub").mkdir(parents=True)
        (folder / "node_modules/@relay-hub/client").symlink_to(PACKAGE)
        (folder / "node_modules/vite").symlink_to(MODULES / "vite")
        self.output = (folder / "output.txt").open("wb")
        words = [str(MODULES / ".bin/vite"), "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*words, "--strictPort"], cwd=folder, stdout=self.output, stderr=self.output
        )
        wait_until(lambda: b"ready" in Path(self.output.name).read_bytes(), "vite is ready", 30)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.output.close()


SHOW = """import { connect } from "@relay-hub/client";

const onMessage = ({ data }) => (document.getElementById("app").textContent += data);
%s
"""


@pytest.mark.parametrize("way", ["proxy", "origin"])
def test_vite(plain: Page, start_hub: StartHub, publish: Publish, tmp_path: Path, way: str) -> None:
    hub = start_hub(DJANGO_SETTINGS_MODULE="tests.support.client_settings")
    config = recipe("Vite, and other origins").replace("http://127.0.0.1:8000", hub.url)
    call = 'connect("/stream/", { channels: ["news"], onMessage });'
    if way == "origin":
        [line] = re.findall(r'`(connect\("http[^`]*)`', PAGE)
        call = line.replace("http://127.0.0.1:8000", hub.url).replace(" }", ", onMessage }") + ";"
        config = "export default {};"
    vite = Vite(tmp_path, config, SHOW % call)
    try:
        if way == "origin":
            hub.stop()
            hub.env["RELAY_ALLOWED_ORIGINS"] = vite.url
            hub.start()
        plain.goto(vite.url)
        hub.wait_for_streams(1)
        publish("hello", channel="news")
        expect(plain.locator("#app")).to_have_text("hello")
    finally:
        vite.close()


def test_node(hub: HubProcess, redis_server: RedisServer, publish: Publish, tmp_path: Path) -> None:
    (tmp_path / "node_modules/@relay-hub").mkdir(parents=True)
    (tmp_path / "node_modules/@relay-hub/client").symlink_to(PACKAGE)
    source = recipe("Node").replace("http://127.0.0.1:8000", hub.url)
    (tmp_path / "read.mjs").write_text(source)
    words = ["node", str(tmp_path / "read.mjs")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as node:
        hub.wait_for_streams(1)
        publish("hello", channel="news")
        assert node.stdout is not None
        assert node.stdout.readline() == "news hello\n"
        with redis_server.client() as client:
            client.client_kill_filter(_type="pubsub")
        assert node.stdout.readline() == "news {\n"  # the gap as an object
        assert "channel: 'news'" in node.stdout.readline()
        node.terminate()


def test_no_recipe_is_without_a_test() -> None:
    headings = re.findall(r"^### (.*)$", PAGE.partition("## Recipes\n")[2], re.MULTILINE)
    tested = {"A page", "A token", "React", "Vue", "htmx", "Vite, and other origins", "Node"}
    assert set(headings) == tested
