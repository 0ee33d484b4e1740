"""`manage.py …` as a process of its own, to its end."""

import os
import subprocess
import tempfile
from collections.abc import Sequence

from tests.support.servers import fork_server


def relay_command(*words: str, **env: str | None) -> "subprocess.CompletedProcess[str]":
    """`env` is added to the environment of the tests; a variable that is None is taken away."""
    return relay_command_with(b"", *words, **env)


def relay_command_with(
    stdin: bytes, *words: str, **env: str | None
) -> "subprocess.CompletedProcess[str]":
    """As `relay_command`, with something on its standard input."""
    wanted = {**os.environ, "SECRET_KEY": "x", **env}
    present = {name: value for name, value in wanted.items() if value is not None}
    return manage_command(["relay", *words], present, stdin)


def manage_command(
    words: Sequence[str], env: dict[str, str], stdin: bytes = b""
) -> "subprocess.CompletedProcess[str]":
    """`env` is its whole environment."""
    command = ["manage.py", *words]
    with (
        tempfile.TemporaryFile() as entered,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        entered.write(stdin)
        entered.seek(0)
        code = fork_server().start(command, env, output, errors, entered).wait()
        for each in (output, errors):
            each.seek(0)
        texts = [each.read().decode() for each in (output, errors)]
    return subprocess.CompletedProcess(command, code, *texts)
