"""Centrifugo: a server in Go with several transports, one of which is Server-Sent Events."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from bench.process import Child, free_port
from bench.publisher import HttpPost
from bench.servers.base import CHANNEL, HISTORY_MESSAGES, Place, Running, Server

API_KEY = "only-for-the-benchmark"

_unwrap_messages = re.compile(
    rb'^data: \{"channel":"[^"]*","pub":\{"data":"([^"\\]*)"'
    rb'(?:,"offset":\d+)?(?:,"epoch":"[^"]*")?\}\}$',
    re.MULTILINE,
).sub
_drop_replies = re.compile(rb'^data: \{(?:"connect":[^\n]*)?\}\n\n', re.MULTILINE).sub


class Centrifugo(Server):
    """Centrifugo with its memory engine, read by its unidirectional transport of events."""

    repeats = 1
    max_messages = 30_000
    program = "centrifugo"
    install = "go install github.com/centrifugal/centrifugo/v6@latest"

    def version(self) -> str:
        words = subprocess.run(["centrifugo", "version"], capture_output=True, text=True)
        found = re.search(r"v(\d\S*)", words.stdout)
        if found and found[1] != "0.0.0":
            return f"centrifugo {found[1]}"
        return f"centrifugo {_built_version()}"

    @contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory:
            config = Path(directory, "config.json")
            config.write_text(json.dumps(configuration(port)))
            command = ["centrifugo", "--config", str(config)]
            with Child(self.title, command, place.server_core) as child:
                child.wait_for_port(port)
                yield Running(
                    child,
                    ("127.0.0.1", port),
                    _path(CHANNEL),
                    HttpPost(port, "/api/publish", {"X-API-Key": API_KEY}, _command),
                    _path(f"{CHANNEL}.{{}}"),
                    unwrap,
                )


def configuration(port: int) -> dict[str, object]:
    """Returns a configuration in which everybody may subscribe. The queue of a client is not bounded."""
    return {
        "http_server": {"address": "127.0.0.1", "port": str(port)},
        "http_api": {"key": API_KEY},
        "uni_sse": {"enabled": True},
        "client": {"allow_anonymous_connect_without_token": True, "queue_max_size": 1 << 30},
        "channel": {
            "without_namespace": {
                "allow_subscribe_for_anonymous": True,
                "allow_subscribe_for_client": True,
                "history_size": HISTORY_MESSAGES,
                "history_ttl": "300s",
            }
        },
        "log": {"level": "error"},
    }


def unwrap(events: bytes) -> bytes:
    """Returns the events as if their data were sent alone, without the replies to the connection."""
    return _drop_replies(b"", _unwrap_messages(rb"data: \1", events))


def _built_version() -> str:
    """Returns the version that `go install` has built, which the program itself does not know."""
    go, program = shutil.which("go"), shutil.which("centrifugo")
    if not go or not program:
        return "?"
    words = subprocess.run([go, "version", "-m", program], capture_output=True, text=True)
    found = re.search(r"\tmod\tgithub\.com/centrifugal/centrifugo/\S+\tv(\S+)", words.stdout)
    return found[1] if found else "?"


def _path(channel: str) -> str:
    """Returns the path of a stream, in which `{}` stands for the number of a channel."""
    connect = json.dumps({"subs": {channel: {}}})
    return "/connection/uni_sse?cf_connect=" + quote(connect).replace("%7B%7D%22%3A", "{}%22%3A")


def _command(payload: bytes) -> bytes:
    return json.dumps({"channel": CHANNEL, "data": payload.decode()}).encode()
