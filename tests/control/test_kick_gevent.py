"""Kicks and messages from greenlets, in a process that gevent has patched."""

import os
import subprocess
import sys

from relay.broker.keys import HubKeys
from tests.support.servers import ROOT, RedisServer

SCRIPT = """
from gevent import joinall, monkey, spawn
monkey.patch_all()
import django
django.setup()
import relay
greenlets = [spawn(relay.kick, user=str(n)) for n in range(5)]
greenlets += [spawn(relay.publish, "demo_stream", str(n)) for n in range(30)]
joinall(greenlets, timeout=20, raise_error=True)
assert all(greenlet.successful() for greenlet in greenlets)
"""


def run(redis_server: RedisServer) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "hub.settings",
            "REDIS_URL": redis_server.url,
            "SECRET_KEY": "x",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def notes(redis_server: RedisServer) -> int:
    with redis_server.client() as client:
        return int(client.zcard(HubKeys("relay").kicks))


def test_each_greenlet_kicks_and_publishes(redis_server: RedisServer) -> None:
    done = run(redis_server)
    assert done.returncode == 0, done.stderr
    assert notes(redis_server) == 5


def test_where_the_control_channel_is_denied_a_kick_is_noted_all_the_same(
    redis_server: RedisServer,
) -> None:
    with redis_server.client() as client:
        rights = ["resetchannels", "&demo_stream", "&asgi*"]
        client.execute_command("ACL", "SETUSER", "default", *rights)
    done = run(redis_server)
    assert done.returncode == 0, done.stderr
    assert notes(redis_server) == 5
    assert "A kick may take up to" in done.stderr
