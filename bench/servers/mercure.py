"""Mercure: a hub in Go, a module of the web server Caddy."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_plus

import jwt

from bench.process import Child, free_port
from bench.publisher import HttpPost
from bench.servers.base import CHANNEL, HISTORY_MESSAGES, Place, Running, Server

PATH = "/.well-known/mercure"
PUBLISHER_KEY = "only-for-the-benchmark" * 3


class Mercure(Server):
    """Mercure with its Bolt transport, which keeps the messages in a file; published by HTTP."""

    repeats = 1
    max_messages = 10_000
    resumes = True
    program = "mercure"
    install = "go install github.com/dunglas/mercure/caddy/mercure@latest"

    def version(self) -> str:
        modules = ["mercure", "list-modules", "--versions"]
        words = subprocess.run(modules, capture_output=True, text=True)
        found = re.search(r"^http\.handlers\.mercure v(\S+)", words.stdout, re.MULTILINE)
        return f"mercure {found[1] if found else '?'}"

    @contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory:
            config = Path(directory, "Caddyfile")
            config.write_text(caddyfile(directory, port))
            command = ["mercure", "run", "--config", str(config)]
            env = os.environ | {"XDG_CONFIG_HOME": directory, "XDG_DATA_HOME": directory}
            with Child(self.title, command, place.server_core, env) as child:
                child.wait_for_port(port)
                yield Running(
                    child,
                    ("127.0.0.1", port),
                    f"{PATH}?topic={CHANNEL}",
                    HttpPost(port, PATH, _fields(), _form),
                    f"{PATH}?topic={CHANNEL}.{{}}",
                )


def caddyfile(directory: str, port: int) -> str:
    """Returns a configuration with plain HTTP on loopback, and nothing else that Caddy could serve."""
    return f"""\
{{
    auto_https off
    admin off
    persist_config off
    log {{
        level ERROR
    }}
}}
http://127.0.0.1:{port} {{
    bind 127.0.0.1
    mercure {{
        transport bolt {{
            path {directory}/messages.db
            size {HISTORY_MESSAGES}
        }}
        publisher_jwt {PUBLISHER_KEY}
        anonymous
    }}
}}
"""


def _fields() -> dict[str, str]:
    token = jwt.encode({"mercure": {"publish": ["*"]}}, PUBLISHER_KEY, "HS256")
    return {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/x-www-form-urlencoded",
    }


def _form(payload: bytes) -> bytes:
    return f"topic={CHANNEL}&data={quote_plus(payload)}".encode()
