"""A page of the hub's origin that reads streams with the client."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from playwright.sync_api import BrowserContext, Page

from tests.support.waiting import wait_until

START = """async ({ url, options, has, module }) => {
  const { connect } = await import(module);
  window.got = { events: [], gaps: [], oversize: [], states: [] };
  const { got } = window;
  Object.assign(options, {
    onMessage: (event) => got.events.push([event.channel, event.type, event.data, event.id]),
    onGap: (gap) => got.gaps.push(gap),
    onOversize: (oversize) => got.oversize.push(oversize),
    onState: (state) => got.states.push(state),
  });
  if (has.token) options.token = () => window.nextToken();
  window.connection = connect(url, options);
}"""


class ClientPage:
    """`got` has what came to the callbacks of the page's connection."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.origin = origin
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{origin}/livez")

    def load(self) -> None:
        """Loads the client, before the hub is out of reach."""
        self.run("await import(x)", f"{self.origin}/static/relay/client.js")

    def connect(self, url: str = "/stream/", *, token: bool = False, **options: Any) -> None:
        """Opens a connection. `token`: it asks `window.nextToken` for tokens."""
        module = f"{self.origin}/static/relay/client.js"
        given = {"url": url, "options": options, "has": {"token": token}, "module": module}
        self.page.evaluate(START, given)

    def run(self, code: str, argument: Any = None) -> Any:
        """The value of the body of an async function; `x` is the argument."""
        return self.page.evaluate(f"async (x) => {{ {code} }}", argument)

    def wait_for(self, condition: str, seconds: float = 15.0) -> None:
        """Waits until a condition on `got`, `connection` and `state` holds."""
        self.page.wait_for_function(
            f"() => {{ const {{ got, connection }} = window; return {condition}; }}",
            timeout=seconds * 1000,
        )

    def wait_until(self, condition: Callable[[], Any], what: str) -> None:
        """Waits for something outside the page, which goes on meanwhile."""

        def holds() -> Any:
            self.page.wait_for_timeout(20)
            return condition()

        wait_until(holds, what, 15)

    def wait_until_live(self) -> None:
        self.wait_for("connection?.state === 'live'")

    def wait_for_data(self, *data: str) -> None:
        """Waits until exactly these messages have come, in this order."""
        wanted = json.dumps(data)
        self.wait_for(f"got.events.length >= {len(data)}")
        assert self.data() == list(data), wanted

    def data(self) -> list[str]:
        return [data for _, _, data, _ in self.events()]

    def events(self) -> Sequence[tuple[str, str, str, str]]:
        """The channel, type, data and id of each event."""
        return [tuple(event) for event in self.run("return got.events")]

    def states(self) -> list[str]:
        """The states one after the other, without repetitions."""
        words: list[str] = self.run("return got.states.map((state) => state.state)")
        return [word for n, word in enumerate(words) if n == 0 or words[n - 1] != word]

    def state(self) -> dict[str, Any]:
        """The newest state."""
        return dict(self.run("return got.states.at(-1)"))
