"""The parser of the client beside the browser's own, on whatever bytes a server may send."""

import random

import pytest

from tests.javascript.bodies import CASES, check_that_both_read_alike, random_body
from tests.javascript.conftest import OpenPage
from tests.support.servers import HubProcess

pytestmark = pytest.mark.browser

BOM = b"\xef\xbb\xbf"


def test_it_reads_what_the_browser_reads(open_page: OpenPage, hub: HubProcess) -> None:
    """Except for an empty line after a byte order mark: Chromium reads the next line wrongly."""
    rng = random.Random()
    bodies = [case.encode() for case in CASES]
    bodies += [random_body(rng) for _ in range(300 - len(bodies))]
    bodies = [body for body in bodies if not body.startswith((BOM + b"\r", BOM + b"\n"))]
    check_that_both_read_alike(open_page(hub.url).run, bodies)
