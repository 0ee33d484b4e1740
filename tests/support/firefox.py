"""A real Firefox for the tests, which it lets drive itself over WebDriver BiDi."""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.bidi import Refused, Session
from tests.support.waiting import wait_until

NAMES = (os.environ.get("FIREFOX", "firefox-esr"), "firefox-esr", "firefox")
MISSING = "Firefox is missing. Run scripts/test-programs as root, or set FIREFOX to its path."
RUN = "async (x) => JSON.stringify((await (async (x) => { %s })(JSON.parse(x))) ?? null)"


class Tab:
    """A page of the browser, with the visitor's mouse and keyboard."""

    def __init__(self, session: Session, context: str) -> None:
        self._session = session
        self.context = context

    def open(self, url: str) -> None:
        self._do("browsingContext.navigate", url=url, wait="complete")

    def reload(self) -> None:
        self._do("browsingContext.reload", wait="complete")

    def resize(self, width: int, height: int) -> None:
        self._do("browsingContext.setViewport", viewport={"width": width, "height": height})

    def activate(self) -> None:
        """Brings the tab to the front: only that one is drawn."""
        self._do("browsingContext.activate")

    def run(self, code: str, argument: Any = None) -> Any:
        """The value of the body of an async function; `x` is the argument. Both are JSON."""
        answer = self._session.command(
            "script.callFunction",
            functionDeclaration=RUN % code,
            arguments=[{"type": "string", "value": json.dumps(argument)}],
            target={"context": self.context},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise Refused(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def wait_for(self, condition: str, argument: Any = None) -> None:
        """Waits until an expression holds in the page; `x` is the argument."""
        wait_until(
            lambda: self.run(f"return {condition}", argument), f"{condition} of {argument}", 15
        )

    def wait_for_text(self, selector: str, text: str) -> None:
        """Waits until an element that the selector finds has this in its text."""
        self.wait_for(
            "[...document.querySelectorAll(x[0])].some((e) => e.textContent.includes(x[1]))",
            [selector, text],
        )

    def click(self, selector: str = "", **accessible: str) -> None:
        """Clicks the only element of a selector, or of a role and a name, with the mouse."""
        where: dict[str, Any] = {"type": "css", "value": selector}
        if accessible:
            where = {"type": "accessibility", "value": accessible}
        [node] = self._do("browsingContext.locateNodes", locator=where)["nodes"]
        element = {"sharedId": node["sharedId"]}
        moved = {"type": "element", "element": element}
        self._act(
            "pointer",
            {"type": "pointerMove", "x": 0, "y": 0, "origin": moved},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        )

    def press(self, keys: str) -> None:
        """Types on the keyboard."""
        kinds = ("keyDown", "keyUp")
        self._act("key", *({"type": kind, "value": key} for key in keys for kind in kinds))

    def screenshot(self) -> bytes:
        """A PNG of the window."""
        return base64.b64decode(self._do("browsingContext.captureScreenshot")["data"])

    def close(self) -> None:
        self._do("browsingContext.close")

    def _act(self, device: str, *actions: dict[str, Any]) -> None:
        source = {"type": device, "id": device, "actions": actions}
        self._do("input.performActions", actions=[source])

    def _do(self, command: str, **params: Any) -> dict[str, Any]:
        return self._session.command(command, context=self.context, **params)


class Firefox:
    """The program, with a profile of its own."""

    def __init__(self, program: str) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True)
        self._folder = Path(self._profile.name)
        words = ["--headless", "--remote-debugging-port", "0", "--profile", self._profile.name]
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [program, *words],
                env={
                    **os.environ,
                    "HOME": self._profile.name,
                },  # it insists that HOME is its user's
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._session = Session(wait_until(self._port, "Firefox listens", 60))
        except BaseException:
            self._end()
            raise

    def visitor(self) -> "Visitor":
        return Visitor(self._session)

    def close(self) -> None:
        try:
            self._session.close()
            self._process.wait(15)
        finally:
            self._end()

    def _port(self) -> int:
        output = (self._folder / "output").read_text(errors="replace")
        assert self._process.poll() is None, output
        with suppress(FileNotFoundError, ValueError, KeyError):
            address = json.loads((self._folder / "WebDriverBiDiServer.json").read_text())
            return int(address["ws_port"])
        return 0

    def _end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._profile.cleanup()


class Visitor:
    """Somebody with cookies and a storage of their own."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._context = session.command("browser.createUserContext")["userContext"]
        session.log.clear()

    def tab(self, url: str) -> Tab:
        """A new tab, in front of the others."""
        made = self._session.command(
            "browsingContext.create", type="tab", userContext=self._context
        )
        tab = Tab(self._session, made["context"])
        tab.open(url)
        return tab

    def wrong(self) -> list[str]:
        """What went wrong in the pages, in Firefox's words."""
        self._session.command("session.status")
        bad = {"error", "warn"}
        return [str(entry["text"]) for entry in self._session.log if entry["level"] in bad]

    def leave(self) -> None:
        """Closes all the tabs."""
        self._session.command("browser.removeUserContext", userContext=self._context)


@pytest.fixture(scope="module")
def firefox() -> Iterator[Firefox]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program is not None, MISSING
    firefox = Firefox(program)
    yield firefox
    firefox.close()


@pytest.fixture
def visitor(firefox: Firefox) -> Iterator[Visitor]:
    """Whatever a page got wrong fails the test."""
    visitor = firefox.visitor()
    yield visitor
    wrong = visitor.wrong()
    visitor.leave()
    assert wrong == []
