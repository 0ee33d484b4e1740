"""`manage.py relay check`: one line for each thing that is missing."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from relay.management.redis_samples import SAMPLES
from tests.support.command import relay_command
from tests.support.servers import ROOT, RedisServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # each starts `manage.py`

Check = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def check(redis_server: RedisServer, tmp_path: Path) -> Check:
    """Exit code, output, and the lines of faults."""

    def check(**env: str) -> tuple[int, str, list[str]]:
        database = f"sqlite:///{tmp_path / 'db.sqlite3'}"
        given = {"REDIS_URL": redis_server.url, "DATABASE_URL": database, **env}
        result = relay_command("check", **given)
        assert "Traceback" not in result.stderr
        return result.returncode, result.stdout, result.stderr.splitlines()

    return check


def user_of_the_documentation(redis_server: RedisServer, *changes: str) -> str:
    """The URL of a user with the rights in docs/operations.md, and the changes."""
    [line] = re.findall(r"^    ACL SETUSER (.*)$", (ROOT / "docs/operations.md").read_text(), re.M)
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", *line.split(), *changes)
    return f"redis://hub:password@127.0.0.1:{redis_server.port}/0"


def test_nothing_is_wrong(check: Check) -> None:
    code, output, faults = check()
    assert (code, faults) == (0, [])
    assert re.search(r"Redis 127\.0\.0\.1:\d+: version [\d.]+, master, all rights", output)
    assert "Database: not needed" in output


def test_the_rights_of_the_documentation_are_enough(
    check: Check, redis_server: RedisServer
) -> None:
    code, _, faults = check(REDIS_URL=user_of_the_documentation(redis_server))
    assert (code, faults) == (0, [])
    with redis_server.client() as client:
        assert client.keys("*check*") == []


def test_the_rights_of_the_documentation_are_enough_in_another_database(
    check: Check, redis_server: RedisServer
) -> None:
    url = user_of_the_documentation(redis_server).removesuffix("/0") + "/1"
    assert check(REDIS_URL=url)[::2] == (0, [])
    url = user_of_the_documentation(redis_server, "-select").removesuffix("/0") + "/1"
    assert check(REDIS_URL=url)[0] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("-xadd", ["the command XADD (+xadd)"]),
        ("-evalsha", ["the command EVALSHA (+evalsha)"]),
        ("-publish", ["publishing on relay:{check:"]),
        ("resetkeys", ["the command SET (+set)"]),
        ("resetchannels &demo_stream", ["publishing on relay:{check:"]),
        ("-psubscribe", ["subscribing to the pattern orders.* (+psubscribe &orders.*)"]),
    ],
)
def test_each_right_that_is_missing_is_named(
    check: Check, redis_server: RedisServer, change: str, words: list[str]
) -> None:
    url = user_of_the_documentation(redis_server, "&orders.*", *change.split())
    env = {"RELAY_CHANNELS": "news", "DJANGO_SETTINGS_MODULE": "tests.support.check_settings"}
    code, _, faults = check(REDIS_URL=url, **env)
    assert code == 1
    for word in words:
        assert [line for line in faults if word in line and "docs/operations.md" in line], faults


def test_a_channel_that_may_not_be_subscribed_to_is_named(
    check: Check, redis_server: RedisServer
) -> None:
    url = user_of_the_documentation(redis_server)
    code, _, faults = check(REDIS_URL=url, RELAY_CHANNELS="news orders.{id}")
    assert code == 1
    assert [re.search(r"&(\S+)\)", line)[1] for line in faults] == ["news", "orders.any"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "Redis 127.0.0.1:1 cannot be reached"),
        ({"RELAY_RETRY_MS": "soon"}, "RELAY_RETRY_MS is not valid: 'soon'"),
        ({"RELAY_CHANNELS": "a=signed-in"}, "migrations are not applied. Run manage.py migrate."),
        (
            {"RELAY_CHANNELS": "a=signed-in", "DATABASE_URL": "sqlite:////nonexistent/db"},
            "Database 'default' cannot be used: unable to open database file.",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(check: Check, env: dict[str, str], words: str) -> None:
    code, _, [line] = check(**env)
    assert code == 1
    assert line.startswith("error: ")
    assert words in line


def test_a_replica_is_refused(check: Check, redis_server: RedisServer) -> None:
    replica = RedisServer("--replicaof", "127.0.0.1", str(redis_server.port))
    try:
        with replica.client() as client:
            wait_until(lambda: client.info()["master_link_status"] == "up", "the replica follows")
        code, _, faults = check(REDIS_URL=replica.url)
        assert code == 1
        assert "is a replica" in faults[0]
    finally:
        replica.close()


def test_a_node_of_a_cluster_is_refused(check: Check) -> None:
    node = RedisServer("--cluster-enabled", "yes")
    try:
        code, _, faults = check(REDIS_URL=node.url)
        assert code == 1
        assert [line for line in faults if "is a node of a cluster" in line]
    finally:
        node.close()


def test_pages_and_open_channels_need_no_more_than_the_documented_rights(
    redis_server: RedisServer, settings: Settings
) -> None:
    settings.RELAY_CHANNEL = "demo_stream"
    settings.RELAY_CHANNELS = "room.*"
    settings.REDIS_URL = user_of_the_documentation(redis_server)
    with redis_server.client() as client:
        client.zadd("relay:{control}:processes", {"a": 9e15})
        client.hset("relay:{control}:presence:a", "room.1", "3 []")
        client.xadd("relay:{demo_stream}:log", {"t": 1, "e": "data: x\n\n"}, id="5-1")

    def listed() -> list[tuple[str, int | None]]:
        channels = Client().get("/channels/").json()["channels"]
        return [(channel["name"], channel["streams"]) for channel in channels]

    assert listed() == [("demo_stream", 0), ("room.1", 3)]
    [message] = Client().get("/history/demo_stream/").json()["messages"]
    assert message["data"] == "x"
    settings.REDIS_URL = user_of_the_documentation(redis_server, "-hscan")
    assert listed() == [("demo_stream", None)]


def test_every_command_of_a_script_is_tried() -> None:
    used = set()
    for path in (ROOT / "relay/broker/scripts").glob("*.lua"):
        used |= set(re.findall(r"redis\.p?call\(['\"](\w+)", path.read_text()))
    assert used - {"PUBLISH"} <= {str(words[0]) for words in SAMPLES}
