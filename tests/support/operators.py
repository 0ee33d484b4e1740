"""An operator for the tests: the page's stream, the reports on it, and how one gets in by a link."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.support.client import Answer, Stream, ask
from tests.support.servers import HubProcess

PATH = "/stream/?channel=relay:ops"
LINK = re.compile(r"^Operator's page, once: http://[^/]+(/ops/\?link=[\w-]{43})$", re.M)

Report = Mapping[str, Any]


def link_of(hub: HubProcess) -> str:
    """The path of the link that the hub has printed."""
    hub.wait_for_log("Operator's page")
    found = LINK.search(hub.log())
    assert found is not None, hub.log()
    return found[1]


def come_by(hub: HubProcess, link: str) -> str:
    """The cookie that a link is exchanged for."""
    answer = ask(hub.url, link)
    assert answer.status == 302, answer
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


def operator_of(hub: HubProcess) -> str:
    """The cookie of somebody who has used the link."""
    return come_by(hub, link_of(hub))


class Reports:
    """The page's stream, as a person with a cookie has it."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[Report]:
        for event in self.stream.events():
            if event.event == "message":
                yield json.loads(event.data)

    def first(self, fits: Callable[[Report], bool], limit: int = 60) -> Report:
        """The next report that fits."""
        seen = []
        for report, _ in zip(self, range(limit), strict=False):
            if fits(report):
                return report
            seen.append(report)
        raise AssertionError(f"none of {len(seen)} reports fits; the last: {seen[-1:]}")

    def of_each(self, number: int, fits: Callable[[Report], bool] = bool) -> dict[str, Report]:
        """A report of each of so many processes, by their ids."""
        found: dict[str, Report] = {}
        while len(found) < number:
            report = self.first(lambda each: fits(each) and each["process"]["id"] not in found)
            found[report["process"]["id"]] = report
        return found


@contextmanager
def watching(hub: HubProcess, cookie: str) -> Iterator[Reports]:
    with Stream(hub.url, PATH, headers={"Cookie": cookie}) as stream:
        assert stream.response.status == 200, stream.response.read()
        yield Reports(stream)


class Page:
    """What the page sends: with the CSRF token and cookie of an answer that it got."""

    def __init__(self, hub: HubProcess, cookie: str) -> None:
        answer = ask(hub.url, "/ops/", headers={"Cookie": cookie})
        assert answer.status == 200, answer
        self.html = answer.body.decode()
        [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', self.html)
        csrf = next(c for c in answer.headers.get_all("Set-Cookie", []) if "csrftoken=" in c)
        self.headers = {
            "Cookie": f"{cookie}; {csrf.partition(';')[0]}",
            "X-CSRFToken": token,
            "Content-Type": "application/json",
        }
        self.url = hub.url

    def post(self, path: str, **fields: str) -> Answer:
        return ask(self.url, path, "POST", json.dumps(fields), self.headers)
