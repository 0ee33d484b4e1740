"""The private Redis of a run."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from bench.errors import BenchError
from bench.process import Child, free_port
from relay.server.embedded_redis import find_redis_server


@contextmanager
def start_redis(core: int | None) -> Iterator[tuple[int, int]]:
    """Runs a private redis-server. Yields its port and process id.

    Its output buffer for a subscriber has no limit. So publishing at full speed measures the server,
    and does not make Redis disconnect it.
    """
    port = free_port()
    try:
        program = find_redis_server()
    except RuntimeError as error:
        raise BenchError(str(error)) from None
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", directory]
        command += ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
        command += ["--client-output-buffer-limit", "pubsub", "0", "0", "0"]
        with Child("redis-server", command, core) as child:
            child.wait_for_port(port)
            yield port, child.pid


def redis_version() -> str:
    words = subprocess.run([find_redis_server(), "--version"], capture_output=True, text=True)
    found = re.search(r"v=(\S+)", words.stdout)
    return found[1] if found else "?"
