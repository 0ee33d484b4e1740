"""`manage.py relay …` as a process of its own, to its end."""

import os
import subprocess
import tempfile

from tests.support.servers import fork_server


def relay_command(*words: str, **env: str | None) -> "subprocess.CompletedProcess[str]":
    """`env` is added to the environment of the tests; a variable that is None is taken away."""
    return relay_command_with(b"", *words, **env)


def relay_command_with(
    stdin: bytes, *words: str, **env: str | None
) -> "subprocess.CompletedProcess[str]":
    """As `relay_command`, with something on its standard input."""
    wanted = {**os.environ, "SECRET_KEY": "x", **env}
    command = ["manage.py", "relay", *words]
    with (
        tempfile.TemporaryFile() as entered,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        entered.write(stdin)
        entered.seek(0)
        present = {name: value for name, value in wanted.items() if value is not None}
        code = fork_server().start(command, present, output, errors, entered).wait()
        for each in (output, errors):
            each.seek(0)
        texts = [each.read().decode() for each in (output, errors)]
    return subprocess.CompletedProcess(command, code, *texts)
