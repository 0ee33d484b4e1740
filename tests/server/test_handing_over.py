"""Whether a stream gets its socket from Daphne, by what Twisted and Daphne are inside."""

import socket

import pytest

from relay.server import factory, internals
from tests.support.client import Stream, read_until
from tests.support.servers import COMMANDS, RedisServer, StartHub
from tests.support.waiting import wait_until

NEWER = """
from relay.server import internals
internals.TESTED["twisted"] = (24, 0)
"""

MAIN = {
    "serve": """
import os
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "hub.settings"
execute_from_command_line("manage.py relay serve --host 127.0.0.1 --port {port}".split())
""",
    "daphne": """
from daphne.cli import CommandLineInterface
CommandLineInterface().run("-v 0 -p {port} hub.asgi:application".split())
""",
}


@pytest.mark.parametrize("server", ["serve", "daphne"])
def test_the_installed_versions_hand_the_socket_over(start_hub: StartHub, server: str) -> None:
    """Fails when a new version of Twisted or Daphne is other inside: read relay/server/internals.py."""
    hub = start_hub(command=COMMANDS[server])
    before = hub.health()["tasks"]
    with Stream(hub.url), Stream(hub.url):
        hub.wait_for_streams(2)
        wait_until(  # a probe has a task for a moment
            lambda: hub.health()["tasks"] <= before,
            "the streams have no task: their sockets were handed over",
        )
    assert "newer than what was tested" not in hub.log()


@pytest.mark.parametrize("server", ["serve", "daphne"])
def test_a_version_that_is_not_known_serves_all_the_same(
    start_hub: StartHub, redis_server: RedisServer, server: str
) -> None:
    hub = start_hub(command=["-c", NEWER + MAIN[server]])
    assert hub.log().count("is newer than what was tested. Streams cost more memory and CPU.") == 1
    with socket.create_connection(("127.0.0.1", hub.port), 10) as connection:
        connection.sendall(b"GET /stream/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        read_until(connection, b"id: ")
        redis_server.publish("all the same")
        read_until(connection, b"data: all the same\n\n")


def test_a_newer_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert internals.newer_than_tested() == ""
    monkeypatch.setitem(internals.TESTED, "daphne", (4, 1))
    assert internals.newer_than_tested().startswith("daphne 4.")
    assert not factory._hands_over()
